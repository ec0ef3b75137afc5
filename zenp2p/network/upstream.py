"""Private methods of libp2p 0.8.1 that we replace: each with its one reason.

Answers for: being the only place that replaces libp2p's insides. `REPLACED` holds a hash
of the source of each method as it was read; a test compares it with what is installed,
so that a new libp2p cannot change one unnoticed. Everything else in this package goes
through public classes and methods.
"""

from abc import abstractmethod
from collections import defaultdict

from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import GossipSub
from libp2p.pubsub.pb.rpc_pb2 import ControlGraft, ControlIHave, ControlPrune
from libp2p.pubsub.pubsub import Pubsub
from libp2p.pubsub.rpc_queue import RpcQueue

REPLACED = {
    "pubsub.pubsub.Pubsub._handle_new_peer": "305ba4224e6151d7",
    "pubsub.gossipsub.GossipSub._handle_topic_heartbeat": "855f5c363146b724",
    "pubsub.gossipsub.GossipSub._emit_control_msgs": "31b209cca3155276",
}
"""Private methods, replaced below: dotted name in `libp2p`, head of the SHA-256 of its source in 0.8.1."""

OVERRIDDEN = {
    "host.basic_host.BasicHost.connect": "4e27c0e318dc2484",
    "host.basic_host.BasicHost.get_transport_addrs": "b0671b9f43d04d35",
    "host.basic_host.BasicHost.new_stream": "df9efa1bac504f42",
    "network.swarm.Swarm.close": "886afd61179c5915",
    "network.swarm.Swarm.close_peer": "535619a968fb6b6b",
    "network.swarm.Swarm.dial_peer": "da3b538ccaeaeaa6",
    "network.swarm.Swarm.new_stream": "125812a9745b972b",
    "pubsub.gossipsub.GossipSub.emit_control_message": "557180d0b48c03db",
    "pubsub.gossipsub.GossipSub.flush_pending_messages": "05a6b16c6a39b508",
    "pubsub.gossipsub.GossipSub.handle_graft": "12206b0c497aaccd",
    "pubsub.gossipsub.GossipSub.heartbeat": "5e68bdb5a65be44f",
    "pubsub.gossipsub.GossipSub.publish": "b978282af46297f7",
    "pubsub.gossipsub.GossipSub.send_recent_messages": "10e4dc4bd29ec41b",
    "pubsub.gossipsub.GossipSub.send_rpc": "9829bb1473a299fb",
    "pubsub.mcache.MessageCache.put": "bb1f483342005e12",
    "pubsub.mcache.MessageCache.shift": "18c141f7edfa6554",
    "pubsub.pubsub.Pubsub.continuously_read_stream": "ac0c4ad87ca39288",
    "pubsub.pubsub.Pubsub.get_hello_packet": "1161dbb181dfb9f4",
    "pubsub.pubsub.Pubsub.handle_sending_messages": "4eb0b978f9c4b142",
    "pubsub.pubsub.Pubsub.push_msg": "1531483ab4d77674",
    "pubsub.pubsub.Pubsub.stream_handler": "4be06aba2f448b7b",
}
"""Public methods that our subclasses override elsewhere in this package, in the same form."""


class PatchedPubsub(Pubsub):
    """Pubsub with our own queue for each peer."""

    _opening: set[ID]
    """Peers to which a gossip stream is being opened."""

    @abstractmethod
    def new_queue(self) -> RpcQueue:
        """Return the queue of packets to a new peer."""

    @abstractmethod
    async def welcome(self, peer_id: ID) -> None:
        """Do what is due once packets can be queued for a peer."""

    async def _handle_new_peer(self, peer_id: ID) -> None:
        # Reason: libp2p's queue holds 32 packets of any size, and it is made here.
        if peer_id in self.peers or peer_id in self._opening:
            return
        self._opening.add(peer_id)
        try:
            stream = await self.host.new_stream(peer_id, self.protocols)
        finally:
            self._opening.discard(peer_id)
        self.router.add_peer(peer_id, stream.get_protocol())
        self.peers[peer_id] = stream
        queue = self.peer_queues[peer_id] = self.new_queue()
        self.manager.run_task(self.handle_sending_messages, peer_id, stream, queue)
        await self.welcome(peer_id)


class PatchedGossipSub(GossipSub):
    """Gossipsub that tells pruned peers what there is, and grafts only whom it means to."""

    def attached(self) -> Pubsub:
        """Return the pubsub service that this router belongs to."""
        assert self.pubsub is not None
        return self.pubsub

    def _handle_topic_heartbeat(
        self,
        topic: str,
        current_peers: set[ID],
        is_fanout: bool = False,
        peers_to_gossip: defaultdict[ID, dict[str, list[bytes]]] | None = None,
    ) -> tuple[set[ID], bool]:
        # Reason: libp2p sends no IHAVE to peers in back-off, so a pruned peer hears nothing for 60 s.
        if peers_to_gossip is None:
            return super()._handle_topic_heartbeat(topic, current_peers, is_fanout)
        ids = self.mcache.window(topic)
        subscribed = self.attached().peer_topics.get(topic)
        if ids and subscribed:
            count = self._get_adaptive_gossip_peers_count(topic, len(subscribed) - len(current_peers))
            for peer in self._get_in_topic_gossipsub_peers_from_minus(topic, count, current_peers):
                peers_to_gossip[peer][topic] = ids
        return current_peers, False

    async def _emit_control_msgs(
        self,
        peers_to_graft: dict[ID, list[str]],
        peers_to_prune: dict[ID, list[str]],
        peers_to_gossip: dict[ID, dict[str, list[bytes]]],
    ) -> None:
        # Reason: libp2p never empties its list of GRAFTs, so a peer also gets those of the peers before it.
        for peer in {**peers_to_graft, **peers_to_prune, **peers_to_gossip}:
            control = self.pack_control_msgs(
                [ControlIHave(topicID=t, messageIDs=ids) for t, ids in peers_to_gossip.get(peer, {}).items()],
                [ControlGraft(topicID=topic) for topic in peers_to_graft.get(peer, ())],
                [
                    ControlPrune(topicID=topic, backoff=self.prune_back_off)
                    for topic in peers_to_prune.get(peer, ())
                ],
            )
            await self.emit_control_message(control, peer)
