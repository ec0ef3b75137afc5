"""Dialling: on demand, and to keep the connections up that we want.

Answers for: one dial to an operator at a time, from our own address, authenticated and
within a deadline; the loop that dials whom we know and are not connected with, kept peers
apart from the others, and that lets go what was dialled beyond need. When to dial again
is left to `peer_table`, which of two connections is kept to `switch`.
"""

import math
import random
from contextlib import suppress

import trio
from libp2p.abc import ISecureConn
from libp2p.custom_types import TProtocol

from protocol.units import OperatorKey
from zenp2p.network.connection import Connection
from zenp2p.network.identity import peer_id
from zenp2p.network.limits import Limits
from zenp2p.network.muxer import Muxer
from zenp2p.network.negotiate import YAMUX, Upgrader
from zenp2p.network.peer_table import PeerTable
from zenp2p.network.switch import Switch
from zenp2p.network.tcp import TcpConnection, dial
from zenp2p.ports import Endpoint, TransportError


class NotLasting(TransportError):
    """The other side ended the connection as soon as it stood: it has no place for us."""


class Attempt:
    """A dial under way; without an error when it is over, it succeeded or was given up."""

    def __init__(self) -> None:
        self.over = trio.Event()
        self.error: TransportError | None = None


class Dialer:
    """Makes connections for one host."""

    def __init__(
        self,
        switch: Switch,
        upgrader: Upgrader,
        table: PeerTable,
        limits: Limits,
        source: bytes | None,
        nursery: trio.Nursery,
    ) -> None:
        """Dial from the local address `source`; connections live in `nursery`."""
        self._switch = switch
        self._upgrader = upgrader
        self._table = table
        self._limits = limits
        self._source = source
        self._nursery = nursery
        self._under_way: dict[OperatorKey, Attempt] = {}
        self._woken = trio.Event()
        switch.on_change = self.wake

    def wake(self) -> None:
        """Look again whom to dial."""
        self._woken.set()

    async def connect(self, key: OperatorKey) -> Connection:
        """Return the connection to an operator, dialling if need be; raises `TransportError`.

        Who asks while a dial is under way waits for it and shares what comes of it.
        """
        while True:
            connection = self._switch.connection(key)
            if connection is not None and not connection.is_closed:
                return connection
            attempt = self._under_way.get(key)
            if attempt is None:
                return await self._dial(key)
            await attempt.over.wait()
            if attempt.error is not None:
                raise TransportError(str(attempt.error)) from attempt.error

    async def _dial(self, key: OperatorKey) -> Connection:
        endpoint = self._table.endpoint(key)
        if endpoint is None:
            raise TransportError(f"not connected to {key.hex()[:16]}, and no endpoint of it is known")
        attempt = self._under_way[key] = Attempt()
        try:
            return await self._dial_endpoint(key, endpoint)
        except TransportError as error:
            attempt.error = error
            self._table.failed(key, trio.current_time(), refused=isinstance(error, NotLasting))
            raise
        finally:
            del self._under_way[key]
            attempt.over.set()
            self.wake()

    async def _dial_endpoint(self, key: OperatorKey, endpoint: Endpoint) -> Connection:
        raw, session = await self.authenticate(key, endpoint, YAMUX)
        connection = Connection(Muxer(session, peer_id(key), self._limits), key, raw.remote, dialled=True)
        self._nursery.start_soon(self._switch.carry, connection)
        await connection.settled.wait()
        kept = self._switch.connection(key)
        if kept is None:
            raise NotLasting(f"the connection to {key.hex()[:16]} did not last")
        return kept

    async def authenticate(
        self, key: OperatorKey, endpoint: Endpoint, then: TProtocol
    ) -> tuple[TcpConnection, ISecureConn]:
        """Dial an endpoint and authenticate the operator there; raises `TransportError`."""
        raw = None
        try:
            with trio.fail_after(self._limits.handshake_seconds):
                raw = await dial(endpoint, self._source)
                return raw, await self._upgrader.outbound(raw, key, then)
        except trio.TooSlowError:
            _abort(raw)
            raise TransportError(f"{key.hex()[:16]} did not answer in time") from None
        except TransportError:
            _abort(raw)
            raise
        except Exception as error:  # the edge of one dial: whatever the other side made noise raise
            _abort(raw)
            raise TransportError(f"{key.hex()[:16]} was not authenticated: {error!r}") from error
        except BaseException:
            _abort(raw)
            raise

    async def keep_connected(self) -> None:
        """Dial whom we know and are not connected with, kept peers first, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                self._woken = trio.Event()
                busy, now = self._busy(), trio.current_time()
                for kept in (True, False):
                    for key in self._table.due(busy, now, kept=kept)[: self._room(kept)]:
                        nursery.start_soon(self._try, key)
                for spare in self._spare(now):
                    nursery.start_soon(spare.close)
                await self._rest()

    def _busy(self) -> frozenset[OperatorKey]:
        return self._switch.connected() | frozenset(self._under_way)

    def _room(self, kept: bool) -> int:
        """Return how many dials may begin, to kept peers or to others."""
        limits, all_kept = self._limits, self._table.kept
        under_way = sum((key in all_kept) == kept for key in self._under_way)
        if kept:
            return max(0, limits.dials_kept_max - under_way)
        most = min(limits.dials_max, limits.connections_dialled_max - len(self._dialled()))
        return max(0, min(most, self._switch.room_for_known()) - under_way)

    def _dialled(self) -> list[Connection]:
        """Return the connections that we dialled to others than kept peers."""
        kept = self._table.kept
        return [one for one in self._switch.all_connections() if one.dialled and one.key not in kept]

    def _spare(self, now: float) -> list[Connection]:
        """Return whom to let go of those that are too many: kept no more, or once asked something."""
        dialled = self._dialled()
        old = [one for one in dialled if now >= one.since + self._limits.spare_seconds and not one.is_closed]
        excess = len(dialled) - self._limits.connections_dialled_max
        return random.sample(old, min(len(old), max(0, excess)))

    async def _try(self, key: OperatorKey) -> None:
        with suppress(TransportError):
            await self.connect(key)

    async def _rest(self) -> None:
        busy, now = self._busy(), trio.current_time()
        dues = [self._table.next_due(busy, kept=kept) for kept in (True, False) if self._room(kept)]
        dialled = self._dialled()
        if len(dialled) > self._limits.connections_dialled_max:
            dues.append(min(one.since for one in dialled) + self._limits.spare_seconds)
        due = min((due for due in dues if due is not None), default=math.inf)
        seconds = max(0.01, due - now)
        with trio.move_on_after(seconds):
            await self._woken.wait()


def _abort(raw: TcpConnection | None) -> None:
    if raw is not None:
        raw.abort()
