"""secp256k1: two libraries that know nothing of each other must agree before money moves."""

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol.crypto import (
    ecdsa_recover,
    ecdsa_sign,
    ecdsa_sign_recoverable,
    ecdsa_verify,
    ecdsa_verify_second,
    secp256k1_public_key,
    sha256,
)
from protocol.errors import InvalidSignature

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SECRETS = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
DIGESTS = st.binary(min_size=32, max_size=32)
ONE = (1).to_bytes(32, "big")
FEW = settings(max_examples=25)  # the second library takes 2 ms for a verification, 6 ms for a recovery


def der(r: int, s: int) -> bytes:
    def integer(number: int) -> bytes:
        data = number.to_bytes(number.bit_length() // 8 + 1, "big")
        return bytes([2, len(data)]) + data

    body = integer(r) + integer(s)
    return bytes([0x30, len(body)]) + body


def parse_der(signature: bytes) -> tuple[int, int]:
    r_end = 4 + signature[3]
    return int.from_bytes(signature[4:r_end], "big"), int.from_bytes(signature[r_end + 2 :], "big")


def rfc6979_nonce(digest: bytes, secret: bytes) -> int:
    """The first nonce of RFC 6979 (3.2) with SHA-256; for this curve it is practically never the second."""
    reduced = (int.from_bytes(digest, "big") % ORDER).to_bytes(32, "big")
    key, value = bytes(32), b"\x01" * 32
    for separator in (b"\x00", b"\x01"):
        key = hmac.digest(key, value + separator + secret + reduced, hashlib.sha256)
        value = hmac.digest(key, value, hashlib.sha256)
    return int.from_bytes(hmac.digest(key, value, hashlib.sha256), "big")


def test_the_generator() -> None:
    expected = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
    assert secp256k1_public_key(ONE).hex() == expected


@FEW
@given(DIGESTS, SECRETS)
def test_signatures_are_deterministic_and_low(digest: bytes, secret: bytes) -> None:
    """RFC 6979's nonce, computed here: its point gives r, and s follows from the definition."""
    r, s = parse_der(ecdsa_sign(digest, secret))
    nonce = rfc6979_nonce(digest, secret)
    assert r == int.from_bytes(secp256k1_public_key(nonce.to_bytes(32, "big"))[1:], "big") % ORDER
    full = pow(nonce, -1, ORDER) * (int.from_bytes(digest, "big") + r * int.from_bytes(secret, "big")) % ORDER
    assert s == min(full, ORDER - full)


@FEW
@given(DIGESTS, SECRETS, DIGESTS)
def test_both_libraries_agree(digest: bytes, secret: bytes, other: bytes) -> None:
    key, signature = secp256k1_public_key(secret), ecdsa_sign(digest, secret)
    for verify in (ecdsa_verify, ecdsa_verify_second):
        assert verify(digest, signature, key)
        assert verify(other, signature, key) == (other == digest)
        assert not verify(digest, signature, secp256k1_public_key(sha256(secret)))


@FEW
@given(DIGESTS, SECRETS, st.data())
def test_a_flipped_bit_is_refused_by_both(digest: bytes, secret: bytes, data: st.DataObject) -> None:
    key, signature = secp256k1_public_key(secret), bytearray(ecdsa_sign(digest, secret))
    bit = data.draw(st.integers(0, len(signature) * 8 - 1))
    signature[bit // 8] ^= 1 << bit % 8
    assert not ecdsa_verify(digest, bytes(signature), key)
    assert not ecdsa_verify_second(digest, bytes(signature), key)


@given(st.binary(max_size=80), st.binary(max_size=70) | SECRETS.map(secp256k1_public_key))
def test_garbage_is_a_no_and_never_an_error(signature: bytes, key: bytes) -> None:
    assert not ecdsa_verify(bytes(32), signature, key)
    assert not ecdsa_verify_second(bytes(32), signature, key)


@pytest.mark.parametrize(
    ("r", "s"),
    [(0, 1), (1, 0), (ORDER, 1), (1, ORDER), (ORDER + 1, 1), (1, ORDER + 1), (2**256 - 1, 2**256 - 1)],
)
def test_numbers_outside_the_group_are_refused_by_both(r: int, s: int) -> None:
    assert not ecdsa_verify(bytes(32), der(r, s), secp256k1_public_key(ONE))
    assert not ecdsa_verify_second(bytes(32), der(r, s), secp256k1_public_key(ONE))


@pytest.mark.parametrize(
    "key", [b"", b"\x02" + b"\xff" * 32, b"\x02" + (5).to_bytes(32, "big"), b"\x05" * 33, bytes(65)]
)
def test_keys_off_the_curve_are_refused_by_both(key: bytes) -> None:
    signature = ecdsa_sign(bytes(32), ONE)
    assert not ecdsa_verify(bytes(32), signature, key)
    assert not ecdsa_verify_second(bytes(32), signature, key)


def test_the_high_half_is_refused_where_it_counts() -> None:
    """The second library takes a malleated signature, the deciding one does not: both are asked."""
    digest = sha256(b"x")
    r, s = parse_der(ecdsa_sign(digest, ONE))
    malleated = der(r, ORDER - s)
    assert not ecdsa_verify(digest, malleated, secp256k1_public_key(ONE))
    assert ecdsa_verify_second(digest, malleated, secp256k1_public_key(ONE))


@given(DIGESTS, SECRETS)
def test_a_key_is_recovered_in_both_spellings(digest: bytes, secret: bytes) -> None:
    signature = ecdsa_sign_recoverable(digest, secret)
    assert len(signature) == 65
    compressed, uncompressed = ecdsa_recover(digest, signature)
    assert compressed == secp256k1_public_key(secret)
    assert (len(uncompressed), uncompressed[0], uncompressed[1:33]) == (65, 4, compressed[1:])
    assert uncompressed[64] & 1 == compressed[0] & 1


@given(DIGESTS, st.binary(max_size=70))
def test_recovery_from_garbage_is_an_invalid_signature_or_another_key(
    digest: bytes, signature: bytes
) -> None:
    try:
        compressed, _ = ecdsa_recover(digest, signature)
    except InvalidSignature:
        return
    assert len(signature) == 65
    assert ecdsa_verify_second(digest, der(*halves(signature)), compressed)


def halves(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")


@pytest.mark.parametrize(
    "signature",
    [
        bytes(65),
        bytes(64) + b"\x01",
        b"\xff" * 64 + b"\x00",
        bytes(31) + b"\1" + bytes(31) + b"\1" + b"\x04",
        b"",
        bytes(64),
    ],
)
def test_recovery_refuses_what_no_key_made(signature: bytes) -> None:
    with pytest.raises(InvalidSignature):
        ecdsa_recover(sha256(b"x"), signature)
