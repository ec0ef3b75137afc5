"""The shell in trouble: callers that give up, disks that fail at any write, peers that take their time."""

from collections.abc import Sequence
from contextlib import suppress
from typing import cast

import pytest
import trio
import trio.testing

from protocol.errors import StaleMessage
from protocol.group.join_proof import verify
from protocol.group.vote import Phase, Slot, decode_statement
from protocol.group.vote_guard import VoteGuard
from protocol.node.effects import (
    Announce,
    Effect,
    Keep,
    Learn,
    Mine,
    Persist,
    Probe,
    ProbeResult,
    Publish,
    Punish,
    RecordVote,
    Send,
    Subscribe,
    Unsubscribe,
)
from protocol.node.machine import Node
from protocol.node.messages import SIGNED
from protocol.node.records import decode_slot, encode_slot
from protocol.units import Hash32, OperatorKey
from tests.support.chain_view import MemoryChain
from tests.support.faulty_store import FaultyStore, every_fault
from tests.support.founding import founded_by
from tests.support.operators import operator
from zenp2p import driver as module
from zenp2p.driver import Driver
from zenp2p.ports import Endpoint, Network, Store, StoreError, TransportError
from zenp2p.store import MemoryStore, StoreReadOnly

PEER = OperatorKey(b"\x05" * 32)
VOTE = RecordVote(Slot(bytes(32), "group:", 1, 0, Phase.PRECOMMIT), Hash32(b"\x01" * 32))
Records = Sequence[tuple[bytes, bytes]]


class Ports:
    """A network and a vote file that write down what is asked of them, and fail as they are told."""

    def __init__(self) -> None:
        self.log: list[tuple[str, object]] = []
        self.votes: list[tuple[bytes, bytes]] = []
        self.appends = 0
        self.fails_at = 0
        self.open = trio.Event()
        """Until it is set, probes and messages wait."""

    def append(self, records: Records) -> None:
        self.appends += 1
        if self.appends == self.fails_at:
            raise StoreError("the vote file cannot be written")
        self.votes += records
        self.log.append(("votes", len(records)))

    def rewrite(self, records: Records, *, complete: bool) -> None:
        self.votes = list(records)
        self.log.append(("rewrite", complete))

    async def publish(self, topic: str, data: bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.log.append(("publish", data))

    def subscribe(self, topic: str) -> None:
        self.log.append(("subscribe", topic))

    def unsubscribe(self, topic: str) -> None:
        self.log.append(("unsubscribe", topic))

    async def send(self, peer: OperatorKey, data: bytes) -> None:
        self.log.append(("send", data))
        await self.open.wait()

    async def probe(
        self, peer: OperatorKey, endpoint: Endpoint, protocol: str, data: bytes, deadline: float
    ) -> tuple[bytes, bytes]:
        self.log.append(("probe", endpoint.port))
        await self.open.wait()
        raise TransportError("nobody there")

    def learn(self, peer: OperatorKey, endpoint: Endpoint) -> None:
        self.log.append(("learn", endpoint.port))

    def keep(self, peers: Sequence[OperatorKey]) -> None:
        self.log.append(("keep", tuple(peers)))

    async def drop(self, peer: OperatorKey) -> None:
        self.log.append(("drop", peer))

    def announce(self, news: Announce) -> None:
        self.log.append(("announce", news.event))


class Stub:
    """A machine that does as the test says."""

    def __init__(self) -> None:
        self.results: list[ProbeResult] = []
        self.nonces: list[tuple[Hash32, int]] = []

    def mined(self, ticket: Hash32, nonce: int) -> list[Effect]:
        self.nonces.append((ticket, nonce))
        return [Publish("t", b"proved")]

    def probed(self, result: ProbeResult) -> list[Effect]:
        self.results.append(result)
        return []


class Log(MemoryStore):
    """A store that says when it was written, slowly if it must."""

    def __init__(self, ports: Ports) -> None:
        super().__init__()
        self._ports = ports

    def write(self, batch: Sequence[tuple[bytes, bytes | None]], *, sync: bool) -> None:
        super().write(batch, sync=sync)
        self._ports.log.append(("store", sync))


def driver_of(ports: Ports, nursery: trio.Nursery, node: object = None, store: object = None) -> Driver:
    network, machine = cast(Network, ports), cast(Node, node or Stub())
    kept = cast(Store, store or Log(ports))
    return Driver(machine, VoteGuard(), kept, ports, network, nursery, ports.announce)


async def test_everything_is_written_first_and_what_leaves_leaves_in_its_order() -> None:
    ports = Ports()
    ports.open.set()
    effects: list[Effect] = [
        Publish("t", b"one"),
        Learn(PEER, b"\x7f\0\0\1", 7),
        Keep((PEER,)),
        Punish(PEER, "why"),
        Unsubscribe("old"),
        VOTE,
        Subscribe("new"),
        Publish("t", b"two"),
        Announce("news"),
        Persist(b"a", b"1"),
        Persist(b"b", b"2", durable=True),
    ]
    async with trio.open_nursery() as nursery:
        await driver_of(ports, nursery).step(lambda _: effects)
    assert ports.log == [
        ("store", True),
        ("votes", 1),
        ("publish", b"one"),
        ("learn", 7),
        ("keep", (PEER,)),
        ("drop", PEER),
        ("unsubscribe", "old"),
        ("subscribe", "new"),
        ("publish", b"two"),
        ("announce", "news"),
    ]


async def test_a_request_that_times_out_while_the_machine_is_written_is_written_whole() -> None:
    """The deadline of a request over RPC passes during the very step that makes a vote."""
    ports = Ports()
    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery)
        scope = trio.CancelScope()

        def act(_: Node) -> list[Effect]:
            scope.cancel()
            return [VOTE, Persist(b"a", b"1", durable=True), Publish("t", b"vote")]

        with scope:
            await driver.step(act)
        assert scope.cancelled_caught  # it was not sent: it is said again later
        assert ports.log == [("store", True), ("votes", 1)]
        assert not driver.halted.is_set()


