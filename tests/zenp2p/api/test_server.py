"""The RPC over real HTTP: who is let in, what is cut off, and that nothing hangs the daemon."""

import base64
import json
import socket
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from zenp2p.api import guard, server
from zenp2p.api.client import AccessDenied, DaemonUnreachable, RpcClient
from zenp2p.api.errors import InternalError, MethodNotFound, NotFound, NotReady
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.api.server import CannotListen, RpcServer
from zenp2p.config import ConfigError
from zenp2p.data_directory import DataDirectory
from zenp2p.exit_codes import ExitCode, exit_code

CALL = b'{"jsonrpc":"2.0","id":1,"method":"node.version"}'


class Seconds(Params, frozen=True):
    seconds: float


class Size(Params, frozen=True):
    size: int


async def _sleep(params: Seconds) -> object:
    await trio.sleep(params.seconds)
    return "slept"


async def _missing(params: NoParams) -> object:
    raise NotFound("no challenge 7")


async def _text(params: Size) -> object:
    return "x" * params.size


def _methods() -> Methods:
    methods = Methods()
    methods.add("test.sleep", Seconds, _sleep, "Takes its time.")
    methods.add("test.missing", NoParams, _missing, "Has nothing.")
    methods.add("test.text", Size, _text, "Says much.")
    return methods


@pytest.fixture
def directory(tmp_path: Path) -> DataDirectory:
    directory = DataDirectory(tmp_path / "node")
    directory.create()
    return directory


@pytest.fixture
async def rpc(directory: DataDirectory, nursery: trio.Nursery) -> AsyncIterator[RpcServer]:
    rpc = RpcServer(_methods(), directory, "127.0.0.1", 0)
    await nursery.start(rpc.serve)
    yield rpc
    nursery.cancel_scope.cancel()


@pytest.fixture
def client(directory: DataDirectory, rpc: RpcServer) -> RpcClient:
    return RpcClient(directory.path, 5)


def _authorization(directory: DataDirectory) -> str:
    return "Basic " + base64.b64encode(directory.cookie.read_bytes().strip()).decode()


def _request(
    directory: DataDirectory, body: bytes = CALL, line: str = "POST / HTTP/1.1", **headers: Any
) -> bytes:
    """A well-formed request; `headers` replace the usual ones, an empty value leaves one out."""
    usual = {
        "host": "127.0.0.1",
        "authorization": _authorization(directory),
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    chosen = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in chosen.items() if value)
    return f"{line}\r\n{head}\r\n".encode("latin-1") + body


async def _exchange(rpc: RpcServer, data: bytes, seconds: float = 3) -> tuple[int, bytes, bool]:
    """Send raw bytes; return (status, answer's body, whether the connection was closed in time)."""
    received = b""
    closed = False
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        with trio.move_on_after(seconds):
            try:
                await stream.send_all(data)
                async for part in stream:
                    received += part
                closed = True
            except trio.BrokenResourceError:
                closed = True
    status = int(received.split(b" ", 2)[1]) if received.startswith(b"HTTP/1.1 ") else 0
    return status, received.partition(b"\r\n\r\n")[2], closed


async def _settled(rpc: RpcServer) -> None:
    """Wait until no connection is left."""
    with trio.fail_after(5):
        while rpc.connections:
            await trio.sleep(0.01)


async def _call(client: RpcClient, method: str, params: Any = None) -> Any:
    return await trio.to_thread.run_sync(client.call, method, params)


async def test_method_is_called_over_http(client: RpcClient) -> None:
    assert "version" in await _call(client, "node.version")
    assert await _call(client, "test.text", {"size": 3}) == "xxx"
    assert await _call(client, "test.text", [4]) == "xxxx"
    assert "rpc.methods" in [method["name"] for method in await _call(client, "rpc.methods")]


