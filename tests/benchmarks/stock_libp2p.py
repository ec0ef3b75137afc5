"""Stock py-libp2p as a gossip node, for the comparison in `network`.

Nothing of `zenp2p.network` is used and nothing is patched. Parameters are those of our
adapter; libp2p's spam, adaptive and eclipse features are off as they are there. The
subscription's queue is made long enough to lose nothing, which costs no CPU.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import libp2p.pubsub.pubsub as stock_pubsub
import trio
from libp2p import new_host
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as new_static_key
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.pubsub.gossipsub import PROTOCOL_ID_V11, GossipSub
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.tools.anyio_service import background_trio_service
from multiaddr import Multiaddr

MESH = 4
SETTLE_SECONDS = 2.0


def new_router() -> GossipSub:
    """Return a router with the parameters of our adapter."""
    return GossipSub(
        protocols=[PROTOCOL_ID_V11],
        degree=6,
        degree_low=4,
        degree_high=12,
        heartbeat_interval=1,
        spam_protection_enabled=False,
        adaptive_gossip_enabled=False,
        eclipse_protection_enabled=False,
    )


@contextlib.asynccontextmanager
async def run_stock(
    seeds: list[bytes], index: int, topic: str, take: Callable[[bytes], None]
) -> AsyncIterator[tuple[int, Callable[[bytes], Awaitable[None]], Callable[[list[int]], Awaitable[None]]]]:
    """Give (port, publish, connect) of a stock node; `take` is called with each message."""
    stock_pubsub.SUBSCRIPTION_CHANNEL_SIZE = 100_000
    keys = create_new_key_pair(seeds[index])
    host = new_host(
        key_pair=keys,
        sec_opt={NOISE: NoiseTransport(keys, noise_privkey=new_static_key().private_key)},
        muxer_opt={TProtocol(YAMUX): Yamux},
        connection_config=ConnectionConfig(min_connections=0, low_watermark=0, max_connections_per_peer=1),
    )
    router = new_router()
    async with host.run([Multiaddr("/ip4/127.0.0.1/tcp/0")]):
        pubsub = Pubsub(host, router)
        async with (
            background_trio_service(router),
            background_trio_service(pubsub),
            trio.open_nursery() as nursery,
        ):
            await pubsub.wait_until_ready()
            subscription = await pubsub.subscribe(topic)

            async def read() -> None:
                while True:
                    take((await subscription.get()).data)

            async def connect(ports: list[int]) -> None:
                for other in range(index):
                    peer = ID.from_pubkey(create_new_key_pair(seeds[other]).public_key)
                    address = Multiaddr(f"/ip4/127.0.0.1/tcp/{ports[other]}")
                    await host.connect(PeerInfo(peer, [address]))
                while len(router.mesh.get(topic, ())) < min(MESH, len(seeds) - 1):
                    await trio.sleep(0.02)
                await trio.sleep(SETTLE_SECONDS)

            nursery.start_soon(read)
            port = int(host.get_transport_addrs()[0].value_for_protocol("tcp") or 0)
            yield port, lambda data: pubsub.publish(topic, data), connect
