"""A certified list paid on the real embedded chain, through the daemon's own RPC methods.

Nothing here is a double but the node machine (the list comes from a `World`): blocks have
proof of work, the pool and the chain judge the signatures, the index answers the paymasters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio

from protocol.chain.rules import ChainFamily
from protocol.chain.transaction import Transaction, decode_transaction
from protocol.codec import replace
from protocol.errors import InvalidChainData, InvalidPayment, RequestError
from protocol.genesis import Baton, ChainStart, Genesis
from protocol.payout.light import VerifiedList
from protocol.payout.payment import next_chunk
from protocol.payout.treasury import follow_baton, treasury_address
from protocol.units import COIN
from tests.support.embedded_chain import EASY_BITS, START, Branch, far_future
from tests.support.payout_world import PAYMASTERS, TREASURY, World, make_genesis, valid, verified_first
from zenp2p.api.explorer_methods import ExplorerMethods
from zenp2p.api.methods import Methods
from zenp2p.api.payout_methods import PayoutMethods
from zenp2p.chain.broadcast import Broadcast, BroadcastState
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.definition import define_chain, genesis_block
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.paymaster import Paymaster, combine_files
from zenp2p.store import MemoryStore


def chain_genesis() -> Genesis:
    """Return a network whose chain begins with 100 coins of the treasury, the baton."""
    genesis = make_genesis()
    start = ChainStart(
        time=START,
        bits=EASY_BITS,
        minimum_spacing=1,
        treasury_share=100,
        allocations=((treasury_address(TREASURY), 100 * COIN),),
    )
    rules = replace(genesis.chain, coinbase_maturity=3)
    baton = Baton(txid=genesis_block(rules, start).transactions[0].txid, index=0)
    return replace(genesis, chain=rules, start=start, baton=baton)


@dataclass
class RealNode:
    """The embedded chain of one node with its pool and index, asked through its RPC methods."""

    genesis: Genesis
    chain: EmbeddedChain = field(init=False)
    pool: Mempool = field(init=False)
    index: ChainIndex = field(init=False)
    branch: Branch = field(init=False)
    methods: Methods = field(default_factory=Methods)

    def __post_init__(self) -> None:
        definition = define_chain(self.genesis)
        self.chain = EmbeddedChain(definition, MemoryStore())
        self.pool = Mempool(self.chain)
        self.index = ChainIndex(MemoryStore(), definition.rules)
        self.branch = Branch(definition)
        self._follow()
        service = SimpleNamespace(index=self.index, broadcast=self._broadcast)
        context: Any = SimpleNamespace(node=SimpleNamespace(genesis=self.genesis), chain=service)
        PayoutMethods(context).register(self.methods)
        ExplorerMethods(context).register(self.methods)

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Answer as the daemon would: typed parameters in, JSON out."""
        found = self.methods.get(method)
        assert found is not None
        typed = msgspec.convert(params or {}, found.params)
        return msgspec.json.decode(msgspec.json.encode(trio.run(found.handler, typed)))

    def grow(self, count: int) -> None:
        """Mine so many blocks, what waits in the pool into the first."""
        entries = list(self.pool)
        fees = sum(entry.fee for entry in entries)
        self.branch.grow(count, [entry.tx for entry in entries], fees=fees)
        self.take(self.branch)

    def take(self, branch: Branch) -> None:
        """Follow a branch, if it has more work than ours."""
        for block in branch.blocks[1:]:
            self.pool.apply(self.chain.add_block(block.raw, far_future()))
        self._follow()

    def _follow(self) -> None:
        for _ in Follower(self.chain, self.index).follow(1_000):
            pass

    async def _broadcast(self, raw: bytes) -> Broadcast:
        txid = decode_transaction(raw, ChainFamily.BITCOIN).txid
        if self.index.transaction_by_id(txid) is not None:
            return Broadcast(txid, BroadcastState.MINED)
        entry = self.pool.accept(raw)
        return Broadcast(txid, BroadcastState.SENT if entry is not None else BroadcastState.WAITING)


