"""What is counted is what was said; what is reckoned, and what is held, is what it says it is."""

import json
from typing import Any

import pytest

from protocol.group.name import bits
from protocol.node.catch_up import SPEAKERS
from tests.benchmarks import groups, wallet
from tests.benchmarks.group_traffic import Heard, count_challenges, groups_of
from tests.benchmarks.groups import HELD, broken, exponent, judge_growth, line, reckon, simulate


def heard(nodes: int, group_size: int, sizes: tuple[int, ...], each: float = 1.0) -> Heard:
    """Return a network in which everybody hears so many messages of 100 bytes from each group."""
    count = len(sizes) * each
    return Heard(nodes, group_size, sizes, 50.0, 5_000.0, count, 100 * count, {}, {})


COUNTED = [heard(30, 10, (15, 15)), heard(60, 20, (30, 30)), heard(120, 10, (15,) * 8)]

ELSEWHERE: dict[str, Any] = {"certificate_ratio": 0.8, "simulation_violations": 0}
"""Figures that are held and that no count of messages gives, as they may be at the least."""
SIMULATED = {"events_per_second": 3.5, "simulation_violations": 0, "simulation_stalled": 1}


@pytest.fixture(scope="module")
def small() -> Heard:
    """Two groups of real machines."""
    return count_challenges(18, 5)


def test_one_block_of_each_group_is_heard_by_everybody_and_what_the_group_says_by_its_members(
    small: Heard,
) -> None:
    sizes = small.sizes
    assert sum(sizes) == 18 and len(sizes) == 2 and small.global_messages == len(sizes)
    assert set(small.kinds) >= {
        "response",
        "receipt",
        "receipts",
        "observation",
        "vote",
        "verdict proposal",
        "forward",
        "probe",
    }
    mean = sum(size * size for size in sizes) / 18
    assert small.kinds["observation"][0] == pytest.approx(mean)
    assert small.kinds["receipts"][0] == pytest.approx(mean, rel=0.1), "one message of each"
    assert small.kinds["vote"][0] == pytest.approx(2 * mean, rel=0.2)
    assert small.kinds["forward"] == (small.global_messages, small.global_bytes)
    others = [count for name, count in small.kinds.items() if name != "forward"]
    assert small.group_messages == pytest.approx(sum(messages for messages, _ in others))
    assert small.group_bytes == pytest.approx(sum(size for _, size in others))


def test_statuses_go_by_seconds_and_not_by_challenges(small: Heard) -> None:
    assert "status" in small.again and "status" not in small.kinds
    speakers = 18 / (18 // SPEAKERS + 1)
    assert small.again["status"][0] == pytest.approx(speakers / 2, rel=0.3), "each turn lasts two seconds"


def test_founders_split_while_both_halves_are_larger_than_a_group_must_be() -> None:
    names = [bytes([number << 4]) + bytes(31) for number in range(16)]
    assert groups_of(names, 8) == (16,) and groups_of(names, 7) == (8, 8) and groups_of(names, 1) == (2,) * 8
    assert bits(names[8], 1) == "1"


def test_a_large_network_is_reckoned_from_those_of_its_g() -> None:
    large = reckon([*COUNTED, heard(60, 10, (20, 20, 20), each=2.0)], 3_000, 10)
    assert large.global_messages == pytest.approx(200 * 4 / 3) and large.group_messages == 50.0
    assert large.global_bytes == pytest.approx(100 * large.global_messages)
    assert line(large, counted=False)["groups"] == 200.0


def test_growth_that_is_proportional_has_exponent_one() -> None:
    figures = judge_growth(COUNTED)
    assert set(figures) == set(HELD) - set(ELSEWHERE)
    assert all(value == 1.0 for value in figures.values())
    assert exponent([(1, 2), (2, 8), (3, 18)]) == pytest.approx(2)


def test_growth_that_is_not_proportional_is_told() -> None:
    """Everybody hears everybody: with four times the nodes sixteen times as much, not four times."""
    figures: dict[str, Any] = {**judge_growth([*COUNTED[:2], heard(120, 10, (15,) * 8, each=4.0)])}
    told = broken({**ELSEWHERE, **figures, "certificate_ratio": 0.79})
    assert [text.split()[0] for text in told] == [
        "exponent_messages",
        "exponent_bytes",
        "spread",
        "reckoned_messages",
        "reckoned_bytes",
        "certificate_ratio",
    ]
    assert broken({**ELSEWHERE, **judge_growth(COUNTED)}) == []


def test_the_exit_code_says_whether_what_is_held_holds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = {"certificate_ratio": 0.9, "list_ratio": 0.8, "list_seconds": 0.25}
    monkeypatch.setattr("sys.argv", ["groups", "--json"])
    monkeypatch.setattr(groups, "_count", lambda networks: COUNTED)
    monkeypatch.setattr(groups, "simulate", lambda: SIMULATED)
    monkeypatch.setattr(wallet, "run", lambda rounds: lists)
    assert groups.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert told["list_limit_ratio"] == 2.0 and told["events_per_second"] == 3.5
    assert [one["counted"] for one in told["heard"]] == [True] * 3 + [False] * 6
    monkeypatch.setattr(groups, "simulate", lambda: {**SIMULATED, "simulation_violations": 1})
    lists["certificate_ratio"] = 0.5
    assert groups.main() == 1
    err = capsys.readouterr().err
    assert "certificate_ratio is 0.5" in err and "simulation_violations is 1" in err


def test_the_largest_network_is_no_smaller_than_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["groups", "--largest", "239"])
    with pytest.raises(SystemExit, match="2"):
        groups.main()


def test_a_simulation_is_a_figure_and_whether_it_was_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SIMULATION", ("--nodes", "12", "--group-size", "4", "--events", "4"))
    clean: dict[str, Any] = simulate()
    assert clean["simulation_clean"] and not clean["simulation_violations"] and clean["simulated_events"] >= 4
    assert clean["events_per_second"] > 0


def test_a_simulation_that_tells_nothing_is_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(groups, "SIMULATION", ("--nodes", "none"))
    with pytest.raises(SystemExit, match="the simulation has failed"):
        simulate()
