"""The node's database: LevelDB behind the `Store` port, and the same in memory for tests.

Answers for: an acknowledged batch is there after a crash, whole, or the store says
that it is not. LevelDB alone does not: it accepts a truncated log even in paranoid
mode and skips zeroed blocks, so every batch carries a link to the one before
(`zenp2p.store_head`), and a small fsynced file beside the database says how far the
links must reach. Both are compared when the store is opened. What the records mean is
left to those who write them; votes have a file of their own (`zenp2p.vote_file`).
Spec: `spec/store.md`. The only importer of plyvel.
"""

import bisect
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import plyvel

from zenp2p.ports import Store, StoreError
from zenp2p.store_head import RING_SIZE, Head, HeadFile, Link, next_link, verify_links

SCHEMA_VERSION = 1
"""Raised with every change of the meaning of a record; an older program refuses a newer store."""
OWN_PREFIX = b"\xff"
"""Keys from here on belong to the store itself."""
LAST_KEY = b"\xff" * 8
"""Above every key."""
WRITE_BUFFER_BYTES = 4 << 20
"""LevelDB's log is replayed at each start: 4 MiB take about 0.1 s."""
BLOCK_CACHE_BYTES = 16 << 20
BLOOM_BITS = 10
FREE_BYTES_MIN = 256 << 20
"""Free disk space below which the store takes no more writes."""
UNSYNCED_BATCHES_MAX = RING_SIZE // 2
"""Batches in a row that may go unsynced; the next one is synced whatever was asked for."""

_RING_PREFIX = OWN_PREFIX + b"link"
_SCHEMA_KEY = OWN_PREFIX + b"schema"

Batch = Sequence[tuple[bytes, bytes | None]]


class StoreReadOnly(StoreError):
    """The disk is nearly full, or an earlier write failed: reading goes on, writing does not."""


