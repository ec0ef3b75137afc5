"""One stream of a yamux session, as libp2p's stream interface.

Answers for: the two halves of a stream: what has come in and waits to be read, and
how much the peer lets us send. Data beyond the window that we gave is a broken rule
(it ends the connection). What the bytes mean is left to the protocols.
"""

from types import TracebackType
from typing import TYPE_CHECKING, Any

import trio
from libp2p.abc import IMuxedStream, INetStream
from libp2p.custom_types import TProtocol
from libp2p.network.stream.exceptions import StreamClosed, StreamEOF, StreamReset

from zenp2p.ports import TransportError

if TYPE_CHECKING:
    from zenp2p.network.muxer import Muxer

WINDOW = 256 * 1024
"""Bytes that either side may have under way on a stream (yamux's initial window; we never widen it)."""
FRAME_MAX = 60_000
"""Bytes of data in one frame that we send, so that a noise packet holds at least one."""


class Stream(INetStream, IMuxedStream):
    """A stream; one task reads it."""

    muxed_conn: "Muxer"
    metric_send_channel: "trio.MemorySendChannel[Any] | None" = None

    def __init__(self, session: "Muxer", number: int) -> None:
        """Belong to `session` under the yamux stream id `number`."""
        self.muxed_conn = session
        self.number = number
        self.closed_at: float | None = None
        self._protocol: TProtocol | None = None
        self._buffer = bytearray()
        self._readable = trio.Event()
        self._writable = trio.Event()
        self._write_lock = trio.Lock()
        self._may_receive = WINDOW
        self._may_send = WINDOW
        self._consumed = 0
        self._peer_ended = False
        self._we_ended = False
        self._reset = False

    def get_protocol(self) -> TProtocol | None:
        """Return the agreed protocol."""
        return self._protocol

    def set_protocol(self, protocol_id: TProtocol) -> None:
        """Note the agreed protocol."""
        self._protocol = protocol_id

    def set_deadline(self, ttl: int) -> None:
        """Refuse: deadlines are trio's cancel scopes here."""
        raise NotImplementedError("use a trio cancel scope")

    def get_remote_address(self) -> tuple[str, int] | None:
        """Return the peer's address as text and port."""
        return self.muxed_conn.get_remote_address()

    async def read(self, n: int | None = None) -> bytes:
        """Return 1 to `n` bytes, waiting for the first; raises `StreamEOF` or `StreamReset`."""
        while not self._buffer:
            if self._reset:
                raise StreamReset("the stream was reset")
            if self._peer_ended or self.closed_at is not None:
                raise StreamEOF("the stream is at its end")
            self._readable = trio.Event()
            await self._readable.wait()
        data = bytes(self._buffer if n is None or n < 0 else self._buffer[:n])
        del self._buffer[: len(data)]
        self.muxed_conn.unread -= len(data)
        self._consumed += len(data)
        if self._consumed >= WINDOW // 2 and not self._peer_ended:
            self.muxed_conn.send_window(self.number, self._consumed)
            self._may_receive += self._consumed
            self._consumed = 0
        return data

    async def write(self, data: bytes) -> None:
        """Queue `data`, waiting for the peer's window; raises `StreamReset` or `StreamClosed`.

        Writes of several tasks do not mix: what fits in one frame goes out whole,
        longer data goes out under a lock.
        """
        if len(data) <= min(self._may_send, FRAME_MAX) and not self._write_lock.locked():
            return await self._write_frame(data)
        async with self._write_lock:
            position = 0
            while position < len(data):
                await self._wait_for_window()
                end = position + min(self._may_send, FRAME_MAX)
                await self._write_frame(data[position:end])
                position = end

    async def _wait_for_window(self) -> None:
        while self._may_send <= 0 and not self._reset:
            self._writable = trio.Event()
            await self._writable.wait()

    async def _write_frame(self, data: bytes) -> None:
        if self._reset:
            raise StreamReset("the stream was reset")
        if self._we_ended:
            raise StreamClosed("the stream is closed for writing")
        self._may_send -= len(data)
        await self.muxed_conn.send_data(self.number, data)

    async def close_write(self) -> None:
        """Say that we shall write no more; the peer's half stays readable."""
        self._end_writing()
        await trio.lowlevel.checkpoint()

    async def close(self) -> None:
        """Be done with the stream: what the peer still sends is discarded."""
        self.closed_at = trio.current_time()
        self._discard()
        self._end_writing()
        self._wake()
        await trio.lowlevel.checkpoint()

    async def reset(self) -> None:
        """End the stream both ways at once."""
        self.abort()
        await trio.lowlevel.checkpoint()

    def abort(self) -> None:
        """End the stream both ways at once, without waiting."""
        if not self._reset and not (self._we_ended and self._peer_ended):
            self.muxed_conn.send_reset(self.number)
        self.on_reset()

    def release(self) -> None:
        """Reset the stream unless it was closed in good order."""
        if self.closed_at is None:
            self.abort()

    def _end_writing(self) -> None:
        if not self._we_ended and not self._reset:
            self._we_ended = True
            self.muxed_conn.send_end(self.number)
        if self._peer_ended:
            self.muxed_conn.forget(self.number)

    # What the session tells.

    def on_data(self, data: memoryview) -> None:
        """Take data; raises `TransportError` when it is more than the window that we gave."""
        self._may_receive -= len(data)
        if self._may_receive < 0:
            raise TransportError("the peer exceeds the window of a stream")
        if self._peer_ended:
            raise TransportError("the peer writes on a stream that it has ended")
        if self.closed_at is None and not self._reset:
            self._buffer += data
            self.muxed_conn.unread += len(data)
            self._readable.set()

    def on_window(self, increment: int) -> None:
        """Be allowed to send `increment` bytes more."""
        self._may_send += increment
        self._writable.set()

    def on_end(self) -> None:
        """Hear that the peer will send no more."""
        self._peer_ended = True
        self._readable.set()
        if self._we_ended:
            self.muxed_conn.forget(self.number)

    def on_reset(self) -> None:
        """Hear that the stream is over both ways."""
        self._reset = True
        self._discard()
        self._wake()
        self.muxed_conn.forget(self.number)

    def _discard(self) -> None:
        self.muxed_conn.unread -= len(self._buffer)
        self._buffer.clear()

    def _wake(self) -> None:
        self._readable.set()
        self._writable.set()

    async def __aenter__(self) -> "Stream":
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()
