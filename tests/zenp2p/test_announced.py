"""Finding operators by what the chain says: in turns, never against what is known, and forgotten again."""

import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from protocol.chain.transaction import Transaction
from protocol.codec import replace
from protocol.crypto import sha3_256
from protocol.parameters import DEVNET, Parameters
from protocol.tracking.announcement import Announcement
from protocol.tracking.registration_book import RegistrationBook
from protocol.units import OperatorKey
from tests.support import embedded_chain as made
from tests.support.announcing import STAKE, announce, purses
from tests.support.operators import operator
from zenp2p.announced import PATIENCE_SECONDS, RESOLVE_SECONDS, Announced, resolve
from zenp2p.announced_turns import PAID_PLACES_MAX, PLACES_MAX, REST_SECONDS, TURN_SECONDS
from zenp2p.chain.index import ChainIndex
from zenp2p.network.memory import Hub, MemoryNetwork, open_memory_network
from zenp2p.ports import Endpoint
from zenp2p.store import MemoryStore

PUBLIC = replace(DEVNET, loopback_allowed=False)
ME = operator(99)
NOBODY = RegistrationBook.empty(DEVNET)
KEY = operator(1).key


def at(number: int) -> bytes:
    """An address of its own for each operator."""
    return bytes((127, 0, 1, number))


class Watcher:
    """One node that follows a chain: its index, its network, what it does about announcements."""

    def __init__(
        self,
        owners: Sequence[str],
        network: MemoryNetwork,
        configured: Sequence[OperatorKey] = (),
        parameters: Parameters = DEVNET,
        coins: int = 4,
    ) -> None:
        self.branch, self.purses = purses(*owners, coins=coins)
        self.index = ChainIndex(MemoryStore(), made.RULES)
        self.index.connect(self.branch.tip, self.branch.blocks[0].raw)
        self.network = network
        self.announced = Announced(parameters, self.index, network, configured)
        self.now = 1_000.0

    def mine(self, *transactions: Transaction) -> None:
        self.branch.grow(1, transactions)
        self.announced.moved(self.index.connect(self.branch.tip, self.branch.blocks[-1].raw))

    def unmine(self) -> None:
        self.branch = self.branch.fork(len(self.branch.blocks) - 2)
        self.announced.moved(self.index.disconnect())

    def say(self, owner: str, announcement: Announcement, *pays: str) -> None:
        """Mine an announcement."""
        self.mine(self.purses[owner].announce(announcement, *pays))

    def look(self, after: float = 0.0, book: RegistrationBook = NOBODY) -> dict[OperatorKey, Endpoint]:
        """Look some seconds later; return whom the network knows now."""
        self.now += after
        self.announced.look(book, self.now)
        return dict(self.network.known)


@pytest.fixture
async def network(hub: Hub) -> AsyncIterator[MemoryNetwork]:
    async with listening(hub, 99, bytes((127, 0, 0, 1))) as mine:
        yield mine


@pytest.fixture
def hub() -> Hub:
    return Hub()


@asynccontextmanager
async def listening(hub: Hub, number: int, ip: bytes, port: int = 9033) -> AsyncIterator[MemoryNetwork]:
    """Run operator `number` at an endpoint of the world."""
    seed = sha3_256(b"operator", number.to_bytes(4, "big"))
    async with (
        trio.open_nursery() as nursery,
        open_memory_network(hub, seed, Endpoint(ip, port), nursery) as one,
    ):
        assert one.operator_key == operator(number).key
        yield one


def expected(*numbers: int, port: int = 9033) -> dict[OperatorKey, Endpoint]:
    return {operator(n).key: Endpoint(at(n), port) for n in numbers}