async def test_errors_come_back_as_their_classes(client: RpcClient) -> None:
    with pytest.raises(NotFound, match="no challenge 7"):
        await _call(client, "test.missing")
    with pytest.raises(MethodNotFound, match="no method 'test.none'"):
        await _call(client, "test.none")


async def test_large_answer_arrives_whole(client: RpcClient) -> None:
    assert len(await _call(client, "test.text", [5_000_000])) == 5_000_000


async def test_answer_says_little_about_us(rpc: RpcServer, directory: DataDirectory) -> None:
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(_request(directory))
        head = bytes(await stream.receive_some()).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 200")
    assert b"server:" not in head and b"access-control" not in head
    assert b"cache-control: no-store" in head and b"x-content-type-options: nosniff" in head


async def test_connection_is_kept_for_the_next_request(rpc: RpcServer, directory: DataDirectory) -> None:
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        for _ in range(3):
            await stream.send_all(_request(directory))
            received = b""
            while not received.endswith(b"}}"):
                received += await stream.receive_some()
            assert received.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("headers", "line", "status"),
    [
        ({"host": "evil.example"}, "", 400),
        ({"host": "127.0.0.1.evil.example"}, "", 400),
        ({"host": "localhost.evil.example"}, "", 400),
        ({"host": "0.0.0.0"}, "", 400),
        ({"host": "10.0.0.1"}, "", 400),
        ({"host": "2130706433"}, "", 400),
        ({"host": "127.1"}, "", 400),
        ({"host": "[::1"}, "", 400),
        ({"host": "127.0.0.1:80:80"}, "", 400),
        ({"host": "127.0.0.1:x"}, "", 400),
        ({"host": ""}, "", 400),
        ({"host": ""}, "POST / HTTP/1.0", 400),
        ({"origin": "http://evil.example"}, "", 403),
        ({"origin": "null"}, "", 403),
        ({"origin": "http://127.0.0.1:1"}, "", 403),
        ({"origin": "https://127.0.0.1"}, "", 403),
        ({"authorization": ""}, "", 401),
        ({"authorization": "Basic"}, "", 401),
        ({"authorization": "Basic " + base64.b64encode(b"__cookie__:" + b"0" * 64).decode()}, "", 401),
        ({"authorization": "Basic \xff\xfe"}, "", 401),
        ({"authorization": "Bearer x"}, "", 401),
        ({"content_type": ""}, "", 415),
        ({"content_type": "text/plain"}, "", 415),
        ({"content_type": "application/x-www-form-urlencoded"}, "", 415),
        ({"content_length": str((1 << 20) + 1)}, "", 413),
        ({}, "GET / HTTP/1.1", 405),
        ({}, "OPTIONS / HTTP/1.1", 405),
        ({}, "PUT / HTTP/1.1", 405),
        ({}, "POST /other HTTP/1.1", 404),
        ({"x": "y" * 200_000}, "", 431),
    ],
)
async def test_who_is_not_let_in(
    rpc: RpcServer, directory: DataDirectory, headers: dict[str, Any], line: str, status: int
) -> None:
    request = _request(directory, line=line or "POST / HTTP/1.1", **headers)
    got, body, closed = await _exchange(rpc, request)
    assert got == status and closed
    assert b"version" not in body
    await _settled(rpc)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "127.0.0.77", "[::1]", "[::1]:80"]
)
async def test_every_name_of_this_machine_is_let_in(
    rpc: RpcServer, directory: DataDirectory, host: str
) -> None:
    got, body, _ = await _exchange(rpc, _request(directory, host=host, connection="close"))
    assert got == 200 and b"version" in body


async def test_own_page_and_content_type_with_charset_are_let_in(
    rpc: RpcServer, directory: DataDirectory
) -> None:
    own: dict[str, Any] = {"host": f"localhost:{rpc.port}", "origin": f"http://localhost:{rpc.port}"}
    request = _request(directory, content_type="Application/JSON; charset=utf-8", connection="close", **own)
    assert (await _exchange(rpc, request))[0] == 200