def verified_list(genesis: Genesis, addresses: int = 4) -> VerifiedList:
    world = World(genesis=genesis)
    keys = sorted(bytes([number % 256, number // 256]) * 16 for number in range(addresses))
    for seq in (3, 4, 5):
        world.judge(seq, [valid(key) for key in keys])
    world.bury(1)
    return verified_first(world)


def signed_file(paymaster: Paymaster, verified: VerifiedList, fee_rate: int = 1_000) -> bytes:
    file = paymaster.build(verified, fee_rate)
    signed = [paymaster.sign(file, verified, secret) for secret in (PAYMASTERS[3], PAYMASTERS[0])]
    return combine_files(signed, verified.genesis)


GENESIS = chain_genesis()
LIST = verified_list(GENESIS)


def trail_of(node: RealNode) -> list[int]:
    def spender(outpoint: Any) -> Transaction | None:
        spending = node.index.spender(outpoint)
        found = node.index.transaction_by_id(spending.txid) if spending else None
        return decode_transaction(found.raw, node.index.family) if found else None

    return [paid.mark.chunk for paid in follow_baton(node.genesis, spender).paid]


def test_the_chain_takes_the_payment_and_the_stakes_have_it() -> None:
    node = RealNode(GENESIS)
    node.grow(10)
    paymaster = Paymaster(GENESIS, node)
    txid = paymaster.broadcast(signed_file(paymaster, LIST), LIST)
    assert [entry.txid[::-1].hex() for entry in node.pool] == [txid]
    node.grow(1)
    assert len(node.pool) == 0
    height = node.index.tip()[0]
    for entry in LIST.entries:
        assert node.index.balance(entry.address, height) == entry.amount
    assert trail_of(node) == [0]
    assert node.call("treasury.baton")["paid"][0]["list_hash"] == LIST.list_hash.hex()
    with pytest.raises(RequestError, match="wholly paid already"):
        paymaster.build(LIST)


def test_coinbase_shares_are_gathered_by_payments() -> None:
    """After ten blocks seven shares are ripe: they go into the payment beside the baton."""
    node = RealNode(GENESIS)
    node.grow(10)
    paymaster = Paymaster(GENESIS, node)
    file = signed_file(paymaster, LIST)
    report = paymaster.inspect(file, LIST)
    assert report.inputs == 1 + 7
    assert report.inputs_total == 100 * COIN + 7 * COIN * 125 // 100
    paymaster.broadcast(file, LIST)
    node.grow(1)
    assert trail_of(node) == [0]


def test_a_dearer_version_conflicts_in_the_pool() -> None:
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    cheap, dear = signed_file(paymaster, LIST), signed_file(paymaster, LIST, 9_000)
    paymaster.broadcast(cheap, LIST)
    with pytest.raises(InvalidChainData):
        paymaster.broadcast(dear, LIST)
    node.grow(1)
    with pytest.raises(InvalidPayment, match="paid already"):
        paymaster.broadcast(dear, LIST)


def test_a_payment_that_a_reorganisation_took_off_is_paid_again_once() -> None:
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    file = signed_file(paymaster, LIST)
    fork = node.branch.fork(5)
    paymaster.broadcast(file, LIST)
    node.grow(1)
    assert trail_of(node) == [0]
    fork.grow(3, salt=1)
    node.take(fork)
    assert trail_of(node) == []
    node.branch = fork
    node.grow(1)
    assert trail_of(node) == [0], "the pool had kept the very same payment"


def test_several_chunks_follow_each_other_on_the_chain() -> None:
    large = verified_list(GENESIS, addresses=1_100)
    node = RealNode(GENESIS)
    node.grow(5)
    paymaster = Paymaster(GENESIS, node)
    for number in range(2):
        paymaster.broadcast(signed_file(paymaster, large), large)
        node.grow(1)
        assert trail_of(node) == list(range(number + 1))
    height = node.index.tip()[0]
    assert all(node.index.balance(entry.address, height) == entry.amount for entry in large.entries)
    trail = follow_baton(GENESIS, lambda outpoint: None)
    assert next_chunk(large, trail) is not None


def test_gathering_on_the_chain_leaves_the_baton() -> None:
    node = RealNode(GENESIS)
    node.grow(12)
    paymaster = Paymaster(GENESIS, node)
    before = node.call("treasury.baton")
    file = paymaster.gather()
    signed = combine_files([paymaster.sign(file, None, secret) for secret in PAYMASTERS[:2]], GENESIS)
    paymaster.broadcast(signed, None)
    node.grow(1)
    assert len(node.pool) == 0
    assert node.call("treasury.baton") == before
