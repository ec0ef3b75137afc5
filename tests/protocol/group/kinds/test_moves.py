"""RELOCATE: who moves after a verdict, who joins from home, and that nothing else is taken."""

import pytest

from protocol.group.data_block import Move
from protocol.group.movemaker import build_admit, build_relocate
from tests.support.moves_world import JOINERS, Moves


def test_an_operator_joins_from_its_home_group_where_its_name_falls() -> None:
    world = Moves()
    new = JOINERS[0]
    world.register(new)
    world.judge_everywhere(1)
    world.judge_everywhere(2)
    ticket = world.join(new, 2)
    moved = world.moved(ticket)
    assert (moved.why, moved.age, moved.operator_key) == (Move.JOIN, 0, new.key)
    home = world.states[world.home(new)]
    assert new.key in home.granted and home.away[new.key].ticket == ticket and not home.link_due
    target = world.fitting(moved.name)
    world.settle(build_admit(world.at(target), world.chain, world, ticket, world.nonce(ticket)))
    member = world.states[target].membership.get(new.key)
    assert member is not None and (member.age, member.name) == (0, moved.name)
    assert ticket in world.states[target].ended and new.key not in world.states[target].electorate


@pytest.mark.parametrize("prefix", ["0", "1"])
def test_nobody_of_the_founders_moves_before_its_time(prefix: str) -> None:
    world = Moves()
    world.judge_everywhere(1)
    with pytest.raises(Exception, match="nobody may move"):
        build_relocate(world.at(prefix), world.chain)
