"""Yamux: many streams over one authenticated connection, under our own bounds.

Answers for: framing, flow control and limits of one connection. The wire is yamux's
(hashicorp's spec, as libp2p uses it: 12-byte header, 256 KiB windows); the
implementation is ours because libp2p's lets a peer exceed its window without end,
sends a window update for every read, one encrypted packet and one lock for every
frame. Here a reader task never writes (so two full pipes cannot wait for each other),
a writer task sends whatever has gathered in one packet, and a window is renewed
when half of it is used. A peer that breaks the rules loses the connection: `run`
ends. Who listens to the streams is left to `connection`.
"""

import struct
from collections import deque
from typing import TYPE_CHECKING

import trio
from libp2p.abc import IMuxedConn, ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import IOException
from libp2p.network.stream.exceptions import StreamClosed
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from zenp2p.network.limits import Limits
from zenp2p.network.stream import WINDOW, Stream
from zenp2p.ports import TransportError

if TYPE_CHECKING:
    from zenp2p.network.connection import Connection

HEADER = struct.Struct("!BBHII")
DATA, WINDOW_UPDATE, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
WRITE_SIZE = 65_519
"""Bytes of plaintext in one noise packet."""
OUTBOUND_SOFT = 1 << 18
"""Bytes waiting for the writer above which streams wait."""
OUTBOUND_HARD = 1 << 20
"""The same above which the connection ends: only replies that the peer provokes pass the soft one."""


class YamuxError(TransportError):
    """The peer broke a rule of yamux, or went beyond what we allow it."""


