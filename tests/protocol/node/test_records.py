"""Keys of the record: they sort as their numbers do, and no family holds another's keys."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedMessage
from protocol.group.vote import LIST_ELECTORATE, Phase, Slot, group_electorate
from protocol.node import records
from protocol.node.records import (
    ballot_prefix,
    block_key,
    challenge_prefix,
    decode_slot,
    encode_slot,
    list_key,
    registration_key,
    split_challenge_key,
)

FAMILIES = [
    records.BLOCK,
    records.LIST,
    records.LIST_STATE,
    records.PROOF,
    records.REGISTRATION,
    records.BALLOT,
    records.RESPONSE,
    records.OBSERVATION,
    records.SIGHTING,
    records.RECEIPT,
]
heights = st.integers(0, 2**63 - 1)


def test_no_family_begins_another() -> None:
    assert not any(one.startswith(other) for one, other in permutations(FAMILIES, 2))


@given(heights, heights)
def test_blocks_sort_by_height(one: int, other: int) -> None:
    assert (block_key(one) < block_key(other)) == (one < other)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_lists_sort_by_period(one: int, other: int) -> None:
    assert (list_key(one) < list_key(other)) == (one < other)


names = st.sampled_from([LIST_ELECTORATE, *(group_electorate(bits) for bits in ("", "0", "1", "01", "011"))])


@given(names, heights, names, heights)
def test_ballots_of_two_heights_or_electorates_share_no_key(
    one: str, at: int, other: str, there: int
) -> None:
    first, second = ballot_prefix(one, at), ballot_prefix(other, there)
    assert first.startswith(second) == ((one, at) == (other, there))


@given(st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32), st.binary(max_size=32))
def test_a_key_of_a_challenge_is_split_as_it_was_joined(seq: int, anchor: bytes, rest: bytes) -> None:
    for family in (records.RESPONSE, records.OBSERVATION, records.SIGHTING, records.RECEIPT):
        key = challenge_prefix(family, seq, anchor) + rest
        assert split_challenge_key(family, key) == (seq, anchor, rest)


@given(st.binary(min_size=32, max_size=32), names, heights, st.integers(0, 2**32 - 1), st.sampled_from(Phase))
def test_a_slot_in_the_vote_file_is_the_slot(
    network: bytes, name: str, height: int, round_: int, phase: Phase
) -> None:
    slot = Slot(network, name, height, round_, phase)
    assert decode_slot(encode_slot(slot)) == slot


@pytest.mark.parametrize(
    "data", [b"", b"\x00", encode_slot(Slot(bytes(32), "list", 1, 0, Phase.PREVOTE))[:-1]]
)
def test_what_is_no_slot_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessage):
        decode_slot(data)


def test_two_entries_have_two_keys() -> None:
    assert registration_key(b"one") != registration_key(b"two")
    assert registration_key(b"one").startswith(records.REGISTRATION)
