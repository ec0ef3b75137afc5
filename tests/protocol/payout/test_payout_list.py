"""The list as every voter computes it: one result from the same blocks, and nothing signed unseen."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.codec import decode, encode, replace
from protocol.crypto import sha256
from protocol.errors import (
    InvalidBlock,
    MalformedMessage,
    NotYetKnown,
    ProtocolError,
    Stranded,
    WrongNetwork,
)
from protocol.group.membership import Membership
from protocol.payout.list_blocks import lateness_deadline
from protocol.payout.list_header import Head, ListHeader, list_hash
from protocol.payout.payout_list import (
    ListState,
    PayoutList,
    check_list,
    compute_list,
    first_state,
    propose_list,
    recompute_list,
    stranded_list,
)
from protocol.tracking.verdict import Reason, Verdict
from tests.support.payout_world import World, devnet_world, failed, hash_of, make_genesis, stake_of, valid
from tests.support.vectors import check_vectors


def check(world: World, header: ListHeader) -> PayoutList:
    return check_list(encode(header), world.genesis, world.state, world, world.chain)


def test_the_devnet_example() -> None:
    """24 blocks of 0.4375 and 7 zatoshi over 12 responses: 7 are carried on."""
    world = devnet_world()
    payout = world.list()
    assert [(entry.responses, entry.amount) for entry in payout.entries] == [(3, 262_500_000)] * 4
    assert {entry.address for entry in payout.entries} == {stake_of(key) for key in world.operators}
    assert (payout.header.carried_in, payout.header.carried_out) == (7, 7)
    assert payout.header.previous == world.state.network
    assert payout.header.last_hash == world.chain.block_hash(47)
    assert payout.header.heads == world.heads()
    assert payout.header.members_root == Membership(world.next_members).root()


def test_everybody_computes_the_same_and_accepts_it() -> None:
    world = devnet_world()
    payout = world.list()
    assert check(world, payout.header) == payout
    assert recompute_list(encode(payout.header), world.genesis, world.state, world, world.chain) == payout


def test_two_stakes_of_one_owner_are_two_entries_and_one_stake_is_one() -> None:
    world = World()
    shared = stake_of(b"shared")
    first, second = world.operators[:2]
    world.judge(3, [valid(first, stake=shared)])
    world.judge(4, [valid(second, stake=shared)])
    world.judge(5, [valid(first)])
    world.bury(1)
    entries = {entry.address: entry.responses for entry in world.list().entries}
    assert entries == {shared: 2, stake_of(first): 1}


REASONS = st.sampled_from((Reason.VALID, Reason.VALID, Reason.NO_RESPONSE, Reason.WRONG_ANSWER))
CHALLENGES = st.lists(st.lists(REASONS, min_size=6, max_size=6), min_size=3, max_size=3)
OPERATORS = tuple(sorted(sha256(b"operator %d" % number) for number in range(6)))


def judged_world(reasons: list[list[Reason]], carried: int = 7) -> World:
    world = World(genesis=make_genesis(carried=carried))
    for seq, row in zip((3, 4, 5), reasons, strict=True):
        world.judge(seq, [verdict(key, reason) for key, reason in zip(OPERATORS, row, strict=True)])
    world.bury(1)
    return world


def verdict(key: bytes, reason: Reason) -> Verdict:
    return valid(key) if reason is Reason.VALID else failed(key, reason)


@given(CHALLENGES, st.integers(0, 10**15))
def test_paid_and_carried_are_the_pool(reasons: list[list[Reason]], carried: int) -> None:
    payout = judged_world(reasons, carried).list()
    expected = Counter(
        stake_of(key)
        for row in reasons
        for key, reason in zip(OPERATORS, row, strict=True)
        if reason is Reason.VALID
    )
    assert {entry.address: entry.responses for entry in payout.entries} == expected
    assert all(entry.amount == entry.responses * payout.header.per_response for entry in payout.entries)
    pool = 24 * 43_750_000 + carried
    assert sum(entry.amount for entry in payout.entries) + payout.header.carried_out == pool
    assert payout.state.carried == payout.header.carried_out


@given(CHALLENGES, st.data())
def test_the_order_in_which_blocks_came_changes_nothing(
    reasons: list[list[Reason]], data: st.DataObject
) -> None:
    world = judged_world(reasons)
    payout = world.list()
    shuffled = data.draw(st.permutations(world.records))
    heads = world.heads()
    again = compute_list(
        world.genesis, world.state, heads, world.reach(heads), shuffled, world.next_members, world.chain
    )
    assert encode(again.header) == encode(payout.header)
    assert again == payout


def advance(world: World, payout: PayoutList) -> None:
    """Take the list up as certified."""
    world.state = payout.state


@settings(max_examples=30)
@given(st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=5))
def test_over_many_periods_every_zatoshi_is_paid_or_carried(periods: list[list[int]]) -> None:
    world = World()
    paid = 0
    for number, counts in enumerate(periods, start=1):
        for seq, count in zip(range(3 * number, 3 * number + 3), counts, strict=True):
            world.judge(seq, [valid(key) for key in world.operators[:count]])
        world.bury(number)
        payout = world.list()
        assert payout.header.period == number
        paid += payout.header.paid_total
        advance(world, payout)
    assert paid + world.state.carried == 24 * 43_750_000 * len(periods) + 7


def test_without_a_valid_response_everything_is_carried() -> None:
    world = World()
    for seq in (3, 4, 5):
        world.judge(seq, [failed(key) for key in world.operators])
    world.bury(1)
    payout = world.list()
    assert payout.entries == ()
    assert (payout.header.paid_total, payout.header.carried_out) == (0, 24 * 43_750_000 + 7)


def test_a_period_is_paid_only_when_its_last_block_is_buried() -> None:
    world = World()
    for seq in (3, 4, 5):
        world.judge(seq)
    world.chain.mine_to(48)
    with pytest.raises(NotYetKnown, match="height 47"):
        world.list()
    world.chain.mine()
    assert world.list().header.last_height == 47


def late_world() -> World:
    """Challenge 4's block came only after the first list: it was certified without."""
    world = World()
    world.judge(3)
    world.judge(5)
    world.chain.mine_to(lateness_deadline(world.genesis, 1))
    advance(world, world.list())
    for seq in (6, 7, 8):
        world.judge(seq)
    return world