async def test_what_the_vote_file_did_not_take_is_never_sent_not_even_later() -> None:
    ports = Ports()
    ports.fails_at = 1
    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery)
        with pytest.raises(StoreError):
            await driver.step(lambda _: [VOTE, Publish("t", b"vote")])
        with pytest.raises(StoreReadOnly):
            await driver.step(lambda _: [Publish("t", b"again")])
    assert ("publish", b"vote") not in ports.log and ("publish", b"again") not in ports.log


async def test_a_bug_in_the_middle_of_a_step_is_the_last_step() -> None:
    """Whoever catches the error (a request's edge does): what the machine half did is on no disk."""
    ports = Ports()

    def broken(_: Node) -> list[Effect]:
        raise KeyError("ours")

    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery)
        with pytest.raises(KeyError):
            await driver.step(broken)
        with pytest.raises(StoreReadOnly):
            await driver.step(lambda _: [Publish("t", b"later")])
    assert not ports.log


async def test_an_input_that_is_refused_stops_nothing() -> None:
    ports = Ports()

    def refuse(_: Node) -> list[Effect]:
        raise StaleMessage("used already")

    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery)
        with pytest.raises(StaleMessage):
            await driver.step(refuse)
        await driver.step(lambda _: [Publish("t", b"later")])
    assert ports.log == [("publish", b"later")]


async def test_operators_that_cannot_be_reached_do_not_hold_up_messages() -> None:
    ports, stub = Ports(), Stub()
    probes = [Probe(n, PEER, b"\x7f\0\0\1", n, b"?", 1) for n in range(module.PROBES_AT_ONCE_MAX + 5)]
    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery, stub)
        await driver.step(lambda _: [*probes, Send(PEER, b"block")])
        await trio.testing.wait_all_tasks_blocked()
        assert [what for what, _ in ports.log].count("probe") == module.PROBES_AT_ONCE_MAX
        assert ("send", b"block") in ports.log
        ports.open.set()
    assert sorted(result.token for result in stub.results) == [probe.token for probe in probes]
    assert all((result.ip, result.reply, result.fast) == (b"", b"", False) for result in stub.results)


async def test_a_nonce_that_was_mined_is_an_input_like_any_other() -> None:
    ports, stub, ticket = Ports(), Stub(), Hash32(b"\x03" * 32)
    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery, stub)
        await driver.step(lambda _: [Mine(ticket, PEER, 8), VOTE])
    ((mined_ticket, nonce),) = stub.nonces
    verify(PEER, mined_ticket, nonce, 8)
    assert mined_ticket == ticket
    assert ports.log == [("votes", 1), ("announce", "join_proof.found"), ("publish", b"proved")]


async def test_a_nonce_for_a_node_that_is_read_only_is_lost_quietly() -> None:
    ports, stub = Ports(), Stub()
    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery, stub)
        await driver.step(lambda _: [Mine(Hash32(bytes(32)), PEER, 8)])
        driver.halted.set()
    assert stub.nonces == []


async def test_a_tls_host_is_looked_at_where_the_operator_was_reached_and_only_then() -> None:
    asked: list[tuple[Endpoint, str]] = []

    async def check_tls(endpoint: Endpoint, fqdn: str) -> bool:
        asked.append((endpoint, fqdn))
        return True

    class Reached(Ports):
        async def probe(
            self, peer: OperatorKey, endpoint: Endpoint, protocol: str, data: bytes, deadline: float
        ) -> tuple[bytes, bytes]:
            if endpoint.port == 9:
                raise TransportError("nobody there")
            return endpoint.ip, b"reply"

    stub, ports, ip = Stub(), Reached(), b"\x7f\0\0\1"
    probes: list[Effect] = [
        Probe(1, PEER, ip, 7, b"?", 1, "node.example.org", 443),
        Probe(2, PEER, ip, 7, b"?", 1),
        Probe(3, PEER, ip, 9, b"?", 1, "node.example.org", 443),
    ]
    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery, stub)
        driver._check_tls = check_tls
        await driver.step(lambda _: probes)
    assert asked == [(Endpoint(ip, 443), "node.example.org")]
    assert sorted((result.token, result.tls_valid, bool(result.ip)) for result in stub.results) == [
        (1, True, True),
        (2, False, True),
        (3, False, False),
    ]