async def test_two_host_headers_are_refused(rpc: RpcServer, directory: DataDirectory) -> None:
    request = _request(directory).replace(b"host: 127.0.0.1", b"host: 127.0.0.1\r\nhost: evil.example")
    assert (await _exchange(rpc, request))[0] == 400


async def test_notifications_are_answered_without_content(rpc: RpcServer, directory: DataDirectory) -> None:
    body = b'{"jsonrpc":"2.0","method":"node.version"}'
    assert await _exchange(rpc, _request(directory, body, connection="close")) == (204, b"", True)


async def test_batch_over_http(rpc: RpcServer, directory: DataDirectory) -> None:
    status, body, _ = await _exchange(
        rpc, _request(directory, b"[" + b",".join([CALL] * 100) + b"]", connection="close")
    )
    assert status == 200 and len(json.loads(body)) == 100
    status, body, _ = await _exchange(
        rpc, _request(directory, b"[" + b",".join([CALL] * 101) + b"]", connection="close")
    )
    assert status == 200 and json.loads(body)["error"]["code"] == -32600


async def test_body_of_just_the_limit_is_read_and_one_byte_more_is_not(
    rpc: RpcServer, directory: DataDirectory
) -> None:
    full = CALL.ljust(guard.BODY_BYTES_MAX)
    assert (await _exchange(rpc, _request(directory, full, connection="close")))[0] == 200
    assert (await _exchange(rpc, _request(directory, full + b" ")))[0] == 413
    chunks = b"".join(b"10000\r\n" + b" " * 0x10000 + b"\r\n" for _ in range(17)) + b"0\r\n\r\n"
    chunked = _request(directory, b"", content_length="", transfer_encoding="chunked")
    assert (await _exchange(rpc, chunked + chunks))[0] == 413
    await _settled(rpc)


