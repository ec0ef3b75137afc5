"""Hostile peers with real sockets, and a scene in which to let them loose.

A scene is a victim and an honest bystander that is connected with it and gossips. When the
scene closes, the victim must be unharmed: same host, same connection to the bystander,
requests and gossip both ways, and a newcomer finds its way in.
"""

import os
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import trio
from libp2p.abc import ISecureConn
from libp2p.crypto.keys import KeyPair
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.peer.id import ID
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11
from libp2p.pubsub.pb.rpc_pb2 import RPC, Message
from libp2p.pubsub.validators import PUBSUB_SIGNING_PREFIX
from libp2p.utils.varint import encode_varint_prefixed

from protocol.errors import StaleMessage
from protocol.units import OperatorKey
from tests.support.networks import PATIENCE, loopback, seed, until
from zenp2p.network.connection import Connection
from zenp2p.network.host import LibP2PNetwork, open_network
from zenp2p.network.identity import key_pair, peer_id
from zenp2p.network.limits import Limits
from zenp2p.network.muxer import Muxer
from zenp2p.network.negotiate import YAMUX, Upgrader, propose
from zenp2p.network.stream import Stream
from zenp2p.network.tcp import TcpConnection, dial
from zenp2p.ports import TransportError

TOPIC = "topic"
HASTY = Limits(
    handshake_seconds=0.5,
    negotiate_seconds=0.3,
    request_seconds=0.3,
    write_seconds=1.0,
    ping_every=0.4,
    silence_seconds=1.2,
    redial_first=0.05,
)
"""A victim that loses patience soon, so that a test need not wait long."""
VICTIM, BYSTANDER, NEWCOMER, ATTACKER = 11, 12, 13, 66


@dataclass
class Attacker:
    """An authenticated peer of the victim that may send anything."""

    raw: TcpConnection
    session: ISecureConn
    muxer: Muxer
    keys: KeyPair

    @property
    def key(self) -> OperatorKey:
        """Who the attacker says it is."""
        return OperatorKey(self.keys.public_key.to_bytes())

    async def stream(self, protocol: str) -> Stream:
        """Open a stream of a protocol."""
        stream = await self.muxer.open_stream()
        try:
            await propose(stream, TProtocol(protocol))
        except TransportError:
            stream.abort()
            raise
        return stream

    async def gossip(self, *packets: RPC) -> Stream:
        """Open a gossip stream and send packets on it."""
        stream = await self.stream(PROTOCOL_ID_V11)
        for packet in packets:
            await stream.write(encode_varint_prefixed(packet.SerializeToString()))
        return stream

    async def is_cut(self, seconds: float = 3.0) -> bool:
        """Whether the victim ends the connection soon."""
        with trio.move_on_after(seconds):
            await self.muxer.ended.wait()
            return True
        return False

    def signed(self, data: bytes, number: int) -> Message:
        """Return a gossip message that is signed as it must be."""
        author = ID.from_pubkey(self.keys.public_key)
        message = Message(
            from_id=author.to_bytes(), seqno=struct.pack(">Q", number), data=data, topicIDs=[TOPIC]
        )
        text = PUBSUB_SIGNING_PREFIX.encode() + message.SerializeToString()
        message.signature = self.keys.private_key.sign(text)
        return message


