"""One life of a libp2p host: building it, running its parts, ending it in order.

Answers for: the order of things. Connections are closed first, then gossip, then the
host: in any other order libp2p's services start tasks in nurseries that are closed. Any
part that ends by itself ends the life; that another one begins is left to `host`.
"""

import functools
from collections import Counter, deque
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import trio
from libp2p.abc import INetStream
from libp2p.crypto.keys import KeyPair
from libp2p.tools.anyio_service import Service, background_trio_service

from zenp2p.network.connection import Connection
from zenp2p.network.contained_host import Host
from zenp2p.network.dialer import Dialer
from zenp2p.network.exchange import DIRECT, Exchange, protocol_id
from zenp2p.network.gossip import Accept, Gossip, SeenMessages
from zenp2p.network.inbox import Inbox
from zenp2p.network.limits import Limits
from zenp2p.network.listener import Listener
from zenp2p.network.liveness import watch
from zenp2p.network.negotiate import Upgrader
from zenp2p.network.peer_table import PeerTable
from zenp2p.network.router import Router
from zenp2p.network.stream import Stream
from zenp2p.network.switch import Switch
from zenp2p.ports import Endpoint

UNSPECIFIED = (bytes(4), bytes(16))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasting:
    """What outlives each life of the host."""

    keys: KeyPair
    endpoint: Endpoint
    sockets: trio.SocketListener
    limits: Limits
    counters: Counter[str]
    accept: Accept | None
    upgrader: Upgrader
    inbox: Inbox
    seen: SeenMessages
    exchange: Exchange
    table: PeerTable
    topics: dict[str, None]
    outbox: deque[tuple[str, bytes]]


class ServiceEnded(Exception):
    """A service of libp2p ended although nobody stopped it."""


class Life:
    """The parts of one host."""

    def __init__(self, lasting: Lasting, nursery: trio.Nursery) -> None:
        """Build the parts; connections live in `nursery`."""
        self.lasting = lasting
        limits, counters = lasting.limits, lasting.counters
        self.switch = Switch(lasting.keys, limits, counters, lasting.table)
        self.host = Host(self.switch, lasting.endpoint)
        self.router = Router(limits)
        self.gossip = Gossip(
            self.host, self.router, limits, counters, lasting.seen, lasting.inbox.take_gossip, lasting.accept
        )
        ip = lasting.endpoint.ip
        source = None if ip in UNSPECIFIED else ip
        self.dialer = Dialer(self.switch, lasting.upgrader, lasting.table, limits, source, nursery)
        self.listener = Listener(
            self.switch, lasting.upgrader, lasting.exchange, lasting.table, limits, counters, nursery
        )
        self.has_work = trio.Event()
        self.host.set_stream_handler(DIRECT, self._serve_direct)
        for name in lasting.exchange.handlers:
            self.serve(name)

    def serve(self, name: str) -> None:
        """Answer the requests of a protocol."""
        self.host.set_stream_handler(protocol_id(name), functools.partial(self._serve_request, name))

    async def _serve_request(self, name: str, stream: INetStream) -> None:
        await self.lasting.exchange.answer(_owner(stream), name, stream)

    async def _serve_direct(self, stream: INetStream) -> None:
        await self.lasting.exchange.listen_direct(_owner(stream), stream)

    async def work(self) -> None:
        """Join and leave topics, and publish the messages that wait, for ever."""
        lasting = self.lasting
        while True:
            self.has_work = trio.Event()
            for topic in [topic for topic in lasting.topics if topic not in self.gossip.topic_ids]:
                await self.gossip.subscribe(topic)
            for topic in [topic for topic in self.gossip.topic_ids if topic not in lasting.topics]:
                await self.gossip.unsubscribe(topic)
            while lasting.outbox:
                await self.gossip.publish(*lasting.outbox.popleft())
                await trio.lowlevel.checkpoint()
            await self.has_work.wait()


def _owner(stream: INetStream) -> Connection:
    assert isinstance(stream, Stream)
    return stream.muxed_conn.owner


async def _ends_the_life(service: Service) -> None:
    await service.get_manager().wait_finished()
    raise ServiceEnded(type(service).__name__)


async def live(
    lasting: Lasting, stopping: trio.Event, begun: Callable[[Life], None], ended: Callable[[], None]
) -> None:
    """Run one host until `stopping`; raises when a part of it dies."""
    async with AsyncExitStack() as stack:
        nursery = await stack.enter_async_context(trio.open_nursery())
        life = Life(lasting, nursery)
        await stack.enter_async_context(background_trio_service(life.router))
        await stack.enter_async_context(background_trio_service(life.gossip))
        await life.gossip.wait_until_ready()
        async with trio.open_nursery() as parts:
            parts.start_soon(life.listener.accept, lasting.sockets)
            parts.start_soon(life.dialer.keep_connected)
            parts.start_soon(watch, life.switch, lasting.limits, lasting.counters)
            parts.start_soon(life.work)
            parts.start_soon(_ends_the_life, life.router)
            parts.start_soon(_ends_the_life, life.gossip)
            begun(life)
            try:
                await stopping.wait()
            finally:
                ended()
            parts.cancel_scope.cancel()
        await life.switch.close()
        nursery.cancel_scope.cancel()