class Muxer(IMuxedConn):
    """One yamux session; `run` carries it and returns when it is over."""

    def __init__(self, conn: ISecureConn, peer_id: ID, limits: Limits | None = None) -> None:
        """Speak yamux over `conn` with the authenticated peer."""
        self.peer_id = peer_id
        self.event_started = trio.Event()
        self.ended = trio.Event()
        self.owner: Connection
        self.last_heard = trio.current_time()
        self.limits = limits or Limits()
        self.unread = 0
        """Bytes that came in on any stream and were not read yet."""
        self._session = conn
        self._initiator = conn.is_initiator
        self._next_id = 1 if self._initiator else 2
        self._last_remote_id = 0
        self._streams: dict[int, Stream] = {}
        self._incoming: deque[Stream] = deque()
        self._incoming_ready = trio.Event()
        self._inbound_open = 0
        self._refused = 0
        self._inbound = bytearray()
        self._outbound = bytearray()
        self._outbound_ready = trio.Event()
        self._outbound_taken = trio.Event()
        self._drained: trio.Event | None = None
        self._scope = trio.CancelScope()

    # What libp2p asks of a muxed connection.

    @property
    def is_initiator(self) -> bool:
        """Whether we dialled."""
        return self._initiator

    @property
    def is_established(self) -> bool:
        """Whether streams can be opened."""
        return self.event_started.is_set() and not self.ended.is_set()

    @property
    def is_closed(self) -> bool:
        """Whether the session is over."""
        return self.ended.is_set()

    async def start(self) -> None:
        """Carry the session until it ends; the same as `run`."""
        await self.run()

    async def close(self) -> None:
        """Send what is queued and a goodbye, then end the session; takes `close_seconds` at most."""
        if self.is_established:
            if self._drained is None:
                self._drained = trio.Event()
                self._send(GO_AWAY, 0, 0, 0)
            with trio.move_on_after(self.limits.close_seconds):
                await self._drained.wait()
        self.abort()

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the peer's address as text and port."""
        return self._session.get_remote_address()

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Return the peer's address as multiaddr."""
        return self._session.get_transport_addresses()

    def get_connection_type(self) -> ConnectionType:
        """Say that nothing relays this connection."""
        return ConnectionType.DIRECT

    async def open_stream(self) -> Stream:
        """Open a stream; raises libp2p's `StreamClosed` when the session is over."""
        if self.ended.is_set():
            raise StreamClosed("the connection is closed")
        stream = self._streams[self._next_id] = Stream(self, self._next_id)
        self._next_id += 2
        self._send(WINDOW_UPDATE, SYN, stream.number, 0)
        await trio.lowlevel.checkpoint()
        return stream

    async def accept_stream(self) -> Stream:
        """Return the next stream that the peer opened; raises `StreamClosed` at the end."""
        while not self._incoming:
            if self.ended.is_set():
                raise StreamClosed("the connection is closed")
            self._incoming_ready = trio.Event()
            await self._incoming_ready.wait()
        return self._incoming.popleft()

    # The session.

    async def run(self) -> None:
        """Read and write frames until the session ends; raises nothing for a peer's fault."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write_loop)
                    self.event_started.set()
                    await self._read_loop()
        except* (IOException, TransportError, OSError, trio.TooSlowError):
            pass
        finally:
            self._finish()
            with trio.CancelScope(shield=True):
                await self._session.close()

    def abort(self) -> None:
        """End the session now: `run` returns, streams are reset."""
        self._finish()
        self._scope.cancel()

    def _finish(self) -> None:
        self.event_started.set()
        self.ended.set()
        self._incoming_ready.set()
        self._outbound_taken.set()
        if self._drained is not None:
            self._drained.set()
        for stream in self.streams():
            stream.on_reset()

    async def _read_loop(self) -> None:
        while True:
            data = await self._session.read(None)
            self.last_heard = trio.current_time()
            self._inbound += data
            self._take_frames()

    def _take_frames(self) -> None:
        buffer, position = self._inbound, 0
        while len(buffer) - position >= HEADER.size:
            version, kind, flags, number, length = HEADER.unpack_from(buffer, position)
            end = position + HEADER.size
            if version != 0 or kind > GO_AWAY:
                raise YamuxError("not a yamux frame")
            if kind == DATA:
                if length > WINDOW:
                    raise YamuxError(f"a frame of {length} bytes")
                if len(buffer) - end < length:
                    break
                end += length
            self._take(kind, flags, number, length, memoryview(buffer)[position + HEADER.size : end])
            position = end
        if position:
            del buffer[:position]

    def _take(self, kind: int, flags: int, number: int, length: int, data: memoryview) -> None:
        with data:
            if kind == PING:
                if flags & SYN:
                    self._send(PING, ACK, 0, length)
            elif kind == GO_AWAY:
                raise YamuxError("the peer says goodbye")
            else:
                self._take_stream_frame(kind, flags, number, length, data)

    def _take_stream_frame(self, kind: int, flags: int, number: int, length: int, data: memoryview) -> None:
        if flags & SYN:
            self._take_new_stream(number)
        stream = self._streams.get(number)
        if stream is None:
            return  # the tail of a stream that we have reset or refused
        if kind == DATA:
            stream.on_data(data)
            if self.unread > self.limits.unread_max:
                raise YamuxError(f"the peer fills streams with {self.unread} bytes that nobody reads yet")
        else:
            stream.on_window(length)
        if flags & FIN:
            stream.on_end()
        if flags & RST:
            stream.on_reset()

    def _take_new_stream(self, number: int) -> None:
        if number % 2 == (1 if self._initiator else 0) or number <= self._last_remote_id:
            raise YamuxError(f"stream {number} is not the peer's to open")
        self._last_remote_id = number
        if self._inbound_open >= self.limits.streams_per_connection_max:
            self._refused += 1
            if self._refused > self.limits.refused_streams_max:
                raise YamuxError("the peer goes on opening streams")
            return self._send(WINDOW_UPDATE, RST, number, 0)
        self._inbound_open += 1
        stream = self._streams[number] = Stream(self, number)
        self._send(WINDOW_UPDATE, ACK, number, 0)
        self._incoming.append(stream)
        self._incoming_ready.set()

    # What streams and the liveness watch ask of the session.

    def _send(self, kind: int, flags: int, number: int, length: int, data: bytes = b"") -> None:
        if self.ended.is_set():
            return
        if len(self._outbound) > OUTBOUND_HARD:
            return self.abort()
        self._outbound += HEADER.pack(0, kind, flags, number, length)
        self._outbound += data
        self._outbound_ready.set()

    async def send_data(self, number: int, data: bytes) -> None:
        """Queue data that the peer's window allows; waits while too much is queued."""
        while len(self._outbound) > OUTBOUND_SOFT and not self.ended.is_set():
            await self._outbound_taken.wait()
        self._send(DATA, 0, number, len(data), data)
        await trio.lowlevel.checkpoint()

    def send_window(self, number: int, increment: int) -> None:
        """Let the peer send `increment` bytes more on a stream."""
        self._send(WINDOW_UPDATE, 0, number, increment)

    def send_end(self, number: int) -> None:
        """Say that we shall send no more on a stream."""
        self._send(WINDOW_UPDATE, FIN, number, 0)

    def send_reset(self, number: int) -> None:
        """End a stream both ways."""
        self._send(WINDOW_UPDATE, RST, number, 0)

    def ping(self) -> None:
        """Ask for a sign of life; any byte received moves `last_heard`. Refused streams count anew."""
        self._refused = 0
        self._send(PING, SYN, 0, 0)

    def forget(self, number: int) -> None:
        """Drop a stream that is over both ways."""
        if self._streams.pop(number, None) is not None and number % 2 == (0 if self._initiator else 1):
            self._inbound_open -= 1

    def streams(self) -> tuple[Stream, ...]:
        """Return the streams that are not over."""
        return tuple(self._streams.values())

    async def _write_loop(self) -> None:
        while True:
            while not self._outbound:
                self._outbound_ready = trio.Event()
                await self._outbound_ready.wait()
            data, self._outbound = bytes(self._outbound), bytearray()
            taken, self._outbound_taken = self._outbound_taken, trio.Event()
            taken.set()
            for start in range(0, len(data), WRITE_SIZE):
                with trio.fail_after(self.limits.write_seconds):
                    await self._session.write(data[start : start + WRITE_SIZE])
            if self._drained is not None and not self._outbound:
                self._drained.set()
