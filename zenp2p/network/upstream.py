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
    "pubsub.pubsub.Pubsub._handle_new_peer": "",
    "pubsub.gossipsub.GossipSub._handle_topic_heartbeat": "",
    "pubsub.gossipsub.GossipSub._emit_control_msgs": "",
}
"""Dotted name below `libp2p` of each method: SHA-256 of its source text in 0.8.1."""


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
