"""Sums over runs, and what is said of a run that went wrong."""

from simulations.cluster import Outcome
from simulations.report import SHOWN_MAX, Report, describe
from simulations.trace import FaultCounts, Trace


def outcome(seed: int = 1, violations: int = 0, pending: int = 0) -> Outcome:
    return Outcome(
        seed=seed,
        violations=tuple(f"law: {number}" for number in range(violations)),
        pending=tuple(f"node {number} waits" for number in range(pending)),
        events=10,
        trace=bytes([seed]) * 32,
        lists_paid=2,
        faults=FaultCounts(lost=3, crashes=1),
    )


def test_sums_and_the_order_of_runs_is_part_of_the_hash() -> None:
    one, other = Report(), Report()
    for seed in (1, 2):
        one.add(outcome(seed))
        other.add(outcome(3 - seed))
    assert (one.events, one.lists_paid, one.faults) == (20, 4, FaultCounts(lost=6, crashes=2))
    assert one.clean and one.as_json() != other.as_json()


def test_a_breach_or_a_stall_is_not_clean() -> None:
    for bad in (outcome(violations=3), outcome(pending=2)):
        report = Report()
        report.add(bad)
        assert not report.clean
    assert (report.violations, report.stalled) == (0, 1)


def test_what_went_wrong_is_told_with_its_seed_and_not_without_end() -> None:
    assert describe(outcome()) == []
    assert describe(outcome(7, violations=1, pending=1)) == [
        "seed 7: VIOLATION law: 0",
        "seed 7: STALLED node 0 waits",
    ]
    long = describe(outcome(7, violations=100))
    assert (
        len(long) == SHOWN_MAX + 1 and long[-1] == "seed 7: and 92 more; again with --first-seed 7 --seeds 1"
    )


def test_a_trace_tells_time_kind_place_and_the_borders_of_data() -> None:
    happenings = [
        (1, "hear", 2, (b"ab", b"c")),
        (1, "hear", 2, (b"a", b"bc")),
        (1, "hear", 3, (b"ab", b"c")),
        (2, "hear", 2, (b"ab", b"c")),
        (1, "send", 2, (b"ab", b"c")),
        (1, "hear", 2, (b"ab",)),
    ]
    digests = set()
    for time_ms, kind, who, data in happenings:
        trace = Trace()
        trace.note(time_ms, kind, who, *data)
        digests.add(trace.digest())
    assert len(digests) == len(happenings)
