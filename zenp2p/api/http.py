"""One HTTP/1.1 connection of the RPC, over h11 and trio.

Answers for: requests come one after the other and each gets one answer, written at once; a head,
a body and a whole request end at their deadlines; who is refused is told why before the
connection ends, also in the middle of a body. HTTP's grammar is h11's. Who is refused is
decided by `guard`, what is answered by `dispatch`, and how many connections there are and how long
one lives is `server`'s. Spec: `spec/rpc.md`.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress

import h11
import trio

from zenp2p.api import guard
from zenp2p.api.guard import BODY_BYTES_MAX, Guard, Refusal

HEAD_BYTES_MAX = 1 << 14
READ_BYTES = 1 << 16
JOINED_BYTES_MAX = 1 << 16
"""A larger body is sent after its head, not copied to follow it: a slow reader holds it once."""
DRAIN_SECONDS_MAX = 1
"""How long a refused request may go on sending before its connection is closed."""
DRAIN_BYTES_MAX = 4 << 20
_JSON = (*guard.HEADERS, (b"content-type", b"application/json"))

Answer = Callable[[bytes], Awaitable[bytes | None]]
"""Body of a request -> body of its answer, None for one without content."""


class HttpConnection:
    """Serves one connection until it ends; the stream is closed by whoever opened it."""

    def __init__(
        self, stream: trio.SocketStream, guard: Guard, answer: Answer, idle_seconds_max: float
    ) -> None:
        """`idle_seconds_max` is the time until a request's head is complete."""
        self._stream = stream
        self._guard = guard
        self._answer = answer
        self._idle_seconds_max = idle_seconds_max
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=HEAD_BYTES_MAX)

    async def serve(self) -> None:
        """Answer request after request; raises `trio.BrokenResourceError` when the other side is gone."""
        while True:
            try:
                request = await self._head()
                if request is None:
                    return
                await self._serve_one(request)
            except h11.RemoteProtocolError as error:
                await self._complain(error.error_status_hint)
                return
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _head(self) -> h11.Request | None:
        """Return the next request's head; None when none comes in time, or nobody is there any more."""
        with trio.move_on_after(self._idle_seconds_max):
            event = await self._event()
            return event if isinstance(event, h11.Request) else None
        return None

    async def _serve_one(self, request: h11.Request) -> None:
        """Check, read, answer, within the deadline."""
        try:
            with trio.move_on_after(guard.REQUEST_SECONDS_MAX):
                if _head_size(request) > HEAD_BYTES_MAX:  # h11 counts what is incomplete only
                    raise Refusal(431, f"at most {HEAD_BYTES_MAX} bytes of a head are read")
                self._guard.check(request)
                answer = await self._answer(await self._body())
                if answer is None:
                    await self._send(204, guard.HEADERS, b"")
                else:
                    await self._send(200, _JSON, answer)
                return
            raise Refusal(504, "not done in time")
        except Refusal as refusal:
            await self._refuse(refusal, request)

    async def _body(self) -> bytes:
        """Return the whole body; raises `Refusal` when it is too long or too slow."""
        parts: list[bytes] = []
        size = 0
        with trio.move_on_after(guard.BODY_SECONDS_MAX):
            if self._http.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                await self._stream.send_all(self._http.send(go_on) or b"")
            while isinstance(event := await self._event(), h11.Data):
                size += len(event.data)
                if size > BODY_BYTES_MAX:
                    raise Refusal(413, f"at most {BODY_BYTES_MAX} bytes are read")
                parts.append(bytes(event.data))
            return b"".join(parts)
        raise Refusal(408, f"the body did not come within {guard.BODY_SECONDS_MAX} seconds")

    async def _event(self) -> object:
        """Return the next event, reading as long as one is incomplete; raises `h11.RemoteProtocolError`."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._stream.receive_some(READ_BYTES))
        return event

    async def _send(self, status: int, headers: guard.Headers, body: bytes) -> None:
        """Write one whole answer, a small one at once."""
        length = [] if status == 204 else [(b"content-length", b"%d" % len(body))]
        response = h11.Response(status_code=status, headers=[*headers, *length])
        parts = [
            self._http.send(event) or b"" for event in (response, h11.Data(data=body), h11.EndOfMessage())
        ]
        if len(body) <= JOINED_BYTES_MAX:
            parts = [b"".join(parts)]
        for part in filter(None, parts):
            await self._stream.send_all(part)

    async def _refuse(self, refusal: Refusal, request: h11.Request) -> None:
        """Say why, then take what still comes for a moment: who is cut off while sending reads a reset."""
        if self._http.our_state is not h11.SEND_RESPONSE:
            self._http.send_failed()  # the deadline passed while the answer was being written
            return
        headers = [*guard.HEADERS, (b"connection", b"close"), (b"content-type", b"text/plain; charset=utf-8")]
        if refusal.status == 401:
            headers.append((b"www-authenticate", b'Basic realm="zenp2pd"'))
        body = b"" if request.method == b"HEAD" else f"{refusal}\n".encode()
        with trio.move_on_after(DRAIN_SECONDS_MAX):
            await self._send(refusal.status, headers, body)
            await self._drain()

    async def _drain(self) -> None:
        """Read and forget what the other side still sends of its request."""
        left = DRAIN_BYTES_MAX
        with suppress(h11.RemoteProtocolError):
            while left > 0 and isinstance(event := await self._event(), h11.Data):
                left -= len(event.data)

    async def _complain(self, status: int) -> None:
        """Answer what is no HTTP/1.1, if an answer can still be given, and take what still comes."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        with trio.move_on_after(DRAIN_SECONDS_MAX):
            await self._send(status, [(b"connection", b"close")], b"")
            await self._stream.send_eof()
            left = DRAIN_BYTES_MAX
            while left > 0 and (part := await self._stream.receive_some(READ_BYTES)):
                left -= len(part)


def _head_size(request: h11.Request) -> int:
    """Return about how many bytes a head had."""
    return len(request.target) + sum(len(name) + len(value) + 4 for name, value in request.headers)
