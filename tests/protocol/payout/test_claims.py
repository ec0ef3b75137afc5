"""Who is paid for a challenge: each operator, stake and slot once, in whatever order the blocks come."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.crypto import sha256
from protocol.group.name import matches
from protocol.payout.claims import Claim, VerdictRecord, merge_entries, resolve_claims
from protocol.tracking.challenge import challenge_draw
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32
from tests.support.payout_world import failed, stake_of, valid

KEYS = tuple(sorted(sha256(b"operator %d" % number) for number in range(6)))
STAKES = tuple(b"\x00" + bytes([number]) * 20 for number in range(5))
SLOTS = tuple(b"\x04\x0a\x00%c\x01" % number for number in range(5))


def anchor_of(seq: int) -> Hash32:
    return Hash32(sha256(b"anchor %d" % seq))


def record(seq: int, *verdicts: Verdict, prefix: str = "", height: int = 1) -> VerdictRecord:
    block = Hash32(sha256(b"block %d %d" % (seq, height) + prefix.encode()))
    return VerdictRecord(prefix, height, block, seq, anchor_of(seq), verdicts, (prefix,))


def claim(seq: int, key: bytes, stake: bytes, slot: bytes) -> Claim:
    return Claim(seq=seq, operator_key=key, stake_address=stake, slot=slot)


VERDICTS = st.builds(
    Verdict,
    operator_key=st.sampled_from(KEYS),
    stake_address=st.sampled_from(STAKES),
    reason=st.sampled_from((Reason.VALID, Reason.VALID, Reason.VALID, Reason.LATE)),
    slot=st.sampled_from(SLOTS),
)
BLOCKS = st.lists(
    st.tuples(st.integers(3, 6), st.sampled_from(("0", "10", "11")), st.lists(VERDICTS, max_size=5)),
    max_size=8,
).map(
    lambda blocks: [
        record(seq, *verdicts, prefix=prefix, height=height)
        for height, (seq, prefix, verdicts) in enumerate(blocks)
    ]
)
LISTED = st.lists(
    st.builds(
        claim, st.integers(1, 4), st.sampled_from(KEYS), st.sampled_from(STAKES), st.sampled_from(SLOTS)
    ),
    max_size=4,
)


def collide(one: Claim, other: Claim) -> bool:
    same = (one.operator_key, one.stake_address, one.slot)
    return any(
        a == b for a, b in zip(same, (other.operator_key, other.stake_address, other.slot), strict=True)
    )


@given(BLOCKS, LISTED)
def test_nothing_is_paid_twice_in_a_challenge(blocks: list[VerdictRecord], listed: list[Claim]) -> None:
    claims = resolve_claims(blocks, listed)
    for one, other in combinations(claims, 2):
        assert one.seq != other.seq or not collide(one, other)
    for one in claims:
        assert not any(one.seq == other.seq and collide(one, other) for other in listed)


@given(BLOCKS, LISTED, st.data())
def test_the_order_of_blocks_changes_nothing(
    blocks: list[VerdictRecord], listed: list[Claim], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(blocks))
    assert resolve_claims(shuffled, listed) == resolve_claims(blocks, listed)


@given(BLOCKS, LISTED)
def test_only_valid_verdicts_are_paid_and_claims_are_sorted(
    blocks: list[VerdictRecord], listed: list[Claim]
) -> None:
    found = {
        (block.seq, verdict.operator_key, verdict.stake_address, verdict.slot)
        for block in blocks
        for verdict in block.verdicts
        if verdict.reason is Reason.VALID
    }
    claims = resolve_claims(blocks, listed)
    assert {(c.seq, c.operator_key, c.stake_address, c.slot) for c in claims} <= found
    assert [(c.seq, c.operator_key) for c in claims] == sorted((c.seq, c.operator_key) for c in claims)


@given(BLOCKS, LISTED)
def test_whoever_stands_alone_is_paid(blocks: list[VerdictRecord], listed: list[Claim]) -> None:
    """Nobody is left out but for somebody else (or himself, in another block) of the same challenge."""
    claims = resolve_claims(blocks, listed)
    rivals = [
        claim(block.seq, verdict.operator_key, verdict.stake_address, verdict.slot)
        for block in blocks
        for verdict in block.verdicts
        if verdict.reason is Reason.VALID
    ]
    for one in rivals:
        others = [other for other in (*rivals, *listed) if other is not one and other.seq == one.seq]
        if not any(collide(one, other) for other in others):
            assert one in claims


@given(BLOCKS, LISTED)
def test_entries_count_every_claim_once(blocks: list[VerdictRecord], listed: list[Claim]) -> None:
    claims = resolve_claims(blocks, listed)
    entries = merge_entries(claims, 11)
    assert sum(entry.responses for entry in entries) == len(claims)
    assert all(entry.amount == 11 * entry.responses > 0 for entry in entries)
    addresses = [entry.address for entry in entries]
    assert addresses == sorted(set(addresses))


REGIONS = st.sampled_from((("",), ("0", "1"), ("0", "10", "11"), ("00", "01", "10", "11")))


def by_region(block: VerdictRecord, regions: tuple[str, ...]) -> list[VerdictRecord]:
    """The verdicts of one block as so many groups would have given them, each on those who fall to it."""
    found: dict[str, list[Verdict]] = {region: [] for region in regions}
    for verdict in block.verdicts:
        draw = challenge_draw(block.anchor_hash, verdict.operator_key)
        found[next(region for region in regions if matches(region, draw))].append(verdict)
    return [record(block.seq, *found[region], prefix=region, height=block.height) for region in regions]


@given(
    st.lists(st.lists(VERDICTS, max_size=6, unique_by=lambda verdict: verdict.operator_key), max_size=3),
    st.lists(REGIONS, min_size=3, max_size=3),
    LISTED,
    st.integers(0, 2),
)
def test_it_makes_no_difference_into_how_many_groups_the_network_is_divided(
    challenges: list[list[Verdict]], divided: list[tuple[str, ...]], listed: list[Claim], limit: int
) -> None:
    """One group that saw everything would pay the same, though stakes, slots and subnets are shared."""
    whole = [record(seq, *verdicts) for seq, verdicts in enumerate(challenges, start=3)]
    parts = [part for one, regions in zip(whole, divided, strict=False) for part in by_region(one, regions)]
    ages: dict[bytes, int] = {key: number for number, key in enumerate(KEYS)}
    expected = resolve_claims(whole, listed, subnet_limit=limit, ages=ages)
    assert resolve_claims(parts, listed, subnet_limit=limit, ages=ages) == expected


@pytest.mark.parametrize("shared", ["stake", "slot"])
def test_who_shares_a_stake_or_slot_with_somebody_of_another_group_is_paid_by_draw(shared: str) -> None:
    """Each group found its own operator VALID: it cannot know of the other's."""
    first, second = KEYS[:2]
    common = {"stake": STAKES[0]} if shared == "stake" else {"slot": SLOTS[0]}
    blocks = [record(3, valid(first, **common), prefix="0"), record(3, valid(second, **common), prefix="1")]
    winner = min((first, second), key=lambda key: challenge_draw(anchor_of(3), key))
    assert [c.operator_key for c in resolve_claims(blocks, ())] == [winner]


