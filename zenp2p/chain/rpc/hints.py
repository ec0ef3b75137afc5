"""Hints from a node's ZeroMQ that a block may be new: a reason to look, never more.

Answers for: `hashblock` messages turned into calls without content, however many, odd or
late they are. Nothing in a message is believed, so whoever can write to the endpoint can
make us look and nothing else; who is silent costs nothing, since the tip is looked at all
the same. Finding the node again is left to ZeroMQ. Spec: `spec/external_chain.md`.
"""

from collections.abc import Callable, Sequence

import trio
import zmq

from protocol.errors import RequestError

TOPIC = b"hashblock"
WAITING_MAX = 16
"""Messages that ZeroMQ keeps for us; more are as good as these."""
FRAME_BYTES_MAX = 256
BURST_MAX = 100
"""Messages read before others have their turn; together they are one hint."""
PAUSE_SECONDS = 0.01
"""Between two such bursts, so that a flood costs little."""
RECONNECT_MILLISECONDS, RECONNECT_MILLISECONDS_MAX = 100, 5_000
LOOK_SECONDS = 5.0
"""The descriptor tells of changes only: after so long the socket is looked at without one."""
SILENCE_SECONDS = 900.0
"""Without a message, until another socket is made: ZeroMQ never returns to who sent too large a frame."""
_HASH_SIZE, _SEQUENCE_SIZE = 32, 4


async def listen(endpoint: str, on_hint: Callable[[], None]) -> None:
    """Call `on_hint` whenever the node at `endpoint` says that its tip is another; until cancelled.

    Returns at once when `endpoint` is empty. Raises `RequestError` when it is none.
    """
    if not endpoint:
        return
    check_endpoint(endpoint)
    with zmq.Context() as context:
        while True:
            with context.socket(zmq.SUB) as socket:
                _connect(socket, endpoint)
                await _hear(socket, on_hint)


def check_endpoint(endpoint: str) -> None:
    """Raise `RequestError` unless it is an endpoint that can be listened to: tcp://host:port or ipc://path."""
    transport, _, place = endpoint.partition("://")
    host, _, port = place.rpartition(":")
    if transport == "ipc" and place:
        return
    if transport == "tcp" and host and port.isascii() and port.isdigit() and 0 < int(port) <= 0xFFFF:
        return
    raise RequestError(f"not a ZeroMQ endpoint (tcp://host:port or ipc://path): {endpoint!r}")


async def _hear(socket: "zmq.Socket[bytes]", on_hint: Callable[[], None]) -> None:
    """Turn messages into hints until there has been none for so long that a new socket is in order."""
    descriptor, heard = int(socket.get(zmq.FD)), trio.current_time()
    while trio.current_time() < heard + SILENCE_SECONDS:
        count, found = _burst(socket)
        if found:
            on_hint()
        if count:
            heard = trio.current_time()
            await trio.sleep(PAUSE_SECONDS)
            continue
        # Reading until nothing was left has armed the descriptor: it tells of changes only.
        with trio.move_on_after(LOOK_SECONDS):
            await trio.lowlevel.wait_readable(descriptor)


def is_hint(frames: Sequence[bytes]) -> bool:
    """Whether a message has the form of a new block's: topic, hash, and a number in later versions."""
    return (
        len(frames) in (2, 3)
        and frames[0] == TOPIC
        and len(frames[1]) == _HASH_SIZE
        and all(len(number) == _SEQUENCE_SIZE for number in frames[2:])
    )


def _connect(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    socket.set(zmq.LINGER, 0)
    socket.set(zmq.IPV6, 1)
    socket.set(zmq.RCVHWM, WAITING_MAX)
    socket.set(zmq.MAXMSGSIZE, FRAME_BYTES_MAX)
    socket.set(zmq.RECONNECT_IVL, RECONNECT_MILLISECONDS)
    socket.set(zmq.RECONNECT_IVL_MAX, RECONNECT_MILLISECONDS_MAX)
    socket.set(zmq.TCP_KEEPALIVE, 1)
    socket.set(zmq.SUBSCRIBE, TOPIC)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise RequestError(f"not a ZeroMQ endpoint: {endpoint!r} ({error})") from None


def _burst(socket: "zmq.Socket[bytes]") -> tuple[int, bool]:
    """Read what waits, up to a limit; returns how many messages there were, and whether one is a hint."""
    found = False
    for count in range(BURST_MAX):
        try:
            found = is_hint(socket.recv_multipart(zmq.NOBLOCK)) or found
        except zmq.Again:
            return count, found
    return BURST_MAX, found
