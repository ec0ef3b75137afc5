"""The network of the daemon over libp2p: the port `zenp2p.ports.Network`.

Answers for: `open_network`, what survives a rebuilt host (identity, listening socket,
subscriptions, handlers, peer table, what waits to be sent and to be read), and building
the host again when a service of it dies. One life of a host is left to `life`. Spec:
`spec/network.md`.
"""

import logging
import random
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TypeVar

import trio

from protocol.units import OperatorKey
from zenp2p.network.connection import Connection
from zenp2p.network.exchange import Exchange, Unsent, protocol_id
from zenp2p.network.gossip import Accept, SeenMessages
from zenp2p.network.identity import key_pair
from zenp2p.network.inbox import Inbox
from zenp2p.network.life import Lasting, Life, live
from zenp2p.network.limits import Limits
from zenp2p.network.negotiate import Upgrader
from zenp2p.network.peer_table import PeerTable
from zenp2p.network.probe import probe
from zenp2p.network.tcp import listen as listen_on
from zenp2p.network.tcp import listening_on
from zenp2p.ports import Endpoint, Received, RequestHandler, TransportError

STOP_SECONDS = 1.5
"""For closing connections and services in order; then what is left is cancelled."""

T = TypeVar("T")

log = logging.getLogger(__name__)


class LibP2PNetwork:
    """Fulfils `ports.Network`; made by `open_network`."""

    def __init__(
        self, seed: bytes, sockets: trio.SocketListener, limits: Limits, accept: Accept | None
    ) -> None:
        """Be the operator of `seed`, reached through `sockets`."""
        keys = key_pair(seed)
        self.operator_key = OperatorKey(keys.public_key.to_bytes())
        self.endpoint = listening_on(sockets)
        """Where we listen, with the real port."""
        self.counters: Counter[str] = Counter()
        """What was dropped, refused, cut and contained since the start, by name."""
        inbox = Inbox(limits, self.counters)
        self._lasting = Lasting(
            keys=keys,
            endpoint=self.endpoint,
            sockets=sockets,
            limits=limits,
            counters=self.counters,
            accept=accept,
            upgrader=Upgrader(keys),
            inbox=inbox,
            seen=SeenMessages(limits.seen_seconds, limits.seen_max),
            exchange=Exchange(limits, self.counters, inbox.take_direct),
            table=PeerTable(self.operator_key, limits, random.Random()),
            topics={},
            outbox=deque(),
        )
        self._life: Life | None = None
        self._life_begun = trio.Event()
        self._stopping = trio.Event()
        self._stopped = trio.Event()

    # The port.

    @property
    def received(self) -> "trio.MemoryReceiveChannel[list[Received]]":
        """Batches of messages; when we are slow the oldest gossip is dropped and counted."""
        return self._lasting.inbox.received

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip `data`; when too much waits to be sent, the oldest is dropped and counted."""
        if len(data) > self._lasting.limits.message_size_max:
            raise ValueError(
                f"a message of {len(data)} bytes, at most {self._lasting.limits.message_size_max} are sent"
            )
        self._lasting.outbox.append((topic, data))
        if len(self._lasting.outbox) > self._lasting.limits.publish_pending_max:
            self._lasting.outbox.popleft()
            self.counters["publish_dropped"] += 1
        if self._life is not None:
            self._life.has_work.set()
        await trio.lowlevel.checkpoint()

    async def send(self, peer: OperatorKey, data: bytes) -> None:
        """Queue `data` for one peer; raises `TransportError`."""
        with _within(
            self._lasting.limits.handshake_seconds + self._lasting.limits.write_seconds, "took no message"
        ):
            await self._over_a_connection(peer, lambda one: self._lasting.exchange.tell(one, data))

    async def request(self, peer: OperatorKey, protocol: str, data: bytes, deadline: float) -> bytes:
        """Ask one peer and return its reply within `deadline` seconds; raises `TransportError`."""
        with _within(deadline, "did not reply"):
            return await self._over_a_connection(
                peer, lambda one: self._lasting.exchange.ask(one, protocol, data)
            )

    async def probe(
        self, peer: OperatorKey, endpoint: Endpoint, protocol: str, data: bytes, deadline: float
    ) -> tuple[bytes, bytes]:
        """Dial `endpoint` anew, authenticate `peer` there and ask; return (its address, reply)."""
        with _within(deadline, "did not reply to a probe"):
            life = await self._alive()
            return await probe(life.dialer, self._lasting.limits, peer, endpoint, protocol, data)

    def serve(self, protocol: str, handler: RequestHandler) -> None:
        """Answer requests of `protocol` with `handler`."""
        protocol_id(protocol)
        self._lasting.exchange.handlers[protocol] = handler
        if self._life is not None:
            self._life.serve(protocol)

    def subscribe(self, topic: str) -> None:
        """Take part in a gossip topic from now on."""
        self._lasting.topics[topic] = None
        if self._life is not None:
            self._life.has_work.set()

    def unsubscribe(self, topic: str) -> None:
        """Take no more part in a gossip topic; our own messages still go to those who do."""
        self._lasting.topics.pop(topic, None)
        if self._life is not None:
            self._life.has_work.set()

    def learn(self, peer: OperatorKey, endpoint: Endpoint) -> None:
        """Remember where `peer` listens and keep a connection up."""
        if peer != self.operator_key:
            life = self._life
            connected = life.switch.connected() if life else frozenset()
            self._lasting.table.learn(peer, endpoint, connected, trio.current_time())
            if life is not None:
                life.dialer.wake()

    def keep(self, peers: Sequence[OperatorKey]) -> None:
        """Give these peers their connections before all others, and no longer those named before."""
        self._lasting.table.keep(peers, trio.current_time())
        if self._life is not None:
            self._life.dialer.wake()

    def forget(self, peer: OperatorKey) -> None:
        """Drop `peer` from the table of peers to dial."""
        self._lasting.table.forget(peer)

    async def drop(self, peer: OperatorKey) -> None:
        """End the connection to a peer that broke a rule, if there is one."""
        connection = self._life.switch.connection(peer) if self._life is not None else None
        if connection is not None:
            self.counters["peers_dropped"] += 1
            await connection.close()

    def peers(self) -> Sequence[tuple[OperatorKey, bytes]]:
        """The peers connected now, with their observed packed addresses, sorted by key."""
        life = self._life
        return [(one.key, one.remote.ip) for one in life.switch.all_connections()] if life else []

    # Staying alive.

    async def _over_a_connection(self, peer: OperatorKey, call: Callable[[Connection], Awaitable[T]]) -> T:
        """Call with the connection to a peer, and once more if that one ended before anything was sent.

        Connections end at such moments when two nodes dial each other at once and one dial gives way.
        """
        for _ in range(2):
            life = await self._alive()
            try:
                return await call(await life.dialer.connect(peer))
            except Unsent as error:
                unsent = error
        raise unsent

    async def _alive(self) -> Life:
        while self._life is None:
            if self._stopping.is_set():
                raise TransportError("the network is closed")
            await self._life_begun.wait()
        return self._life

    def _begin(self, life: Life) -> None:
        self._life = life
        self._life_begun.set()

    def _end(self) -> None:
        self._life = None
        if not self._stopping.is_set():
            self._life_begun = trio.Event()

    async def run(self) -> None:
        """Keep a host alive until `stop`: one that dies is built again after a wait."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._lasting.inbox.pump)
                nursery.start_soon(self._keep_alive, nursery.cancel_scope)
                await self._stopping.wait()
                await trio.sleep(STOP_SECONDS)
                nursery.cancel_scope.cancel()  # a service of libp2p that does not end by itself
        finally:
            self._stopping.set()
            self._lasting.inbox.close()
            self._stopped.set()
            self._life_begun.set()

    async def _keep_alive(self, everything: trio.CancelScope) -> None:
        limits = self._lasting.limits
        wait = limits.rebuild_first
        while not self._stopping.is_set():
            begun = trio.current_time()
            try:
                await live(self._lasting, self._stopping, self._begin, self._end)
            except* Exception:
                self.counters["hosts_died"] += 1
                log.exception("the libp2p host died; it is built again unless we are stopping")
            if trio.current_time() - begun > limits.rebuild_most:
                wait = limits.rebuild_first
            with trio.move_on_after(wait):
                await self._stopping.wait()
            wait = min(2 * wait, limits.rebuild_most)
        everything.cancel()

    async def wait_alive(self) -> None:
        """Wait until there is a host; raises `TransportError` when there will be none."""
        await self._alive()

    async def stop(self) -> None:
        """Close connections, then gossip, then the host; takes less than two seconds."""
        self._stopping.set()
        await self._stopped.wait()


