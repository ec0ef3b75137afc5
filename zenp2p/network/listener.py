"""Inbound sockets, from the accept to the authenticated connection.

Answers for: letting in what `admission` lets in, the deadline of the handshake, and
that nothing which happens in one costs more than that socket. What an authenticated peer
may do is left to `switch` and `probe`.
"""

import logging
from collections import Counter

import trio

from protocol.units import OperatorKey
from zenp2p.network.admission import Admission, Guest
from zenp2p.network.connection import Connection
from zenp2p.network.exchange import Exchange
from zenp2p.network.identity import operator_key, peer_id
from zenp2p.network.limits import Limits
from zenp2p.network.muxer import Muxer
from zenp2p.network.negotiate import PROBE, Upgrader
from zenp2p.network.peer_table import PeerTable
from zenp2p.network.probe import answer_probe
from zenp2p.network.switch import Switch
from zenp2p.network.tcp import TcpConnection
from zenp2p.ports import TransportError

log = logging.getLogger(__name__)

ACCEPT_PAUSE = 1.0
"""Seconds to wait when the system has no socket left for us."""


class Listener:
    """Accepts sockets for one host."""

    def __init__(
        self,
        switch: Switch,
        upgrader: Upgrader,
        exchange: Exchange,
        table: PeerTable,
        limits: Limits,
        counters: Counter[str],
        nursery: trio.Nursery,
    ) -> None:
        """Hand connections to `switch` and probes to `exchange`; both live in `nursery`.

        `table` says at which addresses kept peers listen.
        """
        self._switch = switch
        self._upgrader = upgrader
        self._exchange = exchange
        self._table = table
        self._limits = limits
        self._counters = counters
        self._nursery = nursery
        self._me = operator_key(switch.get_peer_id())
        self.admission = Admission(limits)

    async def accept(self, sockets: trio.SocketListener) -> None:
        """Accept for ever."""
        while True:
            try:
                stream = await sockets.accept()
            except OSError as error:
                log.warning("cannot accept a connection: %s", error)
                await trio.sleep(ACCEPT_PAUSE)
            else:
                self._nursery.start_soon(self._welcome, stream)

    async def _welcome(self, stream: trio.SocketStream) -> None:
        try:
            raw = TcpConnection(stream, initiator=False)
        except TransportError:
            return stream.socket.close()
        ip = raw.remote.ip
        guest = self.admission.enter(ip, raw.abort, kept=self._table.is_kept_at(ip))
        if guest is None:
            self._counters["sockets_refused"] += 1
            return raw.abort()
        try:
            await self._receive(raw, guest)
        except Exception as error:  # the edge of one inbound socket: it costs that socket
            self._counters["handshakes_failed"] += 1
            log.debug("inbound socket: %r", error)
        finally:
            raw.abort()
            self.admission.leave(guest)

    async def _receive(self, raw: TcpConnection, guest: Guest) -> None:
        with trio.fail_after(self._limits.handshake_seconds):
            session, key, then = await self._upgrader.inbound(raw)
        self._check(key)
        self.admission.authenticated(guest)
        if then == PROBE:
            return await answer_probe(self._exchange, self._limits, key, raw.remote.ip, session)
        muxer = Muxer(session, peer_id(key), self._limits)
        await self._switch.carry(Connection(muxer, key, raw.remote, dialled=False))

    def _check(self, key: OperatorKey) -> None:
        if key == self._me:
            raise TransportError("that is ourselves")
