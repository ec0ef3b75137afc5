"""The gossip router: libp2p's gossipsub 1.1, sending each message once, remembering little.

Answers for: whom a message goes to. The mesh, its heartbeat and the control messages are
libp2p's; the sending is ours: one encoding for all peers, no signed record, no state that
grows with each message (libp2p's keeps one time stamp of every message for ever), and
our own messages go to every peer of the topic at once (flood publishing, gossipsub 1.1).
"""

import logging
import time

import trio
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.mcache import MessageCache
from libp2p.pubsub.pb.rpc_pb2 import RPC, ControlGraft, ControlMessage, Message

from zenp2p.network.limits import Limits
from zenp2p.network.packets import PacketQueue, encode
from zenp2p.network.upstream import PatchedGossipSub

log = logging.getLogger(__name__)


class BoundedCache(MessageCache):
    """The messages of the last heartbeats, as far as they fit in so many bytes."""

    def __init__(self, like: MessageCache, bytes_max: int) -> None:
        """Cover as many heartbeats as `like`."""
        super().__init__(like.window_size, like.history_size)
        self._bytes_max = bytes_max
        self._bytes = 0

    def put(self, msg: Message) -> None:
        """Keep a message to hand it on when asked, unless that is too much."""
        if self._bytes + len(msg.data) <= self._bytes_max:
            before = len(self.msgs)
            super().put(msg)
            self._bytes += len(msg.data) * (len(self.msgs) - before)

    def shift(self) -> None:
        """Forget the messages of the oldest heartbeat."""
        super().shift()
        self._bytes = sum(len(message.data) for message in self.msgs.values())


class Router(PatchedGossipSub):
    """Gossipsub 1.1 with default message ids; spam, eclipse and adaptive features off, no scores."""

    def __init__(self, limits: Limits) -> None:
        """Aim at the mesh degrees of `limits`."""
        super().__init__(
            protocols=[PROTOCOL_ID_V11],
            degree=limits.degree,
            degree_low=limits.degree_low,
            degree_high=limits.degree_high,
            heartbeat_interval=limits.heartbeat_seconds,
            spam_protection_enabled=False,
            adaptive_gossip_enabled=False,
            eclipse_protection_enabled=False,
        )
        self.scorer = None
        self.mcache = BoundedCache(self.mcache, limits.gossip_bytes_cached_max)
        self._limits = limits

    async def publish(self, msg_forwarder: ID, pubsub_msg: Message) -> None:
        """Send a checked message on to the mesh, our own one to every peer of its topic."""
        self.mcache.put(pubsub_msg)
        packet = encode(RPC(publish=[pubsub_msg]))
        topic = pubsub_msg.topicIDs[0]
        if msg_forwarder == self.attached().my_id:
            self.time_since_last_publish[topic] = int(time.time())
            peers = self.attached().peer_topics.get(topic, set())
        else:
            peers = self.mesh.get(topic, set())
        origin = ID(pubsub_msg.from_id)
        for peer in peers:
            if peer != msg_forwarder and peer != origin:
                self._queue(peer, packet)

    async def emit_control_message(self, control_msg: ControlMessage, to_peer: ID) -> None:
        """Queue control messages for a peer, ahead of its messages."""
        self.send_rpc(to_peer, RPC(control=control_msg), priority=True)

    async def handle_graft(self, graft_msg: ControlGraft, sender_peer_id: ID) -> None:
        """Take a peer into the mesh of a topic, unless the mesh is full (gossipsub 1.1)."""
        mesh = self.mesh.get(graft_msg.topicID, set())
        if len(mesh) >= self.degree_high and sender_peer_id not in mesh:
            return await self.emit_prune(graft_msg.topicID, sender_peer_id, False, False)
        await super().handle_graft(graft_msg, sender_peer_id)

    def send_rpc(self, peer_id: ID, rpc: RPC, priority: bool = False) -> None:
        """Queue a packet of control messages, or of messages that a peer has asked for."""
        queue = self.attached().peer_queues.get(peer_id)
        if queue is None:
            return
        for part in queue.split_rpc(rpc):
            queue.push(part, priority)

    async def send_recent_messages(self, peer_id: ID, topic: str) -> None:
        """Send a peer that has just come the messages of the last heartbeats."""
        for seen in self.mcache.window(topic)[-self._limits.gossip_ids_max :]:
            message = self.mcache.get(seen)
            if message is not None:
                self._queue(peer_id, encode(RPC(publish=[message])))

    async def flush_pending_messages(self, peer_id: ID) -> None:
        """Have nothing pending: a peer that comes late is sent the recent messages."""

    async def heartbeat(self) -> None:
        """Maintain the mesh each second; an error in one round does not end the host."""
        await trio.sleep(self.heartbeat_initial_delay)
        while True:
            started = trio.current_time()
            try:
                await self._beat()
            except Exception:
                log.exception("a heartbeat of gossip failed")
            await trio.sleep(max(0.1, started + self._limits.heartbeat_seconds - trio.current_time()))

    async def _beat(self) -> None:
        graft, prune = self.mesh_heartbeat()
        for peer, topics in prune.items():
            for topic in topics:  # whom we prune may not graft itself again at once
                self._add_back_off(peer, topic, False)
        for topic in [topic for topic in self.fanout if topic not in self.attached().peer_topics]:
            del self.fanout[topic]
        self.fanout_heartbeat()
        await self._emit_control_msgs(graft, prune, self.gossip_heartbeat())
        self.mcache.shift()
        self._periodic_security_cleanup()
        self._forget_old_back_offs()

    def _forget_old_back_offs(self) -> None:
        now = int(time.time())
        for topic in list(self.back_off):
            current = {peer: until for peer, until in self.back_off[topic].items() if until > now}
            if current:
                self.back_off[topic] = current
            else:
                del self.back_off[topic]

    def _queue(self, peer: ID, packet: bytes) -> None:
        queue = self.attached().peer_queues.get(peer)
        if isinstance(queue, PacketQueue):
            queue.push_encoded(packet)
