"""The libp2p host: which protocol a stream speaks, opening streams, identify and ping.

Answers for: libp2p's host interface on top of `switch`, with negotiation bounded
and every deadline set. It asks nobody to identify himself (what a peer says of itself
is worth nothing here and fills the peer store), but answers who asks. Requests and
gossip are left to `exchange` and `gossip`.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.host.basic_host import BasicHost
from libp2p.host.ping import ID as PING
from libp2p.host.ping import PING_LENGTH
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import identify_handler_for
from libp2p.network.exceptions import SwarmException
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from libp2p.protocol_muxer.exceptions import MultiselectError
from multiaddr import Multiaddr

from protocol.errors import MalformedMessage
from zenp2p.network.negotiate import BoundedLines, NotSpoken, propose
from zenp2p.network.stream import Stream
from zenp2p.network.switch import Switch
from zenp2p.network.tcp import to_multiaddr
from zenp2p.ports import Endpoint, TransportError

StreamHandler = Callable[[Stream], Awaitable[None]]


class Host(BasicHost):
    """A libp2p host of which nothing but our own sockets reaches the world."""

    def __init__(self, switch: Switch, listening: Endpoint) -> None:
        """Negotiate for the streams of `switch`; `listening` is what we tell others of us."""
        self._listening = listening
        self._switch = switch
        super().__init__(
            switch,
            default_protocols=OrderedDict({PING: answer_ping}),
            disable_identify_address_discovery=True,
        )
        switch.notifees.clear()  # BasicHost's own one only starts an identify for each connection
        self.set_stream_handler(IDENTIFY, identify_handler_for(self))
        switch.set_stream_handler(self.handle_stream)

    def get_transport_addrs(self) -> list[Multiaddr]:
        """Return where we listen."""
        return [to_multiaddr(self._listening)]

    async def handle_stream(self, stream: INetStream) -> None:
        """Agree on a protocol with the peer that opened the stream, then run its handler.

        Raises `MalformedMessage` for a peer that negotiates badly or stalls.
        """
        lines = BoundedLines(stream)
        try:
            with trio.fail_after(self._switch.limits.negotiate_seconds):
                protocol, handler = await self.get_mux().negotiate(lines)
        except MultiselectError as error:
            if lines.broken is not None:
                raise lines.broken from None
            raise MalformedMessage(f"no protocol agreed: {error.__cause__ or error}") from None
        if protocol is None or handler is None:
            raise MalformedMessage("no protocol agreed")
        stream.set_protocol(protocol)
        await handler(stream)

    async def new_stream(self, peer_id: ID, protocol_ids: Sequence[TProtocol]) -> Stream:
        """Open a stream for the first of `protocol_ids`.

        Raises `NotSpoken` when the peer does not speak it, libp2p's `SwarmException`
        when it is not connected, leaves or does not answer in time.
        """
        stream = await self._switch.new_stream(peer_id)
        try:
            with trio.fail_after(self._switch.limits.negotiate_seconds):
                await propose(stream, protocol_ids[0])
        except NotSpoken:
            stream.abort()
            raise
        except (TransportError, trio.TooSlowError) as error:
            stream.abort()
            raise SwarmException(f"no stream for {protocol_ids[0]}: {error}") from error
        except BaseException:
            stream.abort()
            raise
        stream.set_protocol(protocol_ids[0])
        return stream

    async def connect(self, peer_info: PeerInfo) -> None:
        """Do nothing when connected; libp2p's own protocols may not dial here."""
        await self._switch.dial_peer(peer_info.peer_id)


async def answer_ping(stream: INetStream) -> None:
    """Send back what the peer sends, 32 bytes at a time, until it has enough or is silent for long."""
    assert isinstance(stream, Stream)
    while True:
        with trio.move_on_after(stream.muxed_conn.limits.ping_idle_seconds) as scope:
            data = b""
            while len(data) < PING_LENGTH:
                data += await stream.read(PING_LENGTH - len(data))
            await stream.write(data)
        if scope.cancelled_caught:
            return await stream.close()