class LevelStore:
    """An ordered map of bytes on disk. Writing is safe from several threads, one batch at a time."""

    def __init__(
        self,
        path: Path,
        *,
        free_bytes_min: int = FREE_BYTES_MIN,
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        """Open the database folder `path`, making it when there is none; raises `StoreError`.

        The head file is `path` with `.head` appended. `free_bytes` tells the free disk space
        (the file system's own figure by default).
        """
        self.path = path
        self._free_bytes_min = free_bytes_min
        self._free_bytes = free_bytes or (lambda: _free_bytes_at(path))
        self._lock = threading.Lock()
        self._refusal = ""
        self._unsynced = 0
        self._db: Any = None
        self._head_file = _open_head_file(path)
        try:
            self._db = _open_database(path, must_exist=self._head_file.head.count > 0)
            self._head = self._verify()
            self._unsynced = self._head.count - self._head_file.head.count
            if not self._head.count:
                self.write([], sync=True)
        except BaseException:
            self.close()
            raise

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        _check_key(key)
        try:
            value: bytes | None = self._db.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise _store_error(self.path, error) from None
        return value

    def write(self, batch: Batch, *, sync: bool) -> None:
        """Apply the batch atomically; with `sync` it is on disk on return.

        Raises `StoreReadOnly` when the disk is nearly full (nothing is written then), and
        `StoreError` when the write fails: from then on the store is read-only until it is
        opened again, because nobody knows whether that batch is in the log.
        """
        with self._lock:
            self._check_writable()
            sync = sync or self._unsynced >= UNSYNCED_BATCHES_MAX
            link = next_link(self._head, batch)
            writes = self._db.write_batch(sync=sync)
            put, delete = writes.put, writes.delete
            for key, value in batch:
                if key >= OWN_PREFIX:
                    raise ValueError(f"key {key.hex()} belongs to the store itself")
                if value is None:
                    delete(key)
                else:
                    put(key, value)
            if not self._head.count:
                put(_SCHEMA_KEY, SCHEMA_VERSION.to_bytes(4, "big"))
            put(_RING_PREFIX + link.slot.to_bytes(2, "big"), link.encode())
            self._commit(writes, link.head, sync)

    def iterate(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs under `prefix`, above `after`, in key order, as they stand at the call."""
        _check_key(prefix)
        return _pairs(self._db, prefix, after, self.path)

    def snapshot(self) -> Store:
        """Return a read-only view of this moment; close it, it keeps old records alive."""
        return _LevelSnapshot(self._db.snapshot(), self.path)

    def compact(self, first: bytes = b"", last: bytes = LAST_KEY) -> None:
        """Give back the space of deleted and overwritten records between two keys; of all takes long."""
        try:
            self._db.compact_range(start=first, stop=last)  # without a stop it does nothing
        except (plyvel.Error, RuntimeError) as error:
            raise _store_error(self.path, error) from None

    def check(self) -> int:
        """Read every record with its checksum and return how many there are; raises `StoreError`."""
        return sum(1 for _ in self.iterate(b""))

    @property
    def read_only_reason(self) -> str:
        """Why writes are refused now, or an empty string."""
        free = self._free_bytes()
        if not self._refusal and free < self._free_bytes_min:
            return f"{free >> 20} MiB free on the disk of {self.path}, {self._free_bytes_min >> 20} wanted"
        return self._refusal

    def close(self) -> None:
        """Sync what is not yet synced and release LevelDB's lock; may be called twice."""
        with self._lock:
            try:
                if self._unsynced and not self._refusal:
                    self._sync_head()
            finally:
                self._refusal = self._refusal or f"the store at {self.path} is closed"
                self._head_file.close()
                if self._db is not None:
                    self._db.close()

    def _check_writable(self) -> None:
        if reason := self.read_only_reason:
            raise StoreReadOnly(reason)

    def _commit(self, writes: "plyvel.WriteBatch", head: Head, sync: bool) -> None:
        """Write the batch, then, when synced, the head file: its head never runs ahead of the log."""
        try:
            writes.write()
            if sync:
                self._head_file.write(head)
        except (plyvel.Error, OSError) as error:
            self._refusal = f"writing to {self.path} failed: {error}"
            raise StoreError(self._refusal) from None
        self._head = head
        self._unsynced = 0 if sync else self._unsynced + 1

    def _sync_head(self) -> None:
        """Bring what is in LevelDB's log to the disk: an empty synced batch flushes all before it."""
        try:
            self._db.write_batch(sync=True).write()
            self._head_file.write(self._head)
        except (plyvel.Error, OSError) as error:
            raise _store_error(self.path, error) from None

    def _verify(self) -> Head:
        """Compare links, head file and schema; return the head of the log."""
        schema = self._db.get(_SCHEMA_KEY, verify_checksums=True)
        if schema is not None and int.from_bytes(schema, "big") != SCHEMA_VERSION:
            raise StoreError(
                f"the store at {self.path} has schema {int.from_bytes(schema, 'big')},"
                f" this program reads schema {SCHEMA_VERSION}"
            )
        links = [Link.decode(value) for _, value in _pairs(self._db, _RING_PREFIX, b"", self.path)]
        try:
            return verify_links(links, self._head_file.head)
        except StoreError as error:
            raise _damaged(self.path, str(error)) from None


class _LevelSnapshot:
    """A read-only view of a `LevelStore`."""

    def __init__(self, snapshot: "plyvel.Snapshot", path: Path) -> None:
        self._snapshot = snapshot
        self._path = path

    def get(self, key: bytes) -> bytes | None:
        _check_key(key)
        try:
            value: bytes | None = self._snapshot.get(key, verify_checksums=True)
        except (plyvel.Error, RuntimeError) as error:
            raise _store_error(self._path, error) from None
        return value

    def write(self, batch: Batch, *, sync: bool) -> None:
        raise StoreReadOnly("a snapshot takes no writes")

    def iterate(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        _check_key(prefix)
        return _pairs(self._snapshot, prefix, after, self._path)

    def snapshot(self) -> Store:
        return self

    def compact(self, first: bytes = b"", last: bytes = LAST_KEY) -> None:
        raise StoreReadOnly("a snapshot cannot be compacted")

    def close(self) -> None:
        self._snapshot.close()


class MemoryStore:
    """The same contract in memory. For tests and throw-away nodes: nothing survives the process."""

    def __init__(self, values: dict[bytes, bytes] | None = None, *, read_only: bool = False) -> None:
        self._values = dict(values or {})
        self._keys = sorted(self._values)
        self._refusal = "a snapshot takes no writes" if read_only else ""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        _check_key(key)
        return self._values.get(key)

    def write(self, batch: Batch, *, sync: bool) -> None:
        """Apply the batch."""
        if self._refusal:
            raise StoreReadOnly(self._refusal)
        for key, _ in batch:
            _check_key(key)
        for key, value in batch:
            if value is None:
                if self._values.pop(key, None) is not None:
                    del self._keys[bisect.bisect_left(self._keys, key)]
                continue
            if key not in self._values:
                bisect.insort(self._keys, key)
            self._values[key] = bytes(value)

    def iterate(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the pairs under `prefix`, above `after`, in key order, as they stand at the call."""
        _check_key(prefix)
        first = bisect.bisect_left(self._keys, prefix)
        if after:
            first = max(first, bisect.bisect_right(self._keys, after))
        end = bisect.bisect_left(self._keys, _after(prefix), first)
        return iter([(key, self._values[key]) for key in self._keys[first:end]])

    def snapshot(self) -> Store:
        """Return a read-only copy."""
        return MemoryStore(self._values, read_only=True)

    def compact(self, first: bytes = b"", last: bytes = LAST_KEY) -> None:
        """Nothing to give back."""

    def close(self) -> None:
        """Refuse further writes, as a closed database does."""
        self._refusal = self._refusal or "the store is closed"


def _check_key(key: bytes) -> None:
    if key >= OWN_PREFIX:
        raise ValueError(f"key {key.hex()} belongs to the store itself")


def _after(prefix: bytes) -> bytes:
    """Return the least key above every key that starts with `prefix`."""
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else OWN_PREFIX


def _pairs(
    source: "plyvel.DB | plyvel.Snapshot", prefix: bytes, after: bytes, path: Path
) -> Iterator[tuple[bytes, bytes]]:
    """Open the iterator now, so that it sees this moment; return what walks it."""
    start, include = (after, False) if after and after >= prefix else (prefix, True)
    stop = _after(prefix)
    try:
        pairs = source.iterator(
            start=min(start, stop), stop=stop, include_start=include, verify_checksums=True
        )
    except (plyvel.Error, RuntimeError) as error:
        raise _store_error(path, error) from None
    return _walk(pairs, path)


def _walk(pairs: "plyvel.Iterator", path: Path) -> Iterator[tuple[bytes, bytes]]:
    try:
        yield from pairs
    except (plyvel.Error, RuntimeError) as error:
        raise _store_error(path, error) from None
    finally:
        pairs.close()


def _open_head_file(path: Path) -> HeadFile:
    head_path = path.with_name(path.name + ".head")
    database_there = (path / "CURRENT").exists()
    if database_there and not (head_path.exists() and head_path.stat().st_size):
        raise _damaged(path, f"its head file {head_path} is missing")
    try:
        return HeadFile(head_path)
    except OSError as error:
        raise StoreError(f"the head file {head_path} cannot be opened: {error.strerror}") from None


def _open_database(path: Path, *, must_exist: bool) -> "plyvel.DB":
    if must_exist and not (path / "CURRENT").exists():
        raise _damaged(path, "the database is gone, only its head file is there")
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        return plyvel.DB(
            str(path),
            create_if_missing=not must_exist,
            paranoid_checks=True,
            write_buffer_size=WRITE_BUFFER_BYTES,
            lru_cache_size=BLOCK_CACHE_BYTES,
            bloom_filter_bits=BLOOM_BITS,
            compression=None,  # hashes and signatures do not shrink, and lookups are twice as fast
        )
    except plyvel.CorruptionError as error:
        raise _damaged(path, str(error)) from None
    except (plyvel.Error, OSError) as error:
        raise StoreError(f"the store at {path} cannot be opened: {error}") from None


def _store_error(path: Path, error: Exception) -> StoreError:
    """Name what LevelDB says; plyvel raises a bare `RuntimeError` for anything closed."""
    if isinstance(error, plyvel.CorruptionError):
        return _damaged(path, str(error))
    return StoreError(f"the store at {path} failed: {error}")


def _damaged(path: Path, reason: str) -> StoreError:
    return StoreError(
        f"the store at {path} is damaged: {reason}. Move {path.name} and {path.name}.head away;"
        " the node then fetches everything from its peers again (its keys and votes are elsewhere)"
    )


def _free_bytes_at(path: Path) -> int:
    status = os.statvfs(path)
    return status.f_bavail * status.f_frsize
