"""A process that indexes a litecoind's chain as the daemon does, and then answers over the daemon's RPC.

`python -m tests.support.index_server PORT COOKIE FOLDER` prints one line of JSON when the index is
there, with the memory that the process held halfway and at the end, and serves until its input ends.
"""

import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio

from protocol.chain.encoding import parse_display_hash
from protocol.chain.rules import LITECOIN_REGTEST
from protocol.codec import replace
from protocol.genesis import Genesis
from protocol.group.vote_guard import VoteGuard
from protocol.node.machine import Node
from tests.support.payout_world import SIGNERS, make_genesis
from zenp2p.api.chain_links import ChainLinks
from zenp2p.api.context import Context
from zenp2p.api.explorer_methods import ExplorerMethods
from zenp2p.api.methods import Methods
from zenp2p.api.server import RpcServer
from zenp2p.chain.index import ChainIndex
from zenp2p.chain.rpc.client import NodeSettings
from zenp2p.chain.rpc.service import RpcService
from zenp2p.chain.source import ChainEvent
from zenp2p.data_directory import DataDirectory
from zenp2p.devnet.litecoin_client import LitecoinClient
from zenp2p.ports import Store
from zenp2p.store import LevelStore

OnHeight = Callable[[int], Awaitable[None]]


def genesis_of(client: LitecoinClient) -> Genesis:
    """Return a network on the chain of a running node."""
    first = parse_display_hash(client.block_hash(0))
    return replace(make_genesis(), chain=LITECOIN_REGTEST, start=bytes(first))


async def build(
    genesis: Genesis, store: Store, settings: NodeSettings, height: int, on_height: OnHeight
) -> ChainIndex:
    """Follow the node until the index stands at `height`."""
    service = RpcService(genesis, store, settings)
    nobody: Any = None

    async with trio.open_nursery() as nursery:

        async def hear(event: ChainEvent) -> None:
            await on_height(event.height)
            if event.height == height:
                nursery.cancel_scope.cancel()

        await service.prepare()
        nursery.start_soon(service.run, nobody, hear)
    return service.index


def resident_mb() -> float:
    """Return the memory that this process holds now."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def serve(port: int, cookie: Path, folder: Path) -> None:
    """Index, say so, answer."""
    client = LitecoinClient(port, cookie)
    genesis, top = genesis_of(client), client.height()
    client.close()
    store = LevelStore(folder / "db", free_bytes_min=0)
    held: dict[int, float] = {}

    async def watch(height: int) -> None:
        if height in (top // 2, top):
            held[height] = resident_mb()

    index = await build(genesis, store, NodeSettings("127.0.0.1", port, cookie=cookie), top, watch)
    nobody: Any = None
    chain: Any = type("Chain", (), {"index": index})
    node = Node(genesis, SIGNERS[0], index, store, VoteGuard())
    methods = Methods()
    context = Context(node, chain, nobody, nobody, nobody)
    ExplorerMethods(context, ChainLinks(node, index)).register(methods)
    directory = DataDirectory(folder / "node")
    directory.create()
    async with trio.open_nursery() as nursery:
        await nursery.start(RpcServer(methods, directory, "127.0.0.1", 0).serve)
        print(json.dumps({"half_rss_mb": held[top // 2], "full_rss_mb": held[top]}), flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
