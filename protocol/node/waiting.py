"""Certified blocks that came before what they rest on.

Answers for: a block waits for another one (its predecessor, or one that it names), or for a height of our
chain, and is handed out when that is there; what waits is bounded, and the oldest is dropped first: it can be
asked for again. Whether a block may be applied is left to `groups`. Spec: `spec/node.md`.
"""

from dataclasses import dataclass

from protocol.group.data_block import CertifiedBlock, block_hash, decode_block
from protocol.units import Hash32

WAITING_MAX = 1_024
"""Blocks that wait at one time."""
WAITING_BYTES_MAX = 64 << 20
"""Bytes of blocks and certificates that wait at one time."""
SIGNATURE_BYTES = 256
"""What one signature of a certificate takes in memory: nobody has checked how many there should be."""

Needs = Hash32 | int
"""The hash of a data block, or a height of the chain."""


@dataclass(frozen=True, slots=True)
class _Entry:
    certified: CertifiedBlock
    needs: Needs
    place: tuple[str, int]
    size: int
    is_proven: bool
    """Whether its certificate was checked; of what lies further ahead nobody can tell yet."""


class Waiting:
    """The blocks that wait, oldest first."""

    def __init__(self) -> None:
        self._entries: dict[Hash32, _Entry] = {}
        self._by_need: dict[Hash32, dict[Hash32, None]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def hold(self, certified: CertifiedBlock, needs: Needs, *, is_proven: bool) -> None:
        """Let a block wait for something."""
        hashed, block = block_hash(certified.block), decode_block(certified.block)
        self._drop(hashed)
        size = len(certified.block) + SIGNATURE_BYTES * len(certified.certificate.signatures)
        self._entries[hashed] = _Entry(certified, needs, (block.prefix, block.height), size, is_proven)
        self._bytes += size
        if not isinstance(needs, int):
            self._by_need.setdefault(needs, {})[hashed] = None
        while len(self._entries) > WAITING_MAX or self._bytes > WAITING_BYTES_MAX:
            self._drop(next(iter(self._entries)))

    def freed_by(self, hashed: Hash32) -> list[CertifiedBlock]:
        """Hand out what waited for this block."""
        return self._release(list(self._by_need.get(hashed, ())))

    def freed_at(self, height: int) -> list[CertifiedBlock]:
        """Hand out what waited for our chain to reach a height up to this one."""
        return self._release(
            [key for key, one in self._entries.items() if isinstance(one.needs, int) and one.needs <= height]
        )

    @property
    def lacks(self) -> bool:
        """Whether a block waits for another one, which it names or follows."""
        return bool(self._by_need)

    def proven(self) -> frozenset[tuple[str, int]]:
        """Return the places of which a certified block is here: it need not be asked for."""
        return frozenset(one.place for one in self._entries.values() if one.is_proven)

    def _release(self, keys: list[Hash32]) -> list[CertifiedBlock]:
        released = [self._entries[key].certified for key in keys]
        for key in keys:
            self._drop(key)
        return released

    def _drop(self, hashed: Hash32) -> None:
        entry = self._entries.pop(hashed, None)
        if entry is None:
            return
        self._bytes -= entry.size
        if not isinstance(entry.needs, int):
            others = self._by_need[entry.needs]
            del others[hashed]
            if not others:
                del self._by_need[entry.needs]
