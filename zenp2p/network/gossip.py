"""Gossip: libp2p's pubsub, reading fast, believing little, delivering once.

Answers for: what comes in on a gossip stream: each packet is cut down, each message
taken once, checked for its sender's signature, delivered and handed to the router. One
gossip stream a peer and direction; when it breaks, the connection ends and both sides
start clean. Whom to forward to is left to `router`, what the messages mean to the daemon.
"""

import itertools
import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable

import trio
from libp2p.abc import INetStream
from libp2p.io.exceptions import IOException
from libp2p.peer.id import ID
from libp2p.pubsub.pb.rpc_pb2 import RPC, Message
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.pubsub.validators import signature_validator
from libp2p.tools.timed_cache.last_seen_cache import LastSeenCache

from protocol.errors import InvalidSignature, MalformedMessage
from zenp2p.network.connection import Connection
from zenp2p.network.contained_host import Host
from zenp2p.network.identity import operator_key
from zenp2p.network.limits import Limits
from zenp2p.network.packets import PACKET_OVERHEAD, TOPIC_SIZE_MAX, PacketQueue, PacketReader, restrain
from zenp2p.network.router import Router
from zenp2p.network.stream import Stream
from zenp2p.network.upstream import PatchedPubsub
from zenp2p.ports import Received

log = logging.getLogger(__name__)

IN_ONE_GO = 8
"""Packets, or messages of a packet, that are taken before other tasks get a turn."""

Deliver = Callable[[Received], None]
Accept = Callable[[Received], Awaitable[bool]]


class SeenMessages(LastSeenCache):
    """Message ids of the last `ttl` seconds, at most so many; without libp2p's thread."""

    def __init__(self, ttl: float, most: int) -> None:
        self._ttl = ttl
        self._most = most
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def has(self, key: bytes) -> bool:
        """Whether an id was seen lately."""
        until = self._until.get(key)
        return until is not None and until > trio.current_time()

    def add(self, key: bytes) -> bool:
        """Remember an id; returns whether it was new."""
        new = not self.has(key)
        now = trio.current_time()
        if new:
            self._until.pop(key, None)
            self._until[key] = now + self._ttl
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now and len(self._until) <= self._most:
                break
            del self._until[oldest]
        return new

    def stop(self) -> None:
        """Have nothing to stop."""

    def length(self) -> int:
        """Return how many ids are remembered."""
        return len(self._until)


