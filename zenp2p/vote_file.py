"""The file of our own votes: written and fsynced before a vote leaves, read at every start.

Answers for: a vote that was sent is in this file after any crash, or the file says
that some may be missing (`complete` is False) and goes on saying so until it is
rewritten. It lies apart from the store, whose log a crash may cut. Which votes
exclude which, and for how long an incomplete file silences the node, is left to
`protocol.group.vote_guard`; the slot is opaque bytes here. Spec: `spec/store.md`.

Layout: two head slots {magic, complete, records, running checksum}, written in turn,
then the records {slot length, slot, content hash, running checksum}. Records and head
are one file so that one fsync covers both: a cut tail leaves the head behind, which
then promises more than there is.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from zenp2p.durable_file import CHECKSUM_SIZE, SLOT_SPACING, checksum, read_slot, write_durably, write_slot
from zenp2p.ports import StoreError

CONTENT_HASH_SIZE = 32
SLOT_SIZE_MAX = 1_024
PRUNE_BYTES = 4 << 20
"""Size beyond which the shell should `rewrite` the file without the slots that can never come again."""

_MAGIC = b"zpv1"
_HEAD = struct.Struct(">4s?Q16s")
_LENGTH = struct.Struct(">H")
_START = 2 * SLOT_SPACING

Record = tuple[bytes, bytes]
"""(slot, content hash of 32 bytes)"""


@dataclass(frozen=True, slots=True)
class _Head:
    complete: bool
    count: int
    running: bytes

    def encode(self) -> bytes:
        return _HEAD.pack(_MAGIC, self.complete, self.count, self.running)


class VoteFile:
    """Append-only records of (slot, content hash). One process at a time (`zenp2p.lock`)."""

    def __init__(self, path: Path) -> None:
        """Open the file. A missing one is made anew, incomplete: only `create` may say otherwise.

        Damage (a cut tail, flipped bits) is noticed here: what is readable is kept and the
        file is marked incomplete. Raises `StoreError` when it cannot be read or written.
        """
        self.path = path
        self._descriptor = -1
        self._refusal = ""
        self._head = _Head(False, 0, bytes(CHECKSUM_SIZE))
        self._turn = 0
        self._end = _START
        try:
            if not path.exists():
                write_durably(path, _file_bytes([], complete=False))
            self._open()
        except OSError as error:
            self.close()
            raise StoreError(f"the vote file {path} cannot be opened: {error.strerror}") from None

    @classmethod
    def create(cls, path: Path) -> "VoteFile":
        """Make the empty file of a node that has never voted; raises `StoreError` if there is one."""
        try:
            write_durably(path, _file_bytes([], complete=True), overwrite=False)
        except OSError as error:
            raise StoreError(f"the vote file {path} cannot be created: {error.strerror}") from None
        return cls(path)

    @property
    def complete(self) -> bool:
        """Whether every vote ever sent is here; when not, some may be missing."""
        return self._head.complete

    @property
    def size(self) -> int:
        """Bytes of the file; see `PRUNE_BYTES`."""
        return self._end

    def load(self) -> list[Record]:
        """Return all records in the order in which they were appended; raises `StoreError`."""
        try:
            data = os.pread(self._descriptor, self._end - _START, _START)
        except OSError as error:
            raise StoreError(f"the vote file {self.path} cannot be read: {error.strerror}") from None
        return [(slot, content) for slot, content, _, _ in _parse(data)]

    def append(self, records: Sequence[Record]) -> None:
        """Append records and wait for the disk, once for all of them.

        Raises `StoreError`; then the vote must not be sent, and nothing more is accepted:
        after a failed fsync nobody knows what is on the disk.
        """
        if self._refusal:
            raise StoreError(self._refusal)
        data, running = _encode(records, self._head.running)
        head = _Head(self._head.complete, self._head.count + len(records), running)
        try:
            os.pwrite(self._descriptor, data, self._end)
            write_slot(self._descriptor, self._turn, head.encode())
            os.fdatasync(self._descriptor)
        except OSError as error:
            self._refusal = f"writing the vote file {self.path} failed: {error.strerror}"
            raise StoreError(self._refusal) from None
        self._head, self._end, self._turn = head, self._end + len(data), self._turn ^ 1

    def rewrite(self, records: Sequence[Record], *, complete: bool) -> None:
        """Replace the whole file at once: to prune it, or to end a silence. Raises `StoreError`."""
        try:
            write_durably(self.path, _file_bytes(records, complete=complete))
            self._open()
        except OSError as error:
            self._refusal = f"rewriting the vote file {self.path} failed: {error.strerror}"
            raise StoreError(self._refusal) from None

    def close(self) -> None:
        """Close the file; may be called twice."""
        self._refusal = self._refusal or f"the vote file {self.path} is closed"
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> None:
        """Read heads and records; rewrite the file when they do not fit together."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        size = os.fstat(self._descriptor).st_size
        parsed = list(_parse(os.pread(self._descriptor, max(size - _START, 0), _START)))
        head, self._turn = self._newest_head()
        runnings = [bytes(CHECKSUM_SIZE)] + [running for _, _, running, _ in parsed]
        if head is None or head.count >= len(runnings) or runnings[head.count] != head.running:
            self.rewrite([(slot, content) for slot, content, _, _ in parsed], complete=False)
            return
        # Records beyond the head were written by an append whose head did not reach the disk: they count.
        self._head = _Head(head.complete, len(parsed), runnings[-1])
        self._end = _START + (parsed[-1][3] if parsed else 0)

    def _newest_head(self) -> tuple[_Head | None, int]:
        """Return the head with the most records, and the slot that the next one goes to."""
        newest, turn = None, 0
        for place in (0, 1):
            payload = read_slot(self._descriptor, place, _HEAD.size)
            if payload is None or not payload.startswith(_MAGIC):
                continue
            head = _Head(*_HEAD.unpack(payload)[1:])
            if newest is None or head.count > newest.count:
                newest, turn = head, place ^ 1
        return newest, turn


def _encode(records: Sequence[Record], running: bytes) -> tuple[bytes, bytes]:
    """Return the bytes of `records` behind `running`, and the running checksum after them."""
    parts = []
    for slot, content in records:
        if len(slot) > SLOT_SIZE_MAX or len(content) != CONTENT_HASH_SIZE:
            raise ValueError(f"a slot of {len(slot)} bytes, a content hash of {len(content)}")
        record = _LENGTH.pack(len(slot)) + slot + content
        running = checksum(running, record)
        parts += [record, running]
    return b"".join(parts), running


def _parse(data: bytes) -> Iterator[tuple[bytes, bytes, bytes, int]]:
    """Yield (slot, content hash, running checksum, end) up to the first record that is cut or wrong."""
    running, start = bytes(CHECKSUM_SIZE), 0
    while start + _LENGTH.size <= len(data):
        slot_start = start + _LENGTH.size
        content_start = slot_start + _LENGTH.unpack_from(data, start)[0]
        record_end = content_start + CONTENT_HASH_SIZE
        end = record_end + CHECKSUM_SIZE
        if end > len(data) or checksum(running, data[start:record_end]) != data[record_end:end]:
            return
        running = data[record_end:end]
        yield data[slot_start:content_start], data[content_start:record_end], running, end
        start = end


def _file_bytes(records: Sequence[Record], *, complete: bool) -> bytes:
    """Return a whole file: one head slot, then the records."""
    data, running = _encode(records, bytes(CHECKSUM_SIZE))
    payload = _Head(complete, len(records), running).encode()
    return (payload + checksum(payload)).ljust(_START, b"\0") + data
