"""What one block does to the index, as one batch of writes.

Answers for: connecting and disconnecting being exact opposites, transaction by
transaction, with nothing kept for undoing beside the index itself: the raw
transactions say what they touched. Reading goes through the writes that are
pending. Key formats are `index_records`', lookups `index`'s. Spec: `spec/index.md`.
"""

from protocol.chain.script import script_address
from protocol.chain.transaction import OutPoint, Transaction, is_coinbase
from protocol.errors import InvalidChainData
from protocol.units import Height, Zatoshi
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
from zenp2p.ports import Store

_NO_ACCOUNT = Account(0, Zatoshi(0), Height(0))


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

    def add(self, tx: Transaction, ordinal: int, height: Height) -> None:
        """Index one transaction; raises `InvalidChainData` when it cannot stand there."""
        txid = tx.txid
        if self._get(id_key(txid)) is not None:
            raise InvalidChainData(f"transaction {txid[::-1].hex()} stands in the chain twice")
        changes: dict[bytes, int] = {}
        coinbase = is_coinbase(tx)
        for position, item in enumerate(() if coinbase else tx.inputs):
            self._spend(item.previous, Spender(ordinal, position), changes)
        for index, output in enumerate(tx.outputs):
            address = script_address(output.script)
            made = IndexedOutput(Zatoshi(output.amount), address, height, coinbase)
            self._put_output(OutPoint(txid, index), made)
            if address is not None:
                changes[address] = changes.get(address, 0) + output.amount
        for address, amount in changes.items():
            self._change(address, amount, ordinal, height)
        self.put(id_key(txid), encode_place(Place(ordinal, height)))
        self.put(ordinal_key(ordinal), tx.raw)

    def remove(self, tx: Transaction, ordinal: int) -> None:
        """Take the last transaction back."""
        txid = tx.txid
        touched: dict[bytes, None] = {}
        for index in range(len(tx.outputs)):
            self._drop_output(OutPoint(txid, index), touched)
        for item in () if is_coinbase(tx) else tx.inputs:
            self._unspend(item.previous, touched)
        for address in touched:
            self._unchange(address)
        self.put(id_key(txid), None)
        self.put(ordinal_key(ordinal), None)

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

    def _spend(self, outpoint: OutPoint, spender: Spender, changes: dict[bytes, int]) -> None:
        output = self._output(outpoint)
        if output is None and self._partial:
            return
        if output is None or output.spender is not None:
            shown = f"{outpoint.txid[::-1].hex()}:{outpoint.index}"
            raise InvalidChainData(f"output {shown} is {'spent twice' if output else 'not on the chain'}")
        spent = IndexedOutput(output.amount, output.address, output.height, output.coinbase, spender)
        self._put_output(outpoint, spent)
        if output.address is not None:
            changes[output.address] = changes.get(output.address, 0) - output.amount

    def _unspend(self, outpoint: OutPoint, touched: dict[bytes, None]) -> None:
        output = self._output(outpoint)
        if output is None:
            return  # made before a partial chain begins
        self._put_output(
            outpoint, IndexedOutput(output.amount, output.address, output.height, output.coinbase)
        )
        if output.address is not None:
            touched[output.address] = None

    def _drop_output(self, outpoint: OutPoint, touched: dict[bytes, None]) -> None:
        output = self._output(outpoint)
        self.put(output_key(outpoint), None)
        if output is not None and output.address is not None:
            self.put(unspent_key(output.address, outpoint), None)
            touched[output.address] = None

    def _account(self, address: bytes) -> Account:
        data = self._get(account_key(address))
        return _NO_ACCOUNT if data is None else decode_account(data)

    def _change(self, address: bytes, amount: int, ordinal: int, height: Height) -> None:
        """Append to the address's log."""
        account = self._account(address)
        balance = Zatoshi(account.balance + amount)
        change = Change(height, ordinal, balance)
        self.put(change_key(address, account.changes), encode_change(change))
        self.put(account_key(address), encode_account(Account(account.changes + 1, balance, height)))

    def _unchange(self, address: bytes) -> None:
        """Take the last entry off the address's log."""
        left = self._account(address).changes - 1
        self.put(change_key(address, left), None)
        if left == 0:
            self.put(account_key(address), None)
            return
        data = self._get(change_key(address, left - 1))
        if data is None:
            raise AssertionError(f"change {left - 1} of address {address.hex()} is missing")
        last = decode_change(data)
        self.put(account_key(address), encode_account(Account(left, last.balance, last.height)))
