"""A treasury on the real embedded chain, asked through the daemon's own RPC methods.

Blocks have proof of work, the pool and the chain judge the signatures, the index answers: nothing is a
double but the node machine and the network.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.chain.rules import ChainFamily
from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.codec import replace
from protocol.genesis import Baton, ChainStart, Genesis
from protocol.payout.treasury import treasury_address
from protocol.units import COIN
from tests.support.embedded_chain import EASY_BITS, START, Branch, address_of, allocation, far_future, pay
from tests.support.method_node import MethodNode
from tests.support.payout_world import TREASURY, make_genesis
from zenp2p.chain.broadcast import Broadcast, BroadcastState
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.definition import define_chain, genesis_block
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore


def chain_genesis() -> Genesis:
    """Return a network whose chain begins with 100 coins of the treasury, the baton, and
    50 of the treasurer.
    """
    genesis = make_genesis()
    start = ChainStart(
        time=START,
        bits=EASY_BITS,
        minimum_spacing=1,
        treasury_share=100,
        allocations=((treasury_address(TREASURY), 100 * COIN), (address_of("treasurer"), 50 * COIN)),
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
    rpc: MethodNode = field(init=False)

    def __post_init__(self) -> None:
        definition = define_chain(self.genesis)
        self.chain = EmbeddedChain(definition, MemoryStore())
        self.pool = Mempool(self.chain)
        self.index = ChainIndex(MemoryStore(), definition.rules)
        self.branch = Branch(definition)
        self._follow()
        self.rpc = MethodNode(self.genesis, self.index, self._broadcast)

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        """Answer as the daemon would."""
        return self.rpc.call(method, params)

    def deposit(self, amount: int) -> OutPoint:
        """Mine the treasurer's whole allocation in one payment: so much to the treasury, the rest back."""
        rest = 50 * COIN - amount
        outputs = [(address_of("treasurer"), rest), (treasury_address(TREASURY), amount)]
        payment = pay("treasurer", [allocation(self.chain.definition, 1)], outputs)
        self.pool.accept(payment.raw)
        self.grow(1)
        return OutPoint(payment.txid, 1)

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