class TestFinding:
    """Who is dialled."""

    async def test_an_announced_operator_is_found(self, hub: Hub, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob"], network)
        async with listening(hub, 1, at(1)) as found:
            assert network.peers() == []
            watcher.say("bob", announce(1, ip=at(1)))
            assert watcher.look() == expected(1)
            assert found.peers() == [(ME.key, network.endpoint.ip)]

    async def test_what_was_announced_before_the_start_is_found(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        later = Announced(DEVNET, watcher.index, network, ())
        later.look(NOBODY, 0.0)
        assert network.known == expected(1)

    async def test_a_stake_must_hold_enough(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob", "poor"], network)
        stake = made.allocation(watcher.branch.chain, 2 + 5)
        watcher.mine(made.pay("poor", [stake], [(made.address_of("bob"), STAKE)]))
        watcher.say("poor", announce(1, ip=at(1)))
        assert watcher.look() == {}
        watcher.unmine()
        watcher.unmine()
        watcher.say("poor", announce(1, ip=at(1)))
        assert watcher.look() == expected(1)

    async def test_a_stake_that_is_spent_speaks_for_nobody(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        assert watcher.look() == expected(1)
        stake = made.allocation(watcher.branch.chain, 2)
        watcher.mine(made.pay("bob", [stake], [(made.address_of("carol"), STAKE)]))
        assert watcher.look() == {}

    async def test_neither_ourselves_nor_whom_our_user_configured(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob", "carol"], network, configured=[KEY])
        network.learn(KEY, Endpoint(at(1), 1))
        watcher.say("bob", announce(1, ip=at(7)))
        watcher.say("carol", announce(99, ip=at(7)))
        assert watcher.look() == expected(1, port=1)

    async def test_where_nobody_may_listen_nobody_is_dialled(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob"], network, parameters=PUBLIC)
        watcher.say("bob", announce(1, ip=at(1)))
        assert watcher.look() == {}

    async def test_another_word_of_the_owner_moves_the_dial(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        watcher.look()
        watcher.say("bob", announce(1, ip=at(1), port=7))
        assert watcher.look() == expected(1, port=7)

    async def test_a_stranger_that_pays_the_stake_moves_nothing(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob", "dave"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        watcher.look()
        spend = made.allocation(watcher.branch.chain, 2 + 5)
        watcher.mine(made.pay("dave", [spend], [(made.address_of("carol"), 1)]))  # dave has no stake now
        watcher.say("dave", announce(1, ip=at(1), port=7), "bob")
        assert watcher.look() == expected(1)


class TestVanishing:
    """What is no longer said is forgotten."""

    async def test_with_its_block(self, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        assert watcher.look() == expected(1)
        watcher.unmine()
        assert watcher.look() == {}
        watcher.say("bob", announce(2, ip=at(2)))
        assert watcher.look() == expected(2)

    async def test_who_is_connected_is_not_forgotten_until_it_goes(
        self, hub: Hub, network: MemoryNetwork
    ) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        async with listening(hub, 1, at(1)):
            watcher.look()
            watcher.unmine()
            assert watcher.look() == expected(1)
        assert watcher.look() == {}

    async def test_who_is_registered_by_now_is_known_by_its_registration(
        self, network: MemoryNetwork
    ) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        watcher.look()
        book = NOBODY.apply(operator(1).registration(ip=at(8)), 0)
        assert watcher.look(book=book) == {KEY: Endpoint(at(8), 9033)}
        watcher.unmine()
        assert watcher.look(book=book) == {KEY: Endpoint(at(8), 9033)}


class TestTheRegistered:
    """Who is registered is moved by the owner of its stake alone, and only while it is gone."""

    BOOK = NOBODY.apply(operator(1).registration(ip=at(1)), 0)

    def watcher(self, network: MemoryNetwork) -> Watcher:
        """A chain on which the registered stake is alice's: operator 1's own address holds it."""
        watcher = Watcher(["bob"], network)
        network.learn(KEY, Endpoint(at(1), 9033))
        return watcher

    async def test_a_stranger_moves_nobody(self, network: MemoryNetwork) -> None:
        watcher = self.watcher(network)
        watcher.say("bob", announce(1, ip=at(7)))
        for _ in range(5):
            assert watcher.look(PATIENCE_SECONDS, self.BOOK) == expected(1)

    async def test_the_owner_does_after_a_while_and_in_turns(
        self, network: MemoryNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(made, "secret_of", _secrets_with_operator_1(made.secret_of))
        watcher = Watcher(["operator 1"], network)
        network.learn(KEY, Endpoint(at(1), 9033))
        watcher.say("operator 1", announce(1, ip=at(7)))
        assert watcher.look(0, self.BOOK) == expected(1)
        assert watcher.look(PATIENCE_SECONDS, self.BOOK) == {KEY: Endpoint(at(7), 9033)}
        assert watcher.look(TURN_SECONDS, self.BOOK) == expected(1)
        assert watcher.look(REST_SECONDS, self.BOOK) == {KEY: Endpoint(at(7), 9033)}

    async def test_not_while_it_is_connected(
        self, hub: Hub, network: MemoryNetwork, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(made, "secret_of", _secrets_with_operator_1(made.secret_of))
        watcher = Watcher(["operator 1"], network)
        network.learn(KEY, Endpoint(at(1), 9033))
        watcher.say("operator 1", announce(1, ip=at(7)))
        async with listening(hub, 1, at(1)):
            for _ in range(3):
                assert watcher.look(PATIENCE_SECONDS, self.BOOK) == expected(1)
        assert watcher.look(0, self.BOOK) == expected(1)
        assert watcher.look(PATIENCE_SECONDS, self.BOOK) == {KEY: Endpoint(at(7), 9033)}


def _secrets_with_operator_1(secret_of: Any) -> Any:
    """Names, and "operator 1", whose secret is the registered stake's."""
    return lambda name: operator(1).stake_secret if name == "operator 1" else secret_of(name)


class TestTurns:
    """Few at once, everybody in turn."""

    async def test_everybody_comes_to_his_turn(self, network: MemoryNetwork) -> None:
        count = PLACES_MAX + 6
        owners = [f"owner {number}" for number in range(1, count + 1)]
        watcher = Watcher(owners, network, coins=1)
        for number, owner in enumerate(owners, 1):
            watcher.say(owner, announce(number, ip=at(number)))
        first = watcher.look()
        assert len(first) == PLACES_MAX
        second = watcher.look(TURN_SECONDS)
        assert len({*first, *second}) == count and len(second) == 6
        third = watcher.look(REST_SECONDS)
        assert len(third) == PLACES_MAX and not {*third} & {*second}

    async def test_who_is_connected_keeps_its_place(self, hub: Hub, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        async with listening(hub, 1, at(1)):
            for _ in range(3):
                assert watcher.look(TURN_SECONDS) == expected(1)
        assert watcher.look(TURN_SECONDS / 2) == expected(1)
        assert watcher.look(TURN_SECONDS / 2) == {}

    async def test_spam_has_few_places(self, network: MemoryNetwork) -> None:
        """Rich addresses that a spammer pays, and one newcomer whose owner signs."""
        rich = [f"rich {number}" for number in range(1, 9)]
        watcher = Watcher(["spammer", "bob", *rich], network, coins=9)
        spend = made.allocation(watcher.branch.chain, 2)
        watcher.mine(made.pay("spammer", [spend], [(made.address_of("nobody"), 1)]))
        watcher.say("bob", announce(50, ip=at(50)))
        for number, name in enumerate(rich, 1):
            watcher.say("spammer", announce(number, ip=at(number)), name)
        for after in (0.0, TURN_SECONDS, TURN_SECONDS, REST_SECONDS):
            known = watcher.look(after)
            assert len(set(known) - {operator(50).key}) <= PAID_PLACES_MAX
        assert operator(50).key in known

    async def test_one_place_is_dialled_once_at_a_time(self, hub: Hub, network: MemoryNetwork) -> None:
        watcher = Watcher(["bob", "carol"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        watcher.say("carol", announce(2, ip=at(1), port=7))
        assert watcher.look().keys() == {operator(2).key}
        assert watcher.look(TURN_SECONDS).keys() == {KEY}
        async with listening(hub, 1, at(1)):
            assert watcher.look(REST_SECONDS).keys() == {KEY, operator(2).key}

    async def test_an_operator_whom_two_stakes_announce_is_looked_for_at_both(
        self, network: MemoryNetwork
    ) -> None:
        watcher = Watcher(["bob", "mallory"], network)
        watcher.say("bob", announce(1, ip=at(1)))
        watcher.say("mallory", announce(1, ip=at(66)))
        places = [watcher.look(after)[KEY].ip for after in (0.0, TURN_SECONDS)]
        assert sorted(places) == [at(1), at(66)]


class Resolver(trio.abc.HostnameResolver):
    """Names of the test's own; "slow.example.org" never answers."""

    def __init__(self, names: dict[str, Sequence[str]]) -> None:
        self.names = names
        self.asked: list[str] = []

    async def getaddrinfo(
        self, host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        self.asked.append(name)
        if name == "slow.example.org.":
            await trio.sleep_forever()
        if name not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "no such host")
        return [
            (socket.AF_INET6 if ":" in ip else socket.AF_INET, type, 6, "", (ip, 0))
            for ip in self.names[name]
        ]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> Any:
        raise AssertionError("nobody asks for this")


@pytest.fixture
async def resolver() -> Resolver:
    found = Resolver(
        {
            "node.example.org.": ["127.0.1.1"],
            "both.example.org.": ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "8.8.8.8", "9.9.9.9"],
            "private.example.org.": ["10.0.0.1"],
            "nothing.example.org.": [],
        }
    )
    trio.socket.set_custom_hostname_resolver(found)
    return found


class TestNames:
    """Host names lead only to where operators may listen, and never hold anything up."""

    async def test_the_first_address_where_operators_may_listen(self, resolver: Resolver) -> None:
        assert await resolve("node.example.org", DEVNET) == at(1)
        assert await resolve("both.example.org", PUBLIC) == b"\x08\x08\x08\x08"
        for name in ("private", "node", "nothing", "unknown"):
            assert await resolve(f"{name}.example.org", PUBLIC) is None
        assert all(name.endswith(".") for name in resolver.asked)

    async def test_a_resolver_that_hangs_is_given_up(
        self, resolver: Resolver, autojump_clock: MockClock
    ) -> None:
        began = trio.current_time()
        assert await resolve("slow.example.org", DEVNET) is None
        assert trio.current_time() - began == pytest.approx(RESOLVE_SECONDS)

    async def test_named_operators_are_found_while_another_name_hangs(
        self, network: MemoryNetwork, resolver: Resolver, autojump_clock: MockClock
    ) -> None:
        watcher = Watcher(["bob", "carol", "dave"], network)
        watcher.say("bob", announce(1, fqdn="node.example.org"))
        watcher.say("carol", announce(2, fqdn="slow.example.org"))
        watcher.say("dave", announce(3, ip=at(3)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watcher.announced.run, lambda: NOBODY)
            with trio.fail_after(3 * RESOLVE_SECONDS):
                while set(network.known) != {KEY, operator(3).key}:
                    await trio.sleep(0.1)
            nursery.cancel_scope.cancel()
        assert network.known == expected(1, 3)

    async def test_a_name_is_asked_for_once_a_turn(
        self, network: MemoryNetwork, resolver: Resolver, autojump_clock: MockClock
    ) -> None:
        watcher = Watcher(["bob"], network)
        watcher.say("bob", announce(1, fqdn="unknown.example.org"))
        with trio.move_on_after(3.5 * REST_SECONDS):
            await watcher.announced.run(lambda: NOBODY)
        assert resolver.asked == ["unknown.example.org."] * 4
