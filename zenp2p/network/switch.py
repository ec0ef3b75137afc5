"""The connections of one host: which exist, who is told, and nothing escapes from them.

Answers for: one connection an operator at a time, its whole life in one guarded task,
the handlers of its streams included. It stands where libp2p's Swarm stands and is one
by type, without using its sockets: Swarm keeps an inbound place and a task for ever
for each connection that ever was, cannot dial from a given address, and ends the host
when a handler raises. Sockets are left to `listener` and `dialer`, protocols to
`contained_host`.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable

import trio
from libp2p.abc import INetConn
from libp2p.crypto.keys import KeyPair
from libp2p.io.exceptions import IOException
from libp2p.network.config import ConnectionConfig
from libp2p.network.exceptions import SwarmException
from libp2p.network.stream.exceptions import StreamClosed
from libp2p.network.swarm import Swarm
from libp2p.peer.id import ID
from libp2p.peer.peerstore import PeerStore
from libp2p.transport.upgrader import TransportUpgrader

from protocol.errors import ProtocolError
from protocol.units import OperatorKey
from zenp2p.network.connection import Connection
from zenp2p.network.identity import peer_id
from zenp2p.network.limits import Limits
from zenp2p.network.peer_table import PeerTable
from zenp2p.network.stream import Stream
from zenp2p.ports import TransportError

log = logging.getLogger(__name__)

SAME_MOMENT = 2.0
"""Seconds within which two connections count as dialled by both sides at once."""


class Switch(Swarm):
    """The connections of one host, by operator."""

    def __init__(self, keys: KeyPair, limits: Limits, counters: Counter[str], table: PeerTable) -> None:
        """Have no connections yet; those of `table` get a place before strangers, the kept ones before all.

        `counters` counts what was refused and contained.
        """
        me = ID.from_pubkey(keys.public_key)
        store = PeerStore(max_peers=10**6, max_records=10**6)  # the default evicts our own key first
        store.add_key_pair(me, keys)
        most = limits.connections_max
        config = ConnectionConfig(
            max_connections=most, min_connections=0, low_watermark=0, high_watermark=most
        )
        super().__init__(me, store, TransportUpgrader({}, {}), [], connection_config=config)
        self.notifees.clear()
        self.limits = limits
        self.counters = counters
        self.on_change: Callable[[], None] = lambda: None
        """Called whenever a connection has come or gone."""
        self._table = table
        self._by_key: dict[OperatorKey, Connection] = {}

    def connection(self, key: OperatorKey) -> Connection | None:
        """Return the connection to an operator, if there is one."""
        return self._by_key.get(key)

    def connected(self) -> frozenset[OperatorKey]:
        """Return the operators that we are connected with."""
        return frozenset(self._by_key)

    def all_connections(self) -> list[Connection]:
        """Return the connections, sorted by key."""
        return [self._by_key[key] for key in sorted(self._by_key)]

    # The life of a connection.

    async def carry(self, connection: Connection) -> None:
        """Run a connection from the end of its handshake to its end; raises nothing."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(connection.muxed_conn.run)
                await connection.event_started.wait()
                placed = await self._take_place(connection)
                connection.settled.set()
                if placed:
                    await self._accept_streams(connection, nursery)
                await connection.close()
                nursery.cancel_scope.cancel()
        except* Exception:
            self._contained("connection", connection)
        finally:
            connection.abort()
            connection.settled.set()
            with trio.CancelScope(shield=True):
                await self._give_place_back(connection)

    async def _accept_streams(self, connection: Connection, nursery: trio.Nursery) -> None:
        try:
            while True:
                stream = await connection.muxed_conn.accept_stream()
                nursery.start_soon(self._handle_stream, connection, stream)
        except StreamClosed:
            pass

    async def _handle_stream(self, connection: Connection, stream: Stream) -> None:
        """Run a stream's handler: what it raises costs the peer the connection, never the host."""
        try:
            await self.common_stream_handler(stream)
        except IOException:
            stream.abort()  # the peer went away, which is no offence
        except (ProtocolError, TransportError, trio.TooSlowError) as error:
            self.counters["peers_cut"] += 1
            log.info("cut %s: %s", connection.key.hex()[:16], error)
            connection.abort()
        except Exception:
            self._contained("stream handler", connection)
            connection.abort()
        finally:
            stream.release()

    def _contained(self, what: str, connection: Connection) -> None:
        self.counters["errors_contained"] += 1
        log.warning("contained an error of a %s of %s", what, connection.key.hex()[:16], exc_info=True)

    # One connection an operator.

    async def _take_place(self, connection: Connection) -> bool:
        key = connection.key
        current = self._by_key.get(key)
        while current is not None:
            if self._keep_current(current, connection):
                return False
            current.abort()
            await current.gone.wait()  # everybody has forgotten it, so nobody mixes the two up
            current = self._by_key.get(key)
        if not await self._make_room(connection) or connection.is_closed or key in self._by_key:
            return False
        self._by_key[key] = connection
        self.connections[peer_id(key)] = [connection]
        await self._tell("connected", connection)
        return True

    def _keep_current(self, current: Connection, new: Connection) -> bool:
        """Decide as the other side does: of two dialled at once, the one that the lower key dialled."""
        if current.dialled == new.dialled or new.since - current.since > SAME_MOMENT:
            return False
        we_are_lower = self.get_peer_id().to_bytes() < peer_id(new.key).to_bytes()
        return current.dialled == we_are_lower

    def room_for_known(self) -> int:
        """Return how many more known operators would get a place."""
        return self.limits.connections_max - len(self._by_key) + len(self._strangers())

    async def _make_room(self, new: Connection) -> bool:
        """Whether there is a place, once somebody has given way if need be."""
        while len(self._by_key) >= self.limits.connections_max:
            self.counters["connections_refused"] += 1
            other = self._who_gives_way(new.key)
            if other is None:
                return False
            other.abort()
            await other.gone.wait()
        return True

    def _who_gives_way(self, key: OperatorKey) -> Connection | None:
        """Return the stranger who came last, for a kept operator else anybody who is not kept; or None."""
        strangers = self._strangers()
        is_kept = key in self._table.kept
        if strangers and (is_kept or key in self._table.known):
            return max(strangers, key=lambda one: one.since)
        others = [one for one in self._by_key.values() if one.key not in self._table.kept]
        return random.choice(others) if is_kept and others else None

    def _strangers(self) -> list[Connection]:
        table = self._table
        return [one for key, one in self._by_key.items() if key not in table.known and key not in table.kept]

    async def _give_place_back(self, connection: Connection) -> None:
        if self._by_key.get(connection.key) is connection:
            del self._by_key[connection.key]
            self.connections.pop(peer_id(connection.key), None)
            now = trio.current_time()
            self._table.ended(connection.key, now - connection.since, now)
            await self._tell("disconnected", connection)
        connection.gone.set()

    async def _tell(self, event: str, connection: Connection) -> None:
        self.on_change()
        for notifee in self.notifees:
            with trio.move_on_after(self.limits.close_seconds):
                await getattr(notifee, event)(self, connection)

    # What libp2p asks of its network.

    async def new_stream(self, peer_id: ID) -> Stream:
        """Open a stream without a protocol; raises `SwarmException` when not connected."""
        for connection in self.get_connections(peer_id):
            if isinstance(connection, Connection) and not connection.is_closed:
                return await connection.new_stream()
        raise SwarmException(f"not connected to {peer_id}")

    async def dial_peer(self, peer_id: ID) -> list[INetConn]:
        """Return what connection there is: libp2p's own protocols may not dial here."""
        found = self.get_connections(peer_id)
        if not found:
            raise SwarmException(f"not connected to {peer_id}")
        return found

    async def close_peer(self, peer_id: ID) -> None:
        """End the connection to a peer."""
        for connection in self.get_connections(peer_id):
            await connection.close()

    async def close(self) -> None:
        """End all connections, all at once, within `close_seconds`."""
        with trio.move_on_after(self.limits.close_seconds):
            async with trio.open_nursery() as nursery:
                for connection in self._by_key.values():
                    nursery.start_soon(connection.close)
        for connection in self.all_connections():
            connection.abort()
