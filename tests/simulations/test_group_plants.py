"""The laws of many groups are not blind: each deliberate fault is seen by the law that it breaks."""

import json
from dataclasses import replace

import pytest

from simulations import group_laws, seats, watch
from simulations.__main__ import main
from simulations.group_options import GroupPlant
from simulations.group_plants import PLANTS, planted_in_groups, scenario_of
from simulations.groups import run_groups
from simulations.seats_judged import JUDGED

SEEDS_MAX = 4
"""From the first seed at which a plant shows on, should what chance draws become something else."""
LAWS = {
    seats.ABSORBED,
    seats.IPS,
    seats.NEWCOMERS,
    seats.AGES,
    seats.NAMES,
    seats.PLACES,
    seats.SEATS,
    group_laws.CERTIFICATES,
    group_laws.NETWORK,
    JUDGED,
    watch.AGREEMENT,
    watch.TRUST,
}


def laws_broken(plant: GroupPlant, seed: int) -> set[str]:
    return {text.partition(":")[0] for text in run_groups(seed, scenario_of(plant)).told}


@pytest.mark.parametrize("plant", sorted(GroupPlant))
def test_a_planted_fault_breaks_its_law(plant: GroupPlant) -> None:
    first = PLANTS[plant].seed
    assert any(PLANTS[plant].law in laws_broken(plant, seed) for seed in range(first, first + SEEDS_MAX))


def test_every_law_has_a_plant() -> None:
    assert {planted.law for planted in PLANTS.values()} == LAWS and set(PLANTS) == set(GroupPlant)


SCENARIOS = {str(PLANTS[plant].scenario): plant for plant in GroupPlant}.values()


@pytest.mark.parametrize("plant", SCENARIOS)
def test_in_the_same_network_with_its_rules_whole_no_law_is_broken(plant: GroupPlant) -> None:
    outcome = run_groups(PLANTS[plant].seed, replace(scenario_of(plant), plant_in_groups=None))
    assert outcome.events and not outcome.violations


@pytest.mark.parametrize("plant", sorted(GroupPlant))
def test_a_rule_is_really_broken_within_and_whole_again_afterwards(plant: GroupPlant) -> None:
    patches = PLANTS[plant].patches
    before = [getattr(owner, name) for owner, name, _ in patches]
    with pytest.raises(KeyError), planted_in_groups(plant):
        now = [getattr(owner, name) for owner, name, _ in patches]
        assert now == [other for _, _, other in patches]
        assert not any(one is other for one, other in zip(before, now, strict=True))
        raise KeyError
    assert [getattr(owner, name) for owner, name, _ in patches] == before


def test_the_command_tells_of_a_plant(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["groups", "--plant", "lose-one", "--json"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["violations"] > 0
    assert "groups_are_the_network" in told.err
