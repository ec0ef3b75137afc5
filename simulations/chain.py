"""The simulated chain: a tree of blocks with real transactions, and each node's view of one branch.

Answers for: everything that `ChainView` asks, at little cost, on any branch; a view moves one block
at a time, as an index does. There is no proof of work and no signature is checked: the rules of a
chain are tried elsewhere. Which block comes next is `miner`'s business. Spec: `spec/simulation.md`.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from protocol.chain.mark import Mark, find_mark, may_mark
from protocol.chain.rules import ChainFamily
from protocol.chain.script import address_script, push_number, script_address
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction, TxInput, TxOutput, is_coinbase
from protocol.crypto import sha256d
from protocol.units import COIN, Hash32, Height, Zatoshi

MINER = b"\x00" + b"\x4d" * 20
SUBSIDY = COIN * 25 // 2
Payment = tuple[bytes, int]
"""A 21-byte address and zatoshi."""


@dataclass(frozen=True, slots=True, eq=False)
class SimulatedBlock:
    """A block and what its branch holds after it; branches share what they have in common."""

    hash: Hash32
    height: int
    parent: "SimulatedBlock | None"
    transactions: tuple[Transaction, ...]
    count: int
    """Transactions from block 0 to this one."""
    balances: dict[bytes, int]
    """Balances after this block, of the addresses that it touches."""
    created: dict[OutPoint, TxOutput]
    spent: dict[OutPoint, Transaction]
    _found: dict[bytes, int] = field(default_factory=dict)
    """Balances after this block that were looked up, so that the next block need not look further down."""

    def branch(self) -> Iterator["SimulatedBlock"]:
        """Yield this block, its parent, and so on down to block 0."""
        block: SimulatedBlock | None = self
        while block is not None:
            yield block
            block = block.parent

    def ancestor(self, height: int) -> "SimulatedBlock":
        """Return the block at `height` of this branch."""
        return next(block for block in self.branch() if block.height == height)

    def balance(self, address: bytes) -> int:
        """Return what an address holds after this block."""
        passed: list[SimulatedBlock] = []
        balance = 0
        for block in self.branch():
            known = block.balances.get(address)
            if known is None:
                known = block._found.get(address)
            if known is not None:
                balance = known
                break
            passed.append(block)
        for block in passed:
            block._found[address] = balance
        return balance

    def coin(self, outpoint: OutPoint) -> tuple[TxOutput, int] | None:
        """Return an output of this branch and the height of its block, or None."""
        for block in self.branch():
            if outpoint in block.created:
                return block.created[outpoint], block.height
        return None

    def spender(self, outpoint: OutPoint) -> Transaction | None:
        """Return the transaction of this branch that spends an output, or None."""
        return next((block.spent[outpoint] for block in self.branch() if outpoint in block.spent), None)

    def marks(self) -> Iterator[Mark]:
        """Yield the marks in this block."""
        for position, tx in enumerate(self.transactions):
            if may_mark(tx):
                coins = [self.coin(spent.previous) for spent in tx.inputs]
                spent = [script_address(coin[0].script) if coin else None for coin in coins]
                ordinal = self.count - len(self.transactions) + position
                mark = find_mark(tx, spent, ordinal, Height(self.height))
                if mark is not None:
                    yield mark

    def accepts(self, transaction: Transaction) -> bool:
        """Whether a transaction spends only what this branch has unspent, and no more than that."""
        coins = [self.coin(spent.previous) for spent in transaction.inputs]
        if any(self.spender(spent.previous) is not None for spent in transaction.inputs):
            return False
        held = sum(coin[0].amount for coin in coins if coin is not None)
        return None not in coins and held >= sum(output.amount for output in transaction.outputs)

    def unspent(self, address: bytes) -> list[tuple[OutPoint, int, int]]:
        """Return (outpoint, amount, height) of what an address has unspent, oldest first."""
        found = [
            (point, output.amount, block.height)
            for block in reversed(list(self.branch()))
            for point, output in block.created.items()
            if script_address(output.script) == address
        ]
        return [coin for coin in found if self.spender(coin[0]) is None]


def extend(
    parent: SimulatedBlock | None,
    transactions: Sequence[Transaction],
    *,
    pay: Sequence[Payment] = ((MINER, SUBSIDY),),
    salt: bytes = b"",
) -> SimulatedBlock:
    """Return the block after `parent` with these transactions behind a coinbase that pays `pay`."""
    height = parent.height + 1 if parent else 0
    outputs = tuple(TxOutput(amount, address_script(address)) for address, amount in pay)
    source = TxInput(OutPoint(bytes(32), COINBASE_INDEX), push_number(height) + b"\x00" + salt)
    body = (Transaction(1, (source,), outputs), *transactions)
    created: dict[OutPoint, TxOutput] = {}
    spent: dict[OutPoint, Transaction] = {}
    balances: dict[bytes, int] = {}

    def move(output: TxOutput, sign: int) -> None:
        address = script_address(output.script)
        if address is not None:
            before = balances[address] if address in balances else parent.balance(address) if parent else 0
            balances[address] = before + sign * output.amount

    for tx in body:
        for each in () if is_coinbase(tx) else tx.inputs:
            coin = created.get(each.previous)
            if coin is None:
                found = parent.coin(each.previous) if parent else None
                assert found is not None, "a transaction spends what is not there"
                coin = found[0]
            spent[each.previous] = tx
            move(coin, -1)
        for index, output in enumerate(tx.outputs):
            created[OutPoint(tx.txid, index)] = output
            move(output, 1)
    previous = parent.hash if parent else bytes(32)
    hashed = sha256d(previous + salt + b"".join(tx.txid for tx in body))
    count = (parent.count if parent else 0) + len(body)
    return SimulatedBlock(hashed, height, parent, body, count, balances, created, spent)


class View:
    """One node's active branch; fulfils `ChainView`. It survives a crash, as an index does."""

    family = ChainFamily.BITCOIN

    def __init__(self, tip: SimulatedBlock) -> None:
        self._blocks = list(reversed(list(tip.branch())))
        self._counts = [block.count for block in self._blocks]

    @property
    def block(self) -> SimulatedBlock:
        """The last block."""
        return self._blocks[-1]

    def step_towards(self, target: SimulatedBlock) -> tuple[bool, SimulatedBlock] | None:
        """Move one block nearer to `target`; return (connected, block), or None when it is the tip."""
        if self.block is target:
            return None
        top = self.block
        if top.height < target.height and target.ancestor(top.height) is top:
            block = target.ancestor(top.height + 1)
            self._blocks.append(block)
            self._counts.append(block.count)
            return True, block
        self._blocks.pop()
        self._counts.pop()
        return False, top

    def tip(self) -> tuple[Height, Hash32]:
        """Return the height and hash of the last block."""
        return Height(self.block.height), self.block.hash

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash of the block at `height`, or None above the tip."""
        return self._blocks[height].hash if 0 <= height < len(self._blocks) else None

    def transaction_count(self, height: int) -> int:
        """Return the number of transactions up to and with block `height`."""
        return self._counts[height]

    def transaction(self, ordinal: int) -> bytes:
        """Return the raw transaction with this number."""
        height = bisect_right(self._counts, ordinal)
        block = self._blocks[height]
        return block.transactions[ordinal - (block.count - len(block.transactions))].raw

    def balance(self, address: bytes, height: int) -> Zatoshi:
        """Return what an address holds at the end of block `height`."""
        return Zatoshi(self._blocks[height].balance(address))

    def marks(self, first: int, last: int) -> list[Mark]:
        """Return the marks in the blocks `first` to `last`."""
        return [mark for block in self._blocks[first : last + 1] for mark in block.marks()]
