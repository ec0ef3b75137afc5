"""The RPC over real HTTP: who is let in, what is cut off, and that nothing hangs the daemon."""

import base64
import json
import socket
import stat
from typing import Any

import pytest
import trio

from tests.support.rpc import CALL, call, drip, exchange, http_request, settled, some_methods
from zenp2p.api import guard, server
from zenp2p.api.client import RpcClient
from zenp2p.api.errors import NotReady
from zenp2p.api.server import CannotListen, RpcServer
from zenp2p.config import ConfigError
from zenp2p.data_directory import DataDirectory
from zenp2p.exit_codes import ExitCode, exit_code


async def test_answer_says_little_about_us(rpc: RpcServer, directory: DataDirectory) -> None:
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(http_request(directory))
        head = bytes(await stream.receive_some()).partition(b"\r\n\r\n")[0].lower()
    assert head.startswith(b"http/1.1 200")
    assert b"server:" not in head and b"access-control" not in head
    assert b"cache-control: no-store" in head and b"x-content-type-options: nosniff" in head


async def test_connection_is_kept_for_the_next_request(rpc: RpcServer, directory: DataDirectory) -> None:
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        for _ in range(3):
            await stream.send_all(http_request(directory))
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
        ({"x": "y" * 17_000}, "", 431),
        ({"x": "y" * 60_000}, "", 431),
        ({"transfer_encoding": "chunked"}, "", 400),
        ({"transfer_encoding": "chunked", "content_length": ""}, "POST / HTTP/1.0", 400),
    ],
)
async def test_who_is_not_let_in(
    rpc: RpcServer, directory: DataDirectory, headers: dict[str, Any], line: str, status: int
) -> None:
    request = http_request(directory, line=line or "POST / HTTP/1.1", **headers)
    got, body, closed = await exchange(rpc, request)
    assert got == status and closed
    assert b"version" not in body
    await settled(rpc)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1:65535", "127.0.0.77", "[::1]", "[::1]:80"]
)
async def test_every_name_of_this_machine_is_let_in(
    rpc: RpcServer, directory: DataDirectory, host: str
) -> None:
    got, body, _ = await exchange(rpc, http_request(directory, host=host, connection="close"))
    assert got == 200 and b"version" in body


async def test_own_page_and_content_type_with_charset_are_let_in(
    rpc: RpcServer, directory: DataDirectory
) -> None:
    own: dict[str, Any] = {"host": f"localhost:{rpc.port}", "origin": f"http://localhost:{rpc.port}"}
    request = http_request(
        directory, content_type="Application/JSON; charset=utf-8", connection="close", **own
    )
    assert (await exchange(rpc, request))[0] == 200


async def test_two_host_headers_are_refused(rpc: RpcServer, directory: DataDirectory) -> None:
    request = http_request(directory).replace(b"host: 127.0.0.1", b"host: 127.0.0.1\r\nhost: evil.example")
    assert (await exchange(rpc, request))[0] == 400


async def test_notifications_are_answered_without_content(rpc: RpcServer, directory: DataDirectory) -> None:
    body = b'{"jsonrpc":"2.0","method":"node.version"}'
    assert await exchange(rpc, http_request(directory, body, connection="close")) == (204, b"", True)


async def test_batch_over_http(rpc: RpcServer, directory: DataDirectory) -> None:
    status, body, _ = await exchange(
        rpc, http_request(directory, b"[" + b",".join([CALL] * 100) + b"]", connection="close")
    )
    assert status == 200 and len(json.loads(body)) == 100
    status, body, _ = await exchange(
        rpc, http_request(directory, b"[" + b",".join([CALL] * 101) + b"]", connection="close")
    )
    assert status == 200 and json.loads(body)["error"]["code"] == -32600


async def test_body_of_just_the_limit_is_read_and_one_byte_more_is_not(
    rpc: RpcServer, directory: DataDirectory
) -> None:
    full = CALL.ljust(guard.BODY_BYTES_MAX)
    assert (await exchange(rpc, http_request(directory, full, connection="close")))[0] == 200
    assert (await exchange(rpc, http_request(directory, full + b" ")))[0] == 413
    chunks = b"".join(b"10000\r\n" + b" " * 0x10000 + b"\r\n" for _ in range(17)) + b"0\r\n\r\n"
    chunked = http_request(directory, b"", content_length="", transfer_encoding="chunked")
    assert (await exchange(rpc, chunked + chunks))[0] == 413
    await settled(rpc)


