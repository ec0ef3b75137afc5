"""The chain's "Signed Message": how a wallet shows that it holds an address.

Answers for: the bytes that are signed, the 65-byte recoverable signature with one
spelling, and checking it against a P2PKH address by recovering the public key. The
magic that goes in front is data of the chain (`ChainRules.message_magic`); what the
text says is left to those who ask for it. Spec: `spec/signed_message.md`.
"""

import base64
import binascii

from protocol.chain.address import AddressKind, pay_to_public_key_hash
from protocol.chain.encoding import var_bytes
from protocol.chain.signature import HALF_ORDER, SECP256K1_ORDER
from protocol.crypto import ecdsa_recover, ecdsa_sign_recoverable, sha256d
from protocol.errors import InvalidSignature, RequestError
from protocol.units import Hash32

SIGNATURE_SIZE = 65
_HEADER, _COMPRESSED = 27, 4
_HEADERS = range(_HEADER, _HEADER + 8)


def message_hash(text: str, magic: str) -> Hash32:
    """Return the 32 bytes that a wallet signs for a text."""
    return sha256d(var_bytes(magic.encode()) + var_bytes(text.encode()))


def sign_message(text: str, secret: bytes, magic: str) -> bytes:
    """Return the 65-byte signature (header, r, s) of a key whose public form is compressed."""
    signature = ecdsa_sign_recoverable(message_hash(text, magic), secret)
    return bytes([_HEADER + _COMPRESSED + signature[64]]) + signature[:64]


def verify_message(text: str, signature: bytes, address: bytes, magic: str) -> None:
    """Raise `InvalidSignature` unless the holder of a 21-byte P2PKH address signed the text.

    A high S is refused: it is the second spelling of another signature, and what carries a
    signature must have one hash. `canonical_signature` turns what a wallet gave into the first.
    """
    if len(address) != 21 or address[0] != AddressKind.P2PKH:
        raise InvalidSignature("only the holder of a P2PKH address can sign a message")
    if len(signature) != SIGNATURE_SIZE or signature[0] not in _HEADERS:
        raise InvalidSignature("a signed message has a signature of 65 bytes, the first of them 27 to 34")
    if int.from_bytes(signature[33:], "big") > HALF_ORDER:
        raise InvalidSignature("the signature has a high S: it is the second spelling of another one")
    header = signature[0] - _HEADER
    digest = message_hash(text, magic)
    compressed, uncompressed = ecdsa_recover(digest, signature[1:] + bytes([header % _COMPRESSED]))
    public_key = compressed if header >= _COMPRESSED else uncompressed
    if pay_to_public_key_hash(public_key) != address:
        raise InvalidSignature("the message was signed by another address, or it was changed")


def canonical_signature(signature: bytes) -> bytes:
    """Return the spelling with low S of a wallet's 65-byte signature; anything else stays as it is."""
    s = int.from_bytes(signature[33:], "big")
    if (
        len(signature) != SIGNATURE_SIZE
        or signature[0] not in _HEADERS
        or not HALF_ORDER < s < SECP256K1_ORDER
    ):
        return signature
    header = ((signature[0] - _HEADER) ^ 1) + _HEADER
    return bytes([header]) + signature[1:33] + (SECP256K1_ORDER - s).to_bytes(32, "big")


def encode_signature(signature: bytes) -> str:
    """Write a signature as wallets show it: 88 characters of Base64."""
    return base64.b64encode(signature).decode()


def decode_signature(text: str) -> bytes:
    """Read a signature that a wallet showed, in its canonical spelling; raises `RequestError`."""
    try:
        signature = base64.b64decode(text.encode("ascii"), validate=True) if len(text) == 88 else b""
    except (binascii.Error, UnicodeEncodeError):
        signature = b""
    if len(signature) != SIGNATURE_SIZE or encode_signature(signature) != text:
        raise RequestError("not a signature of 88 Base64 characters, as a wallet's signmessage gives it")
    return canonical_signature(signature)
