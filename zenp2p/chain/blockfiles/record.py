"""What a file of blocks yields, whatever its format: one record after the other.

Answers for: a record being bytes that may be a block, a block of which somebody only said
what is in it, or the reason why there is neither. What the bytes mean is `survey`'s.
"""

from dataclasses import dataclass, field

BLOCK_BYTES_MAX = 32_000_000
"""Bytes of the largest block that any chain of these families allows."""


@dataclass(frozen=True, slots=True)
class StatedBlock:
    """A block as a node's JSON tells of it, without its bytes. Hashes are in computed order.

    `root` is the stated Merkle root, `ids` those of the entries; `previous` is None for a first block.
    """

    block_hash: bytes
    previous: bytes | None
    height: int | None
    root: bytes
    ids: tuple[bytes, ...]
    certificates: int
    outputs: tuple[tuple[bytes | None, ...], ...] | None
    """For each entry the scripts of its outputs (None: nobody's); None where they were not told."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record: exactly one of `raw`, `stated` and `reason` is set.

    `place` says for people where it stands; `reason` is one of few phrases, `detail` the rest.
    """

    place: str
    raw: bytes | None = None
    stated: StatedBlock | None = None
    reason: str = ""
    detail: str = field(default="", kw_only=True)
    said_hash: bytes | None = field(default=None, kw_only=True)
    """The hash that the file gives for `raw`, where it does."""
    magic: bytes = field(default=b"", kw_only=True)
    """The four bytes before a block in a node's own file."""
