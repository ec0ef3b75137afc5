"""The laws inside one list: its place, its sums, its entries."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode, replace
from protocol.crypto import sha3_256
from protocol.errors import InvalidBlock, WrongNetwork
from protocol.payout.list_header import (
    Entry,
    Head,
    ListHeader,
    check_entries,
    check_header,
    entries_root,
    first_terms,
    list_hash,
    next_terms,
)
from tests.support.payout_world import World, devnet_world, hash_of, make_genesis, valid

WORLD = devnet_world()
LIST = WORLD.list()
TERMS = first_terms(WORLD.genesis)


def with_entries(entries: tuple[Entry, ...], **changes: object) -> ListHeader:
    """Return a header that commits to other entries: what a lying quorum could sign."""
    counts = {"entries_count": len(entries), "entries_root": entries_root(entries)}
    return replace(LIST.header, **{**counts, **changes})


def test_the_devnet_list_keeps_every_law() -> None:
    check_header(LIST.header, TERMS)
    check_entries(LIST.header, LIST.entries)
    assert (LIST.header.carried_in, LIST.header.carried_out) == (7, 7)
    assert (LIST.header.responses, LIST.header.per_response) == (12, 87_500_000)
    assert LIST.header.paid_total + LIST.header.carried_out == LIST.header.rewards + LIST.header.carried_in


def test_a_list_is_named_by_its_header() -> None:
    assert list_hash(LIST.header) == sha3_256(encode(LIST.header))


def test_the_next_list_follows_this_one() -> None:
    terms = next_terms(TERMS, LIST.header)
    assert (terms.period, terms.previous, terms.carried) == (2, list_hash(LIST.header), 7)
    assert bytes(TERMS.previous) == bytes(TERMS.network)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"period": 2}, "is of period 2: period 1 comes next"),
        ({"period": 0}, "is of period 0, which is behind the trust point: period 1 comes next"),
        ({"previous": hash_of(b"previous")}, "does not follow list"),
        ({"first_height": 23}, "heights 23 to 47 are not those of period 1"),
        ({"last_height": 48}, "heights 24 to 48 are not those of period 1"),
        ({"rewards": 1_050_000_001}, "the pool is 10.50000000 and 0.00000007 carried in"),
        ({"carried_in": 8}, "the list says 10.50000000 and 0.00000008"),
        ({"paid_total": 1_050_000_008}, "pays 10.50000008, its pool holds only 10.50000007"),
        ({"paid_total": 1_049_999_999}, "says it pays 10.49999999, not 10.50000000"),
        ({"per_response": 87_500_001}, "12 responses get 0.87500000 each"),
        ({"responses": 11}, "11 responses get 0.95454546 each"),
        ({"carried_out": 6}, "carry 0.00000007, the list says 0.87500000 and 0.00000006"),
        ({"carried_out": 8}, "carry 0.00000007, the list says 0.87500000 and 0.00000008"),
    ],
)
def test_a_header_that_breaks_a_law_is_refused(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidBlock, match=sentence):
        check_header(replace(LIST.header, **changes), TERMS)


def test_a_list_of_another_network_is_refused() -> None:
    foreign = first_terms(make_genesis(carried=8))
    with pytest.raises(WrongNetwork, match="the genesis file is of"):
        check_header(LIST.header, foreign)


def test_an_address_twice_is_refused() -> None:
    first, *rest = LIST.entries
    doubled = (first, first, *rest)
    with pytest.raises(InvalidBlock, match=f"{first.address.hex()} stands in the list twice"):
        check_entries(with_entries(doubled), doubled)


def test_unsorted_entries_are_refused() -> None:
    turned = LIST.entries[::-1]
    with pytest.raises(InvalidBlock, match="not sorted"):
        check_entries(with_entries(turned), turned)


def test_a_sum_above_the_pool_is_refused() -> None:
    """Even when a quorum signs it, header and entries agreeing with each other."""
    greedy = tuple(replace(entry, amount=entry.amount * 2) for entry in LIST.entries)
    header = with_entries(greedy, per_response=175_000_000, paid_total=2_100_000_000)
    with pytest.raises(InvalidBlock, match="pays 21.00000000, its pool holds only 10.50000007"):
        check_header(header, TERMS)
    with pytest.raises(InvalidBlock, match="add up to 21.00000000, more than the pool of 10.50000007"):
        check_entries(header, greedy)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"amount": 262_500_001}, "add up to 10.50000001, the list says it pays 10.50000000"),
        ({"amount": 262_499_999}, "add up to 10.49999999"),
        ({"amount": 262_500_008}, "more than the pool"),
        ({"responses": 4}, "with 13 responses, the list says 4 with 12"),
        ({"address": b"\x01" + b"\xff" * 20}, "cannot hold a stake"),
        ({"address": b"\x00" + b"\xff" * 20}, "are not those that the list commits to"),
    ],
)
def test_a_changed_entry_is_refused(changes: dict[str, object], sentence: str) -> None:
    entries = (*LIST.entries[:-1], replace(LIST.entries[-1], **changes))
    with pytest.raises(InvalidBlock, match=sentence):
        check_entries(LIST.header, entries)


def test_shifting_pay_between_two_addresses_is_refused() -> None:
    first, second, *rest = LIST.entries
    shifted = (replace(first, amount=first.amount + 5), replace(second, amount=second.amount - 5), *rest)
    with pytest.raises(InvalidBlock, match=r"gets 2.62500005 for 3 responses at 0.87500000 each"):
        check_entries(with_entries(shifted), shifted)


def test_an_entry_without_responses_is_refused() -> None:
    empty = Entry(address=b"\x00" + b"\xff" * 20, responses=0, amount=0)
    entries = (*LIST.entries, empty)
    with pytest.raises(InvalidBlock, match="for 0 responses"):
        check_entries(with_entries(entries), entries)


def test_a_missing_entry_is_refused() -> None:
    with pytest.raises(InvalidBlock, match="the entries add up to"):
        check_entries(LIST.header, LIST.entries[1:])


def head(prefix: str) -> Head:
    return Head(prefix=prefix, height=1, block_hash=hash_of(prefix.encode()))


@pytest.mark.parametrize("prefixes", [("1", "0"), ("0", "0"), ("2",), ("0", "x")])
def test_heads_have_one_spelling(prefixes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="sorted by prefix bits"):
        replace(LIST.header, heads=tuple(head(prefix) for prefix in prefixes))


@pytest.mark.parametrize(
    "prefixes",
    [("0",), ("", "0"), ("", "0", "1"), ("0", "00", "1"), ("00", "1"), ("0" * 253, "1"), ("00", "01")],
)
def test_heads_divide_the_name_space(prefixes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="do not divide the name space"):
        replace(LIST.header, heads=tuple(head(prefix) for prefix in prefixes))


@given(st.lists(st.integers(0, 1 << 16), max_size=200))
def test_whatever_split_the_heads_divide_the_name_space(splits: list[int]) -> None:
    prefixes = [""]
    for number in splits:
        split = prefixes.pop(number % len(prefixes))
        prefixes += [split + "0", split + "1"]
    heads = [head(prefix) for prefix in sorted(prefixes)]
    header = replace(LIST.header, heads=tuple(heads))
    assert decode(encode(header), ListHeader) == header
    if len(heads) > 1:
        del heads[splits[0] % len(heads)]
        with pytest.raises(ValueError, match="do not divide the name space"):
            replace(header, heads=tuple(heads))


def test_a_verdict_block_is_named_once() -> None:
    with pytest.raises(ValueError, match="named twice"):
        replace(LIST.header, blocks=LIST.header.blocks * 2)


@given(st.lists(st.integers(0, 4), min_size=3, max_size=3), st.integers(0, 10**12))
def test_whatever_is_valid_the_list_keeps_the_laws(valid_counts: list[int], carried: int) -> None:
    """Paid and carried are the pool; each entry is its responses at the list's price."""
    world = World(genesis=make_genesis(carried=carried))
    for seq, count in zip((3, 4, 5), valid_counts, strict=True):
        world.judge(seq, [valid(key) for key in world.operators[:count]])
    world.bury(1)
    payout = world.list()
    check_header(payout.header, first_terms(world.genesis))
    check_entries(payout.header, payout.entries)
    paid = sum(entry.amount for entry in payout.entries)
    assert paid + payout.header.carried_out == payout.header.rewards + carried
    assert payout.header.responses == sum(valid_counts)
