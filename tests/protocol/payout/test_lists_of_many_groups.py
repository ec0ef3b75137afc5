"""Payout lists over groups that split and merge: everybody is paid as one group would pay him."""

from dataclasses import dataclass

import pytest

from protocol.codec import encode
from protocol.codec import replace as replace_fields
from protocol.crypto import sha256
from protocol.errors import InvalidBlock, NotYetKnown, Stranded
from protocol.genesis import period_heights
from protocol.group.membership import Member, Membership
from protocol.payout.formula import period_pool
from protocol.payout.list_header import Head, ListHeader, check_members
from protocol.payout.payout_list import (
    PayoutList,
    check_list,
    first_state,
    propose_list,
    recompute_list,
    stranded_list,
)
from tests.support.groups_world import FOUNDERS, Groups


def judged(*prefixes: str, tip: int = 25) -> Groups:
    """A network whose first period is over: challenges 1 and 2 were judged by these groups."""
    world = Groups()
    for shorter in sorted({prefix[:end] for prefix in prefixes for end in range(len(prefix))}):
        world.split(shorter)
    for seq in (1, 2):
        for prefix in prefixes:
            world.judge(prefix, seq)
    world.chain.mine_to(tip)
    return world


def propose(world: Groups) -> PayoutList:
    return propose_list(world.genesis, first_state(world.genesis), world, world.chain)


def check(world: Groups, header: ListHeader) -> PayoutList:
    return check_list(encode(header), world.genesis, first_state(world.genesis), world, world.chain)


def entries_of(payout: PayoutList) -> dict[bytes, int]:
    return {entry.address: entry.responses for entry in payout.entries}


WHOLE = judged("")


@pytest.mark.parametrize("prefixes", [("0", "1"), ("00", "01", "1"), ("0", "10", "110", "111")])
def test_many_groups_pay_what_one_pays(prefixes: tuple[str, ...]) -> None:
    world = judged(*prefixes)
    payout = propose(world)
    assert entries_of(payout) == entries_of(propose(WHOLE)) == {o.stake_address: 2 for o in world.founders}
    assert [head.prefix for head in payout.header.heads] == list(prefixes)
    assert len(payout.header.blocks) == 2 * len(prefixes)
    assert [m.operator_key for m in payout.members] == [one.key for one in world.founders]
    check_members(payout.header, payout.members)
    assert check(world, payout.header) == payout


def test_a_group_that_has_not_judged_is_waited_for() -> None:
    world = judged("0", "1")
    world.chain.mine_to(27)
    world.split("1")
    world.judge("0", 3)
    world.judge("10", 3)
    world.chain.mine_to(49)
    state = propose(world).state
    with pytest.raises(NotYetKnown, match="challenge 3 has no verdict of 11 "):
        propose_list(world.genesis, state, world, world.chain)


def test_a_voter_that_is_further_along_checks_a_list_with_the_heads_before() -> None:
    """It has seen a split, more verdicts and a merge since; the list is as of the heads that it states."""
    world = judged("0", "1")
    payout = propose(world)
    world.split("1")
    world.judge("10", 3)
    assert check(world, payout.header) == payout
    assert propose(world) != payout
    world.shrink("0")
    world.chain.mine_to(32)
    world.merge("0")
    for prefix in ("10", "11"):
        world.merge(prefix, because="0")
    world.link("1")
    world.merge("1", because="0")
    assert list(world.states) == [""]
    arguments = encode(payout.header), world.genesis, first_state(world.genesis), world
    assert check(world, payout.header) == payout
    assert recompute_list(*arguments, world.chain) == payout
    assert stranded_list(*arguments) == payout


def test_a_stranded_list_reads_the_blocks_of_former_groups() -> None:
    world = united()
    payout = propose(world)
    world.chain.disconnect(20)
    world.chain.mine_to(60, salt=b"another branch")
    with pytest.raises(Stranded):
        check(world, payout.header)
    state = first_state(world.genesis)
    assert stranded_list(encode(payout.header), world.genesis, state, world) == payout


def united() -> Groups:
    """Two groups that judged the first period and are one now."""
    world = judged("0", "1")
    world.shrink("0")
    world.merge("0")
    world.merge("1", because="0")
    return world


def test_what_former_groups_judged_is_behind_the_union() -> None:
    world = united()
    payout = propose(world)
    (head,) = payout.header.heads
    state = world.states[""]
    assert (head.height, head.block_hash) == (state.height, state.head), "no block stands there yet"
    assert len(payout.header.blocks) == 4
    assert entries_of(payout) == {one.stake_address: 2 for one in world.founders}
    assert check(world, payout.header) == payout


def test_a_group_that_waits_for_its_sibling_is_a_group_of_the_list() -> None:
    world = judged("0", "1")
    world.shrink("0")
    world.merge("0")
    payout = propose(world)
    assert payout.header.heads[0].block_hash == world.states["0"].head
    assert check(world, payout.header) == payout


