"""The network port in memory, for tests: same contract, no sockets, no libp2p, no chance.

Answers for: `ports.Network` between nodes of one process. Links, topics, requests and
probes behave as over libp2p; gossip reaches whoever a path of links between subscribers
leads to, nearest first and in the order of keys. A `Hub` is the world: it joins nodes,
and can cut links, silence nodes and lose gossip as a test says.
"""

from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import trio

from protocol.crypto import Signer
from protocol.errors import ProtocolError
from protocol.units import OperatorKey
from zenp2p.network.inbox import Inbox
from zenp2p.network.limits import Limits
from zenp2p.ports import Endpoint, Received, RequestHandler, TransportError

Accept = Callable[[Received], Awaitable[bool]]
FIRST_PORT = 40_000


class Hub:
    """One world of in-memory nodes."""

    def __init__(self) -> None:
        """Have no nodes yet."""
        self.nodes: dict[OperatorKey, MemoryNetwork] = {}
        self.loses: Callable[[OperatorKey, OperatorKey, Received], bool] = lambda _from, _to, _message: False
        """Says of each hop of a gossip message whether it is lost."""
        self._cut: set[frozenset[OperatorKey]] = set()

    def cut(self, one: OperatorKey, other: OperatorKey) -> None:
        """Let nothing pass between two nodes."""
        self._cut.add(frozenset((one, other)))

    def heal(self) -> None:
        """Let everything pass again."""
        self._cut.clear()

    def passes(self, one: OperatorKey, other: OperatorKey) -> bool:
        """Whether two nodes are there and nothing is cut between them."""
        return one in self.nodes and other in self.nodes and frozenset((one, other)) not in self._cut

    def at(self, endpoint: Endpoint) -> "MemoryNetwork | None":
        """Return the node that listens at an endpoint."""
        return next((node for node in self.nodes.values() if node.endpoint == endpoint), None)

    def free_port(self, ip: bytes) -> int:
        """Return a port that nobody listens on."""
        taken = {node.endpoint.port for node in self.nodes.values() if node.endpoint.ip == ip}
        return next(port for port in range(FIRST_PORT, 1 << 16) if port not in taken)


