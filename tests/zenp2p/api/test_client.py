"""The client: results and errors as the daemon means them, and a clear sentence for everything else."""

import socket
from collections.abc import Callable
from typing import Any

import pytest
import trio

from tests.support.rpc import call
from zenp2p.api.client import AccessDenied, DaemonUnreachable, RpcClient
from zenp2p.api.errors import InternalError, MethodNotFound, NotFound
from zenp2p.data_directory import DataDirectory
from zenp2p.exit_codes import ExitCode, exit_code


async def test_method_is_called_over_http(client: RpcClient) -> None:
    assert "version" in await call(client, "node.version")
    assert await call(client, "test.text", {"size": 3}) == "xxx"
    assert await call(client, "test.text", [4]) == "xxxx"
    assert "rpc.methods" in [method["name"] for method in await call(client, "rpc.methods")]


async def test_errors_come_back_as_their_classes(client: RpcClient) -> None:
    with pytest.raises(NotFound, match="no challenge 7"):
        await call(client, "test.missing")
    with pytest.raises(MethodNotFound, match="no method 'test.none'"):
        await call(client, "test.none")


async def test_large_answer_arrives_whole(client: RpcClient) -> None:
    assert len(await call(client, "test.text", [5_000_000])) == 5_000_000


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
        await call(client, "node.version")
    assert exit_code(caught.value) is ExitCode.PERMISSION


ANSWERS: list[tuple[bytes, type[Exception], str]] = [
    (b"HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n", InternalError, "HTTP 500"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{", InternalError, "no JSON"),
    (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]", InternalError, "no JSON-RPC"),
    (b'HTTP/1.1 200 OK\r\ncontent-length: 11\r\n\r\n{"error":1}', InternalError, "no code"),
    (b'HTTP/1.1 200 OK\r\ncontent-length: 20\r\n\r\n{"error":{"code":7}}', InternalError, "error 7: "),
    (b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"result":', DaemonUnreachable, "was cut off"),
    (b'HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"result":1}', DaemonUnreachable, "was cut off"),
    (b"not HTTP\r\n\r\n", DaemonUnreachable, "BadStatusLine"),
    (b"", DaemonUnreachable, "no daemon answers"),
]


@pytest.mark.parametrize(("answer", "kind", "said"), ANSWERS, ids=range(len(ANSWERS)))
async def test_client_of_something_that_is_no_daemon(
    directory: DataDirectory, nursery: trio.Nursery, answer: bytes, kind: type[Exception], said: str
) -> None:
    async def other(stream: trio.SocketStream) -> None:
        heard = b""
        while b"node.version" not in heard:  # what is left unread would turn the end into a reset
            heard += await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    serve: Callable[..., Any] = trio.serve_tcp
    [listener] = await nursery.start(
        lambda task_status: serve(other, 0, host="127.0.0.1", task_status=task_status)
    )
    directory.rpc_address.write_text(f"127.0.0.1:{listener.socket.getsockname()[1]}")
    directory.cookie.write_text("__cookie__:00")
    with pytest.raises(kind, match=said):
        await call(RpcClient(directory.path, 2), "node.version")
    nursery.cancel_scope.cancel()


async def test_client_gives_up_on_a_daemon_that_says_nothing(
    directory: DataDirectory, nursery: trio.Nursery
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        directory.rpc_address.write_text(f"127.0.0.1:{silent.getsockname()[1]}")
        directory.cookie.write_text("__cookie__:00")
        with pytest.raises(DaemonUnreachable, match="does not answer within 0.3 seconds"):
            await call(RpcClient(directory.path, 0.3), "node.version")
