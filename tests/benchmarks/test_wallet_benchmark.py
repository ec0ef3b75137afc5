"""The wallet's files stay small and its certificate check near the bare signatures, at full size."""

import pytest

from protocol.payout.light import trust_from_list, verify_address, verify_list
from tests.benchmarks.wallet import GROUPS, NODES, Bench, run


def test_the_figures_are_those_of_a_list() -> None:
    figures = run(rounds=1, nodes=30, groups=4)
    assert (figures["nodes"], figures["groups"], figures["signatures"]) == (30, 4, 21)
    assert figures["list_bytes"] < figures["list_bytes_all_sign"] == figures["list_bytes"] + 9 * 64
    assert figures["list_ratio"] <= figures["certificate_ratio"] + 0.2
    assert min(figures.values()) > 0


@pytest.fixture(scope="module")
def week() -> Bench:
    """One week of 5,000 nodes in 250 groups."""
    return Bench(NODES, GROUPS)


def test_a_weeks_files_stay_below_their_limits(week: Bench) -> None:
    sizes = week.sizes()
    assert len(week.made.header.blocks) == 1_750 and len(week.made.header.heads) == 250
    assert sizes["list_bytes_all_sign"] < 1 << 20
    assert sizes["address_bytes"] < 1 << 19
    assert sizes["signatures"] == 3_334


def test_both_files_lead_to_the_same_trust_point(week: Bench) -> None:
    of_all = trust_from_list(verify_list(week.file_all_sign, week.trust))
    assert trust_from_list(verify_address(week.address_file, week.trust)) == of_all
    assert trust_from_list(week.verified) == of_all and len(of_all.electorate) == NODES
