"""The index of the active chain: what the rules ask a chain, and what wallets ask it.

Answers for: `ChainView` from the node's own database, without scanning, at a cost that
does not grow with the chain beyond a logarithm; and for surviving everything: a block
is connected or disconnected in one atomic batch, which also numbers the event. The
index checks nothing but that the blocks fit together: it follows a chain that is
valid already. Which block comes next is left to `follower`. Spec: `spec/index.md`.
"""

from dataclasses import dataclass
from itertools import islice

from protocol.chain.block import BlockHeader, parse_block
from protocol.chain.mark import Mark
from protocol.chain.rules import ChainFamily, ChainRules
from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.errors import InvalidChainData
from protocol.units import Hash32, Height, Zatoshi
from zenp2p.chain.announcements import Announcements
from zenp2p.chain.index_batch import IndexBatch
from zenp2p.chain.index_format import encode_format, remove_older_format
from zenp2p.chain.index_records import (
    CHANGE_KEY,
    FORMAT_KEY,
    HEAD_KEY,
    ORDINAL_KEY,
    OUTPUT_KEY,
    TXID_SIZE,
    UNSPENT_KEY,
    Account,
    Change,
    Head,
    IndexedOutput,
    Spender,
    account_key,
    block_key,
    change_key,
    decode_account,
    decode_block_entry,
    decode_change,
    decode_event,
    decode_head,
    decode_header_entry,
    decode_height,
    decode_output_entry,
    decode_place,
    decode_spender,
    encode_block_entry,
    encode_event,
    encode_head,
    encode_header_entry,
    encode_height,
    event_key,
    hash_key,
    header_key,
    id_key,
    output_key,
    read_unspent_key,
    unspent_key,
)
from zenp2p.chain.mark_records import MARK_KEY, decode_mark, mark_key, read_mark_key
from zenp2p.chain.source import ChainEvent, Connected, Disconnected
from zenp2p.ports import Store, StoreError

ANSWERS_MAX = 1_000
"""Entries in one answer about an address; more are asked for in pages."""
EVENTS_MAX = 1_000
"""Events in one answer."""


@dataclass(frozen=True, slots=True)
class IndexedTransaction:
    """A mined transaction: its number, its block's height, its bytes."""

    ordinal: int
    height: Height
    raw: bytes


@dataclass(frozen=True, slots=True)
class Spending:
    """The input that spends an output."""

    txid: Hash32
    input_index: int
    height: Height


@dataclass(frozen=True, slots=True)
class Unspent:
    """An output that nothing on the chain spends."""

    outpoint: OutPoint
    output: IndexedOutput