def test_a_block_a_period_late_enters_the_next_list_once() -> None:
    world = late_world()
    late = world.judge(4)
    world.bury(2)
    payout = world.list()
    assert late.block_hash in payout.header.blocks
    assert payout.header.responses == 16
    advance(world, payout)
    for seq in (9, 10, 11):
        world.judge(seq)
    world.bury(3)
    third = world.list()
    assert late.block_hash not in third.header.blocks
    assert third.header.responses == 12


def test_a_late_block_loses_whatever_is_listed() -> None:
    """A second block of a listed challenge adds only operators, slots and stakes that were not paid."""
    world = World()
    first, second, third, fourth = world.operators
    for seq in (3, 4, 5):
        world.judge(seq, [valid(first)])
    world.bury(1)
    listed = world.list()
    advance(world, listed)
    slot = listed.state.claims[0].slot
    rivals = [valid(first), valid(second, slot=slot), valid(third, stake=stake_of(first)), valid(fourth)]
    world.judge(3, rivals)
    for seq in (6, 7, 8):
        world.judge(seq, [])
    world.bury(2)
    payout = world.list()
    assert [(entry.address, entry.responses) for entry in payout.entries] == [(stake_of(fourth), 1)]


def test_blocks_two_periods_late_have_lapsed() -> None:
    world = late_world()
    world.bury(2)
    advance(world, world.list())
    late = world.judge(4)
    for seq in (9, 10, 11):
        world.judge(seq)
    world.bury(3)
    assert late.block_hash not in world.list().header.blocks


def test_late_claims_are_not_remembered_twice() -> None:
    """What a list leaves behind is its own period's claims: a late one cannot come late again."""
    world = late_world()
    world.judge(4)
    world.bury(2)
    assert {claim.seq for claim in world.list().state.claims} == {6, 7, 8}


