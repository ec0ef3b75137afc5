"""Keeps the index on the source's active chain, one block at a time.

Answers for: turning "what is active now" into an ordered series of connected and
disconnected blocks, in which every disconnected block was the last one connected. The
index is the memory: wherever following stopped, it goes on from there, and whoever
remembers the number of the last event it acted on gets the following ones from the
index (`ChainIndex.events_from`). Spec: `spec/index.md`.
"""

from collections.abc import Iterator

from protocol.units import Hash32
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.source import ChainEvent, ChainSource, Connected


class Follower:
    """Moves one index along one source."""

    def __init__(self, source: ChainSource, index: ChainIndex) -> None:
        self._source = source
        self._index = index

    def advance(self) -> ChainEvent | None:
        """Connect or disconnect one block, or return None when the index is where the source is.

        Raises `InvalidChainData` when the chains differ from their first block on.
        """
        head = self._index.head
        if head is None:
            return self._connect(self._source.first_height)
        if self._source.block_hash(head.height) != head.block_hash:
            return self._index.disconnect()
        return self._connect(head.height + 1)

    def follow(self, limit: int, until: int | None = None) -> Iterator[ChainEvent]:
        """Advance at most `limit` times, and not above height `until`; yields each event when it is done."""
        for _ in range(limit):
            head = self._index.head
            if head is not None and until is not None and head.height >= until:
                return
            event = self.advance()
            if event is None:
                return
            yield event

    def _connect(self, height: int) -> Connected | None:
        """Connect the source's block at `height`, if it has one and it still stands on our head."""
        block_hash = self._source.block_hash(height)
        if block_hash is None or not self._fits(block_hash):
            return None
        raw = self._source.block(block_hash)
        return None if raw is None else self._index.connect(block_hash, raw)

    def _fits(self, block_hash: Hash32) -> bool:
        """Whether the block stands on our head: an external source may change between two questions."""
        head = self._index.head
        return head is None or self._source.parent(block_hash) == head.block_hash
