"""Yamux sessions: what goes in comes out, and who breaks a rule loses the session."""

import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from libp2p.io.exceptions import IOException
from libp2p.network.stream.exceptions import StreamClosed, StreamEOF, StreamReset
from libp2p.peer.id import ID
from libp2p.stream_muxer.exceptions import MuxedStreamEOF
from libp2p.stream_muxer.yamux.yamux import Yamux, YamuxStream

from tests.support.networks import until
from tests.support.pipes import PipeSession, pipe
from zenp2p.network.limits import Limits
from zenp2p.network.muxer import ACK, DATA, FIN, GO_AWAY, PING, RST, SYN, WINDOW_UPDATE, Muxer
from zenp2p.network.stream import WINDOW, Stream

PEER = ID(b"peer")


def frame(kind: int, flags: int, number: int, length: int, data: bytes = b"", version: int = 0) -> bytes:
    """Write a frame as the specification has it, independently of the code under test."""
    return struct.pack(">BBHII", version, kind, flags, number, length) + data


@asynccontextmanager
async def muxers(limits: Limits | None = None) -> AsyncIterator[tuple[Muxer, Muxer]]:
    """Run two sessions with each other."""
    near, far = pipe()
    one, other = Muxer(near, PEER, limits), Muxer(far, PEER, limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one.run)
        nursery.start_soon(other.run)
        yield one, other
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def against_bytes(limits: Limits | None = None) -> AsyncIterator[tuple[Muxer, PipeSession]]:
    """Run a session that did not dial against a peer whose bytes the test writes."""
    peer, ours = pipe()
    muxer = Muxer(ours, PEER, limits)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxer.run)
        yield muxer, peer
        nursery.cancel_scope.cancel()


async def read_all(stream: Stream) -> bytes:
    """Read a stream to its end."""
    data = bytearray()
    while True:
        try:
            data += await stream.read(100_000)
        except StreamEOF:
            return bytes(data)


async def frames_from(peer: PipeSession, count: int) -> list[tuple[int, int, int, int, bytes]]:
    """Read `count` frames as (kind, flags, stream, length, data)."""

    async def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await peer.read(size - len(data))
        return data

    found = []
    with trio.fail_after(5):
        for _ in range(count):
            _, kind, flags, number, length = struct.unpack(">BBHII", await exactly(12))
            found.append((kind, flags, number, length, await exactly(length) if kind == DATA else b""))
    return found


@given(st.lists(st.binary(max_size=200_000), max_size=6), st.integers(1, 400_000))
def test_what_is_written_is_read_however_it_is_cut(parts: list[bytes], read_size: int) -> None:
    async def main() -> bytes:
        async with muxers() as (one, other):
            stream = await one.open_stream()

            async def write() -> None:
                for part in parts:
                    await stream.write(part)
                await stream.close_write()

            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                incoming = await other.accept_stream()
                data = bytearray()
                try:
                    while True:
                        chunk = await incoming.read(read_size)
                        assert 1 <= len(chunk) <= read_size
                        data += chunk
                except StreamEOF:
                    return bytes(data)

    assert trio.run(main) == b"".join(parts)


async def test_many_streams_do_not_mix() -> None:
    async with muxers() as (one, other), trio.open_nursery() as nursery:

        async def echo() -> None:
            while True:
                stream = await other.accept_stream()
                nursery.start_soon(answer, stream)

        async def answer(stream: Stream) -> None:
            await stream.write(await read_all(stream))
            await stream.close()

        async def ask(number: int) -> None:
            stream = await one.open_stream()
            data = number.to_bytes(4, "big") * 20_000
            await stream.write(data)
            await stream.close_write()
            assert await read_all(stream) == data
            await stream.close()
            done.append(number)

        done: list[int] = []
        nursery.start_soon(echo)
        for number in range(50):
            nursery.start_soon(ask, number)
        await until(lambda: len(done) == 50)
        await until(lambda: not one.streams() and not other.streams())
        nursery.cancel_scope.cancel()


async def test_long_writes_of_two_tasks_do_not_mix() -> None:
    async with muxers() as (one, other), trio.open_nursery() as nursery:
        stream = await one.open_stream()
        size = 300_000
        for letter in (b"a", b"b"):
            nursery.start_soon(stream.write, letter * size)
        incoming = await other.accept_stream()
        data = b""
        while len(data) < 2 * size:
            data += await incoming.read(50_000)
        assert data in (b"a" * size + b"b" * size, b"b" * size + b"a" * size)


async def test_a_stream_not_read_holds_its_writer_and_no_other() -> None:
    async with muxers() as (one, other):
        slow, quick = await one.open_stream(), await one.open_stream()
        with trio.move_on_after(0.2) as scope:
            await slow.write(bytes(WINDOW + 1))
        assert scope.cancelled_caught
        await other.accept_stream()
        incoming = await other.accept_stream()
        await quick.write(b"hello")
        assert await incoming.read(10) == b"hello"
        assert other.unread == WINDOW