async def test_dripped_body_is_cut_off(
    rpc: RpcServer, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "BODY_SECONDS_MAX", 0.5)
    started = trio.current_time()
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(http_request(directory, b"", content_length="1000"))
        received = await drip(stream, b" ", 10)
    assert received.startswith(b"HTTP/1.1 408")
    assert trio.current_time() - started < 3
    await settled(rpc)


async def test_dripped_head_is_cut_off(
    directory: DataDirectory, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "IDLE_SECONDS_MAX", 0.5)
    rpc = RpcServer(some_methods(), directory, "127.0.0.1", 0)
    await nursery.start(rpc.serve)
    started = trio.current_time()
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(b"POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nx: ")
        assert await drip(stream, b"y", 10) == b""
    assert trio.current_time() - started < 3
    await settled(rpc)
    nursery.cancel_scope.cancel()


async def test_method_that_takes_too_long_is_given_up(
    client: RpcClient, rpc: RpcServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "REQUEST_SECONDS_MAX", 0.3)
    with pytest.raises(NotReady, match="in time"):
        await call(client, "test.sleep", [20])
    assert "version" in await call(client, "node.version")
    await settled(rpc)


async def test_slow_method_does_not_hold_up_others(client: RpcClient, nursery: trio.Nursery) -> None:
    nursery.start_soon(call, client, "test.sleep", [1])
    await trio.sleep(0.1)
    started = trio.current_time()
    await call(client, "node.version")
    assert trio.current_time() - started < 0.7


