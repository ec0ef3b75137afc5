"""What waits for the daemon: bounded, in order, and nobody is starved."""

from collections import Counter

import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from protocol.units import OperatorKey
from zenp2p.network.inbox import Inbox
from zenp2p.network.limits import Limits
from zenp2p.ports import Received


def gossip(data: bytes) -> Received:
    return Received(OperatorKey(bytes(32)), bytes(4), "topic", data)


def direct(peer: int, data: bytes) -> Received:
    return Received(OperatorKey(bytes([peer]) * 32), bytes(4), "", data)


async def drain(inbox: Inbox) -> list[list[Received]]:
    batches: list[list[Received]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(inbox.pump)
        with trio.move_on_after(0.05):
            while True:
                batches.append(await inbox.received.receive())
        nursery.cancel_scope.cancel()
    return batches


@given(st.lists(st.integers(0, 400), max_size=60))
def test_the_newest_gossip_is_kept_within_both_bounds(sizes: list[int]) -> None:
    limits = Limits(gossip_pending_max=10, gossip_bytes_pending_max=1000, batch_max=4)
    counters: Counter[str] = Counter()
    messages = [gossip(bytes([number]) + bytes(size)) for number, size in enumerate(sizes)]

    async def main() -> list[list[Received]]:
        inbox = Inbox(limits, counters)
        for message in messages:
            inbox.take_gossip(message)
        return await drain(inbox)

    batches = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    kept = [message for batch in batches for message in batch]
    assert all(1 <= len(batch) <= 4 for batch in batches)
    assert kept == messages[len(messages) - len(kept) :]
    assert counters["gossip_dropped"] == len(messages) - len(kept)
    assert len(kept) <= 10 and sum(len(message.data) for message in kept) <= 1000
    if len(kept) < min(10, len(messages)):
        one_more = messages[len(messages) - len(kept) - 1 :]
        assert sum(len(message.data) for message in one_more) > 1000


async def test_a_peer_with_too_many_direct_messages_waits_and_others_do_not() -> None:
    inbox = Inbox(Limits(direct_pending_max=3), Counter())
    for number in range(3):
        await inbox.take_direct(direct(1, bytes([number])))
    with trio.move_on_after(0.05) as scope:
        await inbox.take_direct(direct(1, b"\3"))
    assert scope.cancelled_caught
    await inbox.take_direct(direct(2, b"other"))
    assert [[message.data for message in batch] for batch in await drain(inbox)] == [
        [b"\0", b"\1", b"\2", b"other"]
    ]
    await inbox.take_direct(direct(1, b"\3"))  # there is room again


async def test_a_flood_of_direct_messages_leaves_room_for_gossip() -> None:
    inbox = Inbox(Limits(direct_pending_max=8, batch_max=16), Counter())
    inbox.take_gossip(gossip(b"news"))
    for number in range(8):
        await inbox.take_direct(direct(1, bytes([number])))
    first = (await drain(inbox))[0]
    assert len(first) == 9 and first[-1].data == b"news"


async def test_readers_see_the_end() -> None:
    inbox = Inbox(Limits(), Counter())
    inbox.close()
    assert [batch async for batch in inbox.received] == []