def test_heads_that_we_do_not_hold_cannot_be_judged_yet_and_others_than_ours_are_refused() -> None:
    world = judged("0", "1")
    header = propose(world).header
    zero, one = header.heads
    for changed in (replace_fields(zero, height=zero.height + 1), replace_fields(zero, prefix="00")):
        heads = [changed, one] if changed.prefix == "0" else [changed, replace_fields(zero, prefix="01"), one]
        with pytest.raises(NotYetKnown, match="of group 0"):
            check(world, replace_fields(header, heads=tuple(heads)))
    with pytest.raises(InvalidBlock, match=f"another data block {zero.height} of group 0"):
        heads = [replace_fields(zero, block_hash=sha256(b"another")), one]
        check(world, replace_fields(header, heads=tuple(heads)))


@pytest.mark.parametrize("prefixes", [("0",), ("0", "10"), ("", "0"), ("0", "1", "11")])
def test_heads_that_do_not_divide_the_name_space_stand_in_no_header(prefixes: tuple[str, ...]) -> None:
    header = propose(WHOLE).header
    heads = tuple(replace_fields(header.heads[0], prefix=prefix) for prefix in prefixes)
    with pytest.raises(ValueError, match="divide"):
        replace_fields(header, heads=heads)


@dataclass
class TornGroups(Groups):
    """Heads of no one moment: as of them somebody has left the one group, and is in the other already."""

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        first, *others = super().members(heads)
        return first, first, *others


def test_heads_with_somebody_in_two_groups_make_no_list() -> None:
    world = judged("0", "1")
    header = propose(world).header
    world.__class__ = TornGroups
    with pytest.raises(InvalidBlock, match="each once"):
        check(world, header)


def test_old_heads_leave_a_group_out_only_after_the_deadline() -> None:
    """The list is complete as we know it, but not up to the heads that a proposer states."""
    world = judged("0", "1")
    header = propose(world).header
    early = world.past["0", 3]
    heads = (Head(prefix="0", height=3, block_hash=early.head), header.heads[1])
    with pytest.raises(NotYetKnown, match="challenge 2 has no verdict of 0 "):
        check(world, replace_fields(header, heads=heads))


def head_at(world: Groups, prefix: str, height: int) -> Head:
    return Head(prefix=prefix, height=height, block_hash=world.past[prefix, height].head)


def test_heads_never_go_back_behind_those_of_the_list_before() -> None:
    """However long nothing is decided: else who proposes then lets the founders sign the next list."""
    world = judged("0", "1")
    payout = propose(world)
    world.chain.mine_to(100)
    older = head_at(world, "0", payout.header.heads[0].height - 1)
    for heads in ((head_at(world, "", 0),), (older, payout.header.heads[1])):
        header = replace_fields(payout.header, heads=heads)
        value, period = encode(header), first_state(world.genesis).period
        with pytest.raises(InvalidBlock, match="differ"):
            check(world, header)
        following = replace_fields(header, period=period + 1, previous=payout.state.previous)
        value = encode(of_next_period(world, payout, following))
        for judge in (check_list, recompute_list):
            with pytest.raises(InvalidBlock, match="before those of the list before"):
                judge(value, world.genesis, payout.state, world, world.chain)
        with pytest.raises(InvalidBlock, match="before those of the list before"):
            stranded_list(value, world.genesis, payout.state, world)


def of_next_period(world: Groups, payout: PayoutList, header: ListHeader) -> ListHeader:
    """Return the header that pays nobody in the period after a list."""
    first, last = period_heights(world.genesis, header.period)
    rewards = period_pool(world.genesis.chain, first, last)
    last_hash = world.chain.block_hash(last)
    return replace_fields(
        header,
        first_height=first,
        last_height=last,
        last_hash=last_hash,
        blocks=(),
        rewards=rewards,
        carried_in=payout.state.carried,
        responses=0,
        per_response=0,
        paid_total=0,
        carried_out=rewards + payout.state.carried,
    )


def test_heads_of_two_moments_make_no_list() -> None:
    """One half as it was before the union, the other as it is after the next split: members of none."""
    world = judged("0", "1")
    world.shrink("0")
    before = world.states["1"].height
    world.merge("0")
    world.merge("1", because="0")
    world.link("")
    world.take_back("")
    world.split("")
    header = propose(world).header
    zero, one = header.heads
    assert one.height > before + 1
    for height in (before - 1, before, before + 1):
        with pytest.raises(InvalidBlock, match="of no one moment"):
            check(world, replace_fields(header, heads=(zero, head_at(world, "1", height))))


def test_the_members_are_those_as_of_the_heads() -> None:
    world = judged("0", "1")
    payout = propose(world)
    world.shrink("0")
    after = propose(world)
    assert len(payout.members) == FOUNDERS and len(after.members) < FOUNDERS
    assert check(world, payout.header).members == payout.members
    assert Membership(after.members).voters().age_total < Membership(payout.members).voters().age_total
