"""Runs beside each other: results in order, a process that dies is told, and none is left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil
import pytest

from simulations import group_report
from simulations.group_options import GroupOptions
from simulations.group_report import run_group_seeds
from simulations.groups import GroupsOutcome, run_groups
from simulations.workers import Died, in_processes, processors

SMALL = GroupOptions(nodes=10, group_size=4, events=3, faults=frozenset(), leave_every_ms=1_000_000_000)
PATIENCE_SECONDS = 60
LONG = ("groups", "--nodes", "60", "--group-size", "5", "--events", "300", "--seeds", "4", "--jobs", "2")


def test_results_come_in_the_order_of_the_tasks_whichever_ends_first() -> None:
    def late(task: int) -> tuple[int, int]:
        time.sleep(0.3 - task / 10)
        return task, os.getpid()

    found = list(in_processes([0, 1, 2], late, 3))
    assert [one[0] for one in found if not isinstance(one, Died)] == [0, 1, 2]
    assert len({one[1] for one in found if not isinstance(one, Died)} - {os.getpid()}) == 3


def test_so_many_are_at_it_at_once_and_no_more() -> None:
    def count(_: int) -> int:
        time.sleep(0.05)
        parent = psutil.Process(os.getppid())
        return len(parent.children())

    assert max(one for one in in_processes(range(8), count, 2) if not isinstance(one, Died)) <= 2


@pytest.mark.parametrize(
    ("how", "code"),
    [(lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL), (lambda: os._exit(3), 3)],
)
def test_a_process_that_dies_is_told_and_the_others_go_on(how: Callable[[], None], code: int) -> None:
    def run(task: int) -> int:
        if task == 1:
            how()
        return task

    assert list(in_processes([0, 1, 2], run, 2)) == [0, Died(code), 2]


def test_nobody_is_left_when_not_all_results_are_wanted() -> None:
    results = in_processes(range(4), lambda task: time.sleep(task * 60), 2)
    assert next(results) is None
    results.close()  # type: ignore[attr-defined]
    assert psutil.Process().children() == []


def test_the_report_does_not_depend_on_how_many_run_at_once() -> None:
    def line(jobs: int) -> str:
        return run_group_seeds(range(3), SMALL, lambda text: None, jobs)[0].as_json(1.0)

    assert line(1) == line(3)


def test_a_worker_that_is_killed_is_a_violation(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(seed: int, options: GroupOptions) -> GroupsOutcome:
        if seed == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return run_groups(seed, options)

    monkeypatch.setattr(group_report, "run_groups", run)
    told: list[str] = []
    report, _ = run_group_seeds(range(2), SMALL, told.append, 2)
    assert report.violations == 1 and report.events >= SMALL.events and not report.clean
    assert told == ["seed 1: VIOLATION its process was ended by SIGKILL"]


@pytest.mark.parametrize("whole_group", [False, True])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_who_is_interrupted_ends_all_processes(number: int, code: int, whole_group: bool) -> None:
    command = [sys.executable, "-m", "simulations", *LONG]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.PIPE, text=True) as running:
        workers = children_of(running.pid, 2)
        (os.killpg if whole_group else os.kill)(running.pid, number)
        _, said = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == code and "Traceback" not in said
    assert not any(worker.is_running() for worker in workers)


def children_of(pid: int, count: int) -> list[psutil.Process]:
    """Wait until a process has so many children."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        children: list[psutil.Process] = psutil.Process(pid).children()
        if len(children) == count:
            return children
        time.sleep(0.02)
    raise AssertionError(f"process {pid} never had {count} children")


def test_no_more_than_the_processors_that_we_may_use() -> None:
    assert 1 <= processors() <= (os.cpu_count() or 1)
