"""Requests, replies and one-way messages over streams.

Answers for: framing them, the deadline of each, how many of one peer are served at
once, and what a bad one costs: a malformed or stalled request, and a `ProtocolError`
that the handler raises, cost the peer its connection; any other error of a handler is
ours: it is logged, and the peer sees its stream reset. Connections are left to `switch`.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.io.exceptions import IOException
from libp2p.network.stream.exceptions import StreamEOF

from protocol.errors import MalformedMessage, ProtocolError
from protocol.units import OperatorKey
from zenp2p.network.connection import Connection
from zenp2p.network.frames import frame, read_frame
from zenp2p.network.limits import Limits
from zenp2p.network.negotiate import propose
from zenp2p.network.stream import Stream
from zenp2p.ports import Received, RequestHandler, TransportError

log = logging.getLogger(__name__)

DIRECT = TProtocol("/zenp2p/direct/1")
NAME_MAX = 64


def protocol_id(name: str) -> TProtocol:
    """Return the libp2p protocol id of a request protocol; raises `ValueError` for a bad name."""
    if not (name.isascii() and name.replace("-", "").replace("_", "").isalnum() and len(name) <= NAME_MAX):
        raise ValueError(f"not a protocol name: {name!r}")
    if name in ("direct", "probe"):
        raise ValueError(f"the protocol name {name!r} is the adapter's own")
    return TProtocol(f"/zenp2p/{name}/1")


class HandlerFailed(Exception):
    """One of our own handlers raised or was too slow; the cause says more."""


class Unsent(TransportError):
    """The connection ended before anything was sent, so it may be tried again on another one."""


class Exchange:
    """Both sides of requests and direct messages; it outlives any one host."""

    def __init__(
        self,
        limits: Limits,
        counters: Counter[str],
        deliver: Callable[[Received], Awaitable[None]],
    ) -> None:
        """Hand direct messages to `deliver`, which may make their sender wait."""
        self._limits = limits
        self._counters = counters
        self._deliver = deliver
        self.handlers: dict[str, RequestHandler] = {}

    # Our side asks.

    async def ask(self, connection: Connection, name: str, data: bytes) -> bytes:
        """Return the reply to a request; raises `TransportError`. The caller sets the deadline."""
        request = frame(data, self._limits.message_size_max)
        protocol = protocol_id(name)
        async with connection.asking:
            stream = await _open(connection, protocol)
            try:
                await stream.write(request)
                await stream.close_write()
                reply = await read_frame(stream, self._limits.message_size_max)
                await stream.close()
                return reply
            except (IOException, MalformedMessage) as error:
                raise TransportError(f"no reply to {name}: {error or type(error).__name__}") from error
            finally:
                stream.release()

    async def tell(self, connection: Connection, data: bytes) -> None:
        """Queue a one-way message; raises `TransportError`."""
        message = frame(data, self._limits.message_size_max)
        async with connection.direct_lock:
            if connection.direct is None:
                connection.direct = await _open(connection, DIRECT)
            try:
                await connection.direct.write(message)
            except BaseException as error:  # a message cut short would spoil the next one
                connection.direct.abort()
                connection.direct = None
                if isinstance(error, IOException):
                    raise TransportError(f"the peer takes no messages: {error}") from error
                raise

    # The peer asks.

    async def answer(self, connection: Connection, name: str, stream: INetStream) -> None:
        """Serve one request on a stream that the peer opened for protocol `name`."""
        async with connection.serving:
            with trio.fail_after(self._limits.request_seconds):
                request = await read_frame(stream, self._limits.message_size_max)
            try:
                reply = await self.handle(connection.key, connection.remote.ip, name, request)
            except HandlerFailed:
                return await stream.reset()
            with trio.fail_after(self._limits.request_seconds):
                await stream.write(frame(reply, self._limits.message_size_max))
                await stream.close()

    async def handle(self, key: OperatorKey, ip: bytes, name: str, request: bytes) -> bytes:
        """Run the handler of a request; raises `ProtocolError` as it does, else `HandlerFailed`."""
        handler = self.handlers.get(name)
        if handler is None:
            raise MalformedMessage(f"no protocol {name!r}")
        try:
            with trio.fail_after(self._limits.request_seconds):
                return await handler(key, ip, request)
        except ProtocolError:
            raise
        except trio.TooSlowError as error:
            self._counters["handlers_too_slow"] += 1
            log.warning("the handler of %s did not finish in time", name)
            raise HandlerFailed from error
        except Exception as error:
            self._counters["handlers_failed"] += 1
            log.exception("the handler of %s failed", name)
            raise HandlerFailed from error

    async def listen_direct(self, connection: Connection, stream: INetStream) -> None:
        """Take the peer's direct messages until it stops, or opens another stream of them."""
        if connection.direct_in is not None:
            connection.direct_in.cancel()
        limits = self._limits
        with trio.CancelScope() as connection.direct_in:
            try:
                while True:
                    data = await read_frame(stream, limits.message_size_max, limits.request_seconds)
                    await self._deliver(Received(connection.key, connection.remote.ip, "", data))
            except StreamEOF:
                await stream.close()
        await stream.reset()


async def _open(connection: Connection, protocol: TProtocol) -> Stream:
    """Open a stream of a protocol; raises `Unsent` when the connection has ended, `TransportError`."""
    try:
        stream = await connection.new_stream()
    except IOException as error:
        raise Unsent(f"the connection has ended: {error}") from error
    try:
        await propose(stream, protocol)
    except BaseException as error:
        stream.abort()
        if isinstance(error, TransportError) and connection.is_closed:
            raise Unsent(f"the connection has ended: {error}") from error
        raise
    return stream
