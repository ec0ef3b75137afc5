"""The part of a node's chain that is followed next, held here so that following never waits.

Answers for: what was fetched is one branch that stands on a block of our own index, each
block being what its hash says, down to the last transaction. What does not stand on it is
left out: the node changed its branch while it was asked. Fulfils `ChainSource` for
`follower`. What is fetched, and when, is left to `source`. Spec: `spec/external_chain.md`.
"""

from collections.abc import Sequence

from protocol.chain.block import block_hash, check_merkle_root, parse_block
from protocol.chain.rules import ChainRules
from protocol.errors import InvalidChainData
from protocol.units import Hash32, Height
from zenp2p.chain.index import ChainIndex


class Window:
    """One branch: our index up to `fork`, then the blocks fetched."""

    def __init__(self, index: ChainIndex, rules: ChainRules, fork: int) -> None:
        """Begin on our block at height `fork`; -1 stands for an index that is still empty."""
        self._index = index
        self._rules = rules
        self._fork = fork
        self._hashes: list[Hash32] = []
        self._blocks: dict[Hash32, tuple[Hash32, bytes]] = {}

    @property
    def first_height(self) -> Height:
        """A node's chain is whole."""
        return Height(0)

    @property
    def next_height(self) -> Height:
        """The height of the block that is wanted next."""
        return Height(self._fork + len(self._hashes) + 1)

    def add(self, hashes: Sequence[Hash32], blocks: Sequence[bytes]) -> None:
        """Take the next blocks, as far as each stands on the one before.

        Raises `InvalidChainData` for one that is not what its hash says.
        """
        for named, raw in zip(hashes, blocks, strict=True):
            block = parse_block(raw, self._rules)
            if block_hash(block.header) != named:
                raise InvalidChainData(f"the node's block {self.next_height} is not the one that it names")
            check_merkle_root(block)
            if self._fork >= 0 and block.header.previous != self.block_hash(self.next_height - 1):
                return
            self._blocks[named] = Hash32(block.header.previous), raw
            self._hashes.append(named)

    def tip(self) -> tuple[Height, Hash32]:
        """Return the height and hash of the last block held."""
        height = Height(self._fork + len(self._hashes))
        found = self.block_hash(height)
        if found is None:
            raise IndexError("nothing is held yet")
        return height, found

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash at `height`: our own up to the fork, what was fetched above it."""
        if height <= self._fork:
            return self._index.block_hash(height)
        position = height - self._fork - 1
        return self._hashes[position] if position < len(self._hashes) else None

    def parent(self, block_hash: Hash32) -> Hash32 | None:
        """Return the hash of the block before a fetched one."""
        held = self._blocks.get(block_hash)
        return held[0] if held else None

    def block(self, block_hash: Hash32) -> bytes | None:
        """Return a fetched raw block."""
        held = self._blocks.get(block_hash)
        return held[1] if held else None
