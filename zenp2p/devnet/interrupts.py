"""Signals that end a local network, kept back while one of its processes is being started.

Answers for: whoever is interrupted in the middle of a start knows the process that it has
started, and can end it. What a signal does is left to who installed its handler. Spec:
`spec/devnet.md`.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""What ends a network: Ctrl-C, a kill, a terminal that was closed."""


@contextmanager
def kept_back() -> Iterator[None]:
    """Deliver a signal that comes meanwhile at the end; outside of the main thread none comes anyway."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in ENDING}
    for number in ENDING:
        signal.signal(number, lambda number, _: came.append(number))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        for first in came[:1]:
            signal.raise_signal(first)