def test_the_holder_of_a_slot_keeps_it_though_another_group_judges_it_now() -> None:
    """Every challenge draws the judges anew, so who was paid last is known over all groups."""
    slot = SLOTS[0]
    late = max(KEYS[:2], key=lambda key: challenge_draw(anchor_of(4), key))
    rival = next(key for key in KEYS[:2] if key != late)
    blocks = [
        record(3, valid(late, slot=slot), prefix="0"),
        record(4, valid(late, slot=slot), prefix="11"),
        record(4, valid(rival, slot=slot), prefix="0", height=2),
    ]
    assert [c.operator_key for c in resolve_claims(blocks, ())] == [late, late]


def test_a_slot_goes_to_its_last_holder_else_to_the_lowest_draw() -> None:
    slot = SLOTS[0]
    rivals = [valid(KEYS[0], slot=slot), valid(KEYS[1], slot=slot)]
    lower, higher = sorted(KEYS[:2], key=lambda key: challenge_draw(anchor_of(3), key))
    assert [c.operator_key for c in resolve_claims([record(3, *rivals)], ())] == [lower]
    held = claim(2, higher, stake_of(higher), slot)
    assert [c.operator_key for c in resolve_claims([record(3, *rivals)], [held])] == [higher]


def test_within_a_list_the_first_holder_keeps_the_slot() -> None:
    slot = SLOTS[0]
    late = max(KEYS[:2], key=lambda key: challenge_draw(anchor_of(4), key))
    blocks = [record(3, valid(late, slot=slot)), record(4, *(valid(key, slot=slot) for key in KEYS[:2]))]
    assert [c.operator_key for c in resolve_claims(blocks, ())] == [late, late]