@asynccontextmanager
async def open_network(
    seed: bytes,
    listen: Endpoint,
    nursery: trio.Nursery,
    *,
    limits: Limits | None = None,
    accept: Accept | None = None,
) -> AsyncIterator[LibP2PNetwork]:
    """Run the network of the operator with this 32-byte `seed`, listening at `listen`.

    Tasks run in `nursery`. Port 0 takes a free port (see `endpoint` of what is
    given). Dials leave from `listen.ip` unless it is unspecified. `accept`, if
    given, says of each gossip message whether it is delivered and handed on.
    Raises `TransportError` when the port is taken or the address not ours.
    """
    libp2p_log = logging.getLogger("libp2p")
    if libp2p_log.level == logging.NOTSET:
        libp2p_log.setLevel(logging.CRITICAL)  # it writes lines for what any peer does; we count that
    sockets = await listen_on(listen)
    network = LibP2PNetwork(seed, sockets, limits or Limits(), accept)
    try:
        nursery.start_soon(network.run)
        await network.wait_alive()
        yield network
    finally:
        with trio.CancelScope(shield=True):
            await network.stop()
        sockets.socket.close()


@contextmanager
def _within(seconds: float, what: str) -> Iterator[None]:
    """Turn the end of a deadline into `TransportError`."""
    try:
        with trio.fail_after(max(0.0, seconds)):
            yield
    except trio.TooSlowError:
        raise TransportError(f"{what} within {seconds:g} s") from None
