"""Bounded multistream-select, and from a TCP connection to an authenticated peer.

Answers for: what is agreed before there are streams: noise, and after it either yamux
(a connection) or the probe protocol (one question, see `probe`). libp2p's own
multistream reader believes any length prefix and any bytes; this one reads at most
`LINE_MAX` bytes and refuses what is not text. Deadlines are left to the callers.
"""

from libp2p.abc import IMultiselectCommunicator, IRawConnection, ISecureConn
from libp2p.crypto.keys import KeyPair
from libp2p.crypto.x25519 import create_new_key_pair as new_static_key
from libp2p.custom_types import TProtocol
from libp2p.io.abc import ReadWriteCloser
from libp2p.io.exceptions import IOException
from libp2p.protocol_muxer.exceptions import MultiselectCommunicatorError
from libp2p.protocol_muxer.multiselect import (
    MULTISELECT_PROTOCOL_ID,
    PROTOCOL_NOT_FOUND_MSG,
    Multiselect,
)
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as NoiseTransport
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID

from protocol.units import OperatorKey
from zenp2p.network.identity import operator_key, peer_id
from zenp2p.ports import TransportError

YAMUX = TProtocol(PROTOCOL_ID)
PROBE = TProtocol("/zenp2p/probe/1")
LINE_MAX = 1024
"""Bytes of one line of multistream-select; the longest protocol id we know has far fewer."""


class BoundedLines(IMultiselectCommunicator):
    """Lines of multistream-select with a limit, raising only libp2p's own error for a bad one."""

    def __init__(self, stream: ReadWriteCloser) -> None:
        """Speak over `stream`, whose `read(n)` gives at most `n` bytes."""
        self._stream = stream
        self.broken: IOException | None = None
        """Why the stream under the lines ended, if it did."""

    async def write(self, msg_str: str) -> None:
        """Send one line."""
        await self.write_lines(msg_str)

    async def write_lines(self, *lines: str) -> None:
        """Send several lines at once."""
        encoded = [line.encode() + b"\n" for line in lines]
        try:
            await self._stream.write(b"".join(_varint(len(line)) + line for line in encoded))
        except IOException as error:
            self.broken = error
            raise MultiselectCommunicatorError("cannot write") from error

    async def read(self) -> str:
        """Return the next line without its end."""
        try:
            line = await self._exactly(await self._length())
            if line[-1:] != b"\n":
                raise MultiselectCommunicatorError("a line without an end")
            return line[:-1].decode()
        except UnicodeDecodeError as error:
            raise MultiselectCommunicatorError("a line that is not text") from error
        except IOException as error:
            self.broken = error
            raise MultiselectCommunicatorError("cannot read") from error

    async def _length(self) -> int:
        first = (await self._exactly(1))[0]
        if first < 0x80:
            return first
        length = first & 0x7F | (await self._exactly(1))[0] << 7
        if length > LINE_MAX:
            raise MultiselectCommunicatorError(f"a line of more than {LINE_MAX} bytes")
        return length

    async def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            chunk = await self._stream.read(count - len(data))
            if not chunk:
                raise MultiselectCommunicatorError("the stream ended")
            data += chunk
        return data


def _varint(value: int) -> bytes:
    return bytes([value]) if value < 0x80 else bytes([value & 0x7F | 0x80, value >> 7])


class NotSpoken(TransportError):
    """The peer is there and does not speak the protocol."""


async def propose(stream: ReadWriteCloser, protocol: TProtocol) -> None:
    """Agree on `protocol` as the side that opened `stream`.

    Both lines go out together, which saves a round trip. Raises `NotSpoken`, or
    `TransportError` when the peer goes away or answers nonsense.
    """
    lines = BoundedLines(stream)
    try:
        await lines.write_lines(MULTISELECT_PROTOCOL_ID, protocol)
        answers = await lines.read(), await lines.read()
    except MultiselectCommunicatorError as error:
        raise TransportError(f"the peer left: {error.__cause__ or error}") from error
    if answers == (MULTISELECT_PROTOCOL_ID, PROTOCOL_NOT_FOUND_MSG):
        raise NotSpoken(f"the peer does not speak {protocol}")
    if answers != (MULTISELECT_PROTOCOL_ID, protocol):
        raise TransportError(f"the peer answered something else than {protocol}")


class Upgrader:
    """Turns TCP connections into authenticated sessions of one operator."""

    def __init__(self, keys: KeyPair) -> None:
        """Use the operator's keys and a fresh noise key for the time of this process."""
        self._noise = NoiseTransport(keys, noise_privkey=new_static_key().private_key)
        self._first = Multiselect({NOISE: None})
        self._second = Multiselect({YAMUX: None, PROBE: None})

    async def outbound(self, raw: IRawConnection, key: OperatorKey, then: TProtocol) -> ISecureConn:
        """Authenticate the peer we dialled as `key` and agree on what follows.

        Raises any libp2p error; the caller owns the deadline and the connection.
        """
        await propose(raw, NOISE)
        session = await self._noise.secure_outbound(raw, peer_id(key))
        await propose(session, then)
        return session

    async def inbound(self, raw: IRawConnection) -> tuple[ISecureConn, OperatorKey, TProtocol]:
        """Authenticate whoever dialled us; return the session, the operator and what follows.

        Raises any libp2p error, or `TransportError` for a peer without an operator's key.
        """
        await self._first.negotiate(BoundedLines(raw))
        session = await self._noise.secure_inbound(raw)
        key = operator_key(session.get_remote_peer())
        then, _ = await self._second.negotiate(BoundedLines(session))
        return session, key, then or YAMUX
