"""Sockets: what the other side sees, and what is noticed when listening."""

import socket

import pytest
import trio
import trio.testing
from libp2p import new_host
from libp2p.io.exceptions import ConnectionClosedError
from multiaddr import Multiaddr

from tests.support.networks import loopback
from zenp2p.network.tcp import TcpConnection, dial, listen, listening_on, pack_ip, to_multiaddr
from zenp2p.ports import Endpoint, TransportError

IPV6_LOOPBACK = bytes(15) + b"\1"


async def connected(source: bytes | None = None) -> tuple[TcpConnection, TcpConnection]:
    """Return both ends of a connection to 127.0.0.11."""
    listener = await listen(loopback(11))
    near = await dial(listening_on(listener), source)
    far = TcpConnection(await listener.accept(), initiator=False)
    await listener.aclose()
    return near, far


async def test_a_dial_leaves_from_the_given_address() -> None:
    for source in (bytes([127, 0, 0, 12]), bytes([127, 0, 0, 13])):
        near, far = await connected(source)
        assert far.remote.ip == source and near.remote.ip == bytes([127, 0, 0, 11])
        assert far.get_remote_address() == (".".join(map(str, source)), far.remote.port)


async def test_a_source_of_the_other_ip_version_is_not_used() -> None:
    _near, far = await connected(IPV6_LOOPBACK)
    assert far.remote.ip[:1] == bytes([127])


async def test_many_dials_to_one_endpoint_leave_from_one_address() -> None:
    listener = await listen(loopback(11))
    connections = [await dial(listening_on(listener), bytes([127, 0, 0, 12])) for _ in range(50)]
    ports = {TcpConnection(await listener.accept(), initiator=False).remote.port for _ in connections}
    assert len(ports) == 50


async def test_reads_are_exact_and_short_only_at_the_end() -> None:
    near, far = await connected()
    await near.write(b"0123456789")
    assert [await far.read(1), await far.read(4), await far.read(None)] == [b"0", b"1234", b"56789"]
    await near.write(b"abc")
    near.abort()
    assert await far.read(10) == b"abc"
    assert await far.read(10) == b"" and await far.read(None) == b""


async def test_reading_and_writing_after_the_end() -> None:
    near, far = await connected()
    far.abort()
    assert await far.read(1) == b""
    with pytest.raises(ConnectionClosedError):
        await far.write(b"x")
    with pytest.raises(ConnectionClosedError):
        for _ in range(100):
            await near.write(bytes(100_000))


async def test_a_reader_is_woken_when_its_own_side_closes() -> None:
    near, _far = await connected()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.read, 1)
        await trio.testing.wait_all_tasks_blocked()
        near.abort()


async def test_a_port_that_is_taken_is_noticed() -> None:
    listener = await listen(loopback(11))
    with pytest.raises(TransportError, match=r"127\.0\.0\.11:\d+: another program has this port"):
        await listen(listening_on(listener))
    await listener.aclose()


async def test_a_port_that_libp2p_listens_on_is_noticed_although_libp2p_would_share_it() -> None:
    host = new_host()
    async with host.run([Multiaddr("/ip4/127.0.0.11/tcp/0")]):
        port = int(host.get_transport_addrs()[0].value_for_protocol("tcp") or 0)
        with pytest.raises(TransportError, match="another program has this port"):
            await listen(loopback(11, port))


async def test_listening_again_right_after_a_connection_was_open() -> None:
    listener = await listen(loopback(11))
    endpoint = listening_on(listener)
    near = await dial(endpoint, None)
    far = TcpConnection(await listener.accept(), initiator=False)
    far.abort()  # we close first, so the port is in TIME_WAIT
    near.abort()
    await listener.aclose()
    again = await listen(endpoint)
    await again.aclose()


async def test_an_address_that_is_not_ours() -> None:
    with pytest.raises(TransportError, match=r"cannot listen on 192\.0\.2\.1:0"):
        await listen(Endpoint(bytes([192, 0, 2, 1]), 0))


async def test_nobody_listens() -> None:
    with pytest.raises(TransportError, match="cannot connect"):
        await dial(loopback(11, 1), None)


async def test_ipv6() -> None:
    try:
        listener = await listen(Endpoint(IPV6_LOOPBACK, 0))
    except TransportError:
        with socket.socket(socket.AF_INET6) as probe, pytest.raises(OSError):
            probe.bind(("::1", 0))  # this machine has no IPv6, which is the only reason allowed
        return
    near = await dial(listening_on(listener), IPV6_LOOPBACK)
    far = TcpConnection(await listener.accept(), initiator=False)
    assert far.remote.ip == IPV6_LOOPBACK and near.remote == listening_on(listener)
    assert far.get_remote_address()[0] == "::1"


@pytest.mark.parametrize(
    ("text", "packed"),
    [
        ("127.0.0.1", bytes([127, 0, 0, 1])),
        ("::ffff:192.0.2.7", bytes([192, 0, 2, 7])),
        ("::1", IPV6_LOOPBACK),
        ("fe80::1%eth0", bytes.fromhex("fe80") + bytes(13) + b"\1"),
    ],
)
def test_addresses_are_packed_one_way(text: str, packed: bytes) -> None:
    assert pack_ip(text) == packed


def test_multiaddrs() -> None:
    assert str(to_multiaddr(loopback(11, 4001))) == "/ip4/127.0.0.11/tcp/4001"
    assert str(to_multiaddr(Endpoint(IPV6_LOOPBACK, 4001))) == "/ip6/::1/tcp/4001"