async def test_refused_sender_without_end_is_cut_off(rpc: RpcServer, directory: DataDirectory) -> None:
    head = http_request(
        directory, b"", content_length="", transfer_encoding="chunked", authorization="Basic x"
    )
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(head)
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            while True:
                await stream.send_all(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
    await settled(rpc)


async def test_refused_senders_of_large_bodies_leave_no_connection_behind(
    rpc: RpcServer, directory: DataDirectory, client: RpcClient
) -> None:
    """They are answered before they have sent everything, drained, and closed."""
    request = http_request(directory, b" " * (1 << 20), authorization="Basic x")

    async with trio.open_nursery() as senders:
        for _ in range(server.CONNECTIONS_MAX):
            senders.start_soon(exchange, rpc, request)
    await settled(rpc)
    assert "version" in await call(client, "node.version")


async def test_one_connection_too_many_is_turned_away(
    directory: DataDirectory, rpc: RpcServer, client: RpcClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 3)
    held = [await trio.open_tcp_stream(rpc.host, rpc.port) for _ in range(3)]
    while rpc.connections < 3:
        await trio.sleep(0.01)
    with pytest.raises(NotReady, match="too many connections"):
        await call(client, "node.version")
    await held.pop().aclose()
    while rpc.connections > 2:
        await trio.sleep(0.01)
    assert "version" in await call(client, "node.version")
    for stream in held:
        await stream.aclose()


async def test_connection_does_not_outlive_its_time(
    rpc: RpcServer, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client asks for much and reads nothing."""
    monkeypatch.setattr(server, "CONNECTION_SECONDS_MAX", 0.5)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.text", "params": [30_000_000]}).encode()
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(http_request(directory, body))
        await trio.sleep(0.2)
        assert rpc.connections == 1
        await settled(rpc)


async def test_shutdown_does_not_wait_for_a_client_that_does_not_read(directory: DataDirectory) -> None:
    rpc = RpcServer(some_methods(), directory, "127.0.0.1", 0)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.text", "params": [30_000_000]}).encode()
    async with trio.open_nursery() as nursery:
        await nursery.start(rpc.serve)
        async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
            await stream.send_all(http_request(directory, body))
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
    status, _, closed = await exchange(rpc, data)
    assert closed and status in (0, 400, 401, 403, 505), "HTTP/2 and websockets are not spoken"
    await settled(rpc)
    assert "version" in await call(client, "node.version")
    assert not [record for record in caplog.records if record.exc_info], "no traceback for what others send"


async def test_requests_sent_in_one_go_are_answered_in_order(
    rpc: RpcServer, directory: DataDirectory
) -> None:
    requests = [
        http_request(directory, b'{"jsonrpc":"2.0","id":%d,"method":"node.version"}' % number)
        for number in range(3)
    ]
    requests.append(http_request(directory, CALL, connection="close"))
    status, rest, closed = await exchange(rpc, b"".join(requests))
    assert status == 200 and closed and rest.count(b"HTTP/1.1 200") == 3
    assert [rest.index(b'"id":%d' % number) for number in range(3)] == sorted(
        rest.index(b'"id":%d' % number) for number in range(3)
    )


async def test_who_waits_to_be_told_to_go_on_is_told(rpc: RpcServer, directory: DataDirectory) -> None:
    head = http_request(directory, b"", content_length=str(len(CALL)), expect="100-continue")
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(head)
        with trio.fail_after(3):
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 100")
            await stream.send_all(CALL)
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 200")


async def test_a_head_without_end_is_refused(rpc: RpcServer, directory: DataDirectory) -> None:
    status, _, closed = await exchange(rpc, http_request(directory, x="y" * (1 << 17)))
    assert (status, closed) == (431, True)


async def test_a_head_of_less_than_the_limit_is_read(rpc: RpcServer, directory: DataDirectory) -> None:
    request = http_request(directory, x="y" * 16_000, connection="close")
    assert (await exchange(rpc, request))[0] == 200


@pytest.mark.parametrize(("size", "writes"), [(1, 1), (3_000_000, 2)])
async def test_a_large_answer_is_not_copied_to_follow_its_head(
    rpc: RpcServer, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch, size: int, writes: int
) -> None:
    """A small one goes out with its head, in one packet."""
    server_port, written = rpc.port, []
    send_all = trio.SocketStream.send_all

    async def watch(stream: trio.SocketStream, data: bytes) -> None:
        if stream.socket.getsockname()[1] == server_port:
            written.append(len(data))
        await send_all(stream, data)

    monkeypatch.setattr(trio.SocketStream, "send_all", watch)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.text", "params": [size]}).encode()
    status, answer, _ = await exchange(rpc, http_request(directory, body, connection="close"))
    assert status == 200 and len(json.loads(answer)["result"]) == size
    assert len(written) == writes and (writes == 1 or written[1] == len(answer))


async def test_a_head_request_is_refused_without_a_body(rpc: RpcServer, directory: DataDirectory) -> None:
    request = http_request(directory, b"", line="HEAD / HTTP/1.1")
    assert await exchange(rpc, request) == (405, b"", True)


async def test_an_answer_cut_off_at_the_deadline_ends_its_connection(
    rpc: RpcServer, directory: DataDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is ever written behind half an answer."""
    monkeypatch.setattr(guard, "REQUEST_SECONDS_MAX", 0.5)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.text", "params": [30_000_000]}).encode()
    async with await trio.open_tcp_stream(rpc.host, rpc.port) as stream:
        await stream.send_all(http_request(directory, body) + http_request(directory, CALL))
        await settled(rpc)
        received = b""
        with trio.fail_after(5):
            try:
                async for part in stream:
                    received += part
            except trio.BrokenResourceError:
                pass
    assert received.count(b"HTTP/1.1") == 1 and len(received) < 30_000_000


async def test_vanished_client_costs_nobody_anything(
    rpc: RpcServer, directory: DataDirectory, client: RpcClient
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "test.sleep", "params": [0.3]}).encode()
    for _ in range(5):
        stream = await trio.open_tcp_stream(rpc.host, rpc.port)
        await stream.send_all(http_request(directory, body))
        await trio.sleep(0.05)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()
    await settled(rpc)
    assert "version" in await call(client, "node.version")


async def test_cookie_is_new_at_each_start_private_and_gone_afterwards(directory: DataDirectory) -> None:
    cookies = []
    for _ in range(2):
        async with trio.open_nursery() as nursery:
            rpc = RpcServer(some_methods(), directory, "127.0.0.1", 0)
            await nursery.start(rpc.serve)
            cookies.append(directory.cookie.read_text())
            assert stat.S_IMODE(directory.cookie.stat().st_mode) == 0o600
            assert directory.rpc_address.read_text() == f"127.0.0.1:{rpc.port}\n"
            nursery.cancel_scope.cancel()
        assert not directory.cookie.exists() and not directory.rpc_address.exists()
    assert cookies[0] != cookies[1] and cookies[0].startswith("__cookie__:")


async def test_ipv6_loopback(directory: DataDirectory, nursery: trio.Nursery) -> None:
    rpc = RpcServer(some_methods(), directory, "::1", 0)
    await nursery.start(rpc.serve)
    assert "version" in await call(RpcClient(directory.path, 5), "node.version")
    nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "localhost", ""])
def test_only_loopback_is_listened_on(directory: DataDirectory, host: str) -> None:
    with pytest.raises(ConfigError, match="is no loopback address") as caught:
        RpcServer(some_methods(), directory, host, 0)
    assert exit_code(caught.value) is ExitCode.CONFIG


def test_taken_port_is_told_at_once(directory: DataDirectory) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(CannotListen, match=f"127.0.0.1:{port}: Address already in use") as caught:
            RpcServer(some_methods(), directory, "127.0.0.1", port)
    assert exit_code(caught.value) is ExitCode.UNAVAILABLE
