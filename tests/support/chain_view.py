"""An in-memory chain for tests: real transactions, real balances, reorganisations by hand.

It answers everything that `protocol.chain.view.ChainView` asks, by the plainest means
(a list of blocks, replayed after a disconnect), so that it can stand as the model that
faster chains are compared with. Blocks carry no proof of work and nothing is signed.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from protocol.chain.mark import Mark, find_mark, may_mark
from protocol.chain.rules import ChainFamily
from protocol.chain.script import address_script, null_data, push_number, script_address
from protocol.chain.transaction import COINBASE_INDEX, OutPoint, Transaction, TxInput, TxOutput
from protocol.crypto import sha256d
from protocol.units import COIN, Hash32, Height, Zatoshi

MINER = b"\x00" + b"\x4d" * 20
SUBSIDY = COIN * 25 // 2
Payment = tuple[bytes, int]
"""A 21-byte address and zatoshi."""


@dataclass(slots=True)
class MemoryChain:
    """A chain that starts with block 0 and grows by `mine`. `salt` makes its hashes its own."""

    salt: bytes = b""
    family: ChainFamily = ChainFamily.BITCOIN
    blocks: list[tuple[Hash32, tuple[Transaction, ...]]] = field(default_factory=list)
    _ordinals: list[bytes] = field(default_factory=list, init=False)
    _counts: list[int] = field(default_factory=list, init=False)
    _outputs: dict[OutPoint, Payment] = field(default_factory=dict, init=False)
    _changes: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict, init=False)
    _marks: list[Mark] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        blocks, self.blocks = self.blocks, []
        for block_hash, transactions in blocks:
            self._connect(block_hash, transactions)
        if not self.blocks:
            self.mine()

    def tip(self) -> tuple[Height, Hash32]:
        return Height(len(self.blocks) - 1), self.blocks[-1][0]

    def block_hash(self, height: int) -> Hash32 | None:
        return self.blocks[height][0] if 0 <= height < len(self.blocks) else None

    def transaction_count(self, height: int) -> int:
        return self._counts[height]

    def transaction(self, ordinal: int) -> bytes:
        return self._ordinals[ordinal]

    def balance(self, address: bytes, height: int) -> Zatoshi:
        if not 0 <= height < len(self.blocks):
            raise IndexError(f"no block {height}")
        changes = self._changes.get(address, [])
        at = bisect_right(changes, (height, 1 << 63))
        return Zatoshi(changes[at - 1][1] if at else 0)

    def marks(self, first: int, last: int) -> list[Mark]:
        return [mark for mark in self._marks if first <= mark.height <= last]

    def mine(
        self, *transactions: Transaction, pay: Sequence[Payment] = ((MINER, SUBSIDY),), salt: bytes = b""
    ) -> Height:
        """Connect a block whose coinbase pays `pay` out of nothing; return its height."""
        height = len(self.blocks)
        script = push_number(height) + b"\x00"
        outputs = [TxOutput(amount, address_script(address)) for address, amount in pay]
        spent = TxInput(OutPoint(b"\x00" * 32, COINBASE_INDEX), script)
        coinbase = Transaction(1, (spent,), tuple(outputs or [TxOutput(0, null_data(b"nothing"))]))
        body = (coinbase, *transactions)
        previous = self.blocks[-1][0] if self.blocks else b""
        header = b"".join([self.salt, salt, previous, *(tx.txid for tx in body)])
        self._connect(sha256d(header), body)
        return Height(height)

    def mine_to(self, height: int, salt: bytes = b"") -> None:
        """Connect plain blocks until the tip stands at `height`."""
        while len(self.blocks) <= height:
            self.mine(salt=salt)

    def spend(self, address: bytes, pay: Sequence[Payment], data: bytes = b"") -> Transaction:
        """Return a transaction (unsigned) that spends all of an address, the change going back to it."""
        spent = [point for point, (owner, _) in self._outputs.items() if owner == address]
        change = sum(self._outputs[point][1] for point in spent) - sum(amount for _, amount in pay)
        if change < 0 or not spent:
            raise ValueError("the address holds less than that")
        outputs = [TxOutput(amount, address_script(to)) for to, amount in pay]
        outputs += [TxOutput(change, address_script(address))] if change else []
        outputs += [TxOutput(0, null_data(data))] if data else []
        return Transaction(1, tuple(map(TxInput, spent)), tuple(outputs))

    def disconnect(self, count: int = 1) -> None:
        """Take the last blocks off again."""
        kept = self.blocks[:-count]
        for state in (self.blocks, self._ordinals, self._counts, self._marks):
            state.clear()
        self._outputs.clear()
        self._changes.clear()
        for block_hash, transactions in kept:
            self._connect(block_hash, transactions)

    def copy(self) -> "MemoryChain":
        """Return a chain of its own with the same blocks."""
        return MemoryChain(self.salt, self.family, list(self.blocks))

    def _connect(self, block_hash: Hash32, transactions: tuple[Transaction, ...]) -> None:
        height = len(self.blocks)
        for tx in transactions:
            owners: list[bytes | None] = []
            for spent in tx.inputs:
                if spent.previous.index != COINBASE_INDEX:
                    owner, amount = self._outputs.pop(spent.previous)
                    self._change(owner, -amount, height)
                    owners.append(owner)
            mark = find_mark(tx, owners, len(self._ordinals), Height(height)) if may_mark(tx) else None
            self._marks += [mark] if mark else []
            self._ordinals.append(tx.raw)
            for index, output in enumerate(tx.outputs):
                address = script_address(output.script)
                if address is not None:
                    self._outputs[OutPoint(tx.txid, index)] = (address, output.amount)
                    self._change(address, output.amount, height)
        self.blocks.append((block_hash, transactions))
        self._counts.append(len(self._ordinals))

    def _change(self, address: bytes, amount: int, height: int) -> None:
        log = self._changes.setdefault(address, [])
        before = log[-1][1] if log else 0
        if log and log[-1][0] == height:
            log.pop()
        log.append((height, before + amount))
