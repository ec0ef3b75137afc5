"""What a rule may ask about blocks of other groups, and what it is checked with.

Answers for: the port through which the rules of one data chain read the certified blocks
that a block names. A node fulfils it from the chains that it holds; what it does not hold
is not known yet. Spec: `spec/data_chain.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.chain.view import ChainView
from protocol.errors import NotYetKnown
from protocol.group.data_block import DataBlock, Payload
from protocol.group.membership import Membership
from protocol.group.quorum import Electorate
from protocol.group.state import GroupState
from protocol.units import Hash32


class NotHeld(NotYetKnown):
    """A block names another one, which is not held here."""

    def __init__(self, block_hash: bytes) -> None:
        super().__init__(f"block {block_hash.hex()[:16]} is named, and not held here")
        self.block_hash = Hash32(block_hash)
        """The one that is missing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A certified block that stands in the data chain of some group."""

    block_hash: Hash32
    block: DataBlock
    payload: Payload
    members: Membership
    """Of its group before it."""

    @property
    def electorate(self) -> Electorate:
        """Who certified it."""
        return self.members.voters()


class Elsewhere(Protocol):
    """The certified blocks of all groups, as far as one node holds them."""

    def standing(self, block_hash: bytes) -> Standing | None:
        """Return the block with this hash, or None when it is not held (or is no block)."""

    def registers(self, prefix: str, after: int, until: int | None = None) -> Sequence[Standing]:
        """Return the REGISTER blocks of a prefix above a height, in their order.

        With `until` those up to a place, and behind it; else all that count.
        """

    def state_at(self, prefix: str, height: int) -> GroupState | None:
        """Return a group's state at a height of its data chain, or None when that is not held."""


class Nowhere:
    """Nothing is held: a network of one group that names no blocks."""

    def standing(self, block_hash: bytes) -> Standing | None:
        """Return None."""
        return None

    def registers(self, prefix: str, after: int, until: int | None = None) -> Sequence[Standing]:
        """Return nothing."""
        return ()

    def state_at(self, prefix: str, height: int) -> GroupState | None:
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class Around:
    """With what a block is checked, besides its own group's state."""

    chain: ChainView
    elsewhere: Elsewhere
    is_stranded: bool = False
    """Whether the chain says nothing of this block, which is then taken on its certificate's word."""

    def named(self, block_hash: bytes) -> Standing:
        """Return a block that another one names; raises `NotHeld` while it is not held."""
        found = self.elsewhere.standing(block_hash)
        if found is None:
            raise NotHeld(block_hash)
        return found
