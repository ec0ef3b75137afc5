"""A join proof from a driver to twenty members over real sockets: nothing of it is lost in any queue."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import trio

from protocol.codec import decode
from protocol.group.join_proof import JoinProver
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import Announce, Effect, Incoming, Mine, Send
from protocol.node.machine import Node
from protocol.node.messages import ALL_PARTS, PARTS, ProofHeld, ProofPart, pack_plain
from protocol.node.proofs import ProofDesk, ProofSender, part_of
from protocol.units import Hash32, OperatorKey
from tests.support.networks import libp2p_networks, until
from zenp2p.driver import Driver
from zenp2p.network.host import LibP2PNetwork
from zenp2p.store import MemoryStore

NETWORK = bytes(range(32))
BITS, HEIGHT = 8, 5
TICKET = Hash32(b"\x07" * 32)
MEMBERS = 20
TICK_SECONDS = 0.1


class Member:
    """Stands where a member's node stands: it takes the parts of one expected proof."""

    def __init__(self, joiner: OperatorKey) -> None:
        self.joiner = joiner
        self.desk = ProofDesk(NETWORK, BITS)
        self.parts: list[int] = []

    def expect(self) -> list[Effect]:
        return [*self.desk.expect(TICKET, self.joiner, HEIGHT)]

    def receive(self, batch: Sequence[Incoming]) -> list[Effect]:
        effects: list[Effect] = []
        for incoming in batch:
            part = decode(incoming.data[1:], ProofPart)
            self.parts.append(part.index)
            effects += self.desk.take(incoming, part, HEIGHT)
        return effects


class Joiner:
    """Stands where the joining operator's node stands: it mines, then sends at the members' word."""

    def __init__(self, key: OperatorKey, members: Sequence[OperatorKey]) -> None:
        self.key = key
        self.members = members
        self.sender = ProofSender(NETWORK, key, TICKET)
        self.words = 0

    def mined(self, ticket: Hash32, nonce: int) -> list[Effect]:
        assert ticket == TICKET
        return [*self.sender.proved(nonce, now_ms())]

    def tick(self) -> list[Effect]:
        return [*self.sender.tick(self.members, now_ms())]

    def receive(self, batch: Sequence[Incoming]) -> list[Effect]:
        effects: list[Effect] = []
        for incoming in batch:
            word = decode(incoming.data[1:], ProofHeld)
            self.words += word.parts == ALL_PARTS
            effects += self.sender.hear(incoming.peer, word, now_ms())
        return effects


class NoVotes:
    """A vote file that nothing is written to."""

    def append(self, records: Sequence[tuple[bytes, bytes]]) -> None:
        raise AssertionError("nobody votes here")

    def rewrite(self, records: Sequence[tuple[bytes, bytes]], *, complete: bool) -> None:
        raise AssertionError("nobody votes here")


def now_ms() -> int:
    return int(trio.current_time() * 1000)


def driver_of(node: Any, network: LibP2PNetwork, nursery: trio.Nursery) -> Driver:
    news: list[Announce] = []
    return Driver(cast(Node, node), VoteGuard(), MemoryStore(), NoVotes(), network, nursery, news.append)


async def hand_in(driver: Driver, network: LibP2PNetwork) -> None:
    async for batch in network.received:
        await driver.receive(batch)


@asynccontextmanager
async def scene() -> AsyncIterator[tuple[Joiner, Driver, list[tuple[Member, Driver]], list[LibP2PNetwork]]]:
    """Run a joiner and its members, each behind a driver of its own."""
    async with libp2p_networks(1 + MEMBERS) as networks, trio.open_nursery() as nursery:
        home, *others = networks
        joiner = Joiner(home.operator_key, [network.operator_key for network in others])
        driver = driver_of(joiner, home, nursery)
        members = []
        for network in others:
            member = Member(home.operator_key)
            members.append((member, driver_of(member, network, nursery)))
            nursery.start_soon(hand_in, members[-1][1], network)
        nursery.start_soon(hand_in, driver, home)
        yield joiner, driver, members, networks
        nursery.cancel_scope.cancel()


def check_peace(driver: Driver, networks: Sequence[LibP2PNetwork]) -> None:
    """Nothing was dropped, nobody was cut."""
    assert driver._sends.dropped == 0  # noqa: SLF001
    assert [len(network.peers()) for network in networks] == [MEMBERS] * (1 + MEMBERS)
    assert sum((network.counters for network in networks), Counter()) == Counter()


async def test_all_parts_to_everybody_at_once_pass_every_queue() -> None:
    """Twenty megabytes in one step, though the sender never asks for so much."""
    async with scene() as (joiner, driver, members, networks):
        nonce = JoinProver(joiner.key, TICKET, BITS).search(1 << 14)
        assert nonce is not None
        parts = [
            pack_plain(
                ProofPart(network=NETWORK, ticket=TICKET, nonce=nonce, index=index, data=part_of(joiner.key))
            )
            for index in range(PARTS)
        ]
        for member, _ in members:
            member.desk.expect(TICKET, joiner.key, HEIGHT)
        await driver.step(lambda _: [Send(key, part) for key in joiner.members for part in parts])
        await until(lambda: joiner.words == MEMBERS, seconds=60)
        assert [member.desk.satisfied(TICKET) for member, _ in members] == [nonce] * MEMBERS
        assert [member.parts for member, _ in members] == [[*range(PARTS)]] * MEMBERS
        check_peace(driver, networks)


async def test_a_proof_is_mined_and_sent_at_the_members_word() -> None:
    async with scene() as (joiner, driver, members, networks):
        await driver.step(lambda _: joiner.tick())
        await driver.step(lambda _: [Mine(TICKET, joiner.key, BITS)])
        for member, drives in members:
            await drives.step(lambda _, member=member: member.expect())  # type: ignore[misc]
        with trio.fail_after(60):
            while joiner.words < MEMBERS:
                await driver.step(lambda _: joiner.tick())
                await trio.sleep(TICK_SECONDS)
        assert [member.desk.satisfied(TICKET) for member, _ in members] == [joiner.sender.nonce] * MEMBERS
        assert all(set(member.parts) == set(range(PARTS)) for member, _ in members)
        assert joiner.sender.waiting == 0
        check_peace(driver, networks)
