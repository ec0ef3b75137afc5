"""Zen's sidechains: the parts of their transactions and certificates that are carried, not read.

Answers for: walking over what a transaction of version -4 has between its outputs and its
lock time, and a certificate (-5) before its inputs; and for the backward transfers of a
certificate, which look like outputs and may never become coins. Proofs and amounts that
move between the chains are not verified. Spec: `spec/transaction.md`.
"""

from protocol.chain.encoding import Reader
from protocol.errors import InvalidChainData

UNRIPE = b"\xff"
"""Stands before the key hash as a backward transfer's script: no operation, so no template fits it."""

_AMOUNT, _HASH, _KEY_HASH, _NUMBER = 8, 32, 20, 4
_FIELD_RULE, _VECTOR_RULE = 1, 8
_BACKWARD = _AMOUNT + _KEY_HASH


def skip_sidechain_part(reader: Reader) -> None:
    """Walk over withdrawals, creations, forward transfers and requests of a transaction -4."""
    for _ in range(reader.count(_AMOUNT + _HASH + _KEY_HASH + 5)):
        _skip_withdrawal(reader)
    for _ in range(reader.count(_NUMBER + _AMOUNT + _HASH + 23)):
        _skip_creation(reader)
    reader.take(reader.count(_AMOUNT + _HASH + _HASH + _KEY_HASH) * (_AMOUNT + _HASH + _HASH + _KEY_HASH))
    for _ in range(reader.count(_HASH + 1 + _KEY_HASH + _AMOUNT)):
        reader.take(_HASH)
        _skip_byte_strings(reader)
        reader.take(_KEY_HASH + _AMOUNT)


def skip_certificate_head(reader: Reader) -> None:
    """Walk over what a certificate has before its inputs: sidechain, epoch, quality, proof, fields, fees."""
    reader.take(_HASH + _NUMBER + _AMOUNT)
    reader.var_bytes()  # end of the epoch
    reader.var_bytes()  # proof
    _skip_byte_strings(reader)
    _skip_byte_strings(reader)
    reader.take(_AMOUNT + _AMOUNT)


def read_backward_transfers(reader: Reader) -> list[tuple[int, bytes]]:
    """Return (amount, script) of a certificate's backward transfers."""
    count = reader.count(_BACKWARD)
    return [(reader.uint(_AMOUNT), UNRIPE + reader.take(_KEY_HASH)) for _ in range(count)]


def _skip_withdrawal(reader: Reader) -> None:
    """Coins of a sidechain that has ceased: amount, sidechain, nullifier, key hash, and four byte strings."""
    reader.take(_AMOUNT + _HASH)
    reader.var_bytes()  # nullifier
    reader.take(_KEY_HASH)
    for _ in range(4):  # proof, last certificate, commitment, redeem script
        reader.var_bytes()


def _skip_creation(reader: Reader) -> None:
    reader.take(_NUMBER + _AMOUNT + _HASH)
    reader.var_bytes()  # custom data
    _skip_optional(reader)  # constant
    reader.var_bytes()  # key of the certificates' proofs
    _skip_optional(reader)  # key of the withdrawals' proofs
    reader.take(reader.count(_FIELD_RULE) * _FIELD_RULE)
    reader.take(reader.count(_VECTOR_RULE) * _VECTOR_RULE)
    reader.take(_AMOUNT + _AMOUNT + 1)


def _skip_byte_strings(reader: Reader) -> None:
    for _ in range(reader.count(1)):
        reader.var_bytes()


def _skip_optional(reader: Reader) -> None:
    there = reader.take(1)
    if there == b"\x01":
        reader.var_bytes()
    elif there != b"\x00":
        raise InvalidChainData("an optional part is neither there nor missing")
