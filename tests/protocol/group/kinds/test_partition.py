"""When a group splits and when it merges; and that nothing follows either block."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from protocol.codec import replace as replace_fields
from protocol.crypto import sha3_256
from protocol.errors import InvalidBlock, NotYetKnown, StaleMessage
from protocol.group.blockmaker import build_block, build_link, build_merge, build_register, build_split
from protocol.group.data_block import Kind, MergePayload, SplitPayload, block_hash
from protocol.group.kinds.partition import asks_to_merge, halves, may_split, must_merge
from protocol.group.membership import Membership
from protocol.group.name import PREFIX_BITS_MAX
from protocol.group.state import GroupState
from tests.support.group_world import changed, repacked
from tests.support.groups_world import GROUP_SIZE, Groups


def refused(world: Groups, body: bytes, match: str) -> None:
    with pytest.raises(InvalidBlock, match=match):
        world.state.check_block(body, world.chain, world)


def merge_body(world: Groups, prefix: str, because: bytes = b"") -> bytes:
    """A MERGE block, whether there is a reason or not."""
    return build_block(world.at(prefix), world.chain, Kind.MERGE, MergePayload(because=because))


# Splitting.


def test_the_halves_are_the_voters_by_the_next_bit_of_their_names() -> None:
    state = Groups().state
    zeros, ones = halves(state)
    assert zeros == sum(member.name[0] < 0x80 for member in state.membership.members)
    assert zeros + ones == len(state.electorate)


def test_who_has_no_vote_is_not_counted() -> None:
    state = Groups().state
    first, *others = state.membership.members
    young = Membership.of((replace_fields(first, age=0), *others))
    before, after = halves(state), halves(replace(state, membership=young, electorate=young.voters()))
    assert sum(after) == sum(before) - 1 and min(b - a for b, a in zip(before, after, strict=True)) == 0


def with_group_size(state: GroupState, size: int) -> GroupState:
    parameters = replace_fields(state.genesis.parameters, group_size=size)
    return replace(state, genesis=replace_fields(state.genesis, parameters=parameters))


def test_each_half_needs_one_voter_more_than_a_group() -> None:
    state = Groups().state
    least = min(halves(state))
    assert may_split(with_group_size(state, least - 1)) and not may_split(with_group_size(state, least))


def test_a_prefix_of_the_greatest_length_does_not_split() -> None:
    """Its halves' electorates could not be named."""
    state = replace(Groups().state, prefix="0" * PREFIX_BITS_MAX)
    assert not may_split(state)


def test_a_split_states_both_halves() -> None:
    world = Groups()
    body = build_split(world.state, world.chain)
    zeros, ones = halves(world.state)
    world.state.check_block(body, world.chain)
    refused(world, repacked(body, zeros=zeros + 1, ones=ones - 1), "does not split into")
    refused(world, repacked(body, zeros=ones, ones=zeros), "does not split into")


def test_a_group_that_is_too_small_does_not_split() -> None:
    world = Groups()
    world.split()
    world.shrink("0")
    with pytest.raises(StaleMessage):
        build_split(world.at("0"), world.chain)
    zeros, ones = halves(world.state)
    body = build_block(world.state, world.chain, Kind.SPLIT, SplitPayload(zeros=zeros, ones=ones))
    refused(world, body, "not enough voters")


def test_a_link_that_is_due_comes_first() -> None:
    world = Groups()
    world.advance(build_split(world.state, world.chain))
    for build in (build_split, build_merge):
        with pytest.raises(StaleMessage):
            build(world.at("0"), world.chain)
    body = build_split(replace(world.state, link_due=False), world.chain)
    refused(world, body, "LINK")


# Merging.


def test_the_whole_network_has_nobody_to_merge_with() -> None:
    world = Groups()
    assert not must_merge(with_group_size(world.state, 100))
    refused(world, merge_body(world, ""), "no reason")


def test_a_group_with_enough_voters_does_not_merge_for_itself() -> None:
    world = Groups()
    world.split()
    assert not must_merge(world.at("0"))
    assert must_merge(with_group_size(world.state, len(world.state.electorate) + 1))
    refused(world, merge_body(world, "0"), "no reason")
    with pytest.raises(StaleMessage):
        build_merge(world.state, world.chain)


def test_a_group_that_has_become_too_small_merges() -> None:
    world = Groups()
    world.split()
    world.shrink("1")
    assert len(world.at("1").electorate) == GROUP_SIZE - 1
    world.merge("1")
    assert world.state.closed_by is Kind.MERGE and world.state.height == 5
    assert sorted(world.states) == ["0", "1"], "it waits for its sibling"


def small(closed: str, *splits: str) -> Groups:
    """A network after these splits in which one group has ended with a MERGE block."""
    world = Groups()
    for prefix in splits:
        world.split(prefix)
    world.shrink(closed)
    world.merge(closed)
    return world


