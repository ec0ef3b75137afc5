"""Names, prefixes, ages and memberships."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.group.age import (
    AGE_MAX,
    age_after_return,
    events_until_move,
    is_voting_age,
    may_move,
    older,
)
from protocol.group.name import (
    PREFIX_BITS_MAX,
    assign_name,
    bits,
    distance,
    home_draw,
    is_prefix,
    matches,
    sibling,
)

NAMES = st.binary(min_size=32, max_size=32)
PREFIXES = st.text("01", min_size=1, max_size=12)


def test_a_name_is_the_hash_of_age_key_and_entropy() -> None:
    key, entropy = b"\x01" * 32, b"\x02" * 32
    assert assign_name(3, key, entropy) == hashlib.sha3_256(b"\x03" + key + entropy).digest()
    assert len({assign_name(age, key, entropy) for age in range(256)}) == 256


def test_who_never_joined_has_its_seat_where_its_keys_hash_falls() -> None:
    key = b"\x01" * 32
    assert home_draw(key) == hashlib.sha3_256(key).digest()


@given(NAMES, st.integers(0, 256))
def test_bits_are_the_leading_ones(name: bytes, count: int) -> None:
    text = "".join(format(byte, "08b") for byte in name)
    assert bits(name, count) == text[:count]


@given(NAMES, st.integers(0, 20))
def test_every_name_belongs_to_one_prefix_of_each_length(name: bytes, length: int) -> None:
    mine = bits(name, length)
    assert matches(mine, name)
    if length:
        assert not matches(sibling(mine), name)


@given(PREFIXES)
def test_siblings_come_in_pairs_and_share_all_but_the_last_bit(prefix: str) -> None:
    assert sibling(sibling(prefix)) == prefix
    assert sibling(prefix)[:-1] == prefix[:-1] and sibling(prefix) != prefix


def test_the_whole_network_has_no_sibling() -> None:
    with pytest.raises(ValueError, match="no sibling"):
        sibling("")


@given(NAMES, NAMES, NAMES)
def test_xor_is_a_metric(one: bytes, two: bytes, three: bytes) -> None:
    assert distance(one, two) == distance(two, one)
    assert (distance(one, two) == 0) == (one == two)
    assert distance(one, three) <= distance(one, two) + distance(two, three)


def test_prefixes_are_bits() -> None:
    assert is_prefix("") and is_prefix("0101") and is_prefix("1" * PREFIX_BITS_MAX)
    assert not any(map(is_prefix, ("2", "0 1", "1" * (PREFIX_BITS_MAX + 1), "١")))


def test_age_rules() -> None:
    assert [is_voting_age(age) for age in (0, 1, 255)] == [False, True, True]
    assert [events_until_move(age) for age in (0, 1, 2, 10)] == [1, 2, 4, 1024]
    assert events_until_move(255) == 1 << 255
    assert [may_move(3, events) for events in (7, 8, 9)] == [False, True, True]
    assert [older(age) for age in (0, 7, 254, 255)] == [1, 8, 255, AGE_MAX]
    assert [age_after_return(age) for age in (0, 1, 2, 7, 255)] == [0, 0, 1, 3, 127]


def test_growing_old_takes_as_many_events_as_all_stays_before() -> None:
    """Events to reach age A are 2**A - 1: the work doubles with every year."""
    for age in range(1, 20):
        assert sum(events_until_move(before) for before in range(age)) == 2**age - 1
