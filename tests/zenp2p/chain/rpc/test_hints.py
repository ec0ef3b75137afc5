"""A named block is a hint, whatever else is said is nothing, and a publisher that was gone is found again."""

from collections.abc import Sequence

import pytest
import trio
import zmq
from hypothesis import given
from hypothesis import strategies as st

from protocol.errors import RequestError
from tests.support.zmq_publisher import Publisher
from zenp2p.chain.rpc import hints as hints_module
from zenp2p.chain.rpc.hints import BURST_MAX, FRAME_BYTES_MAX, WAITING_MAX, is_hint, listen

WAIT_SECONDS = 30


class Hints:
    """Counts hints, and wakes who waits for one."""

    def __init__(self) -> None:
        self.count = 0
        self._news = trio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._news.set()

    async def wait(self) -> None:
        """Wait for a hint since the last call."""
        with trio.fail_after(WAIT_SECONDS):
            await self._news.wait()
        self._news = trio.Event()


async def _subscribed(publisher: Publisher) -> bytes:
    return await trio.to_thread.run_sync(publisher.wait_for_listener)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([b"hashblock", bytes(32), bytes(4)], True),
        ([b"hashblock", bytes(32)], True),
        ([b"hashblock"], False),
        ([b"hashblock", bytes(31), bytes(4)], False),
        ([b"hashblock", bytes(32), bytes(8)], False),
        ([b"hashblock", bytes(32), bytes(4), b""], False),
        ([b"hashblock2", bytes(32), bytes(4)], False),
        ([b"hashtx", bytes(32), bytes(4)], False),
        ([], False),
    ],
)
def test_only_a_named_block_is_a_hint(frames: Sequence[bytes], expected: bool) -> None:
    assert is_hint(frames) is expected


@given(st.lists(st.binary(max_size=40), max_size=4))
def test_odd_frames_are_nothing(frames: list[bytes]) -> None:
    assert not is_hint(frames)


async def test_every_named_block_is_heard_of_in_the_end() -> None:
    hints = Hints()
    with Publisher() as publisher:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, publisher.endpoint, hints)
            assert await _subscribed(publisher) == b"hashblock"
            for number in range(5):
                publisher.hash_block(bytes([number]) * 32)
                await hints.wait()
            nursery.cancel_scope.cancel()
    assert hints.count == 5


async def test_a_flood_and_odd_frames_between_do_no_harm() -> None:
    hints = Hints()
    with Publisher() as publisher:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, publisher.endpoint, hints)
            await _subscribed(publisher)
            for number in range(3 * BURST_MAX):
                publisher.send([b"hashblock", b"short"])
                publisher.hash_block(number.to_bytes(32, "big"))
            await hints.wait()
            nursery.cancel_scope.cancel()
    assert 1 <= hints.count <= 3 * BURST_MAX


async def test_an_oversized_frame_cuts_off_its_sender_until_the_silence_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(hints_module, "SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(hints_module, "LOOK_SECONDS", 0.1)
    hints = Hints()
    with Publisher() as publisher:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen, publisher.endpoint, hints)
            await _subscribed(publisher)
            publisher.send([b"hashblock", bytes(FRAME_BYTES_MAX + 1)])
            await _subscribed(publisher)
            with trio.fail_after(WAIT_SECONDS):
                while not hints.count:
                    publisher.hash_block(bytes(32))
                    await trio.sleep(0.02)
            nursery.cancel_scope.cancel()


async def test_a_publisher_that_comes_back_is_heard_again() -> None:
    hints = Hints()
    first = Publisher()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(listen, first.endpoint, hints)
        await _subscribed(first)
        first.hash_block(bytes(32))
        await hints.wait()
        first.close()
        with Publisher(first.endpoint) as second:
            await _subscribed(second)
            second.hash_block(bytes(32))
            await hints.wait()
        nursery.cancel_scope.cancel()
    assert hints.count == 2


async def test_without_an_endpoint_nothing_is_listened_to() -> None:
    hints = Hints()
    await listen("", hints)
    assert hints.count == 0


@pytest.mark.parametrize(
    "endpoint",
    ["127.0.0.1:28332", "inproc://x", "tcp://nowhere", "tcp://127.0.0.1:99999", "tcp://:5", "ipc://"],
)
async def test_what_is_no_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(RequestError, match="not a ZeroMQ endpoint"):
        await listen(endpoint, Hints())


def test_a_publisher_on_ipv6_is_heard_too() -> None:
    """Without being told so, ZeroMQ takes the endpoint and never hears anything."""
    with zmq.Context() as context, context.socket(zmq.SUB) as socket:
        hints_module._connect(socket, "tcp://[::1]:28332")
        assert socket.get(zmq.IPV6) == 1


def test_few_messages_are_kept_for_who_does_not_read() -> None:
    assert WAITING_MAX < BURST_MAX
