"""Python's search for reference cycles, seldom: it looks through all machines' objects each time.

Answers for: within the context new objects are looked through as always, only less often, and old ones
hardly ever; afterwards everything is as before, and clean. What is kept alive is nobody's business here.
Spec: `spec/simulation.md`.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

YOUNG, MIDDLE, OLD = 200_000, 50, 100
"""New objects, and searches among younger ones, after which each generation is searched."""


@contextmanager
def rare_collections() -> Iterator[None]:
    """Within this context cycles are searched for seldom; a run leaves few."""
    before = gc.get_threshold()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.collect()
