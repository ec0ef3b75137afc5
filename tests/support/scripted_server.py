"""An HTTP server on loopback whose every answer is decided by a function of the test.

It stands where a node would, for what no real node can be made to do at will: to hang up,
to answer nonsense, to be too busy. Ended when the test ends; one thread a connection.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

REQUEST_BYTES_MAX = 64 << 20


@dataclass(frozen=True)
class Reply:
    """What goes back; `hang_up` closes the connection instead, `stall` sends the head and then nothing."""

    status: int = 200
    body: bytes = b""
    hang_up: bool = False
    stall: bool = False


Answer = Callable[[str, bytes], Reply]
"""(the authorization header, the body) -> the reply"""


class ScriptedServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1 at a port of the system's choice, or at a given one."""

    daemon_threads = True
    request_queue_size = 64
    block_on_close = False

    def __init__(self, answer: Answer, port: int = 0) -> None:
        self.answer = answer
        self.ended = threading.Event()
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.server_address[1]

    def hang_up(self) -> None:
        """Close every connection, as a process that ends does."""
        self.ended.set()
        for connection in list(self.connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that left."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: ScriptedServer

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(min(size, REQUEST_BYTES_MAX))
        reply = self.server.answer(self.headers.get("authorization", ""), body)
        if reply.hang_up:
            self.close_connection = True
            return
        self.send_response(reply.status)
        self.send_header("content-length", str(len(reply.body) + reply.stall))
        self.end_headers()
        self.wfile.write(reply.body)
        if reply.stall:
            self.server.ended.wait()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(answer: Answer, port: int = 0) -> Iterator[ScriptedServer]:
    """Run a server while the context is open."""
    server = ScriptedServer(answer, port)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        server.hang_up()
        thread.join()
