"""The shell's one contract: what is written when, and that nothing leaves before it."""

from collections.abc import Sequence
from typing import cast

import trio

from protocol.group.vote import Phase, Slot
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Announce, Compact, Effect, Persist, Publish, RecordVote
from protocol.node.machine import Node
from protocol.units import Hash32
from zenp2p.driver import Driver
from zenp2p.ports import Network, Store, StoreError

SLOT = Slot(bytes(32), "group:", 1, 0, Phase.PRECOMMIT)
VOTE = RecordVote(SLOT, Hash32(b"\x01" * 32))
EFFECTS: list[Effect] = [
    Publish("topic", b"vote"),
    Announce("news"),
    VOTE,
    Persist(b"key", b"value", durable=True),
    Persist(b"gone", None),
]


class Disk:
    """A store, a vote file and a network that only write down what is asked of them."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def write(self, writes: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        self.log.append(f"store {len(writes)} {'synced' if sync else 'unsynced'}")

    def compact(self, first: bytes, last: bytes) -> None:
        self.log.append(f"compact {first.decode()} to {last.decode()}")
        if first == b"damaged":
            raise StoreError("planted")

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        self.log.append(f"vote file {len(records)}")

    def rewrite(self, records: Sequence[tuple[bytes, bytes]], *, complete: bool) -> None:
        raise AssertionError("nothing asked for this")

    async def publish(self, topic: str, data: bytes) -> None:
        self.log.append(f"publish {data.decode()}")

    def announce(self, news: Announce) -> None:
        self.log.append(f"announce {news.event}")


async def carried_out(effects: list[Effect]) -> list[str]:
    """Return what a driver does about effects, in its order."""
    disk = Disk()
    async with trio.open_nursery() as nursery:
        store, network = cast(Store, disk), cast(Network, disk)
        driver = Driver(cast(Node, None), VoteGuard(), store, disk, network, nursery, disk.announce)
        await driver.step(lambda _: effects)
    return disk.log


async def test_what_a_vote_rests_on_is_written_before_the_vote_and_both_before_it_leaves() -> None:
    order = await carried_out(EFFECTS)
    assert order == ["store 2 synced", "vote file 1", "publish vote", "announce news"]


async def test_what_need_not_be_durable_is_not_waited_for() -> None:
    assert await carried_out([Persist(b"key", b"value")]) == ["store 1 unsynced"]


async def test_nothing_to_do_touches_nothing() -> None:
    assert await carried_out([]) == []


async def test_space_is_given_back_beside_the_rest_and_a_failure_costs_only_the_space() -> None:
    ranges = [Compact(b"a", b"b"), Compact(b"damaged", b"d"), Compact(b"e", b"f")]
    done = await carried_out([*ranges, Persist(b"key", b"value"), Announce("news")])
    assert done[:2] == ["store 1 unsynced", "announce news"]
    assert sorted(done[2:]) == ["compact a to b", "compact damaged to d", "compact e to f"]
