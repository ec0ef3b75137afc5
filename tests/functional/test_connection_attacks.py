"""Attacks by sockets, connections, streams, requests and probes against the libp2p adapter.

Each attack costs the attacker its connection, or nothing when it is no offence, and
nobody else anything: `scene` checks at its end that the same host still holds the same
connection to an honest bystander, talks with it, and lets a newcomer in.
"""

import os
import signal
import socket
import struct
import subprocess
import sys

import pytest
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair as new_ed25519
from libp2p.crypto.secp256k1 import create_new_key_pair as new_secp256k1
from libp2p.exceptions import BaseLibp2pError
from libp2p.peer.peerinfo import PeerInfo
from libp2p.security.insecure.transport import PLAINTEXT_PROTOCOL_ID, InsecureTransport

from tests.support.attackers import TOPIC, Scene, insist, scene
from tests.support.networks import seed, until
from zenp2p.network.identity import key_pair, peer_id
from zenp2p.network.limits import Limits
from zenp2p.network.muxer import DATA, HEADER, PING, SYN, WINDOW_UPDATE
from zenp2p.network.negotiate import PROBE, YAMUX, Upgrader
from zenp2p.network.tcp import TcpConnection, to_multiaddr
from zenp2p.ports import TransportError

ECHO = "/zenp2p/echo/1"

# Streams and requests.

NEGOTIATION_OFFENCES = {
    "a protocol name that is not text": b"\x13/multistream/1.0.0\n\x05\xff\xfe\xfd\xfc\n",
    "garbage": b"\xff" * 1000,
    "a line of 4 GiB": b"\x13/multistream/1.0.0\n\xff\xff\xff\xff\x0f" + b"/" * 1000,
    "silence": b"",
    "half a line": b"\x13/multistream/1.0.0\n\x20/zenp2p",
}


@pytest.mark.parametrize("data", NEGOTIATION_OFFENCES.values(), ids=NEGOTIATION_OFFENCES.keys())
async def test_an_offence_while_agreeing_on_a_protocol_costs_the_connection(data: bytes) -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.muxer.open_stream()
        if data:
            await insist(stream, data)
        assert await attacker.is_cut()


async def test_asking_for_protocols_that_nobody_speaks_costs_nothing() -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        for protocol in ("/zenp2p/unknown/1", "/ipfs/id/push/1.0.0", "/meshsub/1.2.0", "/plaintext/2.0.0"):
            with pytest.raises(TransportError, match="does not speak"):
                await attacker.stream(protocol)
        assert not await attacker.is_cut(0.6)


REQUEST_OFFENCES = {
    "a length above the limit": (1 << 31).to_bytes(4, "big"),
    "half a length": b"\0\0",
    "half a request": (1000).to_bytes(4, "big") + bytes(999),
    "silence": b"",
}


@pytest.mark.parametrize("data", REQUEST_OFFENCES.values(), ids=REQUEST_OFFENCES.keys())
async def test_an_offence_in_a_request_costs_the_connection(data: bytes) -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.stream(ECHO)
        if data:
            await insist(stream, data)
        assert await attacker.is_cut()


@pytest.mark.parametrize("data", [(1 << 31).to_bytes(4, "big"), (1000).to_bytes(4, "big") + b"half"])
async def test_an_offence_in_direct_messages_costs_the_connection(data: bytes) -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.stream("/zenp2p/direct/1")
        await insist(stream, data)
        assert await attacker.is_cut()


async def test_a_request_that_breaks_a_rule_costs_the_connection() -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.stream("/zenp2p/strict/1")
        await stream.write((3).to_bytes(4, "big") + b"bad")
        assert await attacker.is_cut()


async def test_a_bug_in_a_handler_of_ours_costs_the_asker_its_stream_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with scene() as stage:
        for _ in range(3):
            with pytest.raises(TransportError):
                await stage.bystander.request(stage.victim.operator_key, "broken", b"", 2)
        assert stage.victim.counters["handlers_failed"] == 3
        assert "a bug of ours" in caplog.text


async def test_a_reply_that_is_not_read_costs_the_connection() -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        stream = await attacker.stream(ECHO)
        size = 1 << 20
        await stream.write(size.to_bytes(4, "big") + bytes(size))
        assert await attacker.is_cut()


async def test_a_flood_of_streams_costs_the_connection() -> None:
    async with scene() as stage:
        attacker = await stage.attacker()
        opened = 0
        try:
            while opened < 3000:
                await attacker.muxer.open_stream()
                opened += 1
        except BaseLibp2pError:
            pass
        assert await attacker.is_cut()