class MemoryNetwork:
    """Fulfils `ports.Network`; made by `open_memory_network`."""

    def __init__(self, hub: Hub, key: OperatorKey, endpoint: Endpoint, limits: Limits, accept: Accept | None):
        """Be the operator `key` at `endpoint` in the world of `hub`."""
        self.operator_key = key
        self.endpoint = endpoint
        self.limits = limits
        self.counters: Counter[str] = Counter()
        """What was dropped and refused, by name."""
        self.inbox = Inbox(limits, self.counters)
        self.handlers: dict[str, RequestHandler] = {}
        self.topics: set[str] = set()
        self.known: dict[OperatorKey, Endpoint] = {}
        self._accept = accept
        self._hub = hub

    @property
    def received(self) -> "trio.MemoryReceiveChannel[list[Received]]":
        """Batches of messages; when the reader is slow the oldest gossip is dropped and counted."""
        return self.inbox.received

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip `data` to whoever subscribes and is linked, directly or through subscribers."""
        await trio.lowlevel.checkpoint()
        self._check_size(data)
        reached = {self.operator_key}
        waiting = deque([self])
        while waiting:
            forwarder = waiting.popleft()
            for key, _ in forwarder.peers():
                node = self._hub.nodes[key]
                message = Received(forwarder.operator_key, forwarder.endpoint.ip, topic, data)
                if key in reached or topic not in node.topics:
                    continue
                if self._hub.loses(forwarder.operator_key, key, message):
                    continue
                reached.add(key)
                if await node.take_gossip(message):
                    waiting.append(node)

    async def take_gossip(self, message: Received) -> bool:
        """Take a gossip message; returns whether it is handed on."""
        if self._accept is not None and not await self._accept(message):
            return False
        self.inbox.take_gossip(message)
        return True

    async def send(self, peer: OperatorKey, data: bytes) -> None:
        """Hand `data` to one peer; raises `TransportError`."""
        await trio.lowlevel.checkpoint()
        self._check_size(data)
        node = self._reach(peer)
        with trio.move_on_after(self.limits.write_seconds) as scope:
            await node.inbox.take_direct(Received(self.operator_key, self.endpoint.ip, "", data))
        if scope.cancelled_caught:
            raise TransportError("the peer takes no messages")

    async def request(self, peer: OperatorKey, protocol: str, data: bytes, deadline: float) -> bytes:
        """Ask one peer and return its reply within `deadline` seconds; raises `TransportError`."""
        return await self._ask(self._reach(peer), protocol, data, deadline)

    async def probe(
        self, peer: OperatorKey, endpoint: Endpoint, protocol: str, data: bytes, deadline: float
    ) -> tuple[bytes, bytes]:
        """Ask whoever listens at `endpoint`, if it is `peer`; return (its address, reply)."""
        node = self._hub.at(endpoint)
        if node is None or not self._hub.passes(self.operator_key, node.operator_key):
            raise TransportError("nobody listens there")
        if node.operator_key != peer:
            raise TransportError("another operator listens there")
        return endpoint.ip, await self._ask(node, protocol, data, deadline)

    async def _ask(self, node: "MemoryNetwork", protocol: str, data: bytes, deadline: float) -> bytes:
        await trio.lowlevel.checkpoint()
        self._check_size(data)
        try:
            with trio.fail_after(min(deadline, self.limits.request_seconds)):
                return await node.answer(self.operator_key, self.endpoint.ip, protocol, data)
        except trio.TooSlowError:
            raise TransportError("no reply in time") from None
        except ProtocolError as error:
            node.counters["peers_cut"] += 1
            raise TransportError("the peer cut the connection") from error

    async def answer(self, peer: OperatorKey, ip: bytes, protocol: str, data: bytes) -> bytes:
        """Serve a request of `peer`; raises what the handler raises."""
        handler = self.handlers.get(protocol)
        if handler is None:
            raise TransportError(f"the peer does not speak {protocol}")
        reply = await handler(peer, ip, data)
        self._check_size(reply)
        return reply

    def serve(self, protocol: str, handler: RequestHandler) -> None:
        """Answer requests of `protocol` with `handler`."""
        self.handlers[protocol] = handler

    def subscribe(self, topic: str) -> None:
        """Take part in a gossip topic from now on."""
        self.topics.add(topic)

    def unsubscribe(self, topic: str) -> None:
        """Take no more part in a gossip topic."""
        self.topics.discard(topic)

    def learn(self, peer: OperatorKey, endpoint: Endpoint) -> None:
        """Remember where `peer` listens: the two are linked while it really does."""
        if peer != self.operator_key:
            self.known[peer] = endpoint

    def keep(self, peers: Sequence[OperatorKey]) -> None:
        """Have nothing to do: everybody has a place here."""

    def forget(self, peer: OperatorKey) -> None:
        """Drop `peer` from the table of peers to dial."""
        self.known.pop(peer, None)

    async def drop(self, peer: OperatorKey) -> None:
        """End the link to a peer that broke a rule: neither side knows the other any more."""
        self.known.pop(peer, None)
        node = self._hub.nodes.get(peer)
        if node is not None:
            node.known.pop(self.operator_key, None)
        await trio.lowlevel.checkpoint()

    def peers(self) -> Sequence[tuple[OperatorKey, bytes]]:
        """The nodes linked now, with their addresses, sorted by key."""
        nodes = sorted(self._hub.nodes.items())
        return [(key, node.endpoint.ip) for key, node in nodes if self._linked(node)]

    def _linked(self, node: "MemoryNetwork") -> bool:
        knows = self.known.get(node.operator_key) == node.endpoint
        is_known = node.known.get(self.operator_key) == self.endpoint
        return (knows or is_known) and self._hub.passes(self.operator_key, node.operator_key)

    def _reach(self, peer: OperatorKey) -> "MemoryNetwork":
        node = self._hub.nodes.get(peer)
        if node is None or not self._linked(node):
            raise TransportError(f"not connected to {peer.hex()[:16]}")
        return node

    def _check_size(self, data: bytes) -> None:
        if len(data) > self.limits.message_size_max:
            raise ValueError(
                f"a message of {len(data)} bytes, at most {self.limits.message_size_max} are sent"
            )


@asynccontextmanager
async def open_memory_network(
    hub: Hub,
    seed: bytes,
    listen: Endpoint,
    nursery: trio.Nursery,
    *,
    limits: Limits | None = None,
    accept: Accept | None = None,
) -> AsyncIterator[MemoryNetwork]:
    """Run a node of `hub`, with the arguments of `open_network`; raises `TransportError` as it does."""
    if listen.port and hub.at(listen) is not None:
        raise TransportError("another program has this port")
    endpoint = listen if listen.port else Endpoint(listen.ip, hub.free_port(listen.ip))
    network = MemoryNetwork(hub, Signer(seed).operator_key, endpoint, limits or Limits(), accept)
    hub.nodes[network.operator_key] = network
    pumping = trio.CancelScope()

    async def pump() -> None:
        with pumping:
            await network.inbox.pump()

    nursery.start_soon(pump)
    try:
        yield network
    finally:
        del hub.nodes[network.operator_key]
        pumping.cancel()
        network.inbox.close()
