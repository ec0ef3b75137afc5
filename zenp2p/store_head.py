"""The integrity head of the store: links between batches, and the file that says how far they reach.

Answers for: what LevelDB lost is noticed when the store is opened. Each batch writes
one link {count, digest of the batch, running hash} into a ring of `RING_SIZE` slots,
in the same atomic batch; after each synced batch the head {count, running hash} goes
into a small file of its own. A log that lost its tail does not reach the file's head,
one that lost its middle has a gap in the ring. The checksums of the records themselves
are LevelDB's. Nothing here is a defence against an attacker. Spec: `spec/store.md`.
"""

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from zenp2p.durable_file import CHECKSUM_SIZE, checksum, read_slot, sync_folder, write_slot
from zenp2p.ports import StoreError

RING_SIZE = 4_096
"""Links kept: more batches than LevelDB's log (two write buffers) usually holds, and read in milliseconds."""

_LINK = struct.Struct(">Q16s16s")
_SLOT = struct.Struct(">4sQ16s")
_SLOT_MAGIC = b"zph1"


@dataclass(frozen=True, slots=True)
class Head:
    """How many batches were written, and the running hash over them all."""

    count: int
    running: bytes


EMPTY = Head(0, bytes(CHECKSUM_SIZE))


@dataclass(frozen=True, slots=True)
class Link:
    """One batch's place in the sequence: its number, its digest, the running hash after it."""

    count: int
    digest: bytes
    running: bytes

    @property
    def slot(self) -> int:
        """Which slot of the ring this link takes."""
        return self.count % RING_SIZE

    @property
    def head(self) -> Head:
        """The head after this batch."""
        return Head(self.count, self.running)

    def encode(self) -> bytes:
        """Return the 40 bytes of the link."""
        return _LINK.pack(self.count, self.digest, self.running)

    @classmethod
    def decode(cls, data: bytes) -> "Link":
        """Read what `encode` wrote; raises `StoreError`."""
        if len(data) != _LINK.size:
            raise StoreError(f"a link of {len(data)} bytes")
        return cls(*_LINK.unpack(data))


def next_link(head: Head, batch: Sequence[tuple[bytes, bytes | None]]) -> Link:
    """Return the link that `batch` adds behind `head`."""
    digest = _batch_digest(batch)
    return Link(head.count + 1, digest, checksum(head.running, digest))


def verify_links(links: Sequence[Link], stated: Head) -> Head:
    """Return the head of the log; raises `StoreError` when it does not hold what `stated` promises.

    `links` is the ring as read, in any order. The log may be ahead of `stated` (batches written
    without a sync, or a crash before the head file was written), never behind it.
    """
    chain = sorted(links, key=lambda link: link.count)
    last = chain[-1].head if chain else EMPTY
    if last.count < stated.count:
        raise StoreError(f"{last.count} batches are left of {stated.count}")
    if len(chain) != min(last.count, RING_SIZE):
        raise StoreError(f"{len(chain)} links up to batch {last.count}")
    running = {0: EMPTY.running} | {link.count: link.running for link in chain}
    for link in chain:
        before = running.get(link.count - 1)
        if before is None and link is not chain[0]:
            raise StoreError(f"batch {link.count - 1} is missing")
        if before is not None and checksum(before, link.digest) != link.running:
            raise StoreError(f"batch {link.count} does not follow the one before")
    if running.get(stated.count) != stated.running:
        raise StoreError(f"batch {stated.count} is not the one that its head file names")
    return last


class HeadFile:
    """The head on disk, in two slots written in turn, each with a checksum."""

    def __init__(self, path: Path) -> None:
        """Open or create the file (mode 0600). Raises `OSError`, or `StoreError` for damage."""
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._turn = 0
            if not os.fstat(self._file).st_size:
                self.write(EMPTY)
                sync_folder(path.parent)
            self.head = self._read()
        except BaseException:
            self.close()
            raise

    def write(self, head: Head) -> None:
        """Write `head` over the older slot and wait for the disk; raises `OSError`."""
        write_slot(self._file, self._turn, _SLOT.pack(_SLOT_MAGIC, head.count, head.running))
        os.fdatasync(self._file)
        self._turn ^= 1
        self.head = head

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> Head:
        """Return the newer valid slot and let the next write take the other one."""
        heads = [self._read_slot(turn) for turn in (0, 1)]
        counts = [-1 if head is None else head.count for head in heads]
        newer = 0 if counts[0] > counts[1] else 1
        head = heads[newer]
        if head is None:
            raise StoreError(f"the head file {self.path} is damaged: neither of its two slots is readable")
        self._turn = newer ^ 1
        return head

    def _read_slot(self, turn: int) -> Head | None:
        payload = read_slot(self._file, turn, _SLOT.size)
        if payload is None:
            return None
        magic, count, running = _SLOT.unpack(payload)
        return Head(count, running) if magic == _SLOT_MAGIC else None


def _batch_digest(batch: Sequence[tuple[bytes, bytes | None]]) -> bytes:
    """Digest lengths (-1 for a delete), keys and values; joined first, which is ten times faster."""
    keys = [key for key, _ in batch]
    values = [value for _, value in batch]
    lengths = [-1 if value is None else len(value) for value in values]
    digest = hashlib.sha256(struct.pack(f">{2 * len(keys)}i", *map(len, keys), *lengths))
    digest.update(b"".join(keys))
    digest.update(b"".join([value for value in values if value is not None]))
    return digest.digest()[:CHECKSUM_SIZE]