def test_the_state_is_canonical_and_survives_storage() -> None:
    world = devnet_world()
    state = world.list().state
    assert decode(encode(state), ListState) == state
    assert first_state(world.genesis).previous == first_state(world.genesis).network


def test_a_header_with_any_field_changed_is_refused() -> None:
    world = devnet_world()
    header = world.list().header
    changes: dict[str, object] = {
        name: value + 1 if isinstance(value, int) else hash_of(name.encode())
        for name in ListHeader.__struct_fields__
        if isinstance(value := getattr(header, name), int | bytes)
    }
    changes["blocks"] = header.blocks[1:]
    changes["heads"] = (replace(header.heads[0], block_hash=hash_of(b"head")),)
    assert set(changes) == set(ListHeader.__struct_fields__)
    for name, value in changes.items():
        with pytest.raises((InvalidBlock, WrongNetwork)):
            check(world, replace(header, **{name: value}))


def test_what_differs_is_named() -> None:
    world = devnet_world()
    header = replace(world.list().header, members_root=hash_of(b"members"), blocks=())
    with pytest.raises(InvalidBlock, match=r"blocks, members_root differ"):
        check(world, header)


def test_a_verdict_turned_by_the_proposer_is_refused() -> None:
    """The header follows all laws of `list_header`, and yet it is not what the blocks give."""
    world, liar = devnet_world(), devnet_world()
    honest = liar.records[0]
    bribed = [*honest.verdicts[1:], valid(sha256(b"lazy"))]
    liar.records[0] = type(honest)(
        "", honest.height, honest.block_hash, 3, honest.anchor_hash, tuple(bribed), ("",)
    )
    with pytest.raises(InvalidBlock, match="entries_root"):
        check(world, liar.list().header)


def test_a_list_about_blocks_above_ours_cannot_be_judged_yet() -> None:
    world = devnet_world()
    header = world.list().header
    ahead = Head(prefix="", height=9, block_hash=hash_of(b"ahead"))
    with pytest.raises(NotYetKnown, match="data block 9"):
        check(world, replace(header, heads=(ahead,)))


def test_a_list_about_groups_that_we_have_not_seen_begin_cannot_be_judged_yet() -> None:
    world = devnet_world()
    header = world.list().header
    with pytest.raises(NotYetKnown, match="data block 3 of group 0"):
        heads = tuple(replace(header.heads[0], prefix=prefix) for prefix in "01")
        check(world, replace(header, heads=heads))


def test_a_certified_list_is_not_held_back_by_our_own_waiting() -> None:
    """We hold challenge 5, the quorum did not: we would not have voted yet, but decided is decided."""
    world = World()
    for seq in (3, 4, 5):
        world.judge(seq)
    world.chain.mine_to(lateness_deadline(world.genesis, 1))
    head = Head(prefix="", height=2, block_hash=world.blocks[2])
    without = compute_list(
        world.genesis, world.state, (head,), {"": [(0, 2)]}, world.records, world.next_members, world.chain
    )
    value = encode(without.header)
    with pytest.raises(NotYetKnown, match="challenge 5"):
        check_list(value, world.genesis, world.state, world, world.chain)
    assert recompute_list(value, world.genesis, world.state, world, world.chain) == without


def test_who_lost_blocks_behind_the_last_list_proposes_none_until_they_are_back() -> None:
    world = devnet_world()
    advance(world, world.list())
    for seq in (6, 7, 8):
        world.judge(seq)
    world.bury(2)
    blocks, world.blocks = world.blocks, world.blocks[:2]
    with pytest.raises(NotYetKnown, match="data block 3"):
        world.list()
    world.blocks = blocks
    assert check(world, world.list().header).state.heads == world.heads()


def test_a_list_of_another_length_of_chain_is_another_list() -> None:
    """After a reorganisation of the period's last block the hash in the list is another."""
    world = devnet_world()
    header = world.list().header
    world.chain.disconnect(3)
    world.chain.mine_to(49, salt=b"other branch")
    with pytest.raises(Stranded, match="chain block 47"):
        check(world, header)
    assert stranded_list(encode(header), world.genesis, world.state, world).header == header


