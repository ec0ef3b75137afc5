"""What a chain must be able to answer.

Answers for: the one port through which the rules read a chain. It is synchronous and
a pure function of the chain's blocks: the daemon answers it from its index, the
simulator from memory. Hashes are in computed order; heights count from block 0.
Spec: `spec/chain.md`.
"""

from collections.abc import Sequence
from typing import Protocol

from protocol.chain.mark import Mark
from protocol.chain.rules import ChainFamily
from protocol.units import Hash32, Height, Zatoshi


class ChainView(Protocol):
    """The active chain as seen now. Nothing here waits."""

    @property
    def family(self) -> ChainFamily:
        """How this chain's transactions are laid out (`ChainRules.family`)."""

    def tip(self) -> tuple[Height, Hash32]:
        """Return the height and hash of the last block."""

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash of the block at `height`, or None above the tip."""

    def transaction_count(self, height: int) -> int:
        """Return the number of transactions in the blocks 0 to `height`, both included."""

    def transaction(self, ordinal: int) -> bytes:
        """Return the raw transaction with this number, counted from 0 by (height, position)."""

    def balance(self, address: bytes, height: int) -> Zatoshi:
        """Return what the 21-byte address holds at the end of block `height`."""

    def marks(self, first: int, last: int) -> Sequence[Mark]:
        """Return the marks in the blocks `first` to `last`, in the chain's order; none above the tip."""
