"""A signal in the middle of a start is taken up when the started process is known, and not lost."""

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from zenp2p.devnet.interrupts import ENDING, kept_back
from zenp2p.devnet.litecoind import Litecoind


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_waits_and_then_comes_once(number: int) -> None:
    came: list[int] = []
    before = {each: signal.signal(each, lambda number, _: came.append(number)) for each in ENDING}
    try:
        with kept_back():
            for _ in range(3):
                signal.raise_signal(number)
            assert came == []
        assert came == [number]
        signal.raise_signal(number)
        assert came == [number, number]
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_in_another_thread_it_does_nothing() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen: list[object] = []

    def look() -> None:
        with kept_back():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [before]


def test_an_interrupted_start_knows_what_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C between the process's start and the moment when its id is known would leave it behind."""
    started: list[int] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *_: object, **__: object) -> None:
            super().__init__((sys.executable, "-c", "input()"), stdin=subprocess.PIPE)
            started.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("zenp2p.devnet.litecoind.subprocess.Popen", Interrupted)
    node = Litecoind(tmp_path / "node")
    try:
        with pytest.raises(KeyboardInterrupt):
            node.start()
        assert node.pid == started[0]
    finally:
        node.stop()
