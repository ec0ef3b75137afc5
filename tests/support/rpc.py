"""An RPC server's other side: methods to call, and raw bytes over a real connection."""

import base64
from typing import Any

import trio

from zenp2p.api.client import RpcClient
from zenp2p.api.errors import NotFound
from zenp2p.api.methods import Methods, NoParams, Params
from zenp2p.api.server import RpcServer
from zenp2p.data_directory import DataDirectory

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


def some_methods() -> Methods:
    methods = Methods()
    methods.add("test.sleep", Seconds, _sleep, "Takes its time.")
    methods.add("test.missing", NoParams, _missing, "Has nothing.")
    methods.add("test.text", Size, _text, "Says much.")
    return methods


def authorization(directory: DataDirectory) -> str:
    return "Basic " + base64.b64encode(directory.cookie.read_bytes().strip()).decode()


def http_request(
    directory: DataDirectory, body: bytes = CALL, line: str = "POST / HTTP/1.1", **headers: Any
) -> bytes:
    """A well-formed request; `headers` replace the usual ones, an empty value leaves one out."""
    usual = {
        "host": "127.0.0.1",
        "authorization": authorization(directory),
        "content-type": "application/json",
        "content-length": str(len(body)),
    }
    chosen = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in chosen.items() if value)
    return f"{line}\r\n{head}\r\n".encode("latin-1") + body


async def exchange(rpc: RpcServer, data: bytes, seconds: float = 3) -> tuple[int, bytes, bool]:
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


async def settled(rpc: RpcServer) -> None:
    """Wait until no connection is left."""
    with trio.fail_after(5):
        while rpc.connections:
            await trio.sleep(0.01)


async def call(client: RpcClient, method: str, params: Any = None) -> Any:
    return await trio.to_thread.run_sync(client.call, method, params)


async def drip(stream: trio.SocketStream, byte: bytes, seconds: float) -> bytes:
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
