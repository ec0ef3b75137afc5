"""Certified blocks that our chain contradicts: which ones are taken in the end, and by what evidence."""

import pytest

from protocol.errors import InvalidBlock, InvalidCertificate, NotYetKnown, Stranded
from protocol.group.blockmaker import build_register
from protocol.group.data_block import CertifiedBlock, Kind
from protocol.group.data_chain import DataChain
from protocol.node.held_back import HELD_MAX, HeldBack, is_settled
from tests.support.chain_view import MemoryChain
from tests.support.group_world import Group, changed
from tests.support.operators import operator


class Story:
    """Blocks that register one newcomer each: some on a branch that is lost, then some on ours."""

    def __init__(self, lost: int, ours: int) -> None:
        self.group = Group()
        self.start = self.group.state
        self.theirs = self.group.chain.copy()
        self.blocks: list[CertifiedBlock] = []
        self.states: list[DataChain] = []
        for number in range(lost):
            self.certify(number)
        self.group.chain.disconnect(5)
        self.group.chain.mine_to(16, salt=b"ours")
        for number in range(lost, lost + ours):
            self.certify(number)
        for state in (self.start, *self.states):
            state.forget_checks()  # as a node does when a block leaves its chain

    @property
    def chain(self) -> MemoryChain:
        return self.group.chain

    def certify(self, number: int) -> None:
        group = self.group
        envelope = operator(20 + number).envelope(network=group.network)
        body = build_register(group.state, group.chain, [envelope], [])
        self.blocks.append(group.certified(body))
        group.advance(body)
        self.states.append(group.state)


def holding(story: Story, count: int) -> HeldBack:
    """Return what is held back after so many stranded blocks."""
    held = HeldBack()
    held.hold(story.blocks[0], story.states[0])
    for block in story.blocks[1:count]:
        assert not held.follow(block, story.chain)
    return held


def test_a_block_on_our_chain_shows_that_the_quorum_has_come_to_it() -> None:
    story = Story(lost=3, ours=1)
    for block, state in zip(story.blocks[:3], (story.start, *story.states), strict=False):
        with pytest.raises(Stranded):
            state.apply(block, story.chain)
    held = holding(story, 3)
    assert len(held) == 3 and not held.is_refuted
    assert held.follow(story.blocks[3], story.chain)
    assert held.release() == story.blocks[:3]
    assert not len(held) and not held.is_refuted


def test_a_block_that_does_not_follow_or_has_no_quorum_shows_nothing() -> None:
    story = Story(lost=2, ours=2)
    held = holding(story, 1)
    with pytest.raises(InvalidCertificate):
        held.follow(story.blocks[2], story.chain)  # one is missing between
    few = story.group.certificate
    story.group.state = story.states[0]
    weak = CertifiedBlock(
        block=story.blocks[1].block, certificate=few(story.blocks[1].block, story.group.founders[:2])
    )
    with pytest.raises(InvalidCertificate):
        held.follow(weak, story.chain)
    assert len(held) == 1 and not held.is_refuted


def test_a_fault_that_no_chain_mends_is_no_evidence() -> None:
    story = Story(lost=1, ours=1)
    held = holding(story, 1)
    story.group.state = story.states[0]
    bad = story.group.certified(changed(story.blocks[1].block, kind=Kind.LINK))
    with pytest.raises(InvalidBlock):
        held.follow(bad, story.chain)
    held.refute()
    assert held.is_refuted and not held.follow(story.blocks[1], story.chain)
    early = HeldBack()
    early.hold(bad, None)
    assert early.is_refuted and not early.follow(story.blocks[1], story.chain)


def test_what_our_chain_is_too_short_for_shows_nothing_yet() -> None:
    story = Story(lost=1, ours=1)
    held = holding(story, 1)
    short = story.chain.copy()
    short.disconnect(4)
    with pytest.raises(NotYetKnown):
        held.follow(story.blocks[1], short)
    assert held.follow(story.blocks[1], story.chain)


def test_what_is_held_back_is_bounded() -> None:
    story = Story(lost=HELD_MAX + 2, ours=0)
    held = holding(story, HELD_MAX + 2)
    assert len(held) == HELD_MAX == len(held.release())


def test_when_our_own_chain_has_settled() -> None:
    group = Group()
    parameters = group.genesis.parameters
    assert is_settled(14 - parameters.burial - parameters.challenge_every, group.chain, parameters)
    assert not is_settled(15 - parameters.burial - parameters.challenge_every, group.chain, parameters)


def test_a_stranded_block_is_applied_on_its_certificates_word_only() -> None:
    story = Story(lost=1, ours=0)
    (block,) = story.blocks
    after = story.start.apply(block, story.chain, on_its_word=True)
    assert after == story.states[0] and after.is_stranded(story.chain)
    assert not after.is_stranded(story.theirs) and not story.start.is_stranded(story.chain)
    short = story.chain.copy()
    short.disconnect(10)
    with pytest.raises(NotYetKnown):
        story.start.apply(block, short)
    assert story.start.apply(block, short, on_its_word=True) == after
    assert not after.is_stranded(short), "there may come what it stamps"
