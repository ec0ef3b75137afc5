"""The RPC's HTTP server: Starlette on Hypercorn's trio worker, on loopback.

Answers for: where the daemon listens, the cookie and the address file of this run, how many
connections there are and how long one may live. One connection's trouble is its own.
Who may ask is `zenp2p.api.guard`, what is answered `zenp2p.api.dispatch`. Spec: `spec/rpc.md`.

Hypercorn's own `serve` has no limit of connections and speaks HTTP/2 to whoever asks
for it in clear text, so its connection class is run here directly.
"""

import logging
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext
from hypercorn.typing import ConnectionState
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from protocol.errors import ZenError
from zenp2p.api.dispatch import Dispatcher
from zenp2p.api.guard import HEADERS, REQUEST_SECONDS_MAX, Guard, read_body
from zenp2p.api.methods import Methods
from zenp2p.config import check_loopback
from zenp2p.data_directory import DataDirectory
from zenp2p.durable_file import write_durably

log = logging.getLogger(__name__)

CONNECTIONS_MAX = 64
"""Open at once; one more is answered 503 and closed, as many again at once, and yet more are just closed."""
TURN_AWAY_SECONDS_MAX = 1
CONNECTION_SECONDS_MAX = 300
"""A connection's whole life, however busy: nothing that hangs hangs for ever."""
IDLE_SECONDS_MAX = 5
"""Until a connection's next request head is complete."""
BACKLOG = 64
COOKIE_NAME = "__cookie__"
COOKIE_BYTES = 32

_TOO_MANY = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class CannotListen(ZenError):
    """The port is taken, or the address is not of this machine."""


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on a loopback address; port 0 is any free one.

    Raises `ConfigError` for an address that others could reach, `CannotListen`.
    """
    check_loopback(host)
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(f"RPC cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


class RpcServer:
    """Serves one daemon's methods."""

    def __init__(self, methods: Methods, directory: DataDirectory, host: str, port: int) -> None:
        """Listen at once, so that a taken port is known before anything else starts.

        Raises as `listen`.
        """
        self._directory = directory
        self._listener = listen(host, port)
        self.host, self.port = self._listener.getsockname()[:2]
        self._cookie = f"{COOKIE_NAME}:{secrets.token_hex(COOKIE_BYTES)}".encode()
        # Starlette and Hypercorn describe the same ASGI callable with different types.
        self._app = ASGIWrapper(cast(Any, _application(methods, self._cookie)))
        self._context = WorkerContext(None)
        self._config = _hypercorn_config()
        self._turning_away = 0
        self.connections = 0
        """Open now."""

    async def serve(self, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Answer until cancelled; the cookie and address files are there as long."""
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(self._listener))
        with self._files():
            task_status.started()
            await trio.serve_listeners(self._connection, [listener])

    def close(self) -> None:
        """Stop listening, when `serve` was never reached."""
        self._listener.close()

    @contextmanager
    def _files(self) -> Iterator[None]:
        """Keep the cookie and the address where clients look for them."""
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        try:
            write_durably(self._directory.cookie, self._cookie + b"\n")
            write_durably(self._directory.rpc_address, address.encode() + b"\n")
            yield
        finally:
            self._directory.rpc_address.unlink(missing_ok=True)
            self._directory.cookie.unlink(missing_ok=True)

    async def _connection(self, stream: trio.SocketStream) -> None:
        """Serve one connection; whatever goes wrong in it ends it and nothing else."""
        if self.connections >= CONNECTIONS_MAX:
            await self._turn_away(stream)
            return
        self.connections += 1
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_close_at_last, stream, nursery.cancel_scope)
                state = ConnectionState({})
                connection = cast(Any, stream)  # typed as TLS by Hypercorn, which takes both
                await _Http1Connection(self._app, self._config, self._context, state, connection).run()
                nursery.cancel_scope.cancel()
        except Exception:  # the outermost edge of one connection
            log.exception("an RPC connection failed")
        finally:
            self.connections -= 1

    async def _turn_away(self, stream: trio.SocketStream) -> None:
        """Say why, and take what the client sends, so that it reads that instead of a reset."""
        if self._turning_away < CONNECTIONS_MAX:
            self._turning_away += 1
            with trio.move_on_after(TURN_AWAY_SECONDS_MAX), suppress(trio.BrokenResourceError):
                await stream.send_all(_TOO_MANY)
                await stream.send_eof()
                while await stream.receive_some():
                    pass
            self._turning_away -= 1
        await trio.aclose_forcefully(stream)


class _Http1Connection(TCPServer):
    """Hypercorn's connection, HTTP/1.1 only, and ending with its socket.

    Hypercorn's own turns to HTTP/2 for `Upgrade: h2c` and `PRI *`, and keeps its task until
    the idle timeout has passed after the other side is gone.
    """

    _ended = False

    async def _idle_timeout(self) -> None:
        if not self._ended:
            await super()._idle_timeout()

    async def _read_data(self) -> None:
        http1 = cast(Any, self.protocol.protocol)
        http1._check_protocol = _ignore_upgrade
        self.protocol = http1
        try:
            await super()._read_data()
        finally:
            self._ended = True
            await self.idle_task.stop()


async def _ignore_upgrade(request: object) -> None:
    """Answer in HTTP/1.1, as RFC 9110 (7.8) allows."""


async def _close_at_last(stream: trio.SocketStream, scope: trio.CancelScope) -> None:
    """End a connection that outlived its time; close its socket in every case.

    Hypercorn sends under a shield: to somebody who does not read, only closing ends that.
    """
    try:
        await trio.sleep(CONNECTION_SECONDS_MAX)
        scope.cancel()
    finally:
        stream.socket.close()


def _application(methods: Methods, cookie: bytes) -> Starlette:
    dispatcher = Dispatcher(methods)

    async def rpc(request: Request) -> Response:
        answer = await dispatcher.answer(await read_body(request))
        if answer is None:
            return Response(status_code=204, headers=HEADERS)
        return Response(answer, media_type="application/json", headers=HEADERS)

    return Starlette(
        routes=[Route("/", rpc, methods=["POST"])], middleware=[Middleware(Guard, cookie=cookie)]
    )


def _hypercorn_config() -> Config:
    config = Config()
    config.alpn_protocols = ["http/1.1"]
    config.include_server_header = False
    config.keep_alive_timeout = IDLE_SECONDS_MAX
    # A second line behind the guard's deadlines, which a reader that waits for an answer must not cross.
    config.read_timeout = 2 * REQUEST_SECONDS_MAX
    config.errorlog = logging.getLogger("hypercorn.error")
    config.accesslog = None
    return config
