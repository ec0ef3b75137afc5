"""Length-prefixed frames: 4 bytes big-endian, then the bytes.

Answers for: reading and writing one message with a limit that is checked before
anything is read or stored. Which messages these are is left to `exchange` and `probe`.
"""

import math

import trio
from libp2p.io.abc import Reader

from protocol.errors import MalformedMessage

PREFIX = 4


def frame(data: bytes, size_max: int) -> bytes:
    """Return `data` with its length before it; raises `ValueError` above `size_max`."""
    if len(data) > size_max:
        raise ValueError(f"a message of {len(data)} bytes, at most {size_max} are sent")
    return len(data).to_bytes(PREFIX, "big") + data


async def read_frame(stream: Reader, size_max: int, body_seconds: float = math.inf) -> bytes:
    """Return the next frame, whose body must follow its length within `body_seconds`.

    Raises `MalformedMessage` above `size_max` or when it ends early, `trio.TooSlowError`.
    """
    length = int.from_bytes(await _exactly(stream, PREFIX), "big")
    if length > size_max:
        raise MalformedMessage(f"a message of {length} bytes, at most {size_max} are read")
    with trio.fail_after(body_seconds):
        return await _exactly(stream, length)


async def _exactly(stream: Reader, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        chunk = await stream.read(count - len(data))
        if not chunk:
            raise MalformedMessage(f"{len(data)} of {count} bytes")
        data += chunk
    return bytes(data)
