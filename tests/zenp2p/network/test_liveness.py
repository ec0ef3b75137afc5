"""Peers that are connected and dead."""

import trio

from tests.support.networks import loopback, seed, until
from zenp2p.network.connection import Connection
from zenp2p.network.host import LibP2PNetwork, open_network
from zenp2p.network.identity import key_pair
from zenp2p.network.limits import Limits
from zenp2p.network.negotiate import YAMUX, Upgrader
from zenp2p.network.tcp import TcpConnection, dial

LIMITS = Limits(ping_every=0.2, silence_seconds=0.6, linger_seconds=0.2)


async def come_and_freeze(victim: LibP2PNetwork, number: int) -> TcpConnection:
    """Authenticate, then read and write nothing any more, as a stopped process does."""
    raw = await dial(victim.endpoint, bytes([127, 0, 0, number]))
    await Upgrader(key_pair(seed(number))).outbound(raw, victim.operator_key, YAMUX)
    return raw


async def test_a_frozen_peer_is_gone_soon_and_a_quiet_one_stays() -> None:
    async with (
        trio.open_nursery() as nursery,
        open_network(seed(11), loopback(11), nursery, limits=LIMITS) as victim,
        open_network(seed(12), loopback(12), nursery) as quiet,
    ):
        quiet.learn(victim.operator_key, victim.endpoint)
        await until(victim.peers)
        frozen = await come_and_freeze(victim, 13)
        await until(lambda: len(victim.peers()) == 2)
        begun = trio.current_time()
        await until(lambda: len(victim.peers()) == 1, 5)
        assert trio.current_time() - begun < 2
        await trio.sleep(1.0)
        assert victim.peers() == [(quiet.operator_key, bytes([127, 0, 0, 12]))]
        assert victim.counters["peers_silent"] == 1
        frozen.abort()


async def test_a_stream_that_the_peer_never_closes_is_reset() -> None:
    async with (
        trio.open_nursery() as nursery,
        open_network(seed(11), loopback(11), nursery, limits=LIMITS) as one,
        open_network(seed(12), loopback(12), nursery) as two,
    ):
        one.learn(two.operator_key, two.endpoint)
        await until(one.peers)
        life = one._life  # noqa: SLF001
        assert life is not None
        connection = life.switch.connection(two.operator_key)
        assert isinstance(connection, Connection)
        await until(lambda: len(connection.get_streams()) == 2)  # gossip, both ways
        stream = await connection.new_stream()
        await stream.close()
        assert len(connection.get_streams()) == 3
        await until(lambda: len(connection.get_streams()) == 2, 3)