async def test_dripped_body_is_cut_off(
    rpc: RpcServer, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS_MAX", 0.5)
    started = trio.current_time()
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(_request(directory, b"", content_length="1000"))
        received = await _drip(stream, b" ", 10)
    assert received.startswith(b"HTTP/1.1 408")
    assert trio.current_time() - started < 3
    await _settled(rpc)


async def test_dripped_head_is_cut_off(
    directory: DataDirectory, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS_MAX", 0.5)
    rpc = RpcServer(_methods(), directory, "127.0.0.1", 0)
    await nursery.start(rpc.serve)
    started = trio.current_time()
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        assert await _drip(stream, b"y", 10) == b""
    assert trio.current_time() - started < 3
    await _settled(rpc)
    nursery.cancel_scope.cancel()


async def _drip(stream: trio.SocketStream, byte: bytes, seconds: float) -> bytes:
    """Send a byte every 0.1 s until the other side closes; return what it said."""
    received = b""
    with trio.fail_after(seconds):
        while True:
            try:
                await stream.send_all(byte)
                with trio.move_on_after(0.1):
                    part = await stream.receive_some()
                    if not part:
                        return received
                    received += part
            except trio.BrokenResourceError:
                return received


async def test_method_that_takes_too_long_is_given_up(
    client: RpcClient, rpc: RpcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "REQUEST_SECONDS_MAX", 0.3)
    with pytest.raises(NotReady, match="in time"):
        await _call(client, "test.sleep", [20])
    assert "version" in await _call(client, "node.version")
    await _settled(rpc)


async def test_slow_method_does_not_hold_up_others(client: RpcClient, nursery: trio.Nursery) -> None:
    nursery.start_soon(_call, client, "test.sleep", [1])
    await trio.sleep(0.1)
    started = trio.current_time()
    await _call(client, "node.version")
    assert trio.current_time() - started < 0.7


async def test_refused_sender_without_end_is_cut_off(rpc: RpcServer, directory: DataDirectory) -> None:
    head = _request(directory, b"", content_length="", transfer_encoding="chunked", authorization="Basic x")
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(head)
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    await _settled(rpc)


async def test_refused_senders_of_large_bodies_leave_no_connection_behind(
    rpc: RpcServer, directory: DataDirectory, client: RpcClient
) -> None:
    """Hypercorn's reader waits for an application that has already answered; we drain and close."""
    request = _request(directory, b" " * (1 << 20), authorization="Basic x")

    async with trio.open_nursery() as senders:
        for _ in range(server.CONNECTIONS_MAX):
            senders.start_soon(_exchange, rpc, request)
    await _settled(rpc)
    assert "version" in await _call(client, "node.version")


async def test_one_connection_too_many_is_turned_away(
    directory: DataDirectory, rpc: RpcServer, client: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)
    held = [await trio.open_tcp_stream(rpc.host, rpc.port) for _ in range(3)]
    while rpc.connections < 3:
        await trio.sleep(0.01)
    with pytest.raises(NotReady, match="too many connections"):
        await _call(client, "node.version")
    await held.pop().aclose()
    while rpc.connections > 2:
        await trio.sleep(0.01)
    assert "version" in await _call(client, "node.version")
    for stream in held:
        await stream.aclose()


async def test_connection_does_not_outlive_its_time(
    rpc: RpcServer, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks for much and reads nothing: Hypercorn sends under a shield."""
    monkeypatch.setattr(server, "CONNECTION_SECONDS_MAX", 0.5)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.text", "params": [30_000_000]}).encode()
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(_request(directory, body))
        await trio.sleep(0.2)
        assert rpc.connections == 1
        await _settled(rpc)


async def test_shutdown_does_not_wait_for_a_client_that_does_not_read(directory: DataDirectory) -> None:
    rpc = RpcServer(_methods(), directory, "127.0.0.1", 0)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.text", "params": [30_000_000]}).encode()
    async with trio.open_nursery() as nursery:
        await nursery.start(rpc.serve)
        async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
            await stream.send_all(_request(directory, body))
            await trio.sleep(0.2)
            started = trio.current_time()
            nursery.cancel_scope.cancel()
    assert trio.current_time() - started < 1 and not rpc.connections


GARBAGE = [
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    b"\x13/multistream/1.0.0\n",
    b"GET\r\n\r\n",
    b"POST / HTTP/9.9\r\nhost: 127.0.0.1\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
    b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: h2c\r\nconnection: upgrade\r\n"
    b"http2-settings: AAMAAABk\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
    b"POST /\xc3\xa9 HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
]


@pytest.mark.parametrize("data", GARBAGE, ids=range(len(GARBAGE)))
async def test_garbage_costs_its_own_connection_only(
    rpc: RpcServer, client: RpcClient, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    status, _, closed = await _exchange(rpc, data)
    assert closed and status in (0, 400, 401, 403, 505), "HTTP/2 and websockets are not spoken"
    await _settled(rpc)
    assert "version" in await _call(client, "node.version")
    assert not [record for record in caplog.records if record.exc_info], "no traceback for what others send"


async def test_vanished_client_costs_nobody_anything(
    rpc: RpcServer, directory: DataDirectory, client: RpcClient
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.sleep", "params": [0.3]}).encode()
    for _ in range(5):
        stream = await trio.open_tcp_stream(rpc.host, rpc.port)
        await stream.send_all(_request(directory, body))
        await trio.sleep(0.05)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()
    await _settled(rpc)
    assert "version" in await _call(client, "node.version")


async def test_cookie_is_new_at_each_start_private_and_gone_afterwards(directory: DataDirectory) -> None:
    cookies = []
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            rpc = RpcServer(_methods(), directory, "127.0.0.1", 0)
            await nursery.start(rpc.serve)
            cookies.append(directory.cookie.read_text())
            assert stat.S_IMODE(directory.cookie.stat().st_mode) == 0o600
            assert directory.rpc_address.read_text() == f"127.0.0.1:{rpc.port}\n"
            nursery.cancel_scope.cancel()
        assert not directory.cookie.exists() and not directory.rpc_address.exists()
    assert cookies[0] != cookies[1] and cookies[0].startswith("__cookie__:")


async def test_ipv6_loopback(directory: DataDirectory, nursery: trio.Nursery) -> None:
    rpc = RpcServer(_methods(), directory, "::1", 0)
    await nursery.start(rpc.serve)
    assert "version" in await _call(RpcClient(directory.path, 5), "node.version")
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])
def test_only_loopback_is_listened_on(directory: DataDirectory, host: str) -> None:
    with pytest.raises(ConfigError, match="is no loopback address") as caught:
        RpcServer(_methods(), directory, host, 0)
    assert exit_code(caught.value) is ExitCode.CONFIG


def test_taken_port_is_told_at_once(directory: DataDirectory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: Address already in use") as caught:
            RpcServer(_methods(), directory, "127.0.0.1", port)
    assert exit_code(caught.value) is ExitCode.UNAVAILABLE


def test_client_without_a_daemon(directory: DataDirectory) -> None:
    client = RpcClient(directory.path, 1)
    with pytest.raises(DaemonUnreachable, match=f"no daemon runs on {directory.path}; start it with"):
        client.call("node.version")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    directory.rpc_address.write_text(f"127.0.0.1:{port}\n")
    with pytest.raises(DaemonUnreachable, match="no daemon runs"):
        client.call("node.version")
    directory.cookie.write_text("__cookie__:00")
    with pytest.raises(DaemonUnreachable, match="Connection refused"):
        client.call("node.version")
    directory.rpc_address.write_text("nonsense")
    with pytest.raises(DaemonUnreachable, match="does not hold an address"):
        client.call("node.version")


async def test_client_with_another_cookie(client: RpcClient, directory: DataDirectory) -> None:
    directory.cookie.write_text("__cookie__:00")
    with pytest.raises(AccessDenied, match="does not accept our cookie") as caught:
        await _call(client, "node.version")
    assert exit_code(caught.value) is ExitCode.PERMISSION


ANSWERS: list[tuple[bytes, type[Exception], str]] = [
    (b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", InternalError, "HTTP 500"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{", InternalError, "no JSON"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", InternalError, "no JSON-RPC"),
    (b'HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"error":1}', InternalError, "no code"),
    (b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"error":{"code":7}}', InternalError, "error 7: "),
    (b"not HTTP\r\n\r\n", DaemonUnreachable, "BadStatusLine"),
    (b"", DaemonUnreachable, "no daemon answers"),
]


@pytest.mark.parametrize(("answer", "kind", "said"), ANSWERS, ids=range(len(ANSWERS)))
async def test_client_of_something_that_is_no_daemon(
    directory: DataDirectory, nursery: trio.Nursery, answer: bytes, kind: type[Exception], said: str
) -> None:
    async def other(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    serve: Callable[..., Any] = trio.serve_tcp
    [listener] = await nursery.start(
        lambda task_status: serve(other, 0, host="127.0.0.1", task_status=task_status)
    )
    directory.rpc_address.write_text(f"127.0.0.1:{listener.socket.getsockname()[1]}")
    directory.cookie.write_text("__cookie__:00")
    with pytest.raises(kind, match=said):
        await _call(RpcClient(directory.path, 2), "node.version")
    nursery.cancel_scope.cancel()


async def test_client_gives_up_on_a_daemon_that_says_nothing(
    directory: DataDirectory, nursery: trio.Nursery
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        directory.rpc_address.write_text(f"127.0.0.1:{silent.getsockname()[1]}")
        directory.cookie.write_text("__cookie__:00")
        with pytest.raises(DaemonUnreachable, match="does not answer within 0.3 seconds"):
            await _call(RpcClient(directory.path, 0.3), "node.version")
