"""Who left a group and why, as the blocks say."""

import pytest

from protocol.group.blockmaker import build_evidence
from protocol.group.data_block import Removal
from protocol.node import departures
from protocol.node.departures import Cause, Departures
from tests.support.groups_world import Groups
from tests.support.moves_world import Moves


def noted(world: Moves | Groups) -> Departures:
    found = Departures()
    for standing in world.standings.values():
        found.note(standing)
    return found


def test_a_removal_is_told_with_its_reason() -> None:
    world = Moves()
    one, other = world.voters("0")[:2]
    world.remove(one, Removal.SILENT)
    for seq in (1, 2, 3):
        world.hold(seq, silent=[other])
    world.remove(other, Removal.CHALLENGES, sorted(world.verdict_on(other, seq) for seq in (1, 2, 3)))
    found = noted(world)
    assert [(each.operator_key, each.cause, each.prefix) for each in found.all()] == [
        (one.key, Cause.SILENT, "0"),
        (other.key, Cause.CHALLENGES, "0"),
    ]
    left = world.states["0"].left
    assert found.cause(one.key, left[one.key].stamp_height) is Cause.SILENT
    assert found.cause(other.key, left[other.key].stamp_height) is Cause.CHALLENGES


def test_the_convicted_are_named() -> None:
    world = Groups()
    guilty = world.voters("")[:2]
    world.advance(build_evidence(world.at(""), world.chain, [world.contradiction(one) for one in guilty]))
    found = noted(world)
    assert {(each.operator_key, each.cause) for each in found.all()} == {
        (one.key, Cause.CONVICTED) for one in guilty
    }


def test_who_goes_without_a_block_of_its_own_shared_an_address() -> None:
    world = Moves()
    one, other = world.voters("0")[:2]
    world.enrol(other, 2, ip=one.ip)
    world.hold(1)
    world.hold(4)
    ((key, left),) = world.states["0"].left.items()
    assert key in (one.key, other.key)
    assert noted(world).cause(key, left.stamp_height) is Cause.SAME_IP


def test_what_is_forgotten_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "DEPARTURES_MAX", 1)
    world = Moves()
    one, other = world.voters("0")[:2]
    for each in (one, other):
        world.remove(each)
    found, left = noted(world), world.states["0"].left
    assert found.cause(other.key, left[other.key].stamp_height) is Cause.SILENT
    assert found.cause(one.key, left[one.key].stamp_height) is None
