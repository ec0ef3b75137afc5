"""Join proofs: the definition computed the long way, laws of the search, and what the midstate saves."""

import hashlib
import time
from collections.abc import Callable

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from protocol.errors import InvalidProof
from protocol.group.join_proof import CHUNK_BYTES, NONCE_MAX, JoinProver, chunk, digest, verify

KEY, TICKET = bytes(range(32)), bytes(range(32, 64))
ENOUGH = 1 << 14
"""Tries beyond what any search for a few bits here takes."""

keys = st.sampled_from([KEY, bytes(32), b"\xff" * 32])
thirty_two = st.binary(min_size=32, max_size=32)
nonces = st.integers(0, NONCE_MAX)


def zero_bits(data: bytes) -> int:
    return 8 * len(data) - int.from_bytes(data, "big").bit_length()


def by_definition(key: bytes, ticket: bytes, nonce: int) -> bytes:
    message = b"".join(key for _ in range(32_768)) + ticket + str(nonce).encode("ascii")
    return hashlib.sha3_256(message).digest()


def found(prover: JoinProver) -> int:
    nonce = prover.search(ENOUGH)
    assert nonce is not None
    return nonce


@given(thirty_two, thirty_two, nonces)
def test_the_midstate_gives_what_the_definition_says(key: bytes, ticket: bytes, nonce: int) -> None:
    expected = by_definition(key, ticket, nonce)
    assert digest(key, ticket, nonce) == digest(key, ticket, nonce) == expected


@given(keys, thirty_two, nonces, st.integers(0, 256))
def test_a_proof_holds_exactly_when_its_digest_has_the_bits(
    key: bytes, ticket: bytes, nonce: int, bits: int
) -> None:
    if zero_bits(digest(key, ticket, nonce)) >= bits:
        verify(key, ticket, nonce, bits)
    else:
        with pytest.raises(InvalidProof):
            verify(key, ticket, nonce, bits)


@given(keys, thirty_two, st.integers(0, 6))
def test_the_search_finds_the_smallest_nonce_that_holds(key: bytes, ticket: bytes, bits: int) -> None:
    prover = JoinProver(key, ticket, bits)
    nonce = found(prover)
    assert prover.trials == nonce + 1
    verify(key, ticket, nonce, bits)
    assert all(zero_bits(digest(key, ticket, smaller)) < bits for smaller in range(nonce))


@given(thirty_two, st.lists(st.integers(0, 40), min_size=1, max_size=30))
def test_a_search_in_pieces_finds_what_one_in_a_whole_does(ticket: bytes, pieces: list[int]) -> None:
    whole = JoinProver(KEY, ticket, 5).search(sum(pieces))
    prover = JoinProver(KEY, ticket, 5)
    in_pieces = next((nonce for tries in pieces if (nonce := prover.search(tries)) is not None), None)
    assert in_pieces == whole
    assert prover.trials == (sum(pieces) if whole is None else whole + 1)


@given(thirty_two, thirty_two, st.integers(0, 255))
def test_a_proof_is_for_one_ticket_and_one_key(ticket: bytes, other: bytes, byte: int) -> None:
    assume(ticket != other)
    nonce = found(JoinProver(KEY, ticket, 8))
    made = digest(KEY, ticket, nonce)
    assert digest(KEY, other, nonce) != made != digest(bytes([KEY[0] ^ 1]) + KEY[1:], ticket, nonce)


@pytest.mark.parametrize("nonce", [-1, NONCE_MAX + 1, 1 << 64])
def test_a_nonce_that_no_block_holds_proves_nothing(nonce: int) -> None:
    with pytest.raises(InvalidProof):
        verify(KEY, TICKET, nonce, 0)


def test_the_search_ends_at_the_largest_nonce() -> None:
    prover = JoinProver(KEY, TICKET, 256)
    prover.trials = NONCE_MAX
    assert prover.search(10) is None
    assert prover.trials == NONCE_MAX + 1
    assert prover.search(10) is None


@pytest.mark.parametrize("size", [0, 31, 33])
def test_our_own_calls_with_odd_sizes_are_bugs(size: int) -> None:
    with pytest.raises(ValueError, match="key"):
        chunk(bytes(size))
    with pytest.raises(ValueError, match="key"):
        verify(bytes(size), TICKET, 0, 0)
    with pytest.raises(ValueError, match="ticket"):
        JoinProver(KEY, bytes(size), 0)


@pytest.mark.parametrize("bits", [-1, 257])
def test_bits_are_those_of_a_digest(bits: int) -> None:
    with pytest.raises(ValueError, match="zero bits"):
        verify(KEY, TICKET, 0, bits)


def test_the_megabyte_is_the_key_again_and_again() -> None:
    data = chunk(KEY)
    assert len(data) == CHUNK_BYTES == 1 << 20
    assert {data[at : at + 32] for at in range(0, len(data), 32)} == {KEY}


def test_the_midstate_saves_all_of_the_megabyte_but_the_last_block() -> None:
    """A try hashes one block of 136 bytes in place of 7,711."""
    rehashed = processor_seconds(lambda: [by_definition(KEY, TICKET, nonce) for nonce in range(8)]) / 8
    prover = JoinProver(KEY, TICKET, 256)
    tried = processor_seconds(lambda: prover.search(8_000)) / 8_000
    assert rehashed > 100 * tried


def processor_seconds(act: Callable[[], object]) -> float:
    """Return the least of three measurements of the thread's own processor time."""
    times = []
    for _ in range(3):
        began = time.thread_time()
        act()
        times.append(time.thread_time() - began)
    return min(times)
