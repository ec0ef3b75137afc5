"""Addresses and secret keys as text, and the 21 bytes that stand for an address inside the protocol.

Answers for: Base58Check both ways, and for deciding what a text is by its version
bytes alone. Letters decide nothing: a main-net P2SH address of Zen (2096) can print
as "zt…", which is how a test-net P2PKH address (2098) looks. Which version bytes a
network uses is its data (`AddressPrefixes`); scripts are left to `script`.
Spec: `spec/address.md`.
"""

from enum import IntEnum
from typing import Annotated

from protocol.chain.signature import SECP256K1_ORDER
from protocol.codec import Meta, Wire
from protocol.crypto import hash160, sha256d
from protocol.errors import InvalidChainData, RequestError

BASE58_LENGTH_MAX = 64
"""Characters of the longest text that is looked at: decoding costs the square of the length."""
_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_DIGITS = {letter: value for value, letter in enumerate(_ALPHABET)}
_CHECKSUM_SIZE = 4

VersionBytes = Annotated[bytes, Meta(min_length=1, max_length=2)]


class AddressKind(IntEnum):
    """What the 20-byte hash of an address is a hash of."""

    P2PKH = 0
    P2SH = 1


class AddressPrefixes(Wire):
    """A network's version bytes, one or two each."""

    p2pkh: VersionBytes
    p2sh: VersionBytes
    secret_key: VersionBytes

    def __post_init__(self) -> None:
        """The two kinds of address must differ."""
        if self.p2pkh == self.p2sh:
            raise ValueError("P2PKH and P2SH addresses have the same version bytes")


ZEN_MAINNET = AddressPrefixes(p2pkh=b"\x20\x89", p2sh=b"\x20\x96", secret_key=b"\x80")
ZEN_TESTNET = AddressPrefixes(p2pkh=b"\x20\x98", p2sh=b"\x20\x92", secret_key=b"\xef")
LITECOIN_REGTEST = AddressPrefixes(p2pkh=b"\x6f", p2sh=b"\x3a", secret_key=b"\xef")
DEVNET = AddressPrefixes(p2pkh=b"\x20\x72", p2sh=b"\x20\x8d", secret_key=b"\x9e")
"""Prints as "zd…" and "zp…"; secret keys begin with "Q"."""


def encode_base58(data: bytes) -> str:
    """Write bytes in Base58; each leading zero byte is a "1"."""
    number = int.from_bytes(data, "big")
    letters = []
    while number:
        number, digit = divmod(number, 58)
        letters.append(_ALPHABET[digit])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(letters))


def decode_base58(text: str) -> bytes:
    """Read Base58 of at most `BASE58_LENGTH_MAX` characters; raises `RequestError`."""
    if len(text) > BASE58_LENGTH_MAX:
        raise RequestError(f"{len(text)} characters, at most {BASE58_LENGTH_MAX} make an address or key")
    number = 0
    for letter in text:
        digit = _DIGITS.get(letter)
        if digit is None:
            raise RequestError(f"{letter!r} is no letter of an address or key")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8, "big")


def encode_base58check(payload: bytes) -> str:
    """Write bytes with their 4-byte checksum in Base58."""
    return encode_base58(payload + sha256d(payload)[:_CHECKSUM_SIZE])


def decode_base58check(text: str) -> bytes:
    """Read Base58Check; raises `RequestError` when the checksum does not match.

    The text is not repeated in the message: it may be a secret key.
    """
    data = decode_base58(text)
    payload, checksum = data[:-_CHECKSUM_SIZE], data[-_CHECKSUM_SIZE:]
    if len(checksum) < _CHECKSUM_SIZE or sha256d(payload)[:_CHECKSUM_SIZE] != checksum:
        raise RequestError("the checksum does not match: a letter is wrong or missing")
    return payload


def address_kind(address: bytes) -> AddressKind:
    """Return the kind of a 21-byte address; raises `InvalidChainData`."""
    if len(address) != 21 or address[0] > 1:
        raise InvalidChainData(f"not an address of 21 bytes: {address[:32].hex()}")
    return AddressKind(address[0])


def pay_to_public_key_hash(public_key: bytes) -> bytes:
    """Return the 21-byte address of a public key, in the form (33 or 65 bytes) in which it is given."""
    return bytes([AddressKind.P2PKH]) + hash160(public_key)


def pay_to_script_hash(redeem_script: bytes) -> bytes:
    """Return the 21-byte address of a redeem script."""
    return bytes([AddressKind.P2SH]) + hash160(redeem_script)


def encode_address(address: bytes, prefixes: AddressPrefixes) -> str:
    """Write a 21-byte address as the network's text; raises `InvalidChainData` for anything else."""
    kind = address_kind(address)
    version = prefixes.p2pkh if kind is AddressKind.P2PKH else prefixes.p2sh
    return encode_base58check(version + address[1:])


def decode_address(text: str, prefixes: AddressPrefixes) -> bytes:
    """Return the 21 bytes of an address that a user gave; raises `RequestError`."""
    payload = decode_base58check(text)
    version, digest = payload[:-20], payload[-20:]
    if version == prefixes.p2pkh:
        return bytes([AddressKind.P2PKH]) + digest
    if version == prefixes.p2sh:
        return bytes([AddressKind.P2SH]) + digest
    if len(version) > 2:  # perhaps a secret key: nothing of it may reach a log
        raise RequestError("not an address")
    raise RequestError(f"not an address of this network: its version bytes are {version.hex()}")


def check_secret_key(secret: bytes) -> None:
    """Raise `RequestError` unless 32 bytes are a secret key of secp256k1."""
    if len(secret) != 32 or not 0 < int.from_bytes(secret, "big") < SECP256K1_ORDER:
        raise RequestError("not a secret key: its number is out of range")


def encode_secret_key(secret: bytes, prefixes: AddressPrefixes, *, compressed: bool = True) -> str:
    """Write a 32-byte secret key in wallet import format; `compressed` is the form of its public key."""
    check_secret_key(secret)
    return encode_base58check(prefixes.secret_key + secret + (b"\x01" if compressed else b""))


def decode_secret_key(text: str, prefixes: AddressPrefixes) -> tuple[bytes, bool]:
    """Return (32-byte secret, whether its public key is compressed); raises `RequestError`."""
    payload = decode_base58check(text)
    size = len(prefixes.secret_key)
    if payload[:size] != prefixes.secret_key:
        raise RequestError("not a secret key of this network")
    body = payload[size:]
    if len(body) not in (32, 33) or body[32:] not in (b"", b"\x01"):
        raise RequestError("not a secret key in wallet import format")
    check_secret_key(body[:32])
    return body[:32], len(body) == 33