async def test_the_window_is_renewed_once_it_is_half_used_and_not_before() -> None:
    async with against_bytes() as (muxer, peer):
        await peer.write(frame(WINDOW_UPDATE, SYN, 1, 0))
        stream = await muxer.accept_stream()
        assert await frames_from(peer, 1) == [(WINDOW_UPDATE, ACK, 1, 0, b"")]
        half = WINDOW // 2
        await peer.write(frame(DATA, 0, 1, half - 1, bytes(half - 1)))
        assert len(await _read_exactly(stream, half - 1)) == half - 1
        await peer.write(frame(PING, SYN, 0, 7) + frame(DATA, 0, 1, 1, b"x"))
        assert await frames_from(peer, 1) == [(PING, ACK, 0, 7, b"")]
        assert await stream.read(1) == b"x"
        assert await frames_from(peer, 1) == [(WINDOW_UPDATE, 0, 1, half, b"")]


async def test_small_writes_of_one_moment_go_out_together() -> None:
    near, far = pipe()
    muxer = Muxer(near, PEER)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxer.run)
        streams = [await muxer.open_stream() for _ in range(10)]
        await until(lambda: near.writes)
        before = near.writes
        async with trio.open_nursery() as writers:
            for stream in streams:
                writers.start_soon(stream.write, b"data")
        await frames_from(far, 20)
        assert near.writes - before <= 2
        nursery.cancel_scope.cancel()


async def test_ends_and_resets_are_told_apart() -> None:
    async with muxers() as (one, other):
        ended, broken = await one.open_stream(), await one.open_stream()
        await ended.write(b"last words")
        await ended.close_write()
        await broken.reset()
        incoming = await other.accept_stream()
        assert await read_all(incoming) == b"last words"
        with pytest.raises(StreamReset):
            await (await other.accept_stream()).read(1)
        with pytest.raises(StreamReset):
            await broken.write(b"more")
        with pytest.raises(StreamClosed):
            await ended.write(b"more")
        await incoming.write(b"answer")  # the other half is still open
        assert await ended.read(10) == b"answer"


async def test_a_closed_stream_discards_what_still_comes() -> None:
    async with muxers() as (one, other):
        stream = await one.open_stream()
        await stream.write(b"question")
        incoming = await other.accept_stream()
        assert await incoming.read(100) == b"question"
        await stream.close()
        await incoming.write(bytes(100_000))
        await incoming.close()
        await until(lambda: not one.streams() and not other.streams())
        assert one.unread == 0
        with pytest.raises(StreamEOF):
            await stream.read(1)


async def test_streams_beyond_the_limit_are_refused_and_places_come_back() -> None:
    async with muxers(Limits(streams_per_connection_max=3)) as (one, other):
        streams = [await one.open_stream() for _ in range(4)]
        with pytest.raises(StreamReset):
            await streams[3].read(1)
        for stream in streams[:3]:
            await stream.close()
            await (await other.accept_stream()).close()
        again = await one.open_stream()
        await again.write(b"x")
        assert await (await other.accept_stream()).read(1) == b"x"


async def test_what_was_queued_goes_out_before_the_session_closes() -> None:
    async with muxers() as (one, other):
        stream = await one.open_stream()
        incoming = await other.accept_stream()
        await stream.write(b"farewell")
        reading: list[bytes] = []

        async def read() -> None:
            reading.append(await incoming.read(100))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            nursery.start_soon(one.close)
        assert reading == [b"farewell"]
        await until(lambda: other.is_closed)


async def test_several_may_close_a_session_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with muxers() as (one, other):
        begun = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(one.close)
        await other.ended.wait()
        assert trio.current_time() - begun < 0.5


async def test_everything_ends_with_the_session() -> None:
    async with muxers() as (one, other):
        stream = await one.open_stream()
        other.abort()
        with pytest.raises(StreamReset):
            await stream.read(1)
        with pytest.raises(StreamClosed):
            await one.open_stream()
        with pytest.raises(StreamClosed):
            await other.accept_stream()
        assert one.is_closed and not one.is_established and other.is_closed


