"""Gossip packets: read through one buffer, queued within bounds, cut down."""

from collections import Counter

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.pubsub.pb.rpc_pb2 import (
    RPC,
    ControlGraft,
    ControlIDontWant,
    ControlIHave,
    ControlIWant,
    ControlMessage,
    ControlPrune,
    Message,
    PeerInfo,
)
from libp2p.utils.varint import encode_uvarint, encode_varint_prefixed

from protocol.errors import MalformedMessage
from zenp2p.network.limits import Limits
from zenp2p.network.packets import BACKOFF_MAX, PacketQueue, PacketReader, encode, restrain


class Chunks:
    """A stream that gives prepared chunks."""

    def __init__(self, chunks: list[bytes]) -> None:
        self.chunks = chunks
        self.reads = 0

    async def read(self, _size: int) -> bytes:
        self.reads += 1
        if not self.chunks:
            raise StreamEOF("no more")
        return self.chunks.pop(0)


def reader(chunks: list[bytes], size_max: int = 10_000) -> PacketReader:
    return PacketReader(Chunks(chunks), size_max, 1.0)  # type: ignore[arg-type]


@given(st.lists(st.binary(max_size=5000), max_size=8), st.integers(1, 3000))
def test_packets_are_read_as_they_were_written_however_cut(packets: list[bytes], cut: int) -> None:
    data = b"".join(encode_varint_prefixed(packet) for packet in packets)
    chunks = [data[start : start + cut] for start in range(0, len(data), cut)]

    async def main() -> list[bytes]:
        packet_reader = reader(chunks)
        found = [await packet_reader.next() for _ in packets]
        with pytest.raises(StreamEOF):
            await packet_reader.next()
        return found

    assert trio.run(main) == packets


async def test_a_hundred_packets_in_one_chunk_are_one_read() -> None:
    chunks = Chunks([encode_varint_prefixed(b"packet") * 100])
    packet_reader = PacketReader(chunks, 100, 1.0)  # type: ignore[arg-type]
    assert [await packet_reader.next() for _ in range(100)] == [b"packet"] * 100
    assert chunks.reads == 1


@pytest.mark.parametrize("head", [encode_uvarint(10_001), b"\xff\xff\xff\xff\x0f", b"\xff" * 5, b"\x80" * 9])
async def test_a_bad_length_is_refused_before_its_body_comes(head: bytes) -> None:
    with pytest.raises(MalformedMessage):
        await reader([head]).next()


async def test_a_packet_that_begins_and_does_not_end(autojump_clock: trio.testing.MockClock) -> None:
    class Stalls(Chunks):
        async def read(self, size: int) -> bytes:
            return await super().read(size) if self.chunks else await trio.sleep_forever() or b""

    for chunks in ([b"\x80"], [b"\x05abc"]):
        with pytest.raises(trio.TooSlowError):
            await PacketReader(Stalls(chunks), 100, 1.0).next()  # type: ignore[arg-type]
    with trio.move_on_after(1000) as scope:  # between packets there is no hurry
        await PacketReader(Stalls([]), 100, 1.0).next()  # type: ignore[arg-type]
    assert scope.cancelled_caught


def test_an_encoded_packet_has_no_record_of_our_addresses() -> None:
    plain = RPC(publish=[Message(data=b"x", topicIDs=["t"])])
    with_record = RPC(publish=plain.publish, senderRecord=bytes(200))
    assert encode(with_record) == encode(plain) == encode_varint_prefixed(plain.SerializeToString())


async def test_the_queue_is_bounded_in_number_and_bytes_and_sends_urgent_packets_first() -> None:
    counters: Counter[str] = Counter()
    queue = PacketQueue(Limits(packets_pending_max=3, packet_bytes_pending_max=10), counters)
    assert queue.push_encoded(b"aaa") and queue.push_encoded(b"bbb") and queue.push_encoded(b"c", True)
    assert not queue.push_encoded(b"d")
    assert await queue.take() == b"caaabbb" and len(queue) == 0
    assert queue.push_encoded(b"12345678") and not queue.push_encoded(b"123")
    assert counters == {"gossip_unsent": 2}
    queue.close()
    assert await queue.take() == b"12345678" and await queue.take() == b""
    assert not queue.push_encoded(b"late")


async def test_a_closed_queue_wakes_its_sender() -> None:
    queue = PacketQueue(Limits(), Counter())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(queue.take)
        await trio.testing.wait_all_tasks_blocked()
        queue.close()


LIMITS = Limits(gossip_ids_max=4, topics_max=3)
HOSTILE = ControlMessage(
    ihave=[
        ControlIHave(topicID="mine", messageIDs=[bytes([n]) * 46 for n in range(9)]),
        ControlIHave(topicID="foreign", messageIDs=[b"x"]),
    ],
    iwant=[ControlIWant(messageIDs=[b"y" * 65, b"z"]), ControlIWant(messageIDs=[b"second"])],
    graft=[ControlGraft(topicID=f"topic {n}") for n in range(1000)] + [ControlGraft(topicID="mine")],
    prune=[
        ControlPrune(topicID="mine", backoff=2**63, peers=[PeerInfo(peerID=b"recommended")]),
        ControlPrune(topicID="foreign", backoff=1),
    ],
    idontwant=[ControlIDontWant(messageIDs=[b"id"])],
)


def test_a_hostile_control_message_is_cut_down() -> None:
    control = ControlMessage()
    control.CopyFrom(HOSTILE)
    restrain(control, {"mine"}, LIMITS)
    assert control == ControlMessage(
        ihave=[ControlIHave(topicID="mine", messageIDs=[bytes([n]) * 46 for n in range(4)])],
        iwant=[ControlIWant(messageIDs=[b"z"])],
        graft=[ControlGraft(topicID="mine")],
        prune=[ControlPrune(topicID="mine", backoff=BACKOFF_MAX)],
    )


def test_an_honest_control_message_is_left_alone() -> None:
    honest = ControlMessage(
        ihave=[ControlIHave(topicID="mine", messageIDs=[bytes(46)])],
        iwant=[ControlIWant(messageIDs=[bytes(46)])],
        graft=[ControlGraft(topicID="mine")],
        prune=[ControlPrune(topicID="other", backoff=60)],
    )
    control = ControlMessage()
    control.CopyFrom(honest)
    restrain(control, {"mine", "other"}, LIMITS)
    assert control == honest


def test_an_entry_repeated_for_one_topic_does_not_multiply() -> None:
    control = ControlMessage(graft=[ControlGraft(topicID="mine")] * 100)
    restrain(control, {"mine"}, LIMITS)
    assert len(control.graft) == LIMITS.topics_max