async def test_requests_beyond_those_served_at_once_wait_and_are_answered() -> None:
    async with scene(Limits(requests_per_peer_max=2)) as stage, trio.open_nursery() as nursery:
        replies: list[bytes] = []

        async def ask(number: int) -> None:
            replies.append(
                await stage.bystander.request(stage.victim.operator_key, "echo", b"%d" % number, 5)
            )

        for number in range(150):
            nursery.start_soon(ask, number)
        await until(lambda: sorted(replies) == sorted(b"%d" % number for number in range(150)))


# Below the streams.


def frame(kind: int, flags: int, number: int, length: int, version: int = 0) -> bytes:
    return HEADER.pack(version, kind, flags, number, length)


SESSION_OFFENCES = {
    "noise": os.urandom(1200),
    "another version of yamux": frame(PING, SYN, 0, 0, version=9),
    "a frame of 4 GiB": frame(DATA, SYN, 1, 0xFFFFFFFF) + bytes(60_000) * 40,
    "more than the window": frame(WINDOW_UPDATE, SYN, 1, 0)
    + (frame(DATA, 0, 1, 1 << 16) + bytes(1 << 16)) * 5,
    "windows of many streams": b"".join(
        frame(DATA, SYN, 2 * number + 1, 1 << 18) + bytes(1 << 18) for number in range(40)
    ),
    "pings without end": frame(PING, SYN, 0, 0) * 300_000,
}


@pytest.mark.parametrize("data", SESSION_OFFENCES.values(), ids=SESSION_OFFENCES.keys())
async def test_an_offence_below_the_streams_costs_the_connection(data: bytes) -> None:
    async with scene() as stage:
        raw, session, _ = await stage.authenticate()
        await until(lambda: len(stage.victim.peers()) == 2)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(insist, session, data)
            await until(lambda: len(stage.victim.peers()) == 1, 5)
            nursery.cancel_scope.cancel()
        raw.abort()


async def test_garbage_in_the_encrypted_stream_costs_the_connection() -> None:
    async with scene() as stage:
        raw, _session, _ = await stage.authenticate()
        await until(lambda: len(stage.victim.peers()) == 2)
        await raw.write(struct.pack(">H", 64) + os.urandom(64))
        await until(lambda: len(stage.victim.peers()) == 1)
        raw.abort()


async def test_a_peer_that_reads_nothing_is_gone_soon() -> None:
    async with scene() as stage:
        raw, session, _ = await stage.authenticate()
        await until(lambda: len(stage.victim.peers()) == 2)
        for _ in range(20):
            await insist(session, frame(PING, SYN, 0, 0) * 1000)
        await until(lambda: len(stage.victim.peers()) == 1, 5)
        raw.abort()


async def test_one_operator_with_many_connections_has_one() -> None:
    async with scene() as stage:
        keys = key_pair(seed(77))
        attackers = [await stage.attacker(keys=keys) for _ in range(5)]
        await until(lambda: sum(attacker.muxer.is_closed for attacker in attackers) == 4)
        assert len(stage.victim.peers()) == 2
        assert not attackers[-1].muxer.is_closed


async def test_hundreds_of_operators_come_and_go() -> None:
    async with scene() as stage:
        before = trio.lowlevel.current_statistics().tasks_living
        for number in range(60):
            attacker = await stage.attacker(keys=key_pair(seed(1000 + number)))
            attacker.raw.abort()
        await until(lambda: len(stage.victim.peers()) == 1)
        life = stage.victim._life  # noqa: SLF001
        assert life is not None
        await until(lambda: len(life.gossip.peers) == 1 and life.listener.admission.inside == 1)
        assert life.listener.admission.half_open == 0
        assert len(life.host.get_peerstore().peer_ids()) <= 1
        await until(lambda: trio.lowlevel.current_statistics().tasks_living <= before + 5)


# Before the handshake is over.

GREETING = b"\x13/multistream/1.0.0\n"
STRANGERS = {
    "nothing, and leaves": b"",
    "noise": os.urandom(4096),
    "a web browser": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "another security protocol": GREETING + b"\x11/plaintext/2.0.0\n",
    "a line of 4 GiB": b"\xff\xff\xff\xff\x0f" + bytes(100_000),
    "a broken noise message": GREETING + b"\x07/noise\n" + b"\x00\x10" + os.urandom(16),
    "a noise message of 64 KiB": GREETING + b"\x07/noise\n" + b"\xff\xff" + os.urandom(65_535),
}


@pytest.mark.parametrize("data", STRANGERS.values(), ids=STRANGERS.keys())
async def test_a_stranger_loses_its_socket(data: bytes) -> None:
    async with scene() as stage:
        raw = await stage.socket()
        await insist(raw, data)
        if not data:
            raw.abort()
        await _until_it_is_over(stage, raw)


