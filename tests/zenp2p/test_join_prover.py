"""Mining beside everything else: it ends with a proof, with a newer one to make, or with the daemon."""

import time

import trio
import trio.testing

from protocol.group.join_proof import verify
from protocol.node.effects import Announce, Mine
from protocol.units import Hash32, OperatorKey
from tests.support.networks import until
from zenp2p.join_prover import PROGRESS_SECONDS, JoinMiner

KEY = OperatorKey(b"\x05" * 32)
ONE, TWO, THREE = (Hash32(bytes([number]) * 32) for number in (1, 2, 3))
HOPELESS = 256


class Desk:
    """What a miner tells."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.found: list[tuple[Hash32, int]] = []
        self.news: list[Announce] = []
        self.miner = JoinMiner(self._take, self.news.append, nursery)

    async def _take(self, ticket: Hash32, nonce: int) -> None:
        await trio.lowlevel.checkpoint()
        self.found.append((ticket, nonce))


async def test_a_nonce_is_found_and_handed_in_once() -> None:
    async with trio.open_nursery() as nursery:
        desk = Desk(nursery)
        desk.miner.start(Mine(ONE, KEY, 12))
        desk.miner.start(Mine(ONE, KEY, 12))
    ((ticket, nonce),) = desk.found
    assert ticket == ONE
    verify(KEY, ONE, nonce, 12)
    (news,) = desk.news
    assert (news.event, dict(news.fields)) == (
        "join_proof.found",
        {"ticket": ONE.hex(), "trials": nonce + 1},
    )
    assert desk.miner.trials == nonce + 1


async def test_the_newest_ticket_replaces_the_older_ones() -> None:
    async with trio.open_nursery() as nursery:
        desk = Desk(nursery)
        desk.miner.start(Mine(ONE, KEY, HOPELESS))
        await trio.sleep(0.01)
        desk.miner.start(Mine(TWO, KEY, HOPELESS))
        desk.miner.start(Mine(THREE, KEY, 10))
    assert [ticket for ticket, _ in desk.found] == [THREE]


async def test_a_nonce_that_is_found_too_late_is_not_handed_in() -> None:
    async with trio.open_nursery() as nursery:
        desk = Desk(nursery)
        async with desk.miner._thread:  # its next turn waits  # noqa: SLF001
            desk.miner.start(Mine(ONE, KEY, 0))
            await trio.testing.wait_all_tasks_blocked()
            desk.miner.start(Mine(TWO, KEY, 0))
    assert desk.found == [(TWO, 0)]


async def test_a_ticket_that_comes_again_is_worked_on_again() -> None:
    async with trio.open_nursery() as nursery:
        desk = Desk(nursery)
        for ticket in (ONE, TWO, ONE):
            desk.miner.start(Mine(ticket, KEY, 8))
    assert [ticket for ticket, _ in desk.found] == [ONE]
    async with trio.open_nursery() as nursery:
        again = Desk(nursery)
        again.miner.start(Mine(ONE, KEY, 8))
        await until(lambda: again.found)
        again.miner.start(Mine(ONE, KEY, 8))
    assert again.found == desk.found * 2


async def test_progress_is_told_once_in_a_second_and_the_search_goes_on_where_it_was(
    mock_clock: trio.testing.MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        desk = Desk(nursery)
        desk.miner.start(Mine(ONE, KEY, HOPELESS))
        await trio.testing.wait_all_tasks_blocked()
        for seconds in range(3):
            assert len(desk.news) == seconds
            desk.miner.start(Mine(ONE, KEY, HOPELESS))
            mock_clock.jump(PROGRESS_SECONDS)
            while len(desk.news) == seconds:
                await trio.to_thread.run_sync(time.sleep, 0.005)
            await trio.to_thread.run_sync(time.sleep, 0.1)
        nursery.cancel_scope.cancel()
    assert [news.event for news in desk.news] == ["join_proof.mining"] * 3
    trials = [int(news.fields["trials"] or 0) for news in desk.news]
    assert 0 < trials[0] < trials[1] < trials[2]


async def test_mining_ends_with_its_nursery() -> None:
    async with trio.open_nursery() as nursery:
        desk = Desk(nursery)
        desk.miner.start(Mine(ONE, KEY, HOPELESS))
        await trio.sleep(0.05)
        nursery.cancel_scope.cancel()
    assert desk.found == []
