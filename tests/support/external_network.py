"""A network on an external chain, for tests of its service: the genesis file, and a service that runs."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import trio

from protocol.chain.rules import LITECOIN_REGTEST
from protocol.codec import replace
from protocol.genesis import Genesis
from tests.support.payout_world import make_genesis
from zenp2p.chain.rpc.service import RpcService
from zenp2p.chain.source import ChainEvent
from zenp2p.ports import Network

SECONDS_MAX = 60


def external_genesis(first_block: bytes) -> Genesis:
    """Return a devnet's genesis on litecoind's chain with this first block."""
    return replace(make_genesis(), chain=LITECOIN_REGTEST, start=first_block)


class Running:
    """A service that runs, and what it told."""

    def __init__(self, service: RpcService) -> None:
        self.service = service
        self.events: list[ChainEvent] = []
        self.seen: list[tuple[int, bytes]] = []

    async def hear(self, event: ChainEvent) -> None:
        """Note an event, and where the index stood then."""
        self.events.append(event)
        self.seen.append(self.service.index.tip())

    @property
    def state(self) -> str:
        """The state that it is in."""
        return self.service.condition().state

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds, with a hint at each look so that nobody waits for a poll."""
        with trio.fail_after(SECONDS_MAX):
            while not holds():
                self.service.notify()
                await trio.sleep(0.01)


@asynccontextmanager
async def running(service: RpcService) -> AsyncIterator[Running]:
    """Prepare a service, run it, and end it."""
    await service.prepare()
    made = Running(service)
    no_network = cast(Network, None)  # it asks its node, never a peer
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.run, no_network, made.hear)
        yield made
        nursery.cancel_scope.cancel()