class ChainIndex:
    """The index of one chain in one store. Fulfils `protocol.chain.view.ChainView`."""

    def __init__(
        self,
        store: Store,
        rules: ChainRules,
        first_height: int = 0,
        *,
        partial: bool = False,
        first_coins: bool = True,
    ) -> None:
        """Open the index; raises `StoreError` when it was made of another part of a chain.

        Of a `partial` chain the beginning is missing, as it is above a `first_height` of 0: its
        transactions are numbered from there, and its balances leave out what was made before.
        Without `first_coins` nobody owns what block 0 pays: real chains let nobody spend it.
        An index of an older format is removed: it is built anew by following the chain.
        """
        self._store = store
        self._rules = rules
        self._first_height = first_height
        self._partial = partial or first_height > 0
        self._first_coins = first_coins
        self.announcements = Announcements(store)
        """What new nodes said on the active chain."""
        remove_older_format(store)
        data = store.get(HEAD_KEY)
        self._head = None if data is None else decode_head(data)
        if self._head is not None and store.get(block_key(first_height)) is None:
            raise StoreError(f"the index in the store does not begin at height {first_height}")

    @property
    def family(self) -> ChainFamily:
        """How the chain's transactions are laid out."""
        return self._rules.family

    @property
    def head(self) -> Head | None:
        """The last indexed block, None as long as there is none."""
        return self._head

    @property
    def first_height(self) -> Height:
        """The lowest height of the index."""
        return Height(self._first_height)

    def tip(self) -> tuple[Height, Hash32]:
        """Return the height and hash of the last block; raises `IndexError` for an empty index."""
        if self._head is None:
            raise IndexError("nothing is indexed yet")
        return self._head.height, self._head.block_hash

    def height_of(self, block_hash: bytes) -> Height | None:
        """Return where a block stands on the active chain, None when it does not."""
        data = self._store.get(hash_key(block_hash))
        return None if data is None else decode_height(data)

    def header(self, height: int) -> tuple[int, BlockHeader]:
        """Return the size in bytes and the header of a block; raises `IndexError` off the chain.

        The solution, where headers have one, is left out.
        """
        data = self._store.get(header_key(height)) if height >= 0 else None
        if data is None:
            raise IndexError(f"no block {height}")
        return decode_header_entry(data, self._rules.header_layout)

    def block_ordinals(self, height: int) -> range:
        """Return the numbers of a block's transactions; raises `IndexError` off the chain."""
        if height < self._first_height:
            raise IndexError(f"no block {height}")
        return range(self.transaction_count(height - 1), self.transaction_count(height))

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash of the block at `height`, None outside of the index."""
        data = self._store.get(block_key(height)) if height >= 0 else None
        return None if data is None else decode_block_entry(data)[0]

    def transaction_count(self, height: int) -> int:
        """Return the transactions up to `height`; raises `IndexError` above the tip."""
        if height < self._first_height:
            return 0
        data = self._store.get(block_key(height))
        if data is None:
            raise IndexError(f"no block {height}")
        return decode_block_entry(data)[1]

    def transaction(self, ordinal: int) -> bytes:
        """Return the raw transaction with this number; raises `IndexError`."""
        return self._mined(ordinal)[TXID_SIZE:]

    def transaction_id(self, ordinal: int) -> Hash32:
        """Return the id of the transaction with this number; raises `IndexError`."""
        return Hash32(self._mined(ordinal)[:TXID_SIZE])

    def balance(self, address: bytes, height: int) -> Zatoshi:
        """Return what an address holds at the end of block `height`; raises `IndexError` off the chain."""
        if self._head is None or not self._first_height <= height <= self._head.height:
            raise IndexError(f"no block {height}")
        account = self.account(address)
        if account is None:
            return Zatoshi(0)
        if account.last_height <= height:
            return account.balance
        before = self._changes_until(address, account.changes, height)
        return self._change(address, before - 1).balance if before else Zatoshi(0)

    def marks(self, first: int, last: int) -> tuple[Mark, ...]:
        """Return the marks in the blocks `first` to `last`, in the chain's order; a read for each."""
        if self._head is None or last < first:
            return ()
        start = self.transaction_count(first - 1) if first <= self._head.height else self._head.transactions
        end = self.transaction_count(min(last, self._head.height))
        found: list[Mark] = []
        for key, data in self._store.iterate(MARK_KEY, mark_key(start - 1) if start else b""):
            ordinal = read_mark_key(key)
            if ordinal >= end:
                break
            found.append(decode_mark(ordinal, data))
        return tuple(found)

    def transaction_by_id(self, txid: bytes) -> IndexedTransaction | None:
        """Return a mined transaction by its id in computed order."""
        data = self._store.get(id_key(txid))
        if data is None:
            return None
        place = decode_place(data)
        return IndexedTransaction(place.ordinal, place.height, self.transaction(place.ordinal))

    def output(self, outpoint: OutPoint) -> IndexedOutput | None:
        """Return an output of a mined transaction, spent or not."""
        data = self._store.get(output_key(outpoint))
        return None if data is None else decode_output_entry(data)

    def spent_by(self, txid: bytes, index: int) -> Spender | None:
        """Return the number of the mined transaction that spends an output, and which of its inputs does."""
        data = self._store.get(OUTPUT_KEY + txid + index.to_bytes(4, "big"))
        return None if data is None else decode_spender(data)

    def spender(self, outpoint: OutPoint) -> Spending | None:
        """Return the mined input that spends an output."""
        output = self.output(outpoint)
        if output is None or output.spender is None:
            return None
        txid = self.transaction_id(output.spender.ordinal)
        place = decode_place(self._store.get(id_key(txid)) or b"")
        return Spending(txid, output.spender.input_index, place.height)

    def account(self, address: bytes) -> Account | None:
        """Return how often an address changed, and its balance now; None when it never did."""
        data = self._store.get(account_key(address))
        return None if data is None else decode_account(data)

    def first_change(self, address: bytes) -> Change | None:
        """Return what first touched an address, None when nothing ever did."""
        data = self._store.get(change_key(address, 0))
        return None if data is None else decode_change(data)

    def history(self, address: bytes, first: int = 0, limit: int = ANSWERS_MAX) -> tuple[Change, ...]:
        """Return an address's changes from number `first` on, oldest first."""
        before = change_key(address, first - 1) if first > 0 else b""
        records = self._store.iterate(CHANGE_KEY + address, before)
        return tuple(decode_change(data) for _, data in islice(records, min(limit, ANSWERS_MAX)))

    def unspent(
        self, address: bytes, limit: int = ANSWERS_MAX, after: OutPoint | None = None
    ) -> tuple[Unspent, ...]:
        """Return unspent outputs of an address, in order of their outpoints; at most `limit`.

        With `after` only those behind it, which itself may be spent by now: the next page.
        """
        found: list[Unspent] = []
        cursor = unspent_key(address, after) if after is not None else b""
        for key, _ in self._store.iterate(UNSPENT_KEY + address, cursor):
            if len(found) >= min(limit, ANSWERS_MAX):
                break
            outpoint = read_unspent_key(key)
            output = self.output(outpoint)
            if output is None:
                raise AssertionError(f"unspent output {key.hex()} has no record")
            found.append(Unspent(outpoint, output))
        return tuple(found)

    def events_from(self, number: int, limit: int = EVENTS_MAX) -> tuple[ChainEvent, ...]:
        """Return the events from `number` on, oldest first."""
        end = min(self._head.events if self._head is not None else 0, number + limit)
        return tuple(self._event(each) for each in range(number, end))

    def connect(self, block_hash: Hash32, raw: bytes) -> Connected:
        """Index the next block. Raises `InvalidChainData` when it does not fit onto what is indexed."""
        head = self._head
        height = Height(self._first_height if head is None else head.height + 1)
        count, number = (0, 0) if head is None else (head.transactions, head.events)
        batch = IndexBatch(self._store, partial=self._partial)
        block = parse_block(raw, self._rules)
        for tx in block.entries:
            batch.add(tx, count, height, coins=height > 0 or self._first_coins)
            count += 1
        event = Connected(number, height, block_hash)
        batch.put(block_key(height), encode_block_entry(block_hash, count))
        batch.put(hash_key(block_hash), encode_height(height))
        batch.put(header_key(height), encode_header_entry(len(raw), block.header))
        batch.put(FORMAT_KEY, encode_format())
        self._commit(batch, event, Head(height, block_hash, count, number + 1))
        return event

    def disconnect(self) -> Disconnected:
        """Take the last block back; the first one stays, which raises `InvalidChainData`."""
        head = self._head
        if head is None or head.height <= self._first_height:
            raise InvalidChainData("the chain is another one from its first block on")
        below = Height(head.height - 1)
        previous, count = decode_block_entry(self._store.get(block_key(below)) or b"")
        batch = IndexBatch(self._store, partial=self._partial)
        for ordinal in range(head.transactions - 1, count - 1, -1):
            batch.remove(decode_transaction(self.transaction(ordinal), self.family), ordinal)
        event = Disconnected(head.events, head.height, head.block_hash)
        for key in (block_key(head.height), hash_key(head.block_hash), header_key(head.height)):
            batch.put(key, None)
        self._commit(batch, event, Head(below, previous, count, head.events + 1))
        return event

    def _commit(self, batch: IndexBatch, event: ChainEvent, head: Head) -> None:
        batch.put(event_key(event.number), encode_event(event))
        batch.put(HEAD_KEY, encode_head(head))
        self._store.write(batch.writes(), sync=False)
        self._head = head

    def _mined(self, ordinal: int) -> bytes:
        data = self._store.get(ORDINAL_KEY + ordinal.to_bytes(8, "big"))
        if data is None:
            raise IndexError(f"no transaction {ordinal}")
        return data

    def _changes_until(self, address: bytes, changes: int, height: int) -> int:
        """Return how many of an address's changes stand at or below `height`: a binary search."""
        low, high = 0, changes
        while low < high:
            middle = (low + high) // 2
            if self._change(address, middle).height <= height:
                low = middle + 1
            else:
                high = middle
        return low

    def _change(self, address: bytes, number: int) -> Change:
        data = self._store.get(change_key(address, number))
        if data is None:
            raise AssertionError(f"change {number} of address {address.hex()} is missing")
        return decode_change(data)

    def _event(self, number: int) -> ChainEvent:
        data = self._store.get(event_key(number))
        if data is None:
            raise AssertionError(f"event {number} is missing")
        return decode_event(number, data)
