"""The chain in a daemon: mined by one, taken over by another, followed by all, over a network of messages."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, TypeVar

import pytest
import trio

from protocol.chain.transaction import OutPoint
from protocol.codec import replace
from protocol.errors import InvalidChainData
from protocol.genesis import Baton, Genesis, GenesisMember, Treasury
from protocol.node.effects import Punish, Send
from protocol.parameters import DEVNET
from protocol.units import COIN, OperatorKey
from tests.support import embedded_chain as made
from zenp2p.chain.broadcast import Broadcast, BroadcastState
from zenp2p.chain.embedded.messages import CHAIN
from zenp2p.chain.embedded.service import SENDS_BYTES_MAX, EmbeddedService, Mining
from zenp2p.chain.source import ChainEvent, Connected
from zenp2p.network.memory import Hub, MemoryNetwork, open_memory_network
from zenp2p.ports import Endpoint
from zenp2p.store import MemoryStore

SECONDS_MAX = 20
T = TypeVar("T", contravariant=True)


class Started(Protocol[T]):
    """What a task calls when it has begun."""

    def started(self, value: T, /) -> None:
        """Hand over what was begun."""


def genesis_file() -> Genesis:
    """Return a network whose blocks may follow each other at once."""
    return Genesis(
        name="test",
        parameters=DEVNET,
        chain=made.RULES,
        start=replace(made.definition().start, minimum_spacing=0),
        treasury=Treasury(required=2, public_keys=made.TREASURY_KEYS),
        baton=Baton(txid=bytes(32), index=1),
        first_challenge_height=8,
        carried=0,
        members=(GenesisMember(operator_key=bytes(32), age=1, registration=b""),),
    )


class Running:
    """One node's service and network, and what it was told."""

    def __init__(self, service: EmbeddedService, network: MemoryNetwork) -> None:
        self.service = service
        self.network = network
        self.events: list[ChainEvent] = []
        self.seen: list[tuple[int, bytes]] = []
        self.scope = trio.CancelScope()

    async def hear(self, event: ChainEvent) -> None:
        """Note an event, and where the index stood then."""
        self.events.append(event)
        self.seen.append(self.service.index.tip())

    async def run(self) -> None:
        """Run until cancelled."""
        with self.scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.service.run, self.network, self.hear)
                nursery.start_soon(self._take)

    async def _take(self) -> None:
        async for batch in self.network.received:
            for item in batch:
                assert item.data[:1] == bytes((CHAIN,)) and not item.topic
                await self.service.take(item.peer, item.data)

    @property
    def height(self) -> int:
        """Height of the index."""
        return self.service.index.tip()[0]


@asynccontextmanager
async def running(
    count: int, miners: dict[int, int], stores: list[MemoryStore] | None = None
) -> AsyncIterator[list[Running]]:
    """Run so many nodes, all joined; `miners` says which mine, after how many seconds of silence."""
    hub, genesis = Hub(), genesis_file()
    nodes: list[Running] = []
    async with trio.open_nursery() as nursery:
        for at in range(count):
            seed, endpoint = bytes([at + 1]) * 32, Endpoint(bytes([127, 0, 0, at + 1]), 0)
            network = await nursery.start(opened, hub, seed, endpoint)
            mining = Mining(made.address_of(f"miner {at}"), miners[at]) if at in miners else None
            service = EmbeddedService(genesis, stores[at] if stores else MemoryStore(), mining)
            nodes.append(Running(service, network))
        for node in nodes:
            for other in nodes:
                if other is not node:
                    node.network.learn(other.network.operator_key, other.network.endpoint)
        for node in nodes:
            nursery.start_soon(node.run)
        with trio.fail_after(SECONDS_MAX):
            yield nodes
        nursery.cancel_scope.cancel()


async def opened(hub: Hub, seed: bytes, endpoint: Endpoint, task_status: Started[MemoryNetwork]) -> None:
    """Hold a network open until cancelled."""
    async with trio.open_nursery() as nursery, open_memory_network(hub, seed, endpoint, nursery) as network:
        task_status.started(network)
        await trio.sleep_forever()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    while not condition():
        await trio.sleep(0.01)


