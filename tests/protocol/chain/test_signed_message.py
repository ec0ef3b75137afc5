"""The chain's "Signed Message": other wallets' signatures, one spelling, every refusal."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.address import AddressPrefixes, decode_address, pay_to_public_key_hash, pay_to_script_hash
from protocol.chain.rules import DEVNET, ZEN_MAINNET
from protocol.chain.signature import HALF_ORDER, SECP256K1_ORDER
from protocol.chain.signed_message import (
    canonical_signature,
    decode_signature,
    encode_signature,
    message_hash,
    sign_message,
    verify_message,
)
from protocol.crypto import secp256k1_public_key, sha256d
from protocol.errors import InvalidSignature, RequestError
from tests.support.chain_strategies import SECRETS
from tests.support.vectors import check_vectors

MAGIC = ZEN_MAINNET.message_magic
BITCOIN = AddressPrefixes(p2pkh=b"\x00", p2sh=b"\x05", secret_key=b"\x80")
SECRET = b"\x07" * 32
ADDRESS = pay_to_public_key_hash(secp256k1_public_key(SECRET))
OTHER_WALLETS = [
    (
        "Chancellor on brink of second bailout for banks",
        "Hzsu0U/THAsPz/MSuXGBKSULz2dTfmrg1NsAhFp+wH5aKfmX4Db7ExLGa7FGn0m6Mf43KsbEOWpvUUUBTM3Uusw=",
        "15hETetDmcXm1mM4sEf7U2KXC9hDHFMSzz",
    ),
    (
        "Electrum",
        "HBQdYfv7kOrxmRewLJnG7sV6KlU71O04hUnE4tai97p7Pg+D+yKaWXsdGgHTrKw90caQMo/D6b//qX50ge9P9iI=",
        "1GPHVTY8UD9my6jyP4tb2TYJwUbDetyNC6",
    ),
]
"""Published signatures of a Bitcoin wallet, one of a compressed and one of an uncompressed key."""


def twin_of(signature: bytes) -> bytes:
    """Return the second spelling of a signature: the other S, and so the other parity in the header."""
    s = SECP256K1_ORDER - int.from_bytes(signature[33:], "big")
    return bytes([((signature[0] - 27) ^ 1) + 27]) + signature[1:33] + s.to_bytes(32, "big")


@pytest.mark.parametrize(("text", "signature", "address"), OTHER_WALLETS)
def test_signatures_of_another_wallet(text: str, signature: str, address: str) -> None:
    raw = decode_signature(signature)
    holder = decode_address(address, BITCOIN)
    verify_message(text, raw, holder, "Bitcoin Signed Message:\n")
    for wrong_text, magic in ((text + ".", "Bitcoin Signed Message:\n"), (text, MAGIC)):
        with pytest.raises(InvalidSignature):
            verify_message(wrong_text, raw, holder, magic)


def test_the_signed_bytes() -> None:
    assert message_hash("abc", "Zcash Signed Message:\n") == sha256d(b"\x16Zcash Signed Message:\n\x03abc")
    long = "ä" * 200
    assert message_hash(long, "m") == sha256d(b"\x01m\xfd\x90\x01" + long.encode())


@given(st.text(max_size=400).filter(lambda t: t.isprintable()), SECRETS)
def test_round_trip(text: str, secret: bytes) -> None:
    address = pay_to_public_key_hash(secp256k1_public_key(secret))
    signature = sign_message(text, secret, MAGIC)
    assert signature[0] in range(31, 35)
    assert canonical_signature(signature) == signature
    verify_message(text, signature, address, MAGIC)
    assert decode_signature(encode_signature(signature)) == signature


@given(st.data())
def test_a_changed_byte_is_refused(data: st.DataObject) -> None:
    signature = bytearray(sign_message("text", SECRET, MAGIC))
    signature[data.draw(st.integers(0, 64))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(InvalidSignature):
        verify_message("text", bytes(signature), ADDRESS, MAGIC)


@given(st.binary(max_size=70))
def test_any_bytes_are_refused(signature: bytes) -> None:
    with pytest.raises(InvalidSignature):
        verify_message("text", signature, ADDRESS, MAGIC)


@given(SECRETS)
def test_the_second_spelling_is_refused_and_can_be_turned_into_the_first(secret: bytes) -> None:
    address = pay_to_public_key_hash(secp256k1_public_key(secret))
    signature = sign_message("text", secret, MAGIC)
    twin = twin_of(signature)
    assert int.from_bytes(twin[33:], "big") > HALF_ORDER
    with pytest.raises(InvalidSignature, match="high S"):
        verify_message("text", twin, address, MAGIC)
    assert canonical_signature(twin) == signature
    assert decode_signature(encode_signature(twin)) == signature


@pytest.mark.parametrize("header", [0, 26, 35, 255])
def test_headers_outside_of_27_to_34(header: int) -> None:
    signature = bytes([header]) + sign_message("text", SECRET, MAGIC)[1:]
    with pytest.raises(InvalidSignature, match="27 to 34"):
        verify_message("text", signature, ADDRESS, MAGIC)
    assert canonical_signature(signature) == signature


def test_the_header_says_which_form_of_the_key_the_address_is_of() -> None:
    signature = sign_message("text", SECRET, MAGIC)
    uncompressed = bytes([signature[0] - 4]) + signature[1:]
    with pytest.raises(InvalidSignature, match="another address"):
        verify_message("text", uncompressed, ADDRESS, MAGIC)


@pytest.mark.parametrize(
    "numbers", [bytes(64), bytes(32) + b"\x01" * 32, b"\x01" * 32 + bytes(32), b"\xff" * 64]
)
def test_numbers_that_are_no_signature(numbers: bytes) -> None:
    for header in range(27, 35):
        with pytest.raises(InvalidSignature):
            verify_message("text", bytes([header]) + numbers, ADDRESS, MAGIC)
    assert canonical_signature(b"\x1f" + b"\xff" * 64) == b"\x1f" + b"\xff" * 64


@pytest.mark.parametrize(
    "address", [b"", pay_to_script_hash(b"\x51"), b"\x01" + ADDRESS[1:], ADDRESS[:-1], b"\x02" + ADDRESS[1:]]
)
def test_only_a_public_key_address_can_sign(address: bytes) -> None:
    with pytest.raises(InvalidSignature, match="P2PKH"):
        verify_message("text", sign_message("text", SECRET, MAGIC), address, MAGIC)


def test_one_networks_signature_is_nothing_on_another() -> None:
    signature = sign_message("text", SECRET, DEVNET.message_magic)
    verify_message("text", signature, ADDRESS, DEVNET.message_magic)
    with pytest.raises(InvalidSignature):
        verify_message("text", signature, ADDRESS, MAGIC)


def test_texts_that_are_no_signature() -> None:
    text = encode_signature(sign_message("text", SECRET, MAGIC))
    assert len(text) == 88
    short = base64.b64encode(bytes(64)).decode()
    other_spelling = text[:-2] + chr(ord(text[-2]) + 1) + "="
    for wrong in (
        "",
        short,
        text[:-1],
        text + "=",
        " " + text[:-1],
        text[:40] + "\n" + text[41:],
        "é" * 88,
        "!" * 88,
        other_spelling,
    ):
        with pytest.raises(RequestError, match="88 Base64 characters"):
            decode_signature(wrong)


def test_vectors() -> None:
    produced = []
    for network, rules in (("devnet", DEVNET), ("zen", ZEN_MAINNET)):
        for text in ("", "zenp2p", "ä" * 130):
            signature = sign_message(text, SECRET, rules.message_magic)
            produced.append(
                {
                    "network": network,
                    "magic": rules.message_magic,
                    "text": text,
                    "secret": SECRET.hex(),
                    "address": ADDRESS.hex(),
                    "digest": message_hash(text, rules.message_magic).hex(),
                    "signature": encode_signature(signature),
                }
            )
    check_vectors("signed_message", "messages", produced)
