"""How the marks of the active chain lie in the index.

Answers for: the one record of a mark, made and read; it comes and goes with the block that holds the
transaction. What counts as a mark is `protocol.chain.mark`'s rule. Spec: `spec/index.md`.
"""

import struct

from protocol.chain.mark import Mark
from protocol.units import Height
from zenp2p.chain.index_records import INDEX_PREFIX

MARK_KEY = INDEX_PREFIX + b"M"

_ADDRESS_SIZE = 21
_HEAD = struct.Struct(">IB")
_ORDINAL = struct.Struct(">Q")


def mark_key(ordinal: int) -> bytes:
    """Ordinal -> mark."""
    return MARK_KEY + _ORDINAL.pack(ordinal)


def read_mark_key(key: bytes) -> int:
    """Return the ordinal in a `mark_key`."""
    ordinal: int = _ORDINAL.unpack(key[len(MARK_KEY) :])[0]
    return ordinal


def encode_mark(mark: Mark) -> bytes:
    """Return height (4), number of addresses that signed (1), the addresses, the payload."""
    return _HEAD.pack(mark.height, len(mark.signed)) + b"".join(mark.signed) + mark.payload


def decode_mark(ordinal: int, data: bytes) -> Mark:
    """Read `encode_mark`."""
    height, count = _HEAD.unpack_from(data)
    end = _HEAD.size + count * _ADDRESS_SIZE
    signed = tuple(data[at : at + _ADDRESS_SIZE] for at in range(_HEAD.size, end, _ADDRESS_SIZE))
    return Mark(ordinal, Height(height), data[end:], signed)
