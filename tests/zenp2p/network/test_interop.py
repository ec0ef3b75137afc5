"""A stock py-libp2p peer, unpatched, is a peer like any other."""

import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.host.basic_host import BasicHost
from libp2p.host.ping import PingService
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.network.stream.exceptions import StreamEOF
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, PROTOCOL_ID_V12, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.tools.anyio_service import background_trio_service

from protocol.crypto import Signer
from tests.support.networks import loopback, seed, take, until
from zenp2p.network.host import LibP2PNetwork, open_network
from zenp2p.network.identity import peer_id
from zenp2p.network.tcp import to_multiaddr


def info(network: LibP2PNetwork) -> PeerInfo:
    return PeerInfo(peer_id(network.operator_key), [to_multiaddr(network.endpoint)])


def stock_host(number: int) -> BasicHost:
    """Return a host with all of libp2p's defaults; only its key is given."""
    host = new_host(key_pair=create_new_key_pair(seed(number)))
    assert isinstance(host, BasicHost)
    return host


async def test_gossip_passes_both_ways() -> None:
    stock = stock_host(50)
    router = GossipSub([PROTOCOL_ID_V12, PROTOCOL_ID_V11], 6, 4, 12, heartbeat_interval=1)
    async with trio.open_nursery() as nursery, open_network(seed(11), loopback(11), nursery) as ours:
        ours.subscribe("topic")
        async with stock.run([]):
            pubsub = Pubsub(stock, router)
            async with background_trio_service(router), background_trio_service(pubsub):
                await pubsub.wait_until_ready()
                subscription = await pubsub.subscribe("topic")
                await stock.connect(info(ours))
                assert ours.peers() == [(Signer(seed(50)).operator_key, bytes([127, 0, 0, 1]))]
                await pubsub.wait_for_subscription(peer_id(ours.operator_key), "topic")
                await pubsub.wait_for_mesh(peer_id(ours.operator_key), "topic")
                await pubsub.publish("topic", b"from stock")
                assert [message.data for message in await take(ours, 1)] == [b"from stock"]
                await ours.publish("topic", b"from ours")
                with trio.fail_after(5):
                    while (await subscription.get()).data != b"from ours":
                        pass
                await stock.disconnect(peer_id(ours.operator_key))
                await until(lambda: not ours.peers())
        assert ours.counters["hosts_died"] == ours.counters["errors_contained"] == 0


async def test_identify_and_ping_are_answered_and_only_noise_is_spoken() -> None:
    stock = stock_host(51)
    async with (
        trio.open_nursery() as nursery,
        open_network(seed(11), loopback(11), nursery) as ours,
        stock.run([]),
    ):
        await stock.connect(info(ours))
        (connection,) = stock.get_network().get_connections(peer_id(ours.operator_key))
        assert connection.get_negotiated_security_protocol() == NOISE  # type: ignore[attr-defined]
        stream = await stock.new_stream(peer_id(ours.operator_key), [IDENTIFY])
        answer = b""
        try:
            while True:
                answer += await stream.read(10_000)
        except StreamEOF:
            pass
        said = parse_identify_response(answer)
        assert said.public_key[-32:] == ours.operator_key
        assert list(said.listen_addrs) == [to_multiaddr(ours.endpoint).to_bytes()]
        assert PROTOCOL_ID_V11 in said.protocols and PROTOCOL_ID_V12 not in said.protocols
        async for milliseconds in PingService(stock).ping_iter(peer_id(ours.operator_key), 3):
            assert milliseconds < 5000