@pytest.mark.parametrize(
    ("closed", "asked", "others"),
    [
        ("0", ["1"], ["0"]),
        ("0", ["10", "11"], ["0"]),
        ("00", ["01"], ["00", "10", "11"]),
        ("00", ["010", "011"], ["00", "10", "11"]),
        ("110", ["111"], ["0", "10", "110"]),
    ],
)
def test_who_is_asked_to_merge(closed: str, asked: list[str], others: list[str]) -> None:
    shorter = {prefix[:end] for prefix in (*asked, *others) for end in range(len(prefix))}
    world = small(closed, *sorted(shorter))
    merged = world.standings[world.states[closed].head]
    assert [prefix for prefix in sorted(world.states) if asks_to_merge(world.states[prefix], merged)] == asked
    for prefix in others:
        with pytest.raises(StaleMessage):
            build_merge(world.at(prefix), world.chain, merged)
        refused(world, merge_body(world, prefix, merged.block_hash), "ended" if prefix == closed else "ask")


def test_a_sibling_goes_along_and_both_are_one_again() -> None:
    world = small("0", "")
    world.merge("1", because="0")
    assert list(world.states) == [""] and world.states[""].link_due


def test_a_sibling_that_has_split_comes_together_first() -> None:
    """Of 00, 010 and 011 each ends once, and 01 in between."""
    world = small("00", "", "0", "01")
    world.merge("011", because="00")
    world.merge("010", because="011")
    assert sorted(world.states) == ["00", "01", "1"]
    with pytest.raises(StaleMessage):
        build_merge(world.at("01"), world.chain, world.standings[world.states["00"].head])
    world.link("01")
    world.merge("01", because="00")
    world.link("0")
    assert sorted(world.states) == ["0", "1"]


def test_only_a_merge_of_this_split_asks() -> None:
    """A block that has its union behind it makes nobody merge once more."""
    world = small("0", "")
    old = world.standings[world.states["0"].head]
    world.merge("1", because="0")
    other = world.standings[world.past["1", 3].head]
    world.link("")
    world.take_back("")
    world.split()
    for prefix, block in (("1", old), ("0", other)):
        assert not asks_to_merge(world.states[prefix], block)
        refused(world, merge_body(world, prefix, block.block_hash), "does not ask")


def test_what_is_not_held_cannot_be_judged_yet() -> None:
    world = Groups()
    world.split()
    with pytest.raises(NotYetKnown):
        world.at("0").check_block(merge_body(world, "0", sha3_256(b"elsewhere")), world.chain, world)


@pytest.mark.parametrize("kind", [Kind.LINK, Kind.SPLIT])
def test_nothing_but_a_merge_block_asks(kind: Kind) -> None:
    world = Groups()
    world.split()
    block = next(one for one in world.standings.values() if one.block.kind is kind)
    refused(world, merge_body(world, "0", block.block_hash), "does not ask")


@pytest.mark.parametrize("tip", [20, 21, 22, 23])
def test_a_challenge_that_is_closed_is_judged_before_the_merge(tip: int) -> None:
    """Challenge 2 closes at 20 and can be judged from 22 on; its operators answered to this group."""
    world = Groups()
    world.split()
    world.shrink("0")
    world.chain.mine_to(tip)
    with pytest.raises(NotYetKnown):
        build_merge(world.at("0"), world.chain)
    refused(world, merge_body(world, "0"), "judge a challenge before")
    world.judge("0", 2)
    world.merge("0")


@pytest.mark.parametrize("tip", [16, 19, 24, 27])
def test_a_merge_waits_for_no_challenge_that_is_open_or_that_nobody_judges_in_time(tip: int) -> None:
    world = Groups()
    world.split()
    world.shrink("0")
    world.chain.mine_to(tip)
    world.merge("0")


def test_a_merge_waits_for_no_challenge_before_the_first() -> None:
    world = Groups(tip=6)
    world.split()
    world.shrink("0")
    world.merge("0")


# Afterwards.


def of_the_next(world: Groups, body: Callable[[], bytes]) -> bytes:
    """A block as it would follow if the chain had not ended."""
    state = world.state
    world.states[state.prefix] = world.state = replace(state, closed_by=None)
    made = body()
    world.states[state.prefix] = world.state = state
    return made


def test_nothing_follows_a_merge() -> None:
    world = small("0", "")
    world.at("0")
    (stranger,) = world.strangers("0", 1)
    bodies: list[Callable[[], bytes]] = [
        lambda: build_merge(world.state, world.chain),
        lambda: build_register(world.state, world.chain, [stranger.envelope(network=world.network)], []),
        lambda: build_link(replace(world.state, link_due=True), world.chain),
    ]
    for body in bodies:
        refused(world, of_the_next(world, body), "ended")


def test_nothing_follows_a_split() -> None:
    world = Groups()
    body = build_split(world.state, world.chain)
    world.advance(body)
    whole = world.past["", 1]
    with pytest.raises(InvalidBlock, match="ended"):
        whole.check_block(changed(body, height=2, previous=block_hash(body)), world.chain)
