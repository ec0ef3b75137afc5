"""The RPC's HTTP server, on loopback.

Answers for: where the daemon listens, the cookie and the address file of this run, how many
connections there are and how long one may live. One connection's trouble is its own.
What is spoken on one is `zenp2p.api.http`, who may ask `zenp2p.api.guard`, what is answered
`zenp2p.api.dispatch`. Spec: `spec/rpc.md`.
"""

import logging
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import trio

from protocol.errors import ZenError
from zenp2p.api.dispatch import Dispatcher
from zenp2p.api.guard import Guard
from zenp2p.api.http import HttpConnection
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
        self._guard = Guard(self._cookie)
        self._dispatcher = Dispatcher(methods)
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
            with trio.move_on_after(CONNECTION_SECONDS_MAX):
                await HttpConnection(stream, self._guard, self._dispatcher.answer, IDLE_SECONDS_MAX).serve()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the other side is gone
        except Exception:  # the outermost edge of one connection
            log.exception("an RPC connection failed")
        finally:
            self.connections -= 1
            await trio.aclose_forcefully(stream)

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
