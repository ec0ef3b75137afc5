"""The router: what it sends to whom, and what it remembers."""

import time

import pytest
import trio
import trio.testing
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.mcache import MessageCache
from libp2p.pubsub.pb.rpc_pb2 import ControlGraft, ControlMessage, ControlPrune, Message

from zenp2p.network.limits import Limits
from zenp2p.network.router import BoundedCache, Router

LIMITS = Limits(degree=3, degree_low=2, degree_high=4)
PEERS = [ID(bytes([number]) * 8) for number in range(10)]


class Recorder(Router):
    """A router whose control messages are noted instead of sent."""

    def __init__(self) -> None:
        super().__init__(LIMITS)
        self.sent: list[tuple[ID, ControlMessage]] = []

    async def emit_control_message(self, control_msg: ControlMessage, to_peer: ID) -> None:
        self.sent.append((to_peer, control_msg))


async def test_each_peer_gets_its_own_control_messages_in_one_packet() -> None:
    router = Recorder()
    one, two, three, four = PEERS[:4]
    await router._emit_control_msgs(  # noqa: SLF001
        {one: ["a"], two: ["b"]}, {two: ["c"], three: ["d"]}, {one: {"a": [b"id"]}, four: {"b": [b"x", b"y"]}}
    )
    sent = dict(router.sent)
    assert len(router.sent) == len(sent) == 4
    peers = (one, two, three, four)
    assert [[graft.topicID for graft in sent[peer].graft] for peer in peers] == [["a"], ["b"], [], []]
    assert [[prune.topicID for prune in sent[peer].prune] for peer in peers] == [[], ["c"], ["d"], []]
    assert [[ihave.topicID for ihave in sent[peer].ihave] for peer in peers] == [["a"], [], [], ["b"]]
    assert list(sent[four].ihave[0].messageIDs) == [b"x", b"y"]
    assert {p.backoff for control in sent.values() for p in control.prune} == {60}


async def test_a_full_mesh_takes_nobody_by_his_own_graft() -> None:
    router = Recorder()
    router.mesh["topic"] = set(PEERS[:4])
    await router.handle_graft(ControlGraft(topicID="topic"), PEERS[5])
    assert router.mesh["topic"] == set(PEERS[:4])
    assert router.sent == [
        (PEERS[5], ControlMessage(prune=[ControlPrune(topicID="topic", backoff=60)])),
    ]
    await router.handle_graft(ControlGraft(topicID="topic"), PEERS[0])  # is in it already
    assert len(router.sent) == 1
    router.mesh["topic"].discard(PEERS[0])
    await router.handle_graft(ControlGraft(topicID="topic"), PEERS[5])
    assert PEERS[5] in router.mesh["topic"]


def test_old_back_offs_are_forgotten() -> None:
    router = Recorder()
    now = int(time.time())
    router.back_off = {"old": {PEERS[0]: now - 1}, "mixed": {PEERS[0]: now - 1, PEERS[1]: now + 60}}
    router._forget_old_back_offs()  # noqa: SLF001
    assert router.back_off == {"mixed": {PEERS[1]: now + 60}}


async def test_an_error_in_a_heartbeat_is_said_and_the_next_one_comes(
    autojump_clock: trio.testing.MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Fails(Recorder):
        beats = 0

        async def _beat(self) -> None:
            self.beats += 1
            raise KeyError("planted")

    router = Fails()
    with trio.move_on_after(3.5):
        await router.heartbeat()
    assert router.beats == 4
    assert "a heartbeat of gossip failed" in caplog.text


def test_the_parameters_are_those_of_the_design() -> None:
    router = Router(Limits())
    assert router.get_protocols() == [PROTOCOL_ID_V11]
    assert (router.degree, router.degree_low, router.degree_high) == (6, 4, 12)
    assert router.heartbeat_interval == 1
    assert router.scorer is None and not router.do_px
    assert not router.spam_protection_enabled
    assert not router.eclipse_protection_enabled
    assert not router.adaptive_gossip_enabled


def message(number: int, size: int) -> Message:
    return Message(from_id=b"author", seqno=bytes([number]), data=bytes(size), topicIDs=["topic"])


def test_messages_to_hand_on_are_kept_within_bounds_and_forgotten_in_time() -> None:
    cache = BoundedCache(MessageCache(3, 5), bytes_max=1000)
    cache.put(message(1, 600))
    cache.put(message(1, 600))  # the same one again
    cache.put(message(2, 400))
    cache.put(message(3, 1))
    assert len(cache.window("topic")) == 2
    for _ in range(5):
        cache.shift()
    assert cache.window("topic") == [] and not cache.msgs
    cache.put(message(4, 1000))
    assert len(cache.window("topic")) == 1
