"""What the daemon needs of the world, as typed ports.

Each port has the real adapter (`network.host` over libp2p, `store.LevelStore` over
LevelDB) and one for tests that keeps the same contract (`network.memory`,
`store.MemoryStore`). Nothing but these adapters imports libp2p or plyvel.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import trio

from protocol.errors import ZenError
from protocol.node.effects import Incoming
from protocol.units import OperatorKey


class TransportError(ZenError):
    """A peer could not be reached, did not answer in time, or broke the transport."""


class StoreError(ZenError):
    """The store cannot be opened, read or written, or its integrity head does not hold."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a node listens: packed IPv4/IPv6 address and TCP port."""

    ip: bytes
    port: int


Received = Incoming
"""One message as it came in: the node machine takes it as it is."""

RequestHandler = Callable[[OperatorKey, bytes, bytes], Awaitable[bytes]]
"""(peer, packed observed ip, request) -> reply. Raising `ProtocolError` costs the peer its connection."""


class Network(Protocol):
    """Authenticated peers, gossip topics, one-way messages and request/response."""

    @property
    def operator_key(self) -> OperatorKey:
        """Our own key, which is our network identity."""

    @property
    def received(self) -> "trio.MemoryReceiveChannel[list[Received]]":
        """Batches of messages; bounded, the oldest gossip is dropped first when we are slow (counted)."""

    async def publish(self, topic: str, data: bytes) -> None:
        """Gossip `data`, whether we are in `topic` or not; returns when it is queued.

        Best effort: gossip may be lost. From outside a topic it needs a connection with one who is in it.
        """

    async def send(self, peer: OperatorKey, data: bytes) -> None:
        """Hand `data` to one peer over a direct stream, dialling it if its endpoint is known.

        Raises `TransportError`.
        """

    async def request(self, peer: OperatorKey, protocol: str, data: bytes, deadline: float) -> bytes:
        """Ask one peer and return its reply within `deadline` seconds. Raises `TransportError`."""

    async def probe(
        self, peer: OperatorKey, endpoint: Endpoint, protocol: str, data: bytes, deadline: float
    ) -> tuple[bytes, bytes]:
        """Dial `endpoint` anew, authenticate `peer` there and ask; return (remote ip, reply).

        Raises `TransportError`; an existing connection from elsewhere does not count as reached.
        """

    def serve(self, protocol: str, handler: RequestHandler) -> None:
        """Answer requests of `protocol` with `handler`, under a deadline and a size limit."""

    def subscribe(self, topic: str) -> None:
        """Take part in a gossip topic from now on; nothing changes when we do already."""

    def unsubscribe(self, topic: str) -> None:
        """Take no more part in a gossip topic; what has come of it may still be handed over."""

    def learn(self, peer: OperatorKey, endpoint: Endpoint) -> None:
        """Remember where `peer` listens; the dialer keeps connections up, with back-off."""

    def keep(self, peers: Sequence[OperatorKey]) -> None:
        """Let these be the kept peers, the most important first, instead of those named before.

        They are dialled before all others, let in although all places are taken, and never let go for
        others. Of more than a limit of the adapter the first are kept.
        """

    def forget(self, peer: OperatorKey) -> None:
        """Drop `peer` from the table of peers to dial."""

    async def drop(self, peer: OperatorKey) -> None:
        """End the connection to a peer that broke a rule, if there is one."""

    def peers(self) -> Sequence[tuple[OperatorKey, bytes]]:
        """The peers connected now, with their observed packed addresses, sorted by key."""


class Store(Protocol):
    """An ordered map of bytes with atomic durable batches: six methods, replaceable."""

    def get(self, key: bytes) -> bytes | None:
        """Return the value of `key`, or None."""

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        """Apply puts (value) and deletes (None) atomically; `sync` waits for the disk."""

    def iterate(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield the (key, value) pairs under `prefix` in key order; with `after`, only keys above it."""

    def snapshot(self) -> "Store":
        """Return a read-only view of this moment."""

    def compact(self, first: bytes = ..., last: bytes = ...) -> None:
        """Give back the disk space of what was deleted or overwritten between two keys, or of all."""

    def close(self) -> None:
        """Flush and release the lock."""
