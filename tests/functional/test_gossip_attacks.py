"""Attacks by gossip against the libp2p adapter, over real sockets.

Each attack costs the attacker its connection, or nothing when it is no offence, and
nobody else anything: `scene` checks at its end that the same host still holds the same
connection to an honest bystander, talks with it, and lets a newcomer in.
"""

import os
import time

import pytest
import trio
from libp2p.network.stream.exceptions import StreamReset
from libp2p.pubsub.pb.rpc_pb2 import (
    RPC,
    ControlGraft,
    ControlIHave,
    ControlIWant,
    ControlMessage,
    ControlPrune,
    Message,
)
from libp2p.pubsub.pb.rpc_pb2 import PeerInfo as RecommendedPeer

from protocol.crypto import Signer
from tests.support.attackers import TOPIC, insist, scene
from tests.support.networks import seed, take, until
from zenp2p.network.identity import peer_id
from zenp2p.network.limits import Limits
from zenp2p.network.packets import BACKOFF_MAX

NAMELESS = b"\x12\x20" + bytes(range(32))
"""A peer id that is a hash, so that it contains no key."""
SOMEBODY = peer_id(Signer(seed(1)).operator_key).to_bytes()


def rpc(**fields: object) -> bytes:
    """Return a packet of gossip with its length before it."""
    data = RPC(**fields).SerializeToString()  # type: ignore[arg-type]
    return _length(len(data)) + data


def _length(value: int) -> bytes:
    data = b""
    while value >= 0x80:
        data += bytes([value & 0x7F | 0x80])
        value >>= 7
    return data + bytes([value])


def message(**fields: object) -> bytes:
    """Return a packet with one gossip message."""
    whole: dict[str, object] = {"data": b"x", "topicIDs": [TOPIC], "seqno": bytes(8), "signature": bytes(64)}
    return rpc(publish=[Message(**(whole | fields))])  # type: ignore[arg-type]


GOSSIP_OFFENCES = {
    "bytes that are no protobuf": _length(50) + b"\xff" * 50,
    "a length without end": b"\xff" * 50,
    "a huge length": b"\xff\xff\xff\xff\x0f" + bytes(100),
    "a length above the limit": _length(2 << 20) + bytes(1000),
    "an author without key and a garbage key": message(from_id=NAMELESS, key=b"\xff\xff\xff"),
    "a garbage author and a garbage key": message(from_id=b"\xff" * 40, key=b"abc"),
    "no author": message(from_id=b""),
    "no signature": message(from_id=SOMEBODY, signature=b""),
    "a false signature": message(from_id=SOMEBODY),
    "a message without topic": message(topicIDs=[]),
    "a message with two topics": message(topicIDs=[TOPIC, "other"]),
    "a packet that stops": _length(1000) + b"abc",
}


@pytest.mark.parametrize("data", GOSSIP_OFFENCES.values(), ids=GOSSIP_OFFENCES.keys())
async def test_an_offence_in_gossip_costs_the_connection(data: bytes) -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.gossip()
        await insist(stream, data)
        assert await attacker.is_cut()


GOSSIP_NUISANCES = {
    "nothing": b"\x00" * 100,
    "a garbage record of addresses": rpc(senderRecord=b"garbage"),
    "recommended peers": rpc(
        control=ControlMessage(
            prune=[
                ControlPrune(
                    topicID=TOPIC,
                    backoff=2**63,
                    peers=[RecommendedPeer(peerID=b"\x00", signedPeerRecord=b"zz")] * 100,
                )
            ]
        )
    ),
    "back-offs of topics that we are not in": rpc(
        control=ControlMessage(prune=[ControlPrune(topicID=f"topic {n}", backoff=60) for n in range(500)])
    ),
    "thousands of ids and grafts": rpc(
        control=ControlMessage(
            ihave=[ControlIHave(topicID=TOPIC, messageIDs=[os.urandom(40) for _ in range(9000)])],
            iwant=[ControlIWant(messageIDs=[bytes(1)] * 9000)] * 3,
            graft=[ControlGraft(topicID=f"topic {number}") for number in range(2000)],
        )
    ),
    "ten thousand subscriptions": rpc(
        subscriptions=[RPC.SubOpts(subscribe=True, topicid=f"topic {n}") for n in range(10_000)]
    ),
    "subscribing and unsubscribing": rpc(
        subscriptions=[RPC.SubOpts(subscribe=n % 2 == 0, topicid=TOPIC) for n in range(1000)]
    )
    * 20,
    "messages of topics that we are not in": message(topicIDs=["foreign"]) * 100,
}