class Gossip(PatchedPubsub):
    """The pubsub service of one host."""

    router: Router

    def __init__(
        self,
        host: Host,
        router: Router,
        limits: Limits,
        counters: Counter[str],
        seen: SeenMessages,
        deliver: Deliver,
        accept: Accept | None,
    ) -> None:
        """Deliver to `deliver` what is not in `seen` and what `accept`, if given, finds good."""
        super().__init__(host, router, max_subscriptions_per_peer=limits.topics_max)
        self.seen_messages.stop()
        self.seen_messages = seen
        # Not libp2p's whole seconds: a host built anew within the second would repeat message ids.
        self.counter = time.time_ns()
        self.limits = limits
        self._counters = counters
        self._deliver = deliver
        self._accept = accept
        self._opening = set()
        self._reading: dict[ID, trio.CancelScope] = {}

    def new_queue(self) -> PacketQueue:
        """Return the queue of packets to a new peer."""
        return PacketQueue(self.limits, self._counters)

    def get_hello_packet(self) -> RPC:
        """Return the topics that we are in, and nothing about ourselves."""
        return RPC(subscriptions=[RPC.SubOpts(subscribe=True, topicid=topic) for topic in self.topic_ids])

    async def welcome(self, peer_id: ID) -> None:
        """Tell a new peer our topics, and what it has missed in those that it has told us already."""
        self.peer_queues[peer_id].push(self.get_hello_packet())
        for topic in [topic for topic, peers in self.peer_topics.items() if peer_id in peers]:
            await self._greet(peer_id, topic)

    async def _greet(self, peer: ID, topic: str) -> None:
        await self.router.on_peer_subscribed(peer, topic)
        queue = self.peer_queues.get(peer)
        if isinstance(queue, PacketQueue) and topic not in queue.greeted and self.router.mcache.window(topic):
            queue.greeted.add(topic)  # once a connection: a peer that subscribes again and again gets no more
            await self.router.send_recent_messages(peer, topic)

    # What comes in.

    async def stream_handler(self, stream: INetStream) -> None:
        """Read a peer's gossip to its end, which ends the connection, or until it opens a new stream."""
        peer = stream.muxed_conn.peer_id
        if peer in self._reading:
            self._reading[peer].cancel()
        with trio.CancelScope() as scope:
            self._reading[peer] = scope
            try:
                await self.continuously_read_stream(stream)
            finally:
                if self._reading.get(peer) is scope:
                    del self._reading[peer]
                    await stream.muxed_conn.close()
        await stream.reset()

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Take packet after packet; raises for a malformed one, and libp2p's error at the end."""
        assert isinstance(stream, Stream)
        connection = stream.muxed_conn.owner
        limits = self.limits
        reader = PacketReader(stream, limits.message_size_max + PACKET_OVERHEAD, limits.request_seconds)
        rate, budget, last = limits.gossip_rate_max, limits.gossip_rate_max, trio.current_time()
        for turn in itertools.count():
            packet = await reader.next()
            rpc = RPC.FromString(packet)
            now = trio.current_time()
            cost = 1 + len(rpc.publish) + len(rpc.subscriptions) + len(packet) / 1024
            budget = min(rate, budget + (now - last) * rate) - cost
            last = now
            await self._take(connection, rpc)
            if budget < 0:
                await trio.sleep(-budget / rate)
            elif turn % IN_ONE_GO == 0:
                await trio.lowlevel.checkpoint()

    async def _take(self, connection: Connection, rpc: RPC) -> None:
        peer = connection.muxed_conn.peer_id
        for subscription in rpc.subscriptions[: 2 * self.limits.topics_max]:
            if len(subscription.topicid) <= TOPIC_SIZE_MAX:
                await self._take_subscription(peer, subscription)
        for turn, message in enumerate(rpc.publish, 1):
            await self._take_message(connection, message)
            if turn % IN_ONE_GO == 0:
                await trio.lowlevel.checkpoint()
        if rpc.HasField("control"):
            restrain(rpc.control, self.subscribed_topics_send, self.limits)
            await self.router.handle_rpc(rpc, peer)

    async def _take_subscription(self, peer: ID, subscription: RPC.SubOpts) -> None:
        topic = subscription.topicid
        if not subscription.subscribe:
            self.router.mesh.get(topic, set()).discard(peer)
            return self._forget_subscription(peer, topic)
        known = self._peer_subscription_count.get(peer, 0)
        if peer not in self.peer_topics.get(topic, ()) and known < self.limits.topics_max:
            self.peer_topics.setdefault(topic, set()).add(peer)
            self._peer_subscription_count[peer] = known + 1
            await self._greet(peer, topic)

    async def _take_message(self, connection: Connection, message: Message) -> None:
        """Take a message that a peer hands on; raises when no honest peer would have."""
        if len(message.topicIDs) != 1 or len(message.data) > self.limits.message_size_max:
            raise MalformedMessage("a gossip message without its one topic, or too large")
        if message.topicIDs[0] not in self.subscribed_topics_send:
            return
        seen = self.get_message_id(message)
        if self.seen_messages.has(seen):
            return
        if not _signed(message):
            raise InvalidSignature("a gossip message that its sender has not signed")
        # Before anything is awaited: two copies that come at once are one message.
        self.seen_messages.add(seen)
        if message.from_id == self.my_id.to_bytes():
            return
        received = Received(connection.key, connection.remote.ip, message.topicIDs[0], message.data)
        if await self._acceptable(received):
            self._deliver(received)
            await self.router.publish(connection.muxed_conn.peer_id, message)

    async def _acceptable(self, received: Received) -> bool:
        if self._accept is None:
            return True
        try:
            with trio.fail_after(self.limits.accept_seconds):
                return await self._accept(received)
        except Exception:
            self._counters["validators_failed"] += 1
            return False

    async def push_msg(self, msg_forwarder: ID, msg: Message) -> None:
        """Send a message of our own; `publish` of libp2p has made and signed it."""
        self.seen_messages.add(self.get_message_id(msg))
        await self.router.publish(msg_forwarder, msg)

    # What goes out.

    async def handle_sending_messages(self, peer_id: ID, stream: INetStream, queue: RpcQueue) -> None:
        """Write what gathers for a peer until the connection ends."""
        assert isinstance(queue, PacketQueue)
        try:
            while data := await queue.take():
                await stream.write(data)
        except IOException:
            pass  # the peer went away
        except Exception:  # libp2p ends the whole service for what its tasks raise
            self._counters["errors_contained"] += 1
            log.warning("contained an error while sending gossip", exc_info=True)
        finally:
            if self.peers.get(peer_id) is stream:
                self._handle_dead_peer(peer_id)
            await stream.muxed_conn.close()


def _signed(message: Message) -> bool:
    """Whether the author of a message, an operator, has signed it."""
    try:
        operator_key(ID(message.from_id))
        return len(message.signature) == 64 and signature_validator(message)
    except Exception:  # libp2p raises what its parsers raise on hostile keys
        return False