# A whole node, alone in its group, whose disk fails at each of its writes.

ALONE = operator(0)
NEWCOMER = operator(1)
GENESIS = founded_by([ALONE])
END = 17
STEPS_AFTER = 3
WORDS = (b"\x98\xa4vote", b"\x99\xa8proposal")


def chain_of(height: int) -> MemoryChain:
    chain = MemoryChain()
    chain.mine(pay=[(one.stake_address, GENESIS.parameters.stake) for one in (ALONE, NEWCOMER)])
    chain.mine_to(height)
    return chain


async def live(ports: Ports, store: object, acknowledged: list[bool], *, end: int = END) -> Node:
    """Run a node from its disk up to block `end`, handing in a registration at the start."""
    chain = chain_of(1)
    seen = int.from_bytes(cast(MemoryStore, store).get(b"x/seen") or b"\x01", "big")
    chain.mine_to(seen)
    guard = VoteGuard([(decode_slot(slot), Hash32(content)) for slot, content in ports.votes])
    node = Node(GENESIS, ALONE.signer, chain, cast(Store, store), guard)
    async with trio.open_nursery() as nursery:
        driver = driver_of(ports, nursery, node, store)
        now = seen * 1_000
        await driver.step(lambda node: node.start(now))
        entry = bytes((SIGNED,)) + NEWCOMER.envelope(network=node.network)
        if not acknowledged:
            with suppress(StaleMessage):  # it was taken up in the very step that failed
                await driver.step(lambda node: node.submit(entry))
            acknowledged.append(True)
        for height in range(seen + 1, end + 1):
            chain.mine()
            cast(MemoryStore, store).write([(b"x/seen", height.to_bytes(4, "big"))], sync=True)
            at, hashed = chain.tip()
            await driver.step(lambda node, at=at, hashed=hashed: node.connect(at, hashed))  # type: ignore[misc]
            for step in range(STEPS_AFTER):
                now = height * 1_000 + 300 * step
                await driver.step(lambda node, now=now: node.tick(now))  # type: ignore[misc]
        nursery.cancel_scope.cancel()
    return node


def check_words(ports: Ports) -> None:
    """No slot holds two statements, and none was sent that is not in the vote file."""
    written = dict(ports.votes)
    assert len(written) == len(set(ports.votes))
    said: dict[bytes, bytes] = {}
    for what, data in ports.log:
        if (
            what == "publish"
            and isinstance(data, bytes)
            and data[65:].startswith((b"\x98\xa4vote", b"\x99\xa8proposal"))
        ):
            slot = encode_slot(decode_statement(data[65:]).slot)
            assert slot in written and said.setdefault(slot, data) == data


def summary(node: Node) -> tuple[object, ...]:
    state = node.group.state
    book = state.book.in_force(END)
    return (sorted(state.judged), NEWCOMER.key in book, node.lister.period, state.link_due)


def leaf(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def test_a_node_whose_store_fails_at_any_write_ends_where_it_would_have_ended() -> None:
    clean = summary(trio.run(live, Ports(), MemoryStore(), []))
    assert clean == ([2, 3], True, 2, False)
    ports: list[Ports] = []
    acknowledged: list[list[bool]] = []

    def run(store: FaultyStore) -> None:
        ports.append(Ports())
        acknowledged.append([])
        try:
            trio.run(live, ports[-1], store, acknowledged[-1])
        except BaseException as error:
            raise leaf(error) from None

    count = 0
    for at, fault, store in every_fault(run):
        count += 1
        was_acknowledged = bool(acknowledged[-1])
        node = trio.run(live, ports[-1], store.survivor(), acknowledged[-1])
        check_words(ports[-1])
        found = summary(node)
        if was_acknowledged:
            assert found[1], f"write {at}, {fault.name}: an acknowledged registration is lost"
        assert found == clean, f"write {at}, {fault.name}"
    assert count >= 4 * 20


def test_a_node_whose_vote_file_fails_at_any_write_ends_where_it_would_have_ended() -> None:
    counted = Ports()
    clean = summary(trio.run(live, counted, MemoryStore(), []))
    assert counted.appends >= 4
    for at in range(1, counted.appends + 1):
        ports, store, acknowledged = Ports(), MemoryStore(), list[bool]()
        ports.fails_at = at
        with pytest.raises(BaseExceptionGroup) as failed:
            trio.run(live, ports, store, acknowledged)
        assert isinstance(leaf(failed.value), StoreError)
        assert summary(trio.run(live, ports, store, acknowledged)) == clean, f"append {at}"
        check_words(ports)


def test_a_shell_that_sends_before_it_writes_would_be_seen() -> None:
    """The checks are not blind: they see a vote that the vote file does not hold."""
    ports = Ports()
    trio.run(live, ports, MemoryStore(), [])
    check_words(ports)
    ports.votes.pop()
    with pytest.raises(AssertionError):
        check_words(ports)
