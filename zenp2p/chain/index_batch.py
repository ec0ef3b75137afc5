"""What one block does to the index, as one batch of writes.

Answers for: connecting and disconnecting being exact opposites, transaction by
transaction, with nothing kept for undoing beside the index itself: the raw
transactions say what they touched. Reading goes through the writes that are
pending. Key formats are `index_records`', lookups `index`'s. Spec: `spec/index.md`.
"""

from dataclasses import dataclass, replace

from protocol.chain.mark import find_mark, may_mark
from protocol.chain.script import address_script, script_address
from protocol.chain.transaction import OutPoint, Transaction, is_coinbase
from protocol.errors import InvalidChainData
from protocol.units import Height, Zatoshi
from zenp2p.chain.announcement_records import (
    decode_sighting,
    may_announce,
    sight,
    sighting_key,
    sighting_writes,
)
from zenp2p.chain.index_records import (
    Account,
    Change,
    IndexedOutput,
    Place,
    Spender,
    account_key,
    change_key,
    decode_account,
    decode_change,
    decode_output_entry,
    encode_account,
    encode_change,
    encode_output_entry,
    encode_place,
    id_key,
    ordinal_key,
    output_key,
    unspent_key,
)
from zenp2p.chain.mark_records import encode_mark, mark_key
from zenp2p.ports import Store

_NO_ACCOUNT = Account(0, Zatoshi(0), Height(0), Zatoshi(0), 0)


@dataclass(slots=True)
class _Move:
    """What one transaction does to one address: outputs received and spent, and what they hold."""

    received: int = 0
    spent: int = 0
    outputs: int = 0

    def receive(self, amount: int) -> None:
        self.received += amount
        self.outputs += 1

    def spend(self, amount: int) -> None:
        self.spent += amount
        self.outputs -= 1


def _move(moves: dict[bytes, _Move], address: bytes) -> _Move:
    move = moves.get(address)
    if move is None:
        move = moves[address] = _Move()
    return move