async def test_all_follow_what_one_mines() -> None:
    async with running(3, {0: 0}) as nodes:
        await until(lambda: all(node.height >= 4 for node in nodes))
        nodes[0].scope.cancel()
        await until(lambda: len({node.service.index.tip() for node in nodes}) == 1)
        for node in nodes:
            heights = [event.height for event in node.events if isinstance(event, Connected)]
            assert heights == list(range(1, node.height + 1))
            assert node.seen == [(event.height, event.block_hash) for event in node.events]
            assert node.service.index.tip() == node.service.chain.tip()


async def test_a_payment_of_any_node_is_mined() -> None:
    async with running(3, {0: 0}) as nodes:
        chain = nodes[2].service.definition
        payment = made.pay("alice", [made.allocation(chain)], [(made.address_of("bob"), 1_000 * COIN)])
        other = made.pay("alice", [made.allocation(chain)], [(made.address_of("carol"), 1_000 * COIN)])
        assert await nodes[2].service.broadcast(payment.raw) == Broadcast(payment.txid, BroadcastState.SENT)
        with pytest.raises(InvalidChainData, match=payment.txid[::-1].hex()):
            await nodes[2].service.broadcast(other.raw)
        paid = OutPoint(payment.txid, 0)
        await until(lambda: all(node.service.index.output(paid) is not None for node in nodes))
        for node in nodes:
            assert await node.service.broadcast(payment.raw) == Broadcast(payment.txid, BroadcastState.MINED)
        with pytest.raises(InvalidChainData):
            await nodes[1].service.broadcast(other.raw)


async def test_a_transaction_is_handed_in_twice() -> None:
    async with running(1, {}) as nodes:
        chain = nodes[0].service.definition
        payment = made.pay("alice", [made.allocation(chain)], [(made.address_of("bob"), 1_000 * COIN)])
        answers = [await nodes[0].service.broadcast(payment.raw) for _ in range(2)]
        assert [answer.state for answer in answers] == [BroadcastState.SENT, BroadcastState.WAITING]


async def test_a_second_miner_takes_over() -> None:
    """When the first is silent, the second waits for its time and then goes on."""
    async with running(2, {0: 0, 1: 1}) as nodes:
        await until(lambda: nodes[1].height >= 3)
        nodes[0].scope.cancel()
        reached = nodes[1].height
        await until(lambda: nodes[1].height >= reached + 3)


async def test_a_peer_that_sends_garbage_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    async with running(2, {}) as nodes:
        bad, good = nodes
        dropped: list[OperatorKey] = []
        drop = good.network.drop

        async def note(peer: OperatorKey) -> None:
            dropped.append(peer)
            await drop(peer)

        monkeypatch.setattr(good.network, "drop", note)
        await until(lambda: len(good.network.peers()) == 1)
        await bad.network.send(good.network.operator_key, bytes((CHAIN,)) + b"garbage")
        await until(lambda: dropped == [bad.network.operator_key])


async def test_messages_that_nobody_reads_are_dropped_above_a_limit() -> None:
    service = EmbeddedService(genesis_file(), MemoryStore())
    peer = OperatorKey(bytes(32))
    service._queue([Send(peer, bytes(1_000_000))] * 40)
    waiting = service._outbox.statistics().current_buffer_used
    assert waiting == SENDS_BYTES_MAX // 1_000_000 < 40
    service._queue([Punish(peer, "always heard")])
    assert service._outbox.statistics().current_buffer_used == waiting + 1


async def test_a_restart_hears_of_every_block_once() -> None:
    """What was indexed before is not told again, what came meanwhile is."""
    stores = [MemoryStore(), MemoryStore()]
    async with running(2, {0: 0}, stores) as nodes:
        await until(lambda: nodes[1].height >= 2)
    before = EmbeddedService(genesis_file(), stores[1]).index.tip()[0]
    async with running(2, {0: 0}, stores) as nodes:
        await until(lambda: nodes[1].height >= before + 2)
        assert [event.height for event in nodes[1].events][:2] == [before + 1, before + 2]