BROKEN = {
    "another version": frame(PING, SYN, 0, 0, version=1),
    "an unknown kind": frame(4, 0, 0, 0),
    "a frame above the window": frame(DATA, SYN, 1, WINDOW + 1),
    "a huge frame": frame(DATA, SYN, 1, 0xFFFFFFFF),
    "a stream of ours": frame(WINDOW_UPDATE, SYN, 2, 0),
    "stream 0": frame(WINDOW_UPDATE, SYN, 0, 0),
    "a stream twice": frame(WINDOW_UPDATE, SYN, 1, 0) * 2,
    "streams backwards": frame(WINDOW_UPDATE, SYN, 3, 0) + frame(WINDOW_UPDATE, SYN, 1, 0),
    "data after the end": frame(WINDOW_UPDATE, SYN | FIN, 1, 0) + frame(DATA, 0, 1, 1, b"x"),
    "goodbye": frame(GO_AWAY, 0, 0, 0),
    "text": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "pings without end": frame(PING, SYN, 0, 0) * 200_000,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_rule_ends_the_session(data: bytes) -> None:
    async with against_bytes() as (muxer, peer), trio.open_nursery() as nursery:
        nursery.start_soon(_write_anyway, peer, data)
        with trio.fail_after(5):
            await muxer.ended.wait()
        nursery.cancel_scope.cancel()


async def _write_anyway(peer: PipeSession, data: bytes) -> None:
    with suppress(IOException):
        await peer.write(data)


async def test_more_than_the_window_of_a_stream_ends_the_session() -> None:
    async with against_bytes() as (muxer, peer):
        await peer.write(frame(WINDOW_UPDATE, SYN, 1, 0))
        for _ in range(4):
            await peer.write(frame(DATA, 0, 1, WINDOW // 4, bytes(WINDOW // 4)))
        await until(lambda: muxer.unread == WINDOW)
        assert not muxer.is_closed
        await peer.write(frame(DATA, 0, 1, 1, b"x"))
        with trio.fail_after(5):
            await muxer.ended.wait()
        assert muxer.unread == 0


async def test_more_than_we_hold_for_all_streams_ends_the_session() -> None:
    async with against_bytes(Limits(unread_max=3 * WINDOW)) as (muxer, peer):
        for number in (1, 3, 5):
            await peer.write(frame(DATA, SYN, number, WINDOW, bytes(WINDOW)))
        await until(lambda: muxer.unread == 3 * WINDOW)
        await peer.write(frame(DATA, SYN, 7, 1, b"x"))
        with trio.fail_after(5):
            await muxer.ended.wait()


async def test_opening_streams_without_end_ends_the_session() -> None:
    limits = Limits(streams_per_connection_max=4, refused_streams_max=10)
    async with against_bytes(limits) as (muxer, peer):
        await peer.write(b"".join(frame(WINDOW_UPDATE, SYN, 2 * n + 1, 0) for n in range(14)))
        answers = await frames_from(peer, 14)
        assert [answer[1] for answer in answers] == [ACK] * 4 + [RST] * 10
        await peer.write(frame(WINDOW_UPDATE, SYN, 99, 0))
        with trio.fail_after(5):
            await muxer.ended.wait()


async def test_the_tail_of_a_stream_that_we_reset_is_no_offence() -> None:
    async with against_bytes() as (muxer, peer):
        await peer.write(frame(WINDOW_UPDATE, SYN, 1, 0))
        await (await muxer.accept_stream()).reset()
        await peer.write(
            frame(DATA, 0, 1, 5, b"hello") + frame(WINDOW_UPDATE, FIN, 1, 0) + frame(PING, SYN, 0, 1)
        )
        assert (await frames_from(peer, 3))[-1] == (PING, ACK, 0, 1, b"")
        assert not muxer.is_closed


async def test_a_peer_that_takes_no_byte_loses_the_session(autojump_clock: trio.testing.MockClock) -> None:
    class Stuck(PipeSession):
        async def write(self, data: bytes) -> None:
            await trio.sleep_forever()

    near, _far = pipe()
    muxer = Muxer(Stuck(near.stream, True), PEER, Limits(write_seconds=10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxer.run)
        await muxer.open_stream()
        begun = trio.current_time()
        await muxer.ended.wait()
        assert 9 < trio.current_time() - begun < 11


async def test_a_ping_is_answered_and_any_byte_is_a_sign_of_life(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with muxers() as (one, _other):
        before = one.last_heard
        await trio.sleep(5)
        one.ping()
        await trio.sleep(1)
        assert one.last_heard == before + 5


Transfer = Callable[[Muxer, Yamux], Awaitable[None]]


@pytest.mark.parametrize("we_dial", [True, False])
async def test_libp2ps_own_yamux_understands_us(we_dial: bool) -> None:
    near, far = pipe()
    ours, stock = Muxer(near if we_dial else far, PEER), Yamux(far if we_dial else near, PEER)
    data = bytes(range(256)) * 3000
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ours.run)
        nursery.start_soon(stock.start)
        await stock.event_started.wait()
        mine = await ours.open_stream()
        theirs = await stock.accept_stream()
        nursery.start_soon(mine.write, data)
        assert await _read_stock(theirs, len(data)) == data
        nursery.start_soon(theirs.write, data)
        assert await _read_exactly(mine, len(data)) == data
        opened = await stock.open_stream()
        accepted = await ours.accept_stream()
        await opened.write(b"to you")
        assert await accepted.read(100) == b"to you"
        await accepted.close()
        with pytest.raises(MuxedStreamEOF):
            await _read_stock(opened, 1)
        nursery.cancel_scope.cancel()


async def _read_stock(stream: object, size: int) -> bytes:
    assert isinstance(stream, YamuxStream)
    data = b""
    while len(data) < size:
        data += await stream.read(size - len(data))
    return data


async def _read_exactly(stream: Stream, size: int) -> bytes:
    data = b""
    while len(data) < size:
        data += await stream.read(size - len(data))
    return data
