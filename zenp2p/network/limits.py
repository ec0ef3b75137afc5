"""Every number that bounds the network adapter, in one place.

Answers for: each queue, message, stream, connection, retry and wait of
`zenp2p.network` has a name here and a value that can be handed in. What happens at a
limit is said where it is enforced. Times are seconds, sizes bytes. Spec: `spec/network.md`.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one network adapter; the defaults suit a node of a few thousand peers."""

    message_size_max: int = 1 << 20
    """Bytes of one message, request or reply."""
    batch_max: int = 256
    """Messages in one list that `received` hands over."""
    gossip_pending_max: int = 16_384
    gossip_bytes_pending_max: int = 64 << 20
    """Gossip messages, and their bytes, waiting for the daemon; then the oldest is dropped and counted.

    5,000 voters that vote on a list at once do so twice within moments."""
    gossip_bytes_cached_max: int = 32 << 20
    """Bytes of gossip messages kept to be handed on when asked for; then new ones are not kept."""
    direct_pending_max: int = 64
    """Direct messages of one peer waiting for the daemon; then that peer's stream is not read."""
    publish_pending_max: int = 1024
    """Own gossip waiting to be sent; then the oldest is dropped and counted."""
    packets_pending_max: int = 1024
    packet_bytes_pending_max: int = 2 << 20
    """Gossip packets, and their bytes, queued for one peer; then new ones for it are dropped."""

    connections_max: int = 320
    """Established connections; then new inbound ones are refused."""
    kept_max: int = 192
    """Peers that are kept: connected before all others, and never let go for them; further ones are not."""
    connections_dialled_max: int = 64
    """Connections that the dialer keeps up by itself with others; requests may dial beyond it."""
    spare_seconds: float = 60.0
    """Beyond that number, a connection that we dialled is closed after so long."""
    sockets_max: int = 512
    """Inbound sockets, half-open ones and probes included; then new ones are refused."""
    sockets_kept_per_ip: int = 2
    """Inbound sockets that a kept peer's address may have all the same."""
    connections_per_ip_max: int = 16
    """Inbound sockets of one address, from the accept on."""
    handshakes_max: int = 64
    """Inbound sockets that have not authenticated themselves yet."""
    handshakes_per_ip_max: int = 6
    """The same, of one address: half-open sockets cost their sender its own places only."""
    streams_per_connection_max: int = 64
    """Streams that a peer may have open towards us; further ones are reset."""
    requests_per_peer_max: int = 8
    """Requests of one peer that are read and answered at once; further ones wait."""
    requests_to_peer_max: int = 32
    """Our requests to one peer under way at once; further ones wait for their turn."""
    unread_max: int = 4 << 20
    """Bytes of one connection that came in and were not read; then the connection ends."""
    refused_streams_max: int = 512
    """Such resets between two pings, after which a peer loses its connection."""
    gossip_rate_max: float = 2000.0
    """Gossip packets, messages and KiB a second of one peer; what comes faster is read later."""
    gossip_ids_max: int = 5000
    """Message ids in one IHAVE or IWANT; further ones are not looked at."""
    topics_max: int = 64
    """Gossip topics of a peer that we keep track of."""

    handshake_seconds: float = 5.0
    """From the accept, or from the dial, until the peer is authenticated."""
    ping_idle_seconds: float = 60.0
    """A libp2p ping stream on which nothing comes for so long is closed."""
    negotiate_seconds: float = 5.0
    """From a stream's first byte until its protocol is agreed."""
    request_seconds: float = 10.0
    """A handler's time for one request, reading and replying included."""
    accept_seconds: float = 1.0
    """The daemon's time to find a gossip message acceptable; after it the message is not handed on."""
    write_seconds: float = 10.0
    """A connection that takes no byte for so long is closed."""
    ping_every: float = 10.0
    """Between two liveness pings on a connection."""
    silence_seconds: float = 25.0
    """A peer that sent no byte for so long, although pinged, is gone."""
    linger_seconds: float = 10.0
    """A stream that we closed and the peer did not is reset after so long."""
    close_seconds: float = 1.0
    """For each step of the shutdown."""

    known_peers_max: int = 65_536
    """Operators whose endpoint is remembered; then the one learnt first, not connected, is forgotten."""
    dial_patience: float = 0.3
    """How much longer than the other one the side with the higher key waits before it dials."""
    redial_first: float = 0.25
    """Wait before a failed dial is repeated; doubles at each failure, with jitter."""
    redial_most: float = 60.0
    """The longest such wait."""
    redial_kept_most: float = 10.0
    """The same before a kept peer is dialled again, unless it refused us."""
    dials_max: int = 8
    """Dials under way at once by the dialer, to others than kept peers."""
    dials_kept_max: int = 32
    """The same to kept peers."""
    rebuild_first: float = 0.2
    """Wait before the host is built again when a service of it has died; doubles at each failure."""
    rebuild_most: float = 10.0
    """The longest such wait; also how long a host must live for the waits to start over."""

    heartbeat_seconds: int = 1
    """Between two rounds of gossipsub's mesh maintenance."""
    degree: int = 6
    degree_low: int = 4
    degree_high: int = 12
    """Mesh links of a topic: the number aimed at, the least, the most."""
    seen_seconds: float = 120.0
    """How long a gossip message is remembered as seen."""
    seen_max: int = 100_000
    """Message ids remembered as seen; then the oldest is forgotten first."""
