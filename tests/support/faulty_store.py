"""A store that fails or "crashes" at a chosen write, and shows what a restart would find.

Run a scenario once to count its writes, then once for each write and each `Fault`:
after a crash, take `survivor()` as the store that the restarted node opens.
"""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from zenp2p.ports import Store, StoreError
from zenp2p.store import LAST_KEY, MemoryStore

Batch = Sequence[tuple[bytes, bytes | None]]


class SimulatedCrash(Exception):
    """The process died here: nothing of it runs on."""


class Fault(Enum):
    """What happens at the chosen write."""

    FAIL = "the disk refuses the batch (ENOSPC, EIO); the process lives on"
    CRASH_BEFORE = "the process dies before the batch is in the log"
    CRASH_AFTER = "the process dies when the batch is in the log, before the caller learns of it"
    POWER_LOSS = "as CRASH_AFTER, and every batch since the last synced one is lost"


class FaultyStore:
    """Passes everything through to memory until write number `at` (from 1), where `fault` strikes.

    After it every write is refused (and every call, once crashed): a broken disk does not heal
    in a running process.
    """

    def __init__(
        self, at: int = 0, fault: Fault = Fault.CRASH_AFTER, values: dict[bytes, bytes] | None = None
    ) -> None:
        self.writes = 0
        """How many batches were asked for so far."""
        self._at = at
        self._fault = fault
        self._struck = False
        self._current = MemoryStore(values)
        self._durable = MemoryStore(values)
        self._unsynced: list[Batch] = []

    def get(self, key: bytes) -> bytes | None:
        self._check_alive()
        return self._current.get(key)

    def write(self, batch: Batch, *, sync: bool) -> None:
        self._check_alive()
        if self._struck:
            raise StoreError("the store is read-only since a write failed")
        self.writes += 1
        if self.writes != self._at:
            self._apply(batch, sync)
            return
        self._struck = True
        if self._fault is Fault.FAIL:
            raise StoreError(f"planted fault at write {self._at}")
        if self._fault is not Fault.CRASH_BEFORE:
            self._apply(batch, sync)
        raise SimulatedCrash(f"at write {self._at}")

    def iterate(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        self._check_alive()
        return self._current.iterate(prefix, after)

    def snapshot(self) -> Store:
        self._check_alive()
        return self._current.snapshot()

    def compact(self, first: bytes = b"", last: bytes = LAST_KEY) -> None:
        self._check_alive()

    def close(self) -> None:
        self._current.close()

    def survivor(self) -> MemoryStore:
        """Return the store as the next start finds it."""
        source = self._durable if self._fault is Fault.POWER_LOSS else self._current
        return MemoryStore(dict(source.iterate(b"")))

    def _apply(self, batch: Batch, sync: bool) -> None:
        self._current.write(batch, sync=sync)
        self._unsynced.append(list(batch))
        if sync:
            for each in self._unsynced:
                self._durable.write(each, sync=True)
            self._unsynced = []

    def _check_alive(self) -> None:
        if self._struck and self._fault is not Fault.FAIL:
            raise SimulatedCrash("the process is dead")


def every_fault(run: Callable[[FaultyStore], None]) -> Iterator[tuple[int, Fault, FaultyStore]]:
    """Run `run` with each fault at each of its writes; yield (write, fault, store) after each.

    `run` gets a fresh store each time and must make the same writes when nothing strikes.
    """
    clean = FaultyStore()
    run(clean)
    for fault in Fault:
        for at in range(1, clean.writes + 1):
            store = FaultyStore(at, fault)
            try:
                run(store)
            except SimulatedCrash:
                assert fault is not Fault.FAIL
            except StoreError:
                assert fault is Fault.FAIL
            yield at, fault, store
