"""Virtual time."""

import pytest

from simulations.scheduler import Scheduler


def test_actions_run_in_the_order_of_their_times_and_then_of_being_asked_for() -> None:
    scheduler, log = Scheduler(), list[tuple[int, str]]()
    for delay, name in ((5, "c"), (1, "a"), (5, "d"), (3, "b"), (-2, "first")):
        scheduler.after(delay, lambda name=name: log.append((scheduler.now_ms, name)))  # type: ignore[misc]
    scheduler.run_until(4)
    assert log == [(0, "first"), (1, "a"), (3, "b")] and scheduler.now_ms == 4
    scheduler.run_until(10)
    assert log[3:] == [(5, "c"), (5, "d")]
    assert (scheduler.now_ms, scheduler.events) == (10, 5)


def test_what_an_action_asks_for_happens_too() -> None:
    scheduler, log = Scheduler(), list[int]()

    def again() -> None:
        log.append(scheduler.now_ms)
        scheduler.after(10, again)

    scheduler.after(0, again)
    scheduler.run_until(30)
    assert log == [0, 10, 20, 30]


def test_a_loop_that_feeds_itself_ends() -> None:
    scheduler = Scheduler(events_max=100)

    def again() -> None:
        scheduler.after(0, again)

    scheduler.after(0, again)
    with pytest.raises(RuntimeError, match="no end"):
        scheduler.run_until(1)
