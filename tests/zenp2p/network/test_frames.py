"""Frames: their limit holds before anything is stored."""

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import MalformedMessage
from tests.support.pipes import pipe
from zenp2p.network.frames import frame, read_frame


@given(st.lists(st.binary(max_size=2000), max_size=5), st.integers(1, 300))
def test_frames_are_read_as_they_were_written_however_cut(messages: list[bytes], chunk: int) -> None:
    async def main() -> list[bytes]:
        near, far = pipe()
        data = b"".join(frame(message, 2000) for message in messages)
        for start in range(0, len(data), chunk):
            await near.write(data[start : start + chunk])
        return [await read_frame(far, 2000) for _ in messages]

    assert trio.run(main) == messages


async def test_a_length_above_the_limit_is_refused_before_the_body_comes() -> None:
    near, far = pipe()
    await near.write((1 << 31).to_bytes(4, "big"))
    with pytest.raises(MalformedMessage, match="at most 1000"):
        await read_frame(far, 1000)


async def test_a_body_that_does_not_come_in_time() -> None:
    near, far = pipe()
    await near.write(frame(b"hello", 10)[:-1])
    with pytest.raises(trio.TooSlowError):
        await read_frame(far, 10, body_seconds=0.05)


def test_we_send_nothing_above_the_limit() -> None:
    assert frame(b"1234", 4) == b"\0\0\0\x041234"
    with pytest.raises(ValueError, match="5 bytes"):
        frame(b"12345", 4)
