"""The one spelling of an ECDSA signature in which zenp2p reads and writes it.

Answers for: strict DER (BIP 66) with S in the lower half, so that nobody can turn a
valid signature into another one for the same message: a second spelling gives a
transaction a second id, and a payment that is watched by id would seem lost. Whether
the signature is right is left to `protocol.crypto`. Spec: `spec/transaction.md`.
"""

from protocol.errors import InvalidChainData

SECP256K1_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
HALF_ORDER = SECP256K1_ORDER // 2
_SEQUENCE, _INTEGER = 0x30, 0x02
_DER_SIZE_MAX = 72

SIGHASH_ALL, SIGHASH_NONE, SIGHASH_SINGLE = 1, 2, 3
SIGHASH_ANYONE_CAN_PAY = 0x80
_BASE_TYPES = (SIGHASH_ALL, SIGHASH_NONE, SIGHASH_SINGLE)


def _read_integer(data: bytes) -> tuple[int, bytes]:
    """Return (value, what follows) of a minimal positive DER integer at the start of `data`."""
    if len(data) < 3 or data[0] != _INTEGER or not 1 <= data[1] <= len(data) - 2:
        raise InvalidChainData("signature is not DER: no integer where one must stand")
    body = data[2 : 2 + data[1]]
    if body[0] & 0x80 or (len(body) > 1 and body[0] == 0 and not body[1] & 0x80):
        raise InvalidChainData("signature is not strict DER: an integer is negative or padded")
    return int.from_bytes(body, "big"), data[2 + data[1] :]


def parse_der(der: bytes) -> tuple[int, int]:
    """Return (r, s) of a strict DER signature with low S; raises `InvalidChainData`."""
    if not 8 <= len(der) <= _DER_SIZE_MAX or der[0] != _SEQUENCE or der[1] != len(der) - 2:
        raise InvalidChainData(f"signature of {len(der)} bytes is not DER")
    r, rest = _read_integer(der[2:])
    s, rest = _read_integer(rest)
    if rest:
        raise InvalidChainData("signature is not strict DER: bytes follow it")
    if not 0 < r < SECP256K1_ORDER or not 0 < s < SECP256K1_ORDER:
        raise InvalidChainData("signature's numbers are out of range")
    if s > HALF_ORDER:
        raise InvalidChainData("signature has a high S: it is the second spelling of another one")
    return r, s


def split_signature(signature: bytes) -> tuple[bytes, int]:
    """Return (DER, hash type) of a script's signature; raises `InvalidChainData`."""
    der, hash_type = signature[:-1], signature[-1] if signature else 0
    parse_der(der)
    if hash_type & ~SIGHASH_ANYONE_CAN_PAY not in _BASE_TYPES:
        raise InvalidChainData(f"hash type {hash_type:#04x} is not defined")
    return der, hash_type