def test_a_late_block_does_not_take_a_slot_back() -> None:
    """Who held the slot in challenge 4 keeps it in 5, although a late block shows another holder in 3."""
    slot = SLOTS[0]
    listed = [claim(4, KEYS[0], stake_of(KEYS[0]), slot)]
    blocks = [record(3, valid(KEYS[1], slot=slot)), record(5, *(valid(key, slot=slot) for key in KEYS[:2]))]
    claims = resolve_claims(blocks, listed)
    assert [(c.seq, c.operator_key) for c in claims] == [(3, KEYS[1]), (5, KEYS[0])]


def test_one_stake_backs_one_operator_and_its_slot_is_free_again() -> None:
    stake = STAKES[0]
    winner, loser = sorted(KEYS[:2], key=lambda key: challenge_draw(anchor_of(3), key))
    third = KEYS[2]
    block = record(
        3,
        valid(winner, stake=stake, slot=SLOTS[0]),
        valid(loser, stake=stake, slot=SLOTS[1]),
        valid(third, slot=SLOTS[1]),
    )
    assert {c.operator_key for c in resolve_claims([block], ())} == {winner, third}


def test_an_operator_judged_in_two_groups_is_paid_once() -> None:
    blocks = [record(3, valid(KEYS[0]), prefix="0"), record(3, valid(KEYS[0], slot=SLOTS[1]), prefix="1")]
    assert len(resolve_claims(blocks, ())) == 1


def test_failed_verdicts_are_not_paid() -> None:
    block = record(3, *(failed(key, reason) for key, reason in zip(KEYS, list(Reason)[1:], strict=False)))
    assert resolve_claims([block], ()) == ()


@pytest.mark.parametrize(("limit", "paid"), [(0, 4), (1, 1), (3, 3), (4, 4)])
def test_a_subnet_is_capped_over_all_groups(limit: int, paid: int) -> None:
    blocks = [
        record(3, valid(key, slot=b"\x04\x0a\x00\x00" + bytes([number])), prefix="01"[number % 2])
        for number, key in enumerate(KEYS[:4])
    ]
    assert len(resolve_claims(blocks, (), subnet_limit=limit)) == paid


def test_in_a_full_subnet_the_youngest_and_the_late_lose() -> None:
    slots = [b"\x04\x0a\x00\x00" + bytes([number]) for number in range(3)]
    ages: dict[bytes, int] = {KEYS[0]: 9, KEYS[1]: 3}
    block = record(3, valid(KEYS[0], slot=slots[0]), valid(KEYS[1], slot=slots[1]))
    assert [c.operator_key for c in resolve_claims([block], (), subnet_limit=1, ages=ages)] == [KEYS[0]]
    listed = [claim(3, KEYS[2], stake_of(KEYS[2]), slots[2])]
    assert [c.operator_key for c in resolve_claims([block], listed, subnet_limit=2, ages=ages)] == [KEYS[0]]
    assert resolve_claims([block], listed, subnet_limit=1, ages=ages) == ()
