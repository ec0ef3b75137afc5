"""Runs that do not know of each other, in processes beside each other.

Answers for: each task has a process of its own, at most so many are there at once, and results come in the
order of the tasks, whichever ends first. A process that ends without a result is told; nobody is left behind
when we are interrupted. What a task is, is its owner's business. Spec: `spec/simulation.md`.
"""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import FrameType
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")
_FORK = multiprocessing.get_context("fork")
_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)
TERMINATED = 128 + signal.SIGTERM
"""The exit code of who was asked to end."""


@dataclass(frozen=True, slots=True)
class Died:
    """A process ended without a result: by a signal, if its exit code is negative."""

    exit_code: int

    def __str__(self) -> str:
        if self.exit_code < 0:
            return f"its process was ended by {signal.Signals(-self.exit_code).name}"
        return f"its process ended with code {self.exit_code}"


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0))


def in_processes(tasks: Sequence[T], run: Callable[[T], R], jobs: int) -> Iterator[R | Died]:
    """Yield what `run` makes of each task, in their order; at most `jobs` processes are at it."""
    pool = _Pool(run, jobs)
    with _terminable():
        try:
            for task in tasks:
                pool.add(task)
            yield from pool.results()
        finally:
            pool.end()


@dataclass(slots=True)
class _Worker:
    place: int
    process: multiprocessing.context.ForkProcess


class _Pool(Generic[T, R]):
    """The tasks that wait, the processes that are there, and the results whose turn has not come."""

    def __init__(self, run: Callable[[T], R], jobs: int) -> None:
        self._run = run
        self._jobs = jobs
        self._tasks: list[T] = []
        self._begun = 0
        self._there: dict[Connection, _Worker] = {}
        self._results: dict[int, R | Died] = {}

    def add(self, task: T) -> None:
        """Let a task wait for its turn."""
        self._tasks.append(task)

    def results(self) -> Iterator[R | Died]:
        """Yield all results in order."""
        for place in range(len(self._tasks)):
            while place not in self._results:
                self._begin()
                self._collect()
            yield self._results.pop(place)

    def _begin(self) -> None:
        while len(self._there) < self._jobs and self._begun < len(self._tasks):
            ours, theirs = _FORK.Pipe(duplex=False)
            process = _FORK.Process(target=_work, args=(theirs, self._run, self._tasks[self._begun]))
            with _held_back():  # whoever is interrupted knows of every process that there is
                process.start()
                self._there[ours] = _Worker(self._begun, process)
            theirs.close()
            self._begun += 1

    def _collect(self) -> None:
        for ours in wait(list(self._there)):
            assert isinstance(ours, Connection)
            worker = self._there[ours]
            try:
                result: R | Died = ours.recv()
            except EOFError:
                worker.process.join()
                result = Died(worker.process.exitcode or 0)
            self._results[worker.place] = result
            worker.process.join()
            ours.close()
            del self._there[ours]

    def end(self) -> None:
        """Let no process be left."""
        for worker in self._there.values():
            worker.process.kill()
        for worker in self._there.values():
            worker.process.join()


def _work(answer: Connection, run: Callable[[T], R], task: T) -> None:
    """Do one task, and hand the result over: in a process of its own, that its parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTIONS)
    answer.send(run(task))


@contextmanager
def _held_back() -> Iterator[None]:
    """Let interruptions wait."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTIONS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTIONS)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let who asks us to end have us clean up first."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(TERMINATED)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
