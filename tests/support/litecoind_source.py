"""A real node's chain for the index, synchronously: every question is asked over JSON-RPC at once.

For tests and benchmarks, which have no loop to wait in; what the daemon uses is another part.

`python -m tests.support.litecoind_source PORT COOKIE FOLDER` indexes the chain of a running node into a
LevelDB store, from wherever the store stands, and says after each block which height it is.
"""

import sys
from pathlib import Path

from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.rules import LITECOIN_REGTEST
from protocol.units import Hash32, Height
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.rpc.errors import NodeRefusal
from zenp2p.devnet.litecoin_client import LitecoinClient
from zenp2p.ports import Store
from zenp2p.store import LevelStore

STEPS_MAX = 100_000
PREVIOUS = slice(4, 36)
"""Where a raw block names the one before it."""
OUT_OF_RANGE, UNKNOWN = -8, -5


class LitecoindSource:
    """Fulfils `zenp2p.chain.source.ChainSource`."""

    def __init__(self, client: LitecoinClient) -> None:
        self._client = client
        self._fetched: tuple[Hash32, bytes] | None = None

    @property
    def first_height(self) -> Height:
        """The whole chain."""
        return Height(0)

    def tip(self) -> tuple[Height, Hash32]:
        """Return the node's best block."""
        info = self._client.call("getblockchaininfo")
        return Height(info["blocks"]), parse_display_hash(info["bestblockhash"])

    def block_hash(self, height: int) -> Hash32 | None:
        """Ask for the hash at a height."""
        try:
            return parse_display_hash(self._client.block_hash(height))
        except NodeRefusal as error:
            if error.code == OUT_OF_RANGE:
                return None
            raise

    def parent(self, block_hash: Hash32) -> Hash32 | None:
        """Return what the block names; the block is kept, for it is asked for next."""
        raw = self.block(block_hash)
        previous = raw[PREVIOUS] if raw is not None else bytes(32)
        return Hash32(previous) if any(previous) else None

    def block(self, block_hash: Hash32) -> bytes | None:
        """Return the raw block, None for one that the node does not know."""
        if self._fetched is None or self._fetched[0] != block_hash:
            try:
                self._fetched = block_hash, self._client.raw_block(display_hash(block_hash))
            except NodeRefusal as error:
                if error.code == UNKNOWN:
                    return None
                raise
        return self._fetched[1]


def open_index(store: Store) -> ChainIndex:
    """Return the index of a regtest litecoind's chain in a store: nobody owns what its first block pays."""
    return ChainIndex(store, LITECOIN_REGTEST, first_coins=False)


def follow(client: LitecoinClient, index: ChainIndex) -> int:
    """Bring an index to the node's active chain; return the steps that it took."""
    return sum(1 for _ in Follower(LitecoindSource(client), index).follow(STEPS_MAX))


def main(port: int, cookie: Path, folder: Path) -> None:
    """Index until the node has nothing more."""
    store = LevelStore(folder, free_bytes_min=0)
    index = open_index(store)
    for event in Follower(LitecoindSource(LitecoinClient(port, cookie)), index).follow(STEPS_MAX):
        print(event.height, flush=True)
    store.close()
    print("done", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