@dataclass
class Scene:
    """A victim, a bystander, and what they were before the attack."""

    victim: LibP2PNetwork
    bystander: LibP2PNetwork
    nursery: trio.Nursery
    friendship: Connection

    async def attacker(self, number: int = ATTACKER, keys: KeyPair | None = None) -> Attacker:
        """Connect with the victim, authenticated, from 127.0.0.`number`."""
        raw, session, keys = await self.authenticate(number, keys)
        muxer = Muxer(session, peer_id(self.victim.operator_key))
        self.nursery.start_soon(muxer.run)
        return Attacker(raw, session, muxer, keys)

    async def authenticate(
        self, number: int = ATTACKER, keys: KeyPair | None = None
    ) -> tuple[TcpConnection, ISecureConn, KeyPair]:
        """Go as far as yamux, and stop there."""
        raw = await self.socket(number)
        keys = keys or key_pair(seed(number))
        return raw, await Upgrader(keys).outbound(raw, self.victim.operator_key, YAMUX), keys

    async def socket(self, number: int = ATTACKER) -> TcpConnection:
        """Open a TCP connection to the victim from 127.0.0.`number`."""
        return await dial(self.victim.endpoint, bytes([127, 0, 0, number]))

    async def unharmed(self) -> None:
        """Check that the attack cost nobody but the attacker anything."""
        life = self.victim._life  # noqa: SLF001
        assert life is not None and self.victim.counters["hosts_died"] == 0
        assert life.switch.connection(self.bystander.operator_key) is self.friendship
        assert not self.friendship.is_closed
        await converse(self.victim, self.bystander)
        async with open_network(seed(NEWCOMER), loopback(NEWCOMER), self.nursery) as newcomer:
            prepare(newcomer)
            newcomer.learn(self.victim.operator_key, self.victim.endpoint)
            await until(lambda: newcomer.operator_key in dict(self.victim.peers()), 2.0)
            await converse(self.victim, newcomer)


def prepare(network: LibP2PNetwork) -> None:
    """Subscribe, and serve one good handler, one with a bug and one that finds everything bad."""

    async def echo(_peer: OperatorKey, _ip: bytes, data: bytes) -> bytes:
        return data

    async def broken(_peer: OperatorKey, _ip: bytes, _data: bytes) -> bytes:
        raise KeyError("a bug of ours")

    async def strict(_peer: OperatorKey, _ip: bytes, _data: bytes) -> bytes:
        raise StaleMessage("too late")

    network.subscribe(TOPIC)
    network.serve("echo", echo)
    network.serve("broken", broken)
    network.serve("strict", strict)


async def converse(one: LibP2PNetwork, other: LibP2PNetwork) -> None:
    """Check that requests, direct messages and gossip pass between two nodes, both ways."""
    with trio.fail_after(PATIENCE):
        await _converse(one, other)


async def _converse(one: LibP2PNetwork, other: LibP2PNetwork) -> None:
    for asker, asked in ((one, other), (other, one)):
        assert await asker.request(asked.operator_key, "echo", b"are you well?", 2) == b"are you well?"
        text = os.urandom(8) + b" of " + asker.operator_key
        await asker.send(asked.operator_key, text)
        await _hears(asked, text, "")
        while True:
            await asker.publish(TOPIC, text)
            with trio.move_on_after(0.2):
                await _hears(asked, text, TOPIC)
                break


async def _hears(network: LibP2PNetwork, text: bytes, topic: str) -> None:
    with trio.fail_after(PATIENCE):
        while (topic, text) not in [(one.topic, one.data) for one in await network.received.receive()]:
            pass


@asynccontextmanager
async def scene(limits: Limits = HASTY) -> AsyncIterator[Scene]:
    """Set the scene, let the test attack, then check that the victim is unharmed."""
    async with trio.open_nursery() as nursery, AsyncExitStack() as stack:
        victim, bystander = [
            await stack.enter_async_context(open_network(seed(number), loopback(number), nursery, limits=own))
            for number, own in ((VICTIM, limits), (BYSTANDER, None))
        ]
        for network in (victim, bystander):
            prepare(network)
        bystander.learn(victim.operator_key, victim.endpoint)
        await until(victim.peers)
        await converse(victim, bystander)
        life = victim._life  # noqa: SLF001
        assert life is not None
        friendship = life.switch.connection(bystander.operator_key)
        assert friendship is not None
        stage = Scene(victim, bystander, nursery, friendship)
        yield stage
        await stage.unharmed()
        nursery.cancel_scope.cancel()


async def insist(stream: "Stream | TcpConnection | ISecureConn", data: bytes) -> None:
    """Write, not caring whether the other side is still there."""
    with suppress(IOException):
        await stream.write(data)
