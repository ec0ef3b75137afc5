"""A real node's chain, followed: wherever it goes, whatever happens to the node."""

from collections.abc import Iterator, Sequence
from dataclasses import replace as replace_fields

import pytest

from protocol.chain.encoding import display_hash, parse_display_hash
from protocol.chain.script import address_script
from protocol.chain.transaction import OutPoint, Transaction, TxInput, TxOutput
from protocol.errors import InvalidChainData
from protocol.units import COIN
from tests.support.external_network import Running, external_genesis, running
from tests.support.litecoind import RULES, LitecoinNode, key_of, litecoin_node
from zenp2p.chain.broadcast import BroadcastRefused, BroadcastState, Refusal
from zenp2p.chain.rpc.errors import NodeDenied, NodeUnreachable
from zenp2p.chain.rpc.service import RpcService
from zenp2p.chain.rpc.source import ForeignChain
from zenp2p.chain.source import ChainEvent, Connected
from zenp2p.exit_codes import ExitCode, exit_code
from zenp2p.ports import Store, StoreError
from zenp2p.store import MemoryStore


@pytest.fixture(scope="module")
def node() -> Iterator[LitecoinNode]:
    with litecoin_node() as node:
        yield node


def service(node: LitecoinNode, store: Store | None = None) -> RpcService:
    first = parse_display_hash(node.client.block_hash(0))
    return RpcService(external_genesis(first), store or MemoryStore(), node.settings)


def is_at_tip(live: Running, node: LitecoinNode) -> bool:
    tip = parse_display_hash(node.client.block_hash(node.client.height()))
    return live.service.index.tip()[1] == tip


def replay(events: Sequence[ChainEvent]) -> list[bytes]:
    """Return the chain that events give, after the first block; each disconnected block was the last one."""
    chain: list[bytes] = []
    for number, event in enumerate(events):
        assert event.number == number + 1  # event 0 is the first block, which nobody needs to hear of
        if isinstance(event, Connected):
            chain.append(event.block_hash)
        else:
            assert chain.pop() == event.block_hash
        assert event.height == len(chain) + (0 if isinstance(event, Connected) else 1)
    return chain


async def test_it_follows_the_node_to_its_tip_and_on(node: LitecoinNode) -> None:
    async with running(service(node)) as live:
        await live.until(lambda: is_at_tip(live, node))
        node.mine(3)
        await live.until(lambda: is_at_tip(live, node) and live.state == "ok")
        assert [display_hash(each) for each in replay(live.events)] == node.active()[1:]
        assert live.seen == [(event.height, event.block_hash) for event in live.events]
        index = live.service.index
        for height in (1, 50, node.client.height()):
            raw = b"".join(
                index.transaction(at)
                for at in range(index.transaction_count(height - 1), index.transaction_count(height))
            )
            assert node.client.raw_block(node.client.block_hash(height)).endswith(raw)
        condition = live.service.condition()
        assert (condition.kind, condition.dialect, condition.problem) == ("external", "litecoind", "")
        assert condition.height == node.client.height() and condition.version.startswith("0.21")
        assert condition.node.startswith("LitecoinCore 0.21") and "on regtest" in condition.node
        assert "with txindex" in condition.node


@pytest.mark.parametrize("depth", [1, 2, 7, 20, 75])
async def test_a_reorganisation_of_any_depth_is_followed(node: LitecoinNode, depth: int) -> None:
    async with running(service(node)) as live:
        await live.until(lambda: is_at_tip(live, node))
        before = len(live.events)
        stale = node.reorganise(depth, payee=f"miner of {depth}")
        await live.until(lambda: is_at_tip(live, node))
        assert [display_hash(each) for each in replay(live.events)] == node.active()[1:]
        gone = [display_hash(e.block_hash) for e in live.events[before:] if not isinstance(e, Connected)]
        assert gone == stale[::-1]


async def test_blocks_that_the_node_merely_lacks_are_kept(node: LitecoinNode) -> None:
    """A node that reads its files anew, or was set back, has a shorter chain: the same one."""
    async with running(service(node)) as live:
        await live.until(lambda: is_at_tip(live, node))
        before, height = list(live.events), node.client.height()
        dropped = node.client.block_hash(height - 4)
        node.client.invalidate(dropped)
        await live.until(lambda: live.state == "behind")
        assert live.events == before and live.service.index.tip()[0] == height
        assert "lacks blocks" in live.service.condition().problem
        node.client.reconsider(dropped)
        await live.until(lambda: live.state == "ok")
        assert live.events == before


