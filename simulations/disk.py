"""What a simulated node keeps through a crash: its store and its vote file.

Answers for: a write that was synced survives anything; one that was not survives the end of the process but
may be lost, with everything written after it, when the power goes. Fulfils the node machine's `Records`.
Spec: `spec/simulation.md`.
"""

from collections.abc import Iterator, Sequence

from protocol.group.vote import Slot
from protocol.units import Hash32

Write = tuple[bytes, bytes | None]

SHELVED = 256
"""Bytes of a value from which on equal ones of many disks are held in memory once."""
FAMILY_SIZE = 2
"""Bytes of a key that name its family: the keys of one are looked through without those of the others."""


class Disk:
    """A store of keys and values, and a list of recorded votes."""

    def __init__(self, *, remembers: bool = True, shelf: dict[bytes, bytes] | None = None) -> None:
        """`remembers` what was ever durable, for those who ask; that may be much.

        On a `shelf` equal values of many disks lie once.
        """
        self._shelf = {} if shelf is None else shelf
        self.votes: list[tuple[Slot, Hash32]] = []
        self.recorded: dict[Slot, Hash32] = {}
        self.ever_synced: set[bytes] = set()
        """Keys that were once written durably, though they may be deleted by now."""
        self._remembers = remembers
        self._families: dict[bytes, dict[bytes, bytes]] = {}
        self._undo: list[Sequence[Write]] = []
        """What takes back the batches that are not synced, one for each, in their order."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""
        family = self._families.get(key[:FAMILY_SIZE])
        return None if family is None else family.get(key)

    def iterate(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield the (key, value) pairs under `prefix`, which names a family, in key order."""
        family = self._families.get(prefix[:FAMILY_SIZE])
        if not family:
            return iter(())
        return iter(sorted([pair for pair in family.items() if pair[0].startswith(prefix)]))

    def record_vote(self, slot: Slot, content_hash: Hash32) -> None:
        """Append to the vote file and wait for the disk."""
        self.votes.append((slot, content_hash))
        self.recorded.setdefault(slot, content_hash)

    def write(self, writes: Sequence[Write], *, sync: bool) -> None:
        """Apply one atomic batch; a synced one makes everything before it safe too."""
        if not sync:
            self._undo.append([(key, self.get(key)) for key in dict(writes)])
        elif self._remembers:
            self.ever_synced.update(key for batch in (*self._undo, writes) for key, _ in batch)
        self._apply(writes)
        if sync:
            self._undo.clear()

    def cut_power(self, kept: int) -> None:
        """Lose all unsynced batches but the first `kept`."""
        for undo in reversed(self._undo[kept:]):
            self._apply(undo)
        self._undo.clear()

    @property
    def unsynced(self) -> int:
        """How many batches a power cut may lose."""
        return len(self._undo)

    def _apply(self, writes: Sequence[Write]) -> None:
        for key, value in writes:
            family = self._families.get(key[:FAMILY_SIZE])
            if family is None:
                family = self._families[key[:FAMILY_SIZE]] = {}
            if value is None:
                family.pop(key, None)
            elif len(value) >= SHELVED:
                family[key] = self._shelf.setdefault(value, value)
            else:
                family[key] = value
