"""A node as who announces sees it: real chain, pool, index and RPC methods, no process."""

from collections.abc import Mapping, Sequence
from typing import Any

from protocol.chain.block import block_hash
from protocol.chain.encoding import display_hash
from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.codec import replace
from protocol.errors import ProtocolError
from protocol.genesis import Genesis
from protocol.parameters import DEVNET
from protocol.units import COIN
from tests.support import embedded_chain as made
from tests.support.founding import founded_by
from tests.support.index_node import IndexNode
from tests.support.operators import operator
from zenp2p.api.announcement_methods import AnnouncementMethods
from zenp2p.api.errors import BadData
from zenp2p.chain.embedded.mempool import Mempool
from zenp2p.chain.index import ChainIndex
from zenp2p.store import MemoryStore

SMALL = COIN // 10


def founded() -> Genesis:
    """A network of the devnet's parameters."""
    genesis = founded_by([operator(1)], parameters=DEVNET)
    return replace(genesis, chain=made.RULES)


class AnnouncingNode(IndexNode):
    """Holds for "bob" the stake and a small coin, for "poor" less than the stake, for "bare" just it."""

    def __init__(self, dialect: str = "") -> None:
        owners = [
            ("bob", DEVNET.stake),
            ("bob", SMALL),
            ("poor", COIN),
            ("bare", DEVNET.stake),
            ("poor", COIN),
        ]
        allocations = [(made.address_of(name), amount) for name, amount in owners]
        self.branch = made.Branch(made.definition(allocations))
        self.chain = made.opened(self.branch.chain)
        self.pool = Mempool(self.chain)
        index = ChainIndex(MemoryStore(), made.RULES)
        index.connect(self.branch.tip, self.branch.blocks[0].raw)
        super().__init__(index, made.RULES)
        self.index = index
        self.dialect = dialect
        genesis: Any = self.context.node.genesis
        genesis.parameters = DEVNET
        AnnouncementMethods(self.context).register(self.methods)

    def call(self, method: str, params: Mapping[str, Any] | Sequence[Any] | None = None) -> Any:
        if method == "node.status":
            return {"chain": {"dialect": self.dialect}}
        if method == "chain.broadcast" and isinstance(params, Mapping):
            return self._broadcast(bytes.fromhex(params["transaction"]))
        return super().call(method, params)

    def _broadcast(self, raw: bytes) -> Any:
        try:
            entry = self.pool.accept(raw)
        except ProtocolError as error:
            raise BadData(str(error)) from None
        txid = decode_transaction(raw, made.RULES.family).txid
        return {"txid": display_hash(txid), "state": "sent" if entry else "waiting"}

    def mine(self) -> None:
        """Mine what waits in the pool."""
        entries = self.pool.select(500_000)
        transactions = [entry.tx for entry in entries]
        self.branch.grow(1, transactions, fees=sum(entry.fee for entry in entries))
        block = self.branch.blocks[-1]
        self.pool.apply(self.chain.add_block(block.raw, made.far_future()))
        self.index.connect(block_hash(block.header), block.raw)

    def coin(self, number: int) -> OutPoint:
        """Return one of the coins above, by its place."""
        return made.allocation(self.branch.chain, 2 + number)[0]
