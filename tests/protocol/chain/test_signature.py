"""Strict DER with low S, checked against a decoder that takes everything."""

import pytest
from ecdsa.util import sigdecode_der, sigencode_der
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.signature import HALF_ORDER, SECP256K1_ORDER, parse_der, split_signature
from protocol.crypto import ecdsa_sign, ecdsa_verify, ecdsa_verify_second, secp256k1_public_key
from protocol.errors import InvalidChainData
from tests.support.chain_strategies import HASHES, SECRETS

NUMBERS = st.one_of(st.integers(1, 300), st.integers(1, HALF_ORDER), st.integers(1, SECP256K1_ORDER - 1))


def der(r: int, s: int) -> bytes:
    encoded: bytes = sigencode_der(r, s, SECP256K1_ORDER)
    return encoded


@given(NUMBERS, NUMBERS)
def test_reads_what_another_encoder_writes(r: int, s: int) -> None:
    if s <= HALF_ORDER:
        assert parse_der(der(r, s)) == (r, s)
    else:
        with pytest.raises(InvalidChainData, match="high S"):
            parse_der(der(r, s))


def test_the_half_of_the_order_is_the_last_low_s() -> None:
    assert parse_der(der(1, HALF_ORDER)) == (1, HALF_ORDER)
    with pytest.raises(InvalidChainData, match="high S"):
        parse_der(der(1, HALF_ORDER + 1))


@given(NUMBERS, st.integers(1, HALF_ORDER), st.data())
def test_no_two_spellings_of_one_signature(r: int, s: int, data: st.DataObject) -> None:
    original = der(r, s)
    position = data.draw(st.integers(0, len(original) - 1))
    changes = [
        original[:position] + bytes([data.draw(st.integers(0, 255))]) + original[position + 1 :],
        original[:position] + data.draw(st.binary(min_size=1, max_size=2)) + original[position:],
        original[:position] + original[position + 1 :],
    ]
    for changed in changes:
        try:
            numbers = parse_der(changed)
        except InvalidChainData:
            continue
        assert (numbers == (r, s)) == (changed == original)
        assert der(*numbers) == changed


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        numbers = parse_der(data)
    except InvalidChainData:
        return
    assert sigdecode_der(data, SECP256K1_ORDER) == numbers


@pytest.mark.parametrize(
    ("broken", "why"),
    [
        ("", "not DER"),
        ("300602010102010100", "not DER"),
        ("3006020181020101", "negative"),
        ("300702020001020101", "padded"),
        ("3006020101020100", "out of range"),
        ("3006020100020101", "out of range"),
        ("3006020101030101", "no integer"),
        ("3006020101020201", "no integer"),
        ("30050201010201", "not DER"),
        ("3007020101020101ff", "bytes follow"),
        ("3006020501020101", "no integer"),
        ("3106020101020101", "not DER"),
    ],
)
def test_broken_signatures(broken: str, why: str) -> None:
    assert parse_der(bytes.fromhex("300602010102017f")) == (1, 0x7F)
    with pytest.raises(InvalidChainData, match=why):
        parse_der(bytes.fromhex(broken))


def test_numbers_beyond_the_group_are_refused() -> None:
    too_large = SECP256K1_ORDER.to_bytes(33, "big")
    body = b"\x02\x21" + too_large + b"\x02\x01\x01"
    with pytest.raises(InvalidChainData, match="out of range"):
        parse_der(bytes([0x30, len(body)]) + body)


def test_hash_types() -> None:
    defined = (1, 2, 3, 0x81, 0x82, 0x83)
    for hash_type in defined:
        assert split_signature(der(1, 1) + bytes([hash_type])) == (der(1, 1), hash_type)
    for hash_type in set(range(256)) - set(defined):
        with pytest.raises(InvalidChainData, match="not defined"):
            split_signature(der(1, 1) + bytes([hash_type]))
    with pytest.raises(InvalidChainData):
        split_signature(b"")


@given(SECRETS, HASHES)
def test_what_we_sign_has_this_form_and_its_twin_is_refused_everywhere_but_by_the_lax_library(
    secret: bytes, digest: bytes
) -> None:
    public_key = secp256k1_public_key(secret)
    r, s = parse_der(ecdsa_sign(digest, secret))
    twin = der(r, SECP256K1_ORDER - s)
    assert ecdsa_verify(digest, der(r, s), public_key)
    assert ecdsa_verify_second(digest, twin, public_key)
    assert not ecdsa_verify(digest, twin, public_key)
    with pytest.raises(InvalidChainData, match="high S"):
        parse_der(twin)
