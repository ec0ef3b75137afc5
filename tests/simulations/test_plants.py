"""The checkers are not blind: each deliberate fault is seen by the law that it breaks."""

import pytest

from protocol.group.consensus import Consensus
from protocol.group.quorum import Electorate
from protocol.node.open_challenge import OpenChallenge
from simulations.cluster import run_seed
from simulations.options import Options, Plant
from simulations.plants import planted

FIRST_SEED, SEEDS_MAX = 5, 200
"""From a seed at which all of them show at once; 200 is what is promised."""
LAWS = {
    Plant.FORGET_VOTE: "one_statement_a_slot",
    Plant.IGNORE_LOCK: "locks_are_kept",
    Plant.QUORUM_HALF: "certificates_hold_from_genesis",
    Plant.ACCEPT_LATE: "late_and_lying_are_not_valid",
    Plant.SEND_FIRST: "recorded_before_said",
    Plant.PAY_TWICE: "nothing_is_paid_twice",
}


@pytest.mark.parametrize("plant", sorted(Plant))
def test_a_planted_fault_breaks_its_law(plant: Plant) -> None:
    for seed in range(FIRST_SEED, FIRST_SEED + SEEDS_MAX):
        broken = {text.partition(":")[0] for text in run_seed(seed, Options(plant=plant)).violations}
        if LAWS[plant] in broken:
            return
    pytest.fail(f"{plant} was not seen in {SEEDS_MAX} seeds")


def test_after_a_plant_the_rules_are_whole_again() -> None:
    rules = (Consensus.lock_allows, Electorate.reaches, OpenChallenge.keep_response)
    for plant in Plant:
        with pytest.raises(KeyError), planted(plant):
            raise KeyError
    assert (Consensus.lock_allows, Electorate.reaches, OpenChallenge.keep_response) == rules


def test_each_rule_is_really_broken_within() -> None:
    rules = (Consensus.lock_allows, Electorate.reaches, OpenChallenge.keep_response)
    for plant, rule in zip((Plant.IGNORE_LOCK, Plant.QUORUM_HALF, Plant.ACCEPT_LATE), rules, strict=True):
        with planted(plant):
            now = (Consensus.lock_allows, Electorate.reaches, OpenChallenge.keep_response)
            assert [one is other for one, other in zip(rules, now, strict=True)].count(False) == 1
            assert rule not in now