def test_a_stranded_list_is_what_the_blocks_that_it_names_give() -> None:
    """Its challenges were on its own branch; what it leaves for the next list is the same as it was there."""
    world = devnet_world()
    before = world.list()
    assert before.header.responses == 12
    world.chain.disconnect(48 - 30)
    world.chain.mine_to(60, salt=b"another branch")
    assert world.list().header.responses == 4, "two of three anchors are gone"
    taken = stranded_list(encode(before.header), world.genesis, world.state, world)
    assert taken == before
    world.state = taken.state
    world.judge(6)
    world.judge(7)
    world.judge(8)
    world.bury(2)
    following = world.list().header
    assert following.responses == 12 and not set(following.blocks) & set(before.header.blocks)


@pytest.mark.parametrize(
    "change",
    [
        {"blocks": ()},
        {"blocks": (hash_of(b"no block"),)},
        {"carried_out": 8},
        {"responses": 11},
        {"entries_root": hash_of(b"others")},
        {"members_root": hash_of(b"members")},
        {"previous": hash_of(b"another past")},
        {"carried_in": 9},
    ],
)
def test_a_stranded_list_with_another_fault_is_not_one(change: dict[str, object]) -> None:
    world = devnet_world()
    header = replace(world.list().header, **change)
    world.chain.disconnect(3)
    world.chain.mine_to(49, salt=b"other branch")
    with pytest.raises(InvalidBlock) as refused:
        check(world, header)
    assert not isinstance(refused.value, Stranded)


def test_a_stranded_list_names_no_block_above_its_heads_or_of_the_list_before() -> None:
    world = devnet_world()
    first = world.list()
    lower = replace(first.header, heads=(Head(prefix="", height=1, block_hash=world.blocks[1]),))
    world.chain.disconnect(3)
    world.chain.mine_to(49, salt=b"other branch")
    for header in (lower,):
        with pytest.raises(InvalidBlock, match="blocks"):
            stranded_list(encode(header), world.genesis, world.state, world)
    again = replace(world.state, blocks=first.header.blocks)
    with pytest.raises(InvalidBlock, match="blocks"):
        stranded_list(encode(first.header), world.genesis, again, world)


def test_garbage_is_malformed() -> None:
    world = devnet_world()
    for value in (b"", b"\x90", b"\xc1", encode(world.state), b"\xdd\xff\xff\xff\xff"):
        with pytest.raises(MalformedMessage):
            check_list(value, world.genesis, world.state, world, world.chain)


@given(st.binary(max_size=200), st.integers(0, 2_000))
def test_damaged_headers_never_surprise(patch: bytes, at: int) -> None:
    value = encode(HEADER)
    at %= len(value)
    damaged = value[:at] + patch + value[at + len(patch) :]
    try:
        accepted = check_list(damaged, WORLD.genesis, WORLD.state, WORLD, WORLD.chain)
    except ProtocolError:
        assert damaged != value
    else:
        assert damaged == value == encode(accepted.header)


WORLD = devnet_world()
HEADER = WORLD.list().header


def test_our_own_proposal_waits_like_everybody() -> None:
    world = World()
    world.judge(3)
    world.bury(1)
    with pytest.raises(NotYetKnown, match="challenge 4"):
        propose_list(world.genesis, world.state, world, world.chain)


def test_vectors() -> None:
    payout = WORLD.list()
    check_vectors(
        "payout",
        "devnet_list",
        {
            "network": payout.header.network.hex(),
            "header": encode(payout.header).hex(),
            "list_hash": list_hash(payout.header).hex(),
            "entries": [
                {
                    "address": e.address.hex(),
                    "responses": e.responses,
                    "amount": e.amount,
                    "leaf": encode(e).hex(),
                }
                for e in payout.entries
            ],
            "entries_root": payout.header.entries_root.hex(),
            "members": [encode(member).hex() for member in payout.members],
            "members_root": payout.header.members_root.hex(),
            "state": encode(payout.state).hex(),
        },
    )
