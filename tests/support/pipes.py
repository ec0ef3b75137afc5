"""A pair of connected sessions in memory, where the network has noise over TCP."""

import trio
from libp2p.abc import ISecureConn
from libp2p.connection_types import ConnectionType
from libp2p.crypto.keys import PrivateKey, PublicKey
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from multiaddr import Multiaddr
from trio.testing import memory_stream_pair


class PipeSession(ISecureConn):
    """One end; `read()` gives what one `write` of the other end wrote, or parts of it."""

    def __init__(self, stream: trio.abc.Stream, first: bool) -> None:
        self.is_initiator = first
        self.stream = stream
        self.writes = 0
        self._buffer = bytearray()

    async def read(self, n: int | None = None) -> bytes:
        """Return up to `n` bytes, or whatever is there."""
        if not self._buffer:
            try:
                self._buffer += await self.stream.receive_some(n)
            except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
                raise ConnectionClosedError(str(error)) from error
            if not self._buffer:
                raise ConnectionClosedError("the other end closed")
        data = bytes(self._buffer[:n])
        del self._buffer[: len(data)]
        return data

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        self.writes += 1
        try:
            await self.stream.send_all(data)
        except (trio.ClosedResourceError, trio.BrokenResourceError) as error:
            raise ConnectionClosedError(str(error)) from error

    async def close(self) -> None:
        """Close both directions."""
        await self.stream.aclose()

    def get_remote_address(self) -> tuple[str, int]:
        """Say something that looks like an address."""
        return "127.0.0.1", 1

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Have no address."""
        return []

    def get_connection_type(self) -> ConnectionType:
        """Be direct."""
        return ConnectionType.DIRECT

    def get_local_peer(self) -> ID:
        """Have no identity."""
        raise NotImplementedError

    def get_local_private_key(self) -> PrivateKey:
        """Have no identity."""
        raise NotImplementedError

    def get_remote_peer(self) -> ID:
        """Have no identity."""
        raise NotImplementedError

    def get_remote_public_key(self) -> PublicKey:
        """Have no identity."""
        raise NotImplementedError


def pipe() -> tuple[PipeSession, PipeSession]:
    """Return two connected sessions; the first one is the initiator."""
    one, other = memory_stream_pair()
    return PipeSession(one, True), PipeSession(other, False)
