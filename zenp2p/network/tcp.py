"""TCP as this adapter uses it: one stream class, dialling, listening, addresses.

Answers for: sockets. Dials leave from our own listening address, so that the other
side sees the address that we registered; listening fails loudly where the port is
taken (libp2p listens with SO_REUSEPORT, under which a second daemon is not noticed).
Reads are buffered, because the layers above ask for two bytes at a time. Who may
connect is left to `admission`, who it is to `upgrade`.
"""

import errno
import ipaddress
import socket
import sys

import trio
from libp2p.abc import IRawConnection
from libp2p.connection_types import ConnectionType
from libp2p.io.exceptions import ConnectionClosedError
from multiaddr import Multiaddr

from zenp2p.ports import Endpoint, TransportError

READ_SIZE = 1 << 16
BACKLOG = 256
BIND_ADDRESS_NO_PORT = 24
"""Linux's IP_BIND_ADDRESS_NO_PORT: the source port is chosen at connect, so that an address has enough."""


def host_text(ip: bytes) -> str:
    """Write a packed address as text."""
    return str(ipaddress.ip_address(ip))


def pack_ip(text: str) -> bytes:
    """Return the packed form of an address as sockets name it; v4-mapped IPv6 becomes IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.packed


def to_multiaddr(endpoint: Endpoint) -> Multiaddr:
    """Write an endpoint as libp2p does."""
    return Multiaddr(f"/ip{4 if len(endpoint.ip) == 4 else 6}/{host_text(endpoint.ip)}/tcp/{endpoint.port}")


class TcpConnection(IRawConnection):
    """One TCP connection with a read buffer; one task reads it and one writes it."""

    def __init__(self, stream: trio.SocketStream, initiator: bool) -> None:
        """Wrap a connected stream; raises `TransportError` when the peer is already gone."""
        self.is_initiator = initiator
        self._stream = stream
        self._buffer = bytearray()
        try:
            host, port = stream.socket.getpeername()[:2]
        except OSError as error:
            raise TransportError(f"connection lost: {error}") from None
        self.remote = Endpoint(pack_ip(host), port)

    async def read(self, n: int | None = None) -> bytes:
        """Return exactly `n` bytes, or fewer only at the end; without `n` whatever is there."""
        buffer = self._buffer
        wanted = 1 if n is None else n
        while len(buffer) < wanted:
            chunk = await self._receive(max(READ_SIZE, min(wanted - len(buffer), 1 << 20)))
            if not chunk:
                break
            buffer += chunk
        data = bytes(buffer if n is None else buffer[:n])
        del buffer[: len(data)]
        return data

    async def _receive(self, size: int) -> bytes:
        try:
            return bytes(await self._stream.receive_some(size))
        except trio.ClosedResourceError:
            return b""
        except trio.BrokenResourceError as error:
            raise ConnectionClosedError(str(error), transport="tcp") from error

    async def write(self, data: bytes) -> None:
        """Send all of `data`; raises libp2p's `ConnectionClosedError` when the connection is gone."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ConnectionClosedError(str(error), transport="tcp") from error

    async def close(self) -> None:
        """Close the socket at once."""
        self.abort()

    def abort(self) -> None:
        """Close the socket without waiting for anything."""
        self._stream.socket.close()

    def get_remote_address(self) -> tuple[str, int]:
        """Return the peer's address as libp2p wants it."""
        return host_text(self.remote.ip), self.remote.port

    def get_transport_addresses(self) -> list[Multiaddr]:
        """Return the peer's address as multiaddr."""
        return [to_multiaddr(self.remote)]

    def get_connection_type(self) -> ConnectionType:
        """Say that nothing relays this connection."""
        return ConnectionType.DIRECT


def _new_socket(ip: bytes) -> "trio.socket.SocketType":
    family = socket.AF_INET if len(ip) == 4 else socket.AF_INET6
    return trio.socket.socket(family, socket.SOCK_STREAM)


async def dial(target: Endpoint, source: bytes | None) -> TcpConnection:
    """Connect to `target`, from the local address `source` if one is given.

    A source of the other IP version is not used. Raises `TransportError`.
    """
    sock = _new_socket(target.ip)
    try:
        if source is not None and len(source) == len(target.ip):
            if sys.platform == "linux":
                sock.setsockopt(socket.IPPROTO_IP, BIND_ADDRESS_NO_PORT, 1)
            await sock.bind((host_text(source), 0))
        await sock.connect((host_text(target.ip), target.port))
        return TcpConnection(trio.SocketStream(sock), initiator=True)
    except OSError as error:
        sock.close()
        raise TransportError(f"cannot connect to {host_text(target.ip)}:{target.port}: {error}") from None
    except BaseException:
        sock.close()
        raise


async def listen(endpoint: Endpoint) -> trio.SocketListener:
    """Listen on `endpoint` (port 0: a free one); raises `TransportError` saying why not."""
    where = f"{host_text(endpoint.ip)}:{endpoint.port}"
    sock = _new_socket(endpoint.ip)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await sock.bind((host_text(endpoint.ip), endpoint.port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        if error.errno == errno.EADDRINUSE:
            raise TransportError(f"cannot listen on {where}: another program has this port") from None
        raise TransportError(f"cannot listen on {where}: {error.strerror}") from None
    return trio.SocketListener(sock)


def listening_on(listener: trio.SocketListener) -> Endpoint:
    """Return the address and the port that a listener really has."""
    host, port = listener.socket.getsockname()[:2]
    return Endpoint(ipaddress.ip_address(host).packed, port)