async def _until_it_is_over(stage: Scene, raw: TcpConnection) -> None:
    life = stage.victim._life  # noqa: SLF001
    assert life is not None
    await until(lambda: life.listener.admission.inside == 1, 3)
    raw.abort()


async def test_a_handshake_that_drips_is_over_at_its_deadline() -> None:
    async with scene() as stage:
        raw = await stage.socket()
        begun = trio.current_time()
        with pytest.raises(BaseLibp2pError):
            for byte in GREETING * 100:
                await raw.write(bytes([byte]))
                await trio.sleep(0.05)
        assert trio.current_time() - begun < 3


async def test_half_open_sockets_of_one_address_leave_the_others_places() -> None:
    async with scene(Limits(handshake_seconds=60)) as stage:
        sockets = [await stage.socket() for _ in range(40)]
        await until(lambda: stage.victim.counters["sockets_refused"] == 34)
        await stage.unharmed()
        for raw in sockets:
            raw.abort()


async def test_half_open_sockets_of_many_addresses_give_way_to_newcomers() -> None:
    async with scene(Limits(handshake_seconds=60, handshakes_max=20)) as stage:
        sockets = [await stage.socket(100 + number) for number in range(60)]
        await until(lambda: stage.victim.counters["handshakes_failed"] >= 40)
        await stage.unharmed()
        for raw in sockets:
            raw.abort()


async def test_connections_that_are_reset_at_once() -> None:
    async with scene() as stage:
        host, port = "127.0.0.11", stage.victim.endpoint.port
        for _ in range(100):
            with socket.create_connection((host, port)) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def test_an_operator_with_another_kind_of_key_is_none() -> None:
    async with scene() as stage:
        raw = await stage.socket()
        with pytest.raises((BaseLibp2pError, TransportError)):
            await Upgrader(new_secp256k1()).outbound(raw, stage.victim.operator_key, YAMUX)
        await _until_it_is_over(stage, raw)


async def test_plaintext_is_refused() -> None:
    async with scene() as stage:
        keys = new_ed25519()
        plain = new_host(key_pair=keys, sec_opt={PLAINTEXT_PROTOCOL_ID: InsecureTransport(keys)})
        async with plain.run([]):
            with pytest.raises(BaseLibp2pError):
                await plain.connect(
                    PeerInfo(peer_id(stage.victim.operator_key), [to_multiaddr(stage.victim.endpoint)])
                )


PROBE_OFFENCES = {
    "a name above the limit": (1000).to_bytes(4, "big") + b"x" * 1000,
    "an unknown name": (7).to_bytes(4, "big") + b"unknown" + bytes(4),
    "a name that is not text": (2).to_bytes(4, "big") + b"\xff\xfe" + bytes(4),
    "a question above the limit": (4).to_bytes(4, "big") + b"echo" + b"\xff\xff\xff\xff",
    "silence": b"",
    "half a question": (4).to_bytes(4, "big") + b"echo" + (10).to_bytes(4, "big") + b"half",
}


@pytest.mark.parametrize("data", PROBE_OFFENCES.values(), ids=PROBE_OFFENCES.keys())
async def test_an_offence_in_a_probe_costs_the_socket(data: bytes) -> None:
    async with scene() as stage:
        raw = await stage.socket()
        session = await Upgrader(key_pair(seed(66))).outbound(raw, stage.victim.operator_key, PROBE)
        if data:
            await insist(session, data)
        await _until_it_is_over(stage, raw)


# Whole processes.

PEER = """
import sys, trio
from tests.support.networks import loopback, seed
from zenp2p.network.host import open_network
from zenp2p.ports import Endpoint

async def main(key: str, port: str) -> None:
    async with trio.open_nursery() as nursery, open_network(seed(66), loopback(66), nursery) as network:
        network.subscribe("topic")
        network.learn(bytes.fromhex(key), loopback(11, int(port)))
        await trio.sleep_forever()

trio.run(main, *sys.argv[1:])
"""


@pytest.mark.functional
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_process_that_vanishes_or_freezes(how: signal.Signals) -> None:
    async with scene() as stage:
        victim = stage.victim
        arguments = [sys.executable, "-c", PEER, victim.operator_key.hex(), str(victim.endpoint.port)]
        process = subprocess.Popen(arguments)
        try:
            await until(lambda: len(victim.peers()) == 2, 30)
            process.send_signal(how)
            for _ in range(50):
                await victim.publish(TOPIC, os.urandom(20_000))
            await until(lambda: len(victim.peers()) == 1, 5)
        finally:
            process.kill()
            process.wait()
