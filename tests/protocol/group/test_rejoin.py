"""A group that stopped beside one that has split: the halves come together, and the whole absorbs it."""

from dataclasses import replace

import pytest

from protocol.chain.view import ChainView
from protocol.codec import replace as replace_fields
from protocol.errors import InvalidBlock, NotYetKnown
from protocol.group.blockmaker import build_block, build_split
from protocol.group.data_block import Kind, MergePayload
from protocol.group.data_chain import DataChain
from protocol.group.kinds.partition import is_wanted_whole
from protocol.group.succession import HEIGHTS_LEFT_OUT
from protocol.group.summons import encode_life, encode_summons, has_stopped, is_silent, summons_of, term
from protocol.units import Hash32
from tests.support.groups_world import Groups
from tests.support.standoff_world import TERM, THREE, World, heads, take_due


def world_at(*, is_awake: bool = False) -> World:
    """Return a world whose group 0 has split, and in which only its halves have certified for a term."""
    world = World(THREE)
    world.asleep = set() if is_awake else set(world.voters("1"))
    wait(world)
    return world


def wait(world: World) -> None:
    """Let a term of challenges pass, to where none is about to be judged, and the halves work."""
    parameters = world.genesis.parameters
    least = world.chain.tip()[0] + world.genesis.first_challenge_height + TERM + parameters.burial
    world.mine(-(-least // parameters.challenge_every) * parameters.challenge_every - world.chain.tip()[0])
    for half in ("00", "01"):
        world.register(half)


def come_together(world: World) -> None:
    assert world.rejoin("00") and world.merge("01") and world.link("0")
    assert sorted(world.near.live) == ["0", "1"]


def test_the_halves_come_together_and_absorb_it() -> None:
    world = world_at()
    come_together(world)
    assert world.summon("0")
    take_due(world, world.mine_summons("0"))
    assert world.absorb("0") and world.link("") and world.register("")
    assert sorted(world.near.live) == [""]
    assert world.near.live[""].height > 3 * HEIGHTS_LEFT_OUT


def test_either_half_ends_for_itself_and_the_union_is_the_same() -> None:
    world, other = world_at(), world_at()
    come_together(other)
    assert world.rejoin("01") and world.rejoin("00") and world.link("0")
    assert world.near.live["0"].membership.root() == other.near.live["0"].membership.root()


def test_not_for_a_group_that_works() -> None:
    world = world_at(is_awake=True)
    assert world.register("1")
    assert not world.rejoin("00") and not world.rejoin("01")


def test_nobody_ends_for_it_who_has_heard_more_of_it() -> None:
    """The rules allow to name a block that has a later one; voters who hold that do not."""
    world = world_at(is_awake=True)
    named = world.near.live["1"].head
    assert world.register("1")
    wait(world)
    wait(world)

    def build(state: DataChain, chain: ChainView) -> bytes:
        return build_block(state, chain, Kind.MERGE, MergePayload(because=named))

    state = world.near.live["00"]
    state.check_block(build(state, world.chain), world.chain, world.near)
    assert not world.make("00", build) and world.rejoin("00")


def test_a_sign_of_life_keeps_the_halves_apart_for_a_term() -> None:
    world = world_at()
    mined = world.mine_mark(encode_life(bytes(32)), world.voters("1")[0])
    world.mine(world.genesis.parameters.burial)
    assert world.near.live["00"].stamp_height < mined and not world.rejoin("00")
    wait(world)
    assert world.rejoin("00")


def test_a_half_that_has_stopped_is_absorbed_first() -> None:
    """Else the other would wait for it without a vote on anything."""
    world = world_at()
    world.asleep |= set(world.voters("01"))
    wait(world)
    wait(world)
    assert not world.rejoin("00")
    assert world.summon("00")
    take_due(world, world.mine_summons("00"))
    assert world.absorb("00") and world.link("0")
    assert world.summon("0")
    take_due(world, world.mine_summons("0"))
    assert world.absorb("0") and sorted(world.near.live) == [""]


def test_the_whole_does_not_part_again_before_it_has_absorbed_it() -> None:
    world = world_at()
    come_together(world)
    assert not world.split("0"), "1 would be beside halves again"
    world.asleep.clear()
    assert world.register("1")
    assert world.split("0")


def test_it_may_part_when_the_stopped_group_shows_life() -> None:
    """Whoever holds an absorption up by a fee does not keep its sibling from splitting."""
    world = world_at()
    come_together(world)
    assert world.summon("0")
    world.mine_summons("0")
    world.mine_mark(encode_life(bytes(32)), world.voters("1")[0])
    world.mine(world.genesis.parameters.burial)
    assert world.drop("0") and world.split("0")


def test_a_group_that_is_cut_off_stops_when_the_term_is_over() -> None:
    """It sees the halves come together no more than it sees the summons being made."""
    world = World(THREE)
    world.part()
    wait(world)
    assert world.register("1", world.far)
    come_together(world)
    assert world.summon("0")
    mined = world.mine_summons("0")
    assert world.register("1", world.far)
    take_due(world, mined)
    assert not world.register("1", world.far)
    assert world.absorb("0") and world.link("") and world.register("")
    world.heal()
    assert heads(world.near) == heads(world.far)


def test_a_group_that_is_cut_off_may_show_itself() -> None:
    world = World(THREE)
    world.part()
    wait(world)
    assert world.register("1", world.far)
    come_together(world)
    assert world.summon("0")
    mined = world.mine_summons("0")
    world.show_life("1", world.far)
    take_due(world, mined)
    assert not world.absorb("0") and world.register("1", world.far)
    world.heal()
    assert heads(world.near) == heads(world.far)


def test_a_mark_at_the_head_with_which_a_group_split_means_nothing() -> None:
    """No block can summon it there: so nobody who goes on with the whole need have answered."""
    world = world_at()
    last = world.near.past["0", 3]
    assert last.closed_by is Kind.SPLIT
    forged = summons_of("0", last.height, last.head, Hash32(bytes(32)))
    take_due(world, world.mine_mark(encode_summons(forged), world.founders[0]))
    wait(world)
    come_together(world)


class TestNamedBlock:
    """Which block a half may end for."""

    def allows(self, world: World, prefix: str, named: bytes, stamp: int | None = None) -> bool:
        standing = world.near.standing(named)
        assert standing is not None
        buried = world.chain.tip()[0] - world.genesis.parameters.burial
        return is_wanted_whole(world.near.live[prefix], standing, stamp or buried, world.near)

    def test_the_last_one_of_the_group_beside_the_whole(self) -> None:
        world = world_at()
        assert self.allows(world, "00", world.near.live["1"].head)
        assert self.allows(world, "01", world.near.live["1"].head)
        assert not self.allows(world, "1", world.near.live["00"].head), "which is no half"
        assert not self.allows(world, "00", world.near.live["01"].head), "which is its sibling"

    def test_one_after_which_it_was_silent_for_a_term(self) -> None:
        world = World(THREE)
        world.mine(3)
        assert world.register("1")
        last = world.near.live["1"]
        assert not self.allows(world, "00", last.head, last.stamp_height + TERM - 1)
        assert self.allows(world, "00", last.head, last.stamp_height + TERM)

    def test_that_with_which_it_began(self) -> None:
        """It may have stopped before its first link; both children of a group begin with one block."""
        world = Groups(depth=2)
        world.advance(build_split(world.at(""), world.chain))
        world.link("0")
        world.split("0")
        named = world.standings[world.at("1").head]
        assert named.block.kind is Kind.SPLIT
        late = world.state.stamp_height + term(world.genesis.parameters)
        assert is_wanted_whole(world.at("00"), named, late, world)
        assert not is_wanted_whole(world.at("00"), named, late - 1, world)
        assert not is_wanted_whole(world.at("1"), named, late, world)

    def test_one_of_the_group_as_it_is_since_the_last_split(self) -> None:
        world = Groups()
        world.split()
        old = world.standings[world.at("1").head]
        world.shrink("0")
        world.merge("0")
        world.merge("1", because="0")
        world.link("")
        world.take_back("")
        for prefix in ("", "0"):
            world.split(prefix)
        assert is_wanted_whole(world.at("00"), world.standings[world.states["1"].head], 1_000, world)
        assert not is_wanted_whole(world.at("00"), old, 1_000, world)

    def test_none_for_a_half_that_has_ended_or_summoned_the_other(self) -> None:
        world = world_at()
        named = world.near.live["1"].head
        assert world.rejoin("00") and not self.allows(world, "00", named)
        world.mine(TERM)
        assert world.summon("01") and not self.allows(world, "01", named)

    def test_none_of_a_group_that_has_ended(self) -> None:
        world = Groups()
        for prefix in ("", "0", "1"):
            world.split(prefix)
        named = world.standings[world.at("10").head]
        last = next(
            one for one in world.standings.values() if (one.block.prefix, one.block.kind) == ("1", Kind.SPLIT)
        )
        for one in (last, named):
            assert not is_wanted_whole(world.at("00"), one, 1_000, world)

    def test_none_that_is_not_held_up_to_there(self) -> None:
        world = world_at()
        standing = world.near.standing(world.near.live["1"].head)
        assert standing is not None
        del world.near.past["1", standing.block.height]
        with pytest.raises(NotYetKnown):
            is_wanted_whole(world.near.live["00"], standing, 100, world.near)

    def test_no_other(self) -> None:
        world = world_at()
        state = world.near.live["00"]
        body = build_block(state, world.chain, Kind.MERGE, MergePayload(because=world.near.live["01"].head))
        with pytest.raises(InvalidBlock, match="does not ask"):
            state.check_block(body, world.chain, world.near)


def test_a_group_has_not_stopped_while_there_was_nothing_to_certify() -> None:
    state = World().near.live["1"]
    late = state.stamp_height + TERM
    assert has_stopped(state, late) and not has_stopped(state, late - 1)
    young = replace(state, genesis=replace_fields(state.genesis, first_challenge_height=late))
    assert is_silent(young, late) and not has_stopped(young, late + TERM - 1)
    assert has_stopped(young, late + TERM)
