"""Gossip packets on a stream: reading them, queueing them, and cutting hostile ones down.

Answers for: the bytes between `gossip` and a stream. A packet is a protobuf RPC of
gossipsub behind its length as varint. What a peer may say in one is decided here, before
libp2p's router sees it: the router keeps state for any topic that anybody names, believes
any back-off time, and dials whom a peer recommends. Pure but for the reads.
"""

from collections import Counter, deque
from collections.abc import Container
from typing import Any

import trio
from libp2p.abc import INetStream
from libp2p.pubsub.pb.rpc_pb2 import RPC, ControlMessage
from libp2p.pubsub.rpc_queue import RpcQueue
from libp2p.utils.varint import encode_varint_prefixed

from protocol.errors import MalformedMessage
from zenp2p.network.limits import Limits

READ_SIZE = 1 << 16
TOPIC_SIZE_MAX = 128
"""Bytes of a topic's name."""
MESSAGE_ID_MAX = 64
"""Bytes of a message id: a peer id of 38 bytes and a sequence number of 8, and some room."""
VARINT_MAX = 5
BACKOFF_MAX = 3600
"""Seconds that a peer may keep itself out of our mesh."""
PACKET_OVERHEAD = 4096
"""Bytes of a packet beside the data of its message: ids, signature, topic, control."""


class PacketReader:
    """Reads length-prefixed packets through one buffer, not byte by byte."""

    def __init__(self, stream: INetStream, size_max: int, seconds: float) -> None:
        """Read from `stream`, refusing packets above `size_max` bytes before storing them.

        A packet that has begun must be there within `seconds`, else `trio.TooSlowError`.
        """
        self._stream = stream
        self._seconds = seconds
        self._size_max = size_max
        self._buffer = bytearray()

    async def next(self) -> bytes:
        """Return the next packet; raises `MalformedMessage`, and libp2p's errors at the end."""
        if not self._buffer:
            self._buffer += await self._stream.read(READ_SIZE)
        start, length = self._head() or await self._rest_of_head()
        if length > self._size_max:
            raise MalformedMessage(f"a packet of {length} bytes")
        if len(self._buffer) < start + length:
            await self._fill(start + length)
        packet = bytes(self._buffer[start : start + length])
        del self._buffer[: start + length]
        return packet

    async def _rest_of_head(self) -> tuple[int, int]:
        while (head := self._head()) is None:
            await self._fill(len(self._buffer) + 1)
        return head

    async def _fill(self, size: int) -> None:
        with trio.fail_after(self._seconds):
            while len(self._buffer) < size:
                self._buffer += await self._stream.read(READ_SIZE)

    def _head(self) -> tuple[int, int] | None:
        length = 0
        for position, byte in enumerate(self._buffer[:VARINT_MAX]):
            length |= (byte & 0x7F) << 7 * position
            if byte < 0x80:
                return position + 1, length
        if len(self._buffer) >= VARINT_MAX:
            raise MalformedMessage("a packet length without end")
        return None


class PacketQueue(RpcQueue):
    """Packets waiting for one peer, encoded; bounded in number and bytes; the new one is dropped.

    Encoding happens once a message, not once a peer, and what has gathered goes out in one write.
    """

    def __init__(self, limits: Limits, counters: Counter[str]) -> None:
        """Start empty; `counters` counts what there was no room for."""
        super().__init__(max_message_size=limits.message_size_max + PACKET_OVERHEAD)
        self._limits = limits
        self._packets: deque[bytes] = deque()
        self._urgent: deque[bytes] = deque()
        self._bytes = 0
        self._ready = trio.Event()
        self._counters = counters
        self.greeted: set[str] = set()
        """Topics of which the peer was sent the recent messages."""

    def __len__(self) -> int:
        return len(self._packets) + len(self._urgent)

    def push(self, rpc: RPC, priority: bool = False) -> bool:
        """Queue a packet; returns whether there was room."""
        return self.push_encoded(encode(rpc), priority)

    def push_encoded(self, packet: bytes, priority: bool = False) -> bool:
        """Queue an encoded packet; returns whether there was room."""
        limits = self._limits
        if (
            self.closed
            or len(self) >= limits.packets_pending_max
            or self._bytes + len(packet) > limits.packet_bytes_pending_max
        ):
            self._counters["gossip_unsent"] += 1
            return False
        (self._urgent if priority else self._packets).append(packet)
        self._bytes += len(packet)
        self._ready.set()
        return True

    async def take(self) -> bytes:
        """Wait for packets and return all of them in sending order; nothing once it is closed."""
        while not self._bytes and not self.closed:
            self._ready = trio.Event()
            await self._ready.wait()
        data = b"".join((*self._urgent, *self._packets))
        self._urgent.clear()
        self._packets.clear()
        self._bytes = 0
        return data

    def close(self) -> None:
        """Stop taking packets and wake the sender."""
        super().close()
        self._ready.set()


def encode(rpc: RPC) -> bytes:
    """Return a packet: the RPC behind its length, without the signed record of our addresses.

    The record is 200 bytes and a signature check in every packet; nobody here reads it.
    """
    rpc.ClearField("senderRecord")
    return encode_varint_prefixed(rpc.SerializeToString())


def restrain(control: ControlMessage, topics: Container[str], limits: Limits) -> None:
    """Cut a peer's control message down, in place, to what can do no harm.

    Kept: entries about `topics` that we are in, `gossip_ids_max` ids of a sane size, no
    recommended peers, a back-off of an hour at most, nothing of other gossipsub versions.
    """
    for kind in (control.ihave, control.graft, control.prune):
        _keep_topics(kind, topics, limits.topics_max)
    del control.iwant[1:]
    for ids in [entry.messageIDs for entry in control.ihave] + [entry.messageIDs for entry in control.iwant]:
        kept = [one for one in ids[: limits.gossip_ids_max] if len(one) <= MESSAGE_ID_MAX]
        if len(kept) != len(ids):
            del ids[:]
            ids.extend(kept)
    for prune in control.prune:
        del prune.peers[:]
        prune.backoff = min(prune.backoff, BACKOFF_MAX)
    for name in ("idontwant", "extensions", "observe", "unobserve"):
        control.ClearField(name)


def _keep_topics(entries: Any, topics: Container[str], most: int) -> None:
    """Keep at most `most` entries about `topics`, in place, of a repeated field of control entries."""
    kept = [entry for entry in entries if entry.topicID in topics][:most]
    if len(kept) != len(entries):
        del entries[:]
        entries.extend(kept)
