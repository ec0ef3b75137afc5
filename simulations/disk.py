"""What a simulated node keeps through a crash: its store and its vote file.

Answers for: a write that was synced survives anything; one that was not survives the end of the process but
may be lost, with everything written after it, when the power goes. Fulfils the node machine's `Records`.
Spec: `spec/simulation.md`.
"""

from collections.abc import Iterator, Sequence

from protocol.group.vote import Slot
from protocol.units import Hash32

Write = tuple[bytes, bytes | None]


class Disk:
    """A store of keys and values, and a list of recorded votes."""

    def __init__(self) -> None:
        self.votes: list[tuple[Slot, Hash32]] = []
        self.recorded: dict[Slot, Hash32] = {}
        self.ever_synced: set[bytes] = set()
        """Keys that were once written durably, though they may be deleted by now."""
        self._safe: dict[bytes, bytes] = {}
        self._now: dict[bytes, bytes] = {}
        self._unsynced: list[Sequence[Write]] = []

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        return self._now.get(key)

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the (key, value) pairs under `prefix` in key order."""
        return iter(sorted((key, value) for key, value in self._now.items() if key.startswith(prefix)))

    def record_vote(self, slot: Slot, content_hash: Hash32) -> None:
        """Append to the vote file and wait for the disk."""
        self.votes.append((slot, content_hash))
        self.recorded.setdefault(slot, content_hash)

    def write(self, writes: Sequence[Write], *, sync: bool) -> None:
        """Apply one atomic batch; a synced one makes everything before it safe too."""
        _apply(self._now, writes)
        self._unsynced.append(writes)
        if sync:
            for batch in self._unsynced:
                _apply(self._safe, batch)
                self.ever_synced.update(key for key, _ in batch)
            self._unsynced.clear()

    def cut_power(self, kept: int) -> None:
        """Lose all unsynced batches but the first `kept`."""
        self._now = dict(self._safe)
        for batch in self._unsynced[:kept]:
            _apply(self._now, batch)
        self._safe = dict(self._now)
        self._unsynced.clear()

    @property
    def unsynced(self) -> int:
        """How many batches a power cut may lose."""
        return len(self._unsynced)


def _apply(store: dict[bytes, bytes], writes: Sequence[Write]) -> None:
    for key, value in writes:
        if value is None:
            store.pop(key, None)
        else:
            store[key] = value
