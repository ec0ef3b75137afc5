"""The embedded chain and its index, slow and plain: everything is computed anew from the blocks."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.chain.block import Block, block_hash, parse_block
from protocol.chain.script import script_address
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction
from protocol.units import Height, Zatoshi
from tests.support import embedded_chain as made
from zenp2p.chain.embedded.chain import EmbeddedChain
from zenp2p.chain.embedded.coins import Coin
from zenp2p.chain.embedded.definition import ChainDefinition
from zenp2p.chain.follower import Follower
from zenp2p.chain.index import ChainIndex
from zenp2p.ports import Store
from zenp2p.store import MemoryStore

EVENTS_MAX = 10_000


@dataclass
class Replay:
    """What a run of blocks from the first one on leaves behind."""

    blocks: Sequence[Block]
    coins: dict[OutPoint, Coin] = field(default_factory=dict)
    raw_transactions: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    balances: list[dict[bytes, int]] = field(default_factory=list)
    touched: dict[bytes, list[tuple[int, int, int]]] = field(default_factory=dict)
    """Address -> (height, ordinal, balance after), one for each transaction that touches it."""
    spenders: dict[OutPoint, tuple[bytes, int, int]] = field(default_factory=dict)
    received: dict[bytes, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for height, block in enumerate(self.blocks):
            now = dict(self.balances[-1]) if self.balances else {}
            for tx in block.transactions:
                self._take(tx, height, now)
            self.counts.append(len(self.raw_transactions))
            self.balances.append(now)

    def _take(self, tx: Transaction, height: int, balances: dict[bytes, int]) -> None:
        owners: dict[bytes, None] = {}
        coinbase = tx.inputs[0].previous.index == COINBASE_INDEX
        for position, spent in enumerate(() if coinbase else tx.inputs):
            coin = self.coins.pop(spent.previous)
            self.spenders[spent.previous] = (tx.txid, position, height)
            self._move(owners, balances, coin.script, -coin.amount)
        for index, output in enumerate(tx.outputs):
            made_coin = Coin(Zatoshi(output.amount), output.script, Height(height), coinbase)
            self.coins[OutPoint(tx.txid, index)] = made_coin
            self._move(owners, balances, output.script, output.amount)
            payee = script_address(output.script)
            if payee is not None:
                self.received[payee] = self.received.get(payee, 0) + output.amount
        for owner in owners:
            entry = (height, len(self.raw_transactions), balances[owner])
            self.touched.setdefault(owner, []).append(entry)
        self.raw_transactions.append(tx.raw)

    def _move(
        self, owners: dict[bytes, None], balances: dict[bytes, int], script: bytes, amount: int
    ) -> None:
        owner = script_address(script)
        if owner is not None:
            owners[owner] = None
            balances[owner] = balances.get(owner, 0) + amount


def active_blocks(chain: EmbeddedChain) -> list[Block]:
    """Return the active chain's blocks, parsed, walking back from the tip."""
    found: list[Block] = []
    at = chain.tip()[1]
    while True:
        raw = chain.block(at)
        assert raw is not None
        found.append(parse_block(raw, made.RULES) if found or chain.tip()[0] else chain.definition.genesis)
        parent = chain.parent(at)
        if parent is None:
            return found[::-1]
        at = parent


def coins_in(store: Store) -> dict[bytes, bytes]:
    """Return the records of unspent outputs."""
    return dict(store.iterate(b"co"))


def index_in(store: Store) -> dict[bytes, bytes]:
    """Return the index's records but the events and their number, which tell the way and not the place."""
    kept = {key: value for key, value in store.iterate(b"i") if not key.startswith((b"iE", b"iH"))}
    head = store.get(b"iH")
    return {**kept, b"iH": head[:-8] if head else b""}


def check_chain(chain: EmbeddedChain, store: Store) -> None:
    """Assert that the coins are exactly those that the active blocks leave behind."""
    replay = Replay(active_blocks(chain))
    assert [block_hash(block.header) for block in replay.blocks] == [
        chain.block_hash(height) for height in range(len(replay.blocks))
    ]
    assert chain.block_hash(len(replay.blocks)) is None
    assert len(coins_in(store)) == len(replay.coins)
    assert {point: chain.coin(point) for point in replay.coins} == replay.coins
    assert len(dict(store.iterate(b"ca"))) == len(replay.blocks) == len(dict(store.iterate(b"cu")))


def check_index(index: ChainIndex, blocks: Sequence[Block]) -> None:
    """Assert that every lookup says what a replay of the blocks says."""
    replay = Replay(blocks)
    top = len(blocks) - 1
    assert index.tip() == (top, block_hash(blocks[-1].header))
    assert [index.transaction_count(height) for height in range(top + 1)] == replay.counts
    assert [index.transaction(at) for at in range(replay.counts[-1])] == replay.raw_transactions
    ids = [tx.txid for block in blocks for tx in block.transactions]
    assert [index.transaction_id(at) for at in range(replay.counts[-1])] == ids
    for height, block in enumerate(blocks):
        at = block_hash(block.header)
        assert index.height_of(at) == height and index.header(height) == (len(block.raw), block.header)
        assert len(index.block_ordinals(height)) == len(block.transactions)
    for address, entries in replay.touched.items():
        assert [tuple(change) for change in index.history(address)] == entries
        expected = [balances.get(address, 0) for balances in replay.balances]
        assert [index.balance(address, height) for height in range(top + 1)] == expected
        owned = {point for point, coin in replay.coins.items() if script_address(coin.script) == address}
        assert {each.outpoint for each in index.unspent(address)} == owned
        account, first = index.account(address), index.first_change(address)
        assert account is not None and first is not None
        assert (first.height, account.last_height) == (entries[0][0], entries[-1][0])
        assert (account.received, account.unspent) == (replay.received[address], len(owned))
    for outpoint, (txid, position, height) in replay.spenders.items():
        found = index.spender(outpoint)
        assert found is not None and (found.txid, found.input_index, found.height) == (txid, position, height)
    assert all(index.spender(point) is None for point in replay.coins)


def check_same_as_fresh(definition: ChainDefinition, store: Store, blocks: Sequence[Block]) -> None:
    """Assert that a new node, which was given the active blocks alone, holds the same records."""
    fresh = MemoryStore()
    chain = EmbeddedChain(definition, fresh)
    made.feed(chain, blocks)
    index = ChainIndex(fresh, definition.rules)
    for _ in Follower(chain, index).follow(EVENTS_MAX):
        pass
    assert coins_in(store) == coins_in(fresh)
    assert index_in(store) == index_in(fresh)


def check_node(chain: EmbeddedChain, index: ChainIndex, store: Store) -> None:
    """Assert all of the above for a node whose index is where its chain is."""
    blocks = active_blocks(chain)
    check_chain(chain, store)
    check_index(index, blocks)
    check_same_as_fresh(chain.definition, store, blocks)
