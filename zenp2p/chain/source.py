"""What a chain must offer to be followed, and what following it yields.

Answers for: one port for every kind of chain (our own, a file of raw blocks, later an
external node), so that the index and the node machine never know which one they run
on. Asking is synchronous and local. How the chain decides which branch is active is
left to it; turning its answers into events to `follower`. Spec: `spec/index.md`.
"""

from dataclasses import dataclass
from typing import Protocol

from protocol.units import Hash32, Height


class ChainSource(Protocol):
    """The active chain's blocks, from `first_height` to the tip. Hashes are in computed order."""

    @property
    def first_height(self) -> Height:
        """The lowest height that the source holds; 0 for a whole chain."""

    def tip(self) -> tuple[Height, Hash32]:
        """Return the height and hash of the last block."""

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash of the active chain's block at `height`, None outside of it."""

    def parent(self, block_hash: Hash32) -> Hash32 | None:
        """Return the hash of the block before, None for the first and for an unknown block."""

    def block(self, block_hash: Hash32) -> bytes | None:
        """Return the raw block, or None when the source does not hold it (any more)."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The active chain grew by this block. Events are numbered from 0 without gaps."""

    number: int
    height: Height
    block_hash: Hash32


@dataclass(frozen=True, slots=True)
class Disconnected:
    """This block, the last one until now, is no longer on the active chain."""

    number: int
    height: Height
    block_hash: Hash32


ChainEvent = Connected | Disconnected
