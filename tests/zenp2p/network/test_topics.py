"""Topics of the libp2p adapter: heard from outside, left in order, come back to."""

from itertools import pairwise

import trio
from libp2p.pubsub.pb.rpc_pb2 import RPC

from tests.support.networks import libp2p_networks, nothing_for, take, until
from tests.zenp2p.network.test_host import life_of, network
from zenp2p.network.identity import peer_id
from zenp2p.network.packets import PacketQueue


async def test_who_comes_late_is_sent_what_a_node_outside_the_topic_published() -> None:
    async with network(11) as outsider, network(12) as insider:
        insider.subscribe("topic")
        await outsider.publish("topic", b"before anybody was there")
        await trio.sleep(0.1)
        insider.learn(outsider.operator_key, outsider.endpoint)
        assert [message.data for message in await take(insider, 1)] == [b"before anybody was there"]
        insider.unsubscribe("topic")
        await until(lambda: not life_of(outsider).gossip.peer_topics)
        insider.subscribe("topic")
        await until(lambda: life_of(outsider).gossip.peer_topics)
        queue = life_of(outsider).gossip.peer_queues[peer_id(insider.operator_key)]
        assert isinstance(queue, PacketQueue)
        assert queue.greeted == {"topic"}
        assert await nothing_for(insider, 0.2)


async def test_a_message_from_outside_a_topic_passes_from_subscriber_to_subscriber() -> None:
    """A chain: the outsider knows only the first of three."""
    async with network(11) as outsider, network(12) as first, network(13) as second, network(14) as third:
        chain = [outsider, first, second, third]
        for node, other in pairwise(chain):
            node.learn(other.operator_key, other.endpoint)
        for node in chain[1:]:
            node.subscribe("topic")
        await until(lambda: len(life_of(second).router.mesh.get("topic", ())) == 2)
        await until(lambda: "topic" in life_of(outsider).gossip.peer_topics)
        await outsider.publish("topic", b"from outside")
        for node in chain[1:]:
            assert [message.data for message in await take(node, 1)] == [b"from outside"]
        assert "topic" not in life_of(outsider).router.mesh
        assert await nothing_for(outsider, 0.1)


async def test_leaving_a_topic_leaves_no_trace_in_the_mesh_and_costs_no_connection() -> None:
    async with libp2p_networks(4, topics=["topic", "other"]) as networks:
        leaver, *others = networks
        lives = [life_of(node) for node in networks]
        await until(lambda: all(len(life.router.mesh.get("topic", ())) == 3 for life in lives))
        me = peer_id(leaver.operator_key)
        leaver.unsubscribe("topic")
        await until(lambda: all(me not in life.gossip.peer_topics["topic"] for life in lives[1:]))
        assert all(me not in life.router.mesh["topic"] for life in lives[1:])
        assert "topic" not in lives[0].router.mesh
        assert "topic" not in lives[0].gossip.topic_ids
        for life in lives[1:]:
            assert me in life.gossip.peer_topics["other"]
            assert life.gossip._peer_subscription_count[me] == 1  # noqa: SLF001
        for life in lives:
            await life.router._beat()  # noqa: SLF001 - it looks for whom to take into the mesh
        await trio.sleep(0.1)
        assert all(me not in life.router.mesh["topic"] for life in lives[1:])
        assert all(len(node.peers()) == 3 for node in networks)
        assert not leaver.counters


async def test_a_peer_that_says_that_it_leaves_gives_its_place_in_the_mesh_back_at_once() -> None:
    """Though it prunes nobody: messages to it would be lost."""
    async with libp2p_networks(2, topics=["topic"]) as (one, two):
        life, peer = life_of(one), peer_id(two.operator_key)
        await until(lambda: peer in life.router.mesh.get("topic", ()))
        queue = life_of(two).gossip.peer_queues[peer_id(one.operator_key)]
        queue.push(RPC(subscriptions=[RPC.SubOpts(subscribe=False, topicid="topic")]))
        await until(lambda: peer not in life.gossip.peer_topics.get("topic", ()))
        assert peer not in life.router.mesh["topic"]
