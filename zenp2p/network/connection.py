"""One authenticated connection to an operator.

Answers for: what the other modules know of a connection (who, from where, who dialled,
since when) and libp2p's connection interface over a yamux session. Which connection
to an operator is kept is left to `switch`.
"""

import trio
from libp2p.abc import INetConn
from libp2p.connection_types import ConnectionType
from multiaddr import Multiaddr

from protocol.units import OperatorKey
from zenp2p.network.muxer import Muxer
from zenp2p.network.stream import Stream
from zenp2p.ports import Endpoint


class Connection(INetConn):
    """A yamux session with an operator at an address."""

    muxed_conn: Muxer

    def __init__(self, session: Muxer, key: OperatorKey, remote: Endpoint, *, dialled: bool) -> None:
        """Name the session's peer: its key, its observed address, and whether we dialled it."""
        self.muxed_conn = session
        session.owner = self
        self.event_started = session.event_started
        self.key = key
        self.remote = remote
        self.dialled = dialled
        self.since = trio.current_time()
        self.settled = trio.Event()
        """Set when it is decided whether this is the connection to its operator."""
        self.gone = trio.Event()
        """Set when everybody has been told that the connection is over."""
        self.serving = trio.Semaphore(session.limits.requests_per_peer_max)
        """One place for each request of the peer that is being read and answered."""
        self.asking = trio.Semaphore(session.limits.requests_to_peer_max)
        """One place for each request of ours that the peer is to answer."""
        self.direct: Stream | None = None
        """Our stream of direct messages to the peer, opened with the first one."""
        self.direct_lock = trio.Lock()
        self.direct_in: trio.CancelScope | None = None
        """What ends the reading of the peer's direct messages."""

    @property
    def is_closed(self) -> bool:
        """Whether the session is over."""
        return self.muxed_conn.is_closed

    async def new_stream(self) -> Stream:
        """Open a stream without a protocol yet."""
        return await self.muxed_conn.open_stream()

    def get_streams(self) -> tuple[Stream, ...]:
        """Return the streams that are not over."""
        return self.muxed_conn.streams()

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Return the peer's address as multiaddr."""
        return self.muxed_conn.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        """Say that nothing relays this connection."""
        return ConnectionType.DIRECT

    async def close(self) -> None:
        """Say goodbye and end the session."""
        await self.muxed_conn.close()

    def abort(self) -> None:
        """End the session at once."""
        self.muxed_conn.abort()