@pytest.mark.parametrize("data", GOSSIP_NUISANCES.values(), ids=GOSSIP_NUISANCES.keys())
async def test_a_nuisance_in_gossip_leaves_no_trace(data: bytes) -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.gossip()
        await insist(stream, data)
        assert not await attacker.is_cut(0.3)
        life = stage.victim._life  # noqa: SLF001
        assert life is not None
        limits = stage.victim._lasting.limits  # noqa: SLF001
        assert len(life.gossip.peer_topics) <= limits.topics_max + 1
        assert set(life.router.mesh) == {TOPIC}
        assert set(life.router.back_off) <= {TOPIC}
        assert max(life.router.back_off.get(TOPIC, {None: 0}).values()) <= time.time() + BACKOFF_MAX
        assert set(life.router.graft_flood_tracking.get(attacker.muxer.peer_id, {})) <= {TOPIC}
        assert len(life.host.get_peerstore().peer_ids()) <= 1


async def test_gossip_above_the_rate_is_taken_later_and_not_lost() -> None:
    async with scene(Limits(gossip_rate_max=100.0)) as stage:
        attacker = await stage.attacker()
        stream = await attacker.gossip()
        await trio.sleep(0.2)
        begun = trio.current_time()
        for number in range(120):
            await stream.write(rpc(publish=[attacker.signed(b"%d" % number, number)]))
        heard: list[bytes] = []
        while len(heard) < 120:
            heard += [one.data for one in await take(stage.victim, 1) if one.peer == attacker.key]
        assert heard == [b"%d" % number for number in range(120)]
        assert trio.current_time() - begun > 1.0  # 100 at once, then a packet and its message count two


async def test_a_heap_of_tiny_packets_does_not_hold_the_others_up() -> None:
    async with scene(Limits(gossip_rate_max=1e9)) as stage, trio.open_nursery() as nursery:
        gaps: list[float] = []

        async def watch() -> None:
            while True:
                before = time.thread_time()
                await trio.sleep(0)
                gaps.append(time.thread_time() - before)

        attacker = await stage.attacker()
        stream = await attacker.gossip()
        nursery.start_soon(watch)
        await stream.write(b"\x00" * 150_000 + rpc(publish=[attacker.signed(b"the end", 1)]))
        while b"the end" not in [message.data for message in await take(stage.victim, 1)]:
            pass
        nursery.cancel_scope.cancel()
        assert max(gaps) < 0.15


async def test_a_second_gossip_stream_takes_the_place_of_the_first() -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        first = await attacker.gossip()
        second = await attacker.gossip()
        with pytest.raises(StreamReset):
            while True:
                await first.read(1000)
        await second.write(rpc(publish=[attacker.signed(b"by the second", 1)]))
        assert b"by the second" in [m.data for m in await take(stage.victim, 1)]
        assert not await attacker.is_cut(0.1)


@pytest.mark.parametrize("how", ["reset", "close"])
async def test_leaving_gossip_in_the_middle_of_a_packet(how: str) -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.gossip()
        await stream.write(_length(100) + b"half")
        await (stream.reset() if how == "reset" else stream.close())
        assert await attacker.is_cut()


async def test_a_flood_of_valid_gossip_slows_its_sender_only() -> None:
    async with scene() as stage, trio.open_nursery() as nursery:
        attacker = await stage.attacker()
        stream = await attacker.gossip()
        packets = [rpc(publish=[attacker.signed(bytes(300), number)]) for number in range(1500)]

        async def flood() -> None:
            for packet in packets:
                await insist(stream, packet)

        async def read() -> None:
            async for batch in stage.victim.received:
                heard.extend(batch)

        heard: list[object] = []
        nursery.start_soon(flood)
        nursery.start_soon(read)
        await until(lambda: len(heard) > 300)
        delays = []
        for number in range(5):
            begun = trio.current_time()
            assert await stage.bystander.request(stage.victim.operator_key, "echo", b"%d" % number, 5)
            delays.append(trio.current_time() - begun)
        assert sorted(delays)[2] < 1.0
        nursery.cancel_scope.cancel()


async def test_a_flood_of_large_gossip_is_held_within_bounds() -> None:
    mebi = 1 << 20
    limits = Limits(gossip_bytes_pending_max=mebi, gossip_bytes_cached_max=4 * mebi, gossip_rate_max=1e9)
    async with scene(limits) as stage:
        attacker = await stage.attacker()
        stream = await attacker.gossip()
        for number in range(8):
            await insist(stream, rpc(publish=[attacker.signed(bytes([number]) * mebi, number)]))
        await until(lambda: stage.victim.counters["gossip_dropped"] >= 6)
        life = stage.victim._life  # noqa: SLF001
        assert life is not None
        cached = sum(len(message.data) for message in life.router.mcache.msgs.values())
        assert 3 * mebi < cached <= 4 * mebi
        batch = await stage.victim.received.receive()
        assert sum(len(message.data) for message in batch) <= mebi
