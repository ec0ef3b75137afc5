"""How the announcements of the active chain lie in the index.

Answers for: the three kinds of record of an announcement, made and read as one; which
come and go with the block that holds the transaction. Under a stake address those
that count most come first. Lookups are `announcements`, the other records of the index
`index_records`. Spec: `spec/index.md`.
"""

import struct
from collections.abc import Iterator, Sequence

from protocol.chain.transaction import Transaction
from protocol.tracking.announced import Claim, Sighting, claims_of
from protocol.tracking.announcement import (
    ANNOUNCEMENT_MAGIC,
    Ties,
    announcement_ties,
    decode_announcement,
    encode_announcement,
    recognise_announcement,
)
from protocol.units import Height
from zenp2p.chain.index_records import INDEX_PREFIX

SIGHTING_KEY, STAKE_KEY, OPERATOR_KEY = (INDEX_PREFIX + letter for letter in (b"N", b"S", b"P"))

_ADDRESS_SIZE = 21
_HEAD = struct.Struct(">IBB")
_ORDINAL = struct.Struct(">Q")
_LAST_ORDINAL = (1 << 64) - 1
_SIGNED, _PAID = b"\x00", b"\x01"


def sighting_key(ordinal: int) -> bytes:
    """Ordinal -> announcement."""
    return SIGHTING_KEY + _ORDINAL.pack(ordinal)


def stake_key(claim: Claim) -> bytes:
    """Stake address, kind of tie, ordinal -> nothing: keys sort as claims rank, the best first."""
    kind = _SIGNED if claim.signed else _PAID
    behind = _LAST_ORDINAL - claim.sighting.ordinal
    return STAKE_KEY + claim.stake_address + kind + _ORDINAL.pack(behind)


def first_paid_key(stake_address: bytes) -> bytes:
    """Return a key behind all that an address signed, before all that it was paid with."""
    return STAKE_KEY + stake_address + _PAID


def read_stake_key(key: bytes) -> tuple[bytes, bool, int]:
    """Return (stake address, whether it signed, ordinal) of a `stake_key`."""
    start = len(STAKE_KEY)
    kind = start + _ADDRESS_SIZE
    ordinal = _LAST_ORDINAL - _ORDINAL.unpack(key[kind + 1 :])[0]
    return key[start:kind], key[kind : kind + 1] == _SIGNED, ordinal


def operator_key(operator: bytes, ordinal: int) -> bytes:
    """Operator key and ordinal -> nothing."""
    return OPERATOR_KEY + operator + _ORDINAL.pack(ordinal)


def read_ordinal(key: bytes) -> int:
    """Return the ordinal that a `sighting_key` or `operator_key` ends with."""
    ordinal: int = _ORDINAL.unpack(key[-_ORDINAL.size :])[0]
    return ordinal


def encode_sighting(sighting: Sighting) -> bytes:
    """Return height (4), numbers of signed (1) and paid (1) stake addresses, the addresses, the payload."""
    ties = sighting.ties
    head = _HEAD.pack(sighting.height, len(ties.signed), len(ties.paid))
    return head + b"".join((*ties.signed, *ties.paid)) + encode_announcement(sighting.announcement)


def decode_sighting(ordinal: int, data: bytes) -> Sighting:
    """Read `encode_sighting`."""
    height, signed, paid = _HEAD.unpack_from(data)
    end = _HEAD.size + (signed + paid) * _ADDRESS_SIZE
    stakes = tuple(data[at : at + _ADDRESS_SIZE] for at in range(_HEAD.size, end, _ADDRESS_SIZE))
    ties = Ties(stakes[:signed], stakes[signed:])
    return Sighting(decode_announcement(data[end:]), ordinal, Height(height), ties)


def may_announce(transaction: Transaction) -> bool:
    """Whether a closer look is worth it: a cheap test that lets no announcement through."""
    return ANNOUNCEMENT_MAGIC in transaction.raw


def sight(
    transaction: Transaction, spent: Sequence[bytes | None], ordinal: int, height: Height
) -> Sighting | None:
    """Return the announcement in a transaction that is tied to a stake address, None when there is none."""
    announcement = recognise_announcement(transaction)
    if announcement is None:
        return None
    ties = announcement_ties(transaction, spent)
    return Sighting(announcement, ordinal, height, ties) if ties.signed or ties.paid else None


def sighting_writes(sighting: Sighting) -> Iterator[tuple[bytes, bytes]]:
    """Yield the records of one announcement."""
    yield sighting_key(sighting.ordinal), encode_sighting(sighting)
    yield operator_key(sighting.announcement.operator_key, sighting.ordinal), b""
    for claim in claims_of(sighting):
        yield stake_key(claim), b""
