"""Dial-back: is this operator reachable at that endpoint, and does it answer there?

Answers for: a question over a connection of its own. It is dialled anew at the endpoint,
noise authenticates both sides (so the probed node sees who asks), and instead of yamux
both agree on the probe protocol: one request, one reply, end. So it disturbs no existing
connection, is not taken for one, and an existing one does not count as reached. The
question goes to the same handlers as a request. Spec: `spec/network.md`.
"""

from contextlib import suppress

import trio
from libp2p.abc import ISecureConn
from libp2p.io.exceptions import IOException

from protocol.errors import MalformedMessage
from protocol.units import OperatorKey
from zenp2p.network.dialer import Dialer
from zenp2p.network.exchange import NAME_MAX, Exchange, HandlerFailed, protocol_id
from zenp2p.network.frames import frame, read_frame
from zenp2p.network.limits import Limits
from zenp2p.network.negotiate import PROBE
from zenp2p.ports import Endpoint, TransportError


async def probe(
    dialer: Dialer, limits: Limits, key: OperatorKey, endpoint: Endpoint, name: str, data: bytes
) -> tuple[bytes, bytes]:
    """Return the address reached and the reply; raises `TransportError`. The caller sets the deadline."""
    protocol_id(name)  # refuses what is no protocol name
    question = frame(name.encode(), NAME_MAX) + frame(data, limits.message_size_max)
    raw, session = await dialer.authenticate(key, endpoint, PROBE)
    try:
        await session.write(question)
        return raw.remote.ip, await read_frame(session, limits.message_size_max)
    except (IOException, MalformedMessage) as error:
        raise TransportError(f"no reply to the probe: {error or type(error).__name__}") from error
    finally:
        raw.abort()


async def answer_probe(
    exchange: Exchange, limits: Limits, key: OperatorKey, ip: bytes, session: ISecureConn
) -> None:
    """Serve one probe on an authenticated connection; raises for a peer that asks badly."""
    with trio.fail_after(limits.request_seconds):
        name = (await read_frame(session, NAME_MAX)).decode("ascii", "replace")
        data = await read_frame(session, limits.message_size_max)
    try:
        reply = await exchange.handle(key, ip, name, data)
    except HandlerFailed:
        return
    with trio.fail_after(limits.request_seconds):
        await session.write(frame(reply, limits.message_size_max))
        with suppress(IOException):
            await session.read(1)  # until the asker has it and leaves
