"""What who came back is asked for, how long, and what counts as an answer."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from protocol.codec import decode, encode
from protocol.group.data_block import block_hash, decode_certified
from protocol.group.data_chain import DataChain
from protocol.group.state import Returning
from protocol.node.effects import Effect, Send
from protocol.node.hand_over import ASKED_MILLISECONDS, ASKED_SLOWEST_MILLISECONDS, HandOver
from protocol.node.messages import BlocksRequest
from protocol.units import Hash32, OperatorKey
from tests.support.group_world import Group
from tests.support.operators import operator

BACK = operator(40)
SECONDS = 1_000


class World(Group):
    """A group of one block, to which somebody came back, as one of its voters sees it."""

    def __init__(self) -> None:
        super().__init__()
        self.advance(self.verdict_block())
        entry = Returning(age=4, seq=2, stamp_height=self.state.stamp_height)
        self.state = replace(self.state, returning=MappingProxyType({BACK.key: entry}))
        self.is_ours = True
        surroundings: Any = self
        self.hand_over = HandOver(self.network, self.founders[0].key, surroundings)
        self.hand_over.look()

    def own(self) -> DataChain | None:
        return self.state if self.is_ours else None

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        held = (prefix, height) == ("", 1)
        return block_hash(decode_certified(self.blocks[0]).block) if held else None

    def asked_within(self, milliseconds: int) -> list[int]:
        """When somebody is asked, looked at every tenth of a second."""
        return [now for now in range(0, milliseconds, 100) if self.hand_over.tick(now)]

    def answer(self, *blocks: bytes, sender: OperatorKey = BACK.key) -> bool:
        return self.hand_over.on_blocks(sender, blocks)


def request_in(effects: list[Effect]) -> BlocksRequest:
    (effect,) = effects
    assert isinstance(effect, Send) and effect.peer == BACK.key
    return decode(effect.data[1:], BlocksRequest)


def test_it_is_asked_for_one_block_that_the_voter_holds_and_answers_with_it() -> None:
    world = World()
    request = request_in(world.hand_over.tick(0))
    assert [(want.prefix, want.first) for want in request.wants] == [("", 1)]
    assert not world.hand_over.is_satisfied(BACK.key)
    assert world.answer(world.blocks[0]) and world.hand_over.is_satisfied(BACK.key)
    assert not world.asked_within(600 * SECONDS) and not world.answer(world.blocks[0])


def test_another_block_another_sender_and_no_block_are_no_answer() -> None:
    world = World()
    certified = decode_certified(world.blocks[0])
    other = encode(certified).replace(certified.block[-8:], bytes(8))
    assert not world.answer(world.blocks[0], sender=operator(41).key)
    assert not world.answer(b"\xff") and not world.answer(other, world.blocks[0])
    assert not world.hand_over.is_satisfied(BACK.key)
    assert world.answer(world.blocks[0])


def test_who_does_not_answer_is_asked_ever_less_often_and_never_given_up() -> None:
    """A node that had to catch up for longer than a minute, or stopped once more, lost its age."""
    world = World()
    asked = world.asked_within(3_600 * SECONDS)
    pauses = [later - earlier for earlier, later in zip(asked, asked[1:], strict=False)]
    assert pauses[:5] == [ASKED_MILLISECONDS << number for number in range(5)]
    assert set(pauses[5:]) == {ASKED_SLOWEST_MILLISECONDS} and len(asked) < 70


@pytest.mark.parametrize("end", ["rejoined", "lapsed", "not ours"])
def test_nobody_is_asked_any_more_who_is_not_returning(end: str) -> None:
    world = World()
    world.answer(world.blocks[0])
    if end == "rejoined":
        world.state = replace(world.state, returning=MappingProxyType({}))
    elif end == "lapsed":
        world.state = replace(world.state, stamp_height=1_000)
    else:
        world.is_ours = False
    world.hand_over.look()
    assert not world.hand_over.is_satisfied(BACK.key) and not world.asked_within(600 * SECONDS)


def test_who_returns_is_not_asked_by_itself() -> None:
    world = World()
    world.state = replace(
        world.state, returning=MappingProxyType({world.founders[0].key: world.state.returning[BACK.key]})
    )
    world.hand_over.look()
    assert not world.asked_within(60 * SECONDS)