async def test_a_node_that_ends_is_waited_for(node: LitecoinNode) -> None:
    port = node.process.port
    async with running(service(node)) as live:
        await live.until(lambda: live.state == "ok")
        at = live.service.index.tip()
        node.process.kill()
        await live.until(lambda: live.state == "unreachable")
        assert live.service.index.tip() == at
        assert f"127.0.0.1:{port}" in live.service.condition().problem
        with pytest.raises(NodeUnreachable):
            await live.service.broadcast(_spend("nobody", OutPoint(bytes(32), 0), 1).raw)
    node.process.start()


async def test_a_restarted_node_is_followed_on_with_its_new_cookie() -> None:
    with litecoin_node(coins=5) as first:
        port = first.process.port
        settings, folder = first.settings, first.process.folder
        genesis = external_genesis(parse_display_hash(first.client.block_hash(0)))
        async with running(RpcService(genesis, MemoryStore(), settings)) as live:
            await live.until(lambda: is_at_tip(live, first))
            first.process.stop()
            await live.until(lambda: live.state == "unreachable")
            first.process.__init__(folder, port=port)  # type: ignore[misc]
            first.process.start()
            first.mine(2)
            await live.until(lambda: is_at_tip(live, first) and live.state == "ok")


async def test_a_restart_hears_of_every_block_once(node: LitecoinNode) -> None:
    store = MemoryStore()
    async with running(service(node, store)) as live:
        await live.until(lambda: is_at_tip(live, node))
        told = len(live.events)
    node.mine(2)
    async with running(service(node, store)) as live:
        await live.until(lambda: is_at_tip(live, node))
        assert [event.number for event in live.events] == [told + 1, told + 2]


async def test_a_first_start_needs_its_node(node: LitecoinNode) -> None:
    genesis = external_genesis(parse_display_hash(node.client.block_hash(0)))
    nowhere = replace_fields(node.settings, port=1)
    with pytest.raises(NodeUnreachable):
        await RpcService(genesis, MemoryStore(), nowhere).prepare()
    stranger = replace_fields(node.settings, cookie=None, user="x", password="y")
    with pytest.raises(NodeDenied):
        await RpcService(genesis, MemoryStore(), stranger).prepare()
    with pytest.raises(ForeignChain, match="this network's chain begins with") as other:
        await RpcService(external_genesis(bytes(32)), MemoryStore(), node.settings).prepare()
    assert exit_code(other.value) is ExitCode.CONFIG


async def test_an_index_of_another_chain_is_refused(node: LitecoinNode) -> None:
    store = MemoryStore()
    await service(node, store).prepare()
    with pytest.raises(StoreError, match="another chain"):
        RpcService(external_genesis(bytes(32)), store, node.settings)


def _spend(owner: str, coin: OutPoint, amount: int) -> Transaction:
    own = address_script(key_of(owner).address)
    return key_of(owner).sign(Transaction(1, (TxInput(coin),), (TxOutput(amount, own),)), [own])


async def test_a_transaction_is_sent_waits_and_is_mined(node: LitecoinNode) -> None:
    async with running(service(node)) as live:
        node.purse.fill(2 * COIN)
        coin = OutPoint(parse_display_hash(node.fund(key_of("alice").address, COIN)), 0)
        node.mine()
        payment = _spend("alice", coin, COIN - 10_000)
        states = [await live.service.broadcast(payment.raw) for _ in range(2)]
        assert [each.state for each in states] == [BroadcastState.SENT, BroadcastState.WAITING]
        assert {each.txid for each in states} == {payment.txid}
        with pytest.raises(BroadcastRefused) as other:
            await live.service.broadcast(_spend("alice", coin, COIN - 20_000).raw)
        assert (other.value.refusal, other.value.by) == (Refusal.CONFLICT, payment.txid)
        node.mine()
        # The node says so before our index has the block, and the index afterwards.
        assert (await live.service.broadcast(payment.raw)).state is BroadcastState.MINED
        await live.until(lambda: is_at_tip(live, node))
        assert (await live.service.broadcast(payment.raw)).state is BroadcastState.MINED
        with pytest.raises(BroadcastRefused) as late:
            await live.service.broadcast(_spend("alice", coin, COIN - 20_000).raw)
        assert late.value.refusal is Refusal.MISSING
        with pytest.raises(InvalidChainData):
            await live.service.broadcast(b"nothing")
    assert RULES.family is live.service.index.family