class IndexBatch:
    """Pending writes on top of a store."""

    def __init__(self, store: Store, *, partial: bool) -> None:
        """With `partial` the chain's beginning is missing, and outputs made there are not known."""
        self._store = store
        self._partial = partial
        self._writes: dict[bytes, bytes | None] = {}

    def writes(self) -> list[tuple[bytes, bytes | None]]:
        """Return the batch."""
        return list(self._writes.items())

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write a record, or delete it."""
        self._writes[key] = value

    def add(self, tx: Transaction, ordinal: int, height: Height, *, coins: bool = True) -> None:
        """Index one transaction; raises `InvalidChainData` when it cannot stand there.

        Without `coins` it is kept, but what it pays is nobody's.
        """
        txid = tx.txid
        if self._get(id_key(txid)) is not None:
            raise InvalidChainData(f"transaction {txid[::-1].hex()} stands in the chain twice")
        moves: dict[bytes, _Move] = {}
        coinbase = is_coinbase(tx)
        for position, item in enumerate(() if coinbase else tx.inputs):
            self._spend(item.previous, Spender(ordinal, position), moves)
        for index, output in enumerate(tx.outputs if coins else ()):
            address = script_address(output.script)
            plain = address is not None and address_script(address) == output.script
            made = IndexedOutput(Zatoshi(output.amount), address, height, coinbase, plain)
            self._put_output(OutPoint(txid, index), made)
            if address is not None:
                _move(moves, address).receive(output.amount)
        for address, move in moves.items():
            self._change(address, move, ordinal, height)
        if coins and may_announce(tx):
            self._add_announcement(tx, ordinal, height)
        if coins and may_mark(tx):
            self._add_mark(tx, ordinal, height)
        self.put(id_key(txid), encode_place(Place(ordinal, height)))
        self.put(ordinal_key(ordinal), txid + tx.raw)

    def remove(self, tx: Transaction, ordinal: int) -> None:
        """Take the last transaction back."""
        txid = tx.txid
        moves: dict[bytes, _Move] = {}
        for index in range(len(tx.outputs)):
            self._drop_output(OutPoint(txid, index), moves)
        for item in () if is_coinbase(tx) else tx.inputs:
            self._unspend(item.previous, moves)
        for address, move in moves.items():
            self._unchange(address, move)
        if may_announce(tx):
            self._remove_announcement(ordinal)
        if may_mark(tx):
            self.put(mark_key(ordinal), None)
        self.put(id_key(txid), None)
        self.put(ordinal_key(ordinal), None)

    def _add_announcement(self, tx: Transaction, ordinal: int, height: Height) -> None:
        sighting = sight(tx, self._spent_addresses(tx), ordinal, height)
        for key, value in sighting_writes(sighting) if sighting else ():
            self.put(key, value)

    def _remove_announcement(self, ordinal: int) -> None:
        data = self._get(sighting_key(ordinal))
        for key, _ in sighting_writes(decode_sighting(ordinal, data)) if data else ():
            self.put(key, None)

    def _add_mark(self, tx: Transaction, ordinal: int, height: Height) -> None:
        mark = find_mark(tx, self._spent_addresses(tx), ordinal, height)
        if mark is not None:
            self.put(mark_key(ordinal), encode_mark(mark))

    def _spent_addresses(self, tx: Transaction) -> list[bytes | None]:
        spent = [self._output(item.previous) for item in tx.inputs]
        return [output.address if output else None for output in spent]

    def _get(self, key: bytes) -> bytes | None:
        if key in self._writes:
            return self._writes[key]
        return self._store.get(key)

    def _output(self, outpoint: OutPoint) -> IndexedOutput | None:
        data = self._get(output_key(outpoint))
        return None if data is None else decode_output_entry(data)

    def _put_output(self, outpoint: OutPoint, output: IndexedOutput) -> None:
        self.put(output_key(outpoint), encode_output_entry(output))
        if output.address is not None:
            spent = output.spender is not None
            self.put(unspent_key(output.address, outpoint), None if spent else b"")

    def _spend(self, outpoint: OutPoint, spender: Spender, moves: dict[bytes, _Move]) -> None:
        output = self._output(outpoint)
        if output is None and self._partial:
            return
        if output is None or output.spender is not None:
            shown = f"{outpoint.txid[::-1].hex()}:{outpoint.index}"
            raise InvalidChainData(f"output {shown} is {'spent twice' if output else 'not on the chain'}")
        self._put_output(outpoint, replace(output, spender=spender))
        if output.address is not None:
            _move(moves, output.address).spend(output.amount)

    def _unspend(self, outpoint: OutPoint, moves: dict[bytes, _Move]) -> None:
        output = self._output(outpoint)
        if output is None:
            return  # made before a partial chain begins
        self._put_output(outpoint, replace(output, spender=None))
        if output.address is not None:
            _move(moves, output.address).spend(output.amount)

    def _drop_output(self, outpoint: OutPoint, moves: dict[bytes, _Move]) -> None:
        output = self._output(outpoint)
        self.put(output_key(outpoint), None)
        if output is not None and output.address is not None:
            self.put(unspent_key(output.address, outpoint), None)
            _move(moves, output.address).receive(output.amount)

    def _account(self, address: bytes) -> Account:
        data = self._get(account_key(address))
        return _NO_ACCOUNT if data is None else decode_account(data)

    def _change(self, address: bytes, move: _Move, ordinal: int, height: Height) -> None:
        """Append to the address's log."""
        before = self._account(address)
        balance = Zatoshi(before.balance + move.received - move.spent)
        received = Zatoshi(before.received + move.received)
        after = Account(before.changes + 1, balance, height, received, before.unspent + move.outputs)
        self.put(change_key(address, before.changes), encode_change(Change(height, ordinal, balance)))
        self.put(account_key(address), encode_account(after))

    def _unchange(self, address: bytes, move: _Move) -> None:
        """Take the last entry off the address's log; `move` is what the transaction had done."""
        account = self._account(address)
        left = account.changes - 1
        self.put(change_key(address, left), None)
        if left == 0:
            self.put(account_key(address), None)
            return
        data = self._get(change_key(address, left - 1))
        if data is None:
            raise AssertionError(f"change {left - 1} of address {address.hex()} is missing")
        last = decode_change(data)
        received = Zatoshi(account.received - move.received)
        before = Account(left, last.balance, last.height, received, account.unspent - move.outputs)
        self.put(account_key(address), encode_account(before))
