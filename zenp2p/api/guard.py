"""The door of the RPC: who may ask at all, how much and how long.

Answers for: a web page cannot reach the daemon through the user's browser (Host,
Origin, content type and a secret header are all checked, none alone), another user of
the machine cannot without the cookie, and no request holds a connection longer than its deadline.
Checks come before the body is read. What is asked is left to `zenp2p.api.dispatch`.
Spec: `spec/rpc.md`.
"""

import base64
import hmac
import re
from ipaddress import ip_address

import trio
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

REQUEST_SECONDS_MAX = 30
"""A whole request: body, methods and answer."""
BODY_SECONDS_MAX = 10
BODY_BYTES_MAX = 1 << 20
DRAIN_SECONDS_MAX = 1
"""How long a refused request may go on sending before its connection is closed."""

_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)
_TOO_LATE = (408, 504)
"""Statuses behind which no more body is waited for."""
HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class Refusal(Exception):
    """An HTTP status and one line of why."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Guard:
    """ASGI middleware round the RPC application."""

    def __init__(self, app: ASGIApp, cookie: bytes) -> None:
        """`cookie` is `name:password` as in the cookie file."""
        self._app = app
        self._credentials = base64.b64encode(cookie)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then let the application answer within the deadline."""
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        with trio.move_on_after(REQUEST_SECONDS_MAX) as deadline:
            try:
                self._check(Request(scope))
                await self._app(scope, receive, watched)
            except Refusal as refusal:
                await _refuse(refusal, scope, receive, send)
        if deadline.cancelled_caught and not started:
            await _refuse(Refusal(504, "not done in time"), scope, receive, send)

    def _check(self, request: Request) -> None:
        """Raise `Refusal` unless head and sender are as they must be."""
        headers = request.headers
        if not is_loopback_host(headers.get("host", "")):
            raise Refusal(400, "the Host header names no loopback address")
        origin = headers.get("origin")
        if origin is not None and not _is_our_origin(origin, headers["host"]):
            raise Refusal(403, "requests of other sites' pages are not answered")
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        given = credentials.strip().encode("latin-1", "replace")
        if scheme.lower() != "basic" or not hmac.compare_digest(given, self._credentials):
            raise Refusal(401, "the cookie of the data directory is needed")
        if request.scope["path"] != "/":
            raise Refusal(404, "there is only /")
        if request.method != "POST":
            raise Refusal(405, "only POST is answered")
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise Refusal(415, "the content type must be application/json")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > BODY_BYTES_MAX:
            raise Refusal(413, f"at most {BODY_BYTES_MAX} bytes are read")


async def read_body(request: Request) -> bytes:
    """Return the whole body; raises `Refusal` when it is too long or too slow."""
    parts: list[bytes] = []
    size = 0
    with trio.move_on_after(BODY_SECONDS_MAX):
        async for part in request.stream():
            size += len(part)
            if size > BODY_BYTES_MAX:
                raise Refusal(413, f"at most {BODY_BYTES_MAX} bytes are read")
            parts.append(part)
        return b"".join(parts)
    raise Refusal(408, f"the body did not come within {BODY_SECONDS_MAX} seconds")


def is_loopback_host(host: str) -> bool:
    """Whether a Host header names this machine: a literal loopback address or `localhost`.

    Any other name could be made to lead here by whoever owns it (DNS rebinding).
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = match[1].strip("[]").lower()
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def _is_our_origin(origin: str, host: str) -> bool:
    return origin.lower() == f"http://{host.lower()}"


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    """Take what still comes for a moment, so that the sender reads our answer instead of a reset; answer.

    Taking goes on meanwhile: Hypercorn waits for ever for an application that does not read.
    """
    headers = {**HEADERS, "connection": "close"}
    if refusal.status == 401:
        headers["www-authenticate"] = 'Basic realm="zenp2pd"'
    async with trio.open_nursery() as nursery:
        taken = trio.Event()
        nursery.start_soon(_take, receive, taken)
        with trio.move_on_after(0 if refusal.status in _TOO_LATE else DRAIN_SECONDS_MAX):
            await taken.wait()
        await PlainTextResponse(f"{refusal}\n", refusal.status, headers)(scope, receive, send)
        nursery.cancel_scope.cancel()


async def _take(receive: Receive, taken: trio.Event) -> None:
    """Read and forget until the sender is gone; tell when its body has ended."""
    while True:
        message = await receive()
        if not message.get("more_body"):
            taken.set()
        if message["type"] == "http.disconnect":
            return
