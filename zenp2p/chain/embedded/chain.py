"""The embedded chain: every stored block, the active branch, and the coins at its end.

Answers for: the branch with the most work being active (of equal ones the first seen),
and for the database being whole at every instant: connecting or disconnecting a block
is one atomic batch, and a reorganisation that was cut short is resumed when the chain
is opened. It fulfils `ChainSource`. What makes a block valid is left to `validation`,
who it came from to `sync`, unmined transactions to `mempool`.
Spec: `spec/embedded_chain.md`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from protocol.chain.block import Block, BlockHeader, block_hash, encode_header, parse_block
from protocol.chain.transaction import OutPoint
from protocol.errors import InvalidChainData, NotYetKnown
from protocol.units import Hash32, Height
from zenp2p.chain.embedded.coins import Coin, CoinChanges
from zenp2p.chain.embedded.definition import ChainDefinition
from zenp2p.chain.embedded.records import ChainRecords, HeaderRecord, Writes, child_record, first_record
from zenp2p.chain.embedded.remembered import Remembered
from zenp2p.chain.embedded.validation import (
    check_block,
    check_committed,
    check_header,
    check_time,
    connect_block,
)
from zenp2p.ports import Store, StoreError

VERIFIED_MAX = 20_000
"""Transactions remembered as verified."""
REFUSED_MAX = 1_000
"""Blocks remembered as invalid without being stored."""


class UnknownParent(NotYetKnown):
    """A block on top of one that is not stored: perhaps a good one, but not yet."""


@dataclass(frozen=True, slots=True)
class Change:
    """What adding a block did to the active chain: hashes, in the order in which it happened."""

    disconnected: tuple[Hash32, ...] = ()
    connected: tuple[Hash32, ...] = ()

    def __bool__(self) -> bool:
        """Whether the active chain is another one now."""
        return bool(self.disconnected or self.connected)


class EmbeddedChain:
    """One embedded chain in one store."""

    def __init__(self, definition: ChainDefinition, store: Store) -> None:
        """Open the chain, beginning it in a new store; raises `StoreError` for another chain's store."""
        self.definition = definition
        self._records = ChainRecords(store)
        self.verified = Remembered(VERIFIED_MAX)
        self._refused = Remembered(REFUSED_MAX)
        self._tip = self._open()
        self._unfinished = True
        self._resume()
        self._told = self._tip

    @property
    def first_height(self) -> Height:
        """A whole chain begins at 0."""
        return Height(0)

    @property
    def tip_record(self) -> HeaderRecord:
        """The last block of the active chain."""
        return self._tip

    def tip(self) -> tuple[Height, Hash32]:
        """Return the height and hash of the active chain's last block."""
        return self._tip.height, self._tip.block_hash

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash of the active chain's block at `height`, None outside of it."""
        return self._records.active(height)

    def parent(self, block_hash: Hash32) -> Hash32 | None:
        """Return the hash of the block before a stored one, None for the first."""
        record = self._records.header(block_hash)
        return Hash32(record.header.previous) if record is not None and record.height else None

    def block(self, block_hash: Hash32) -> bytes | None:
        """Return a stored raw block, of whatever branch."""
        return self._records.block(block_hash)

    def record(self, block_hash: bytes) -> HeaderRecord | None:
        """Return where a stored block stands."""
        return self._records.header(block_hash)

    def is_active(self, record: HeaderRecord) -> bool:
        """Whether the block is on the active chain."""
        return self._records.active(record.height) == record.block_hash

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """Return an output that is unspent at the tip."""
        return self._records.coin(outpoint)

    def check_child(self, header: BlockHeader, now: int) -> HeaderRecord:
        """Return the record that a header on top of a stored block would have.

        Raises `UnknownParent`, `InvalidChainData` (also on top of an invalid block), `EarlyBlock`.
        """
        parent = self._records.header(header.previous)
        if parent is None:
            raise UnknownParent(f"block on top of unknown {header.previous[::-1].hex()}")
        return self.check_on(parent, header, now)

    def check_on(self, parent: HeaderRecord, header: BlockHeader, now: int) -> HeaderRecord:
        """As `check_child`, on top of a block that need not be stored."""
        if parent.invalid or block_hash(header) in self._refused:
            raise InvalidChainData("the block, or one before it, is known to be invalid")
        check_header(header, parent.header.time, self.definition)
        check_time(header, now)
        return child_record(parent, header)

    def add_block(self, raw: bytes, now: int) -> Change:
        """Store a block, make its branch active if it has the most work, and say what changed.

        `now` is Unix seconds. Raises `InvalidChainData` (the chain is then as it was),
        `UnknownParent` or `EarlyBlock` when nothing can be said yet.
        """
        block = parse_block(raw, self.definition.rules)
        self._resume()
        if self._records.header(block_hash(block.header)) is None:
            self._add_new(block, now)
        return self._changes()

    def _add_new(self, block: Block, now: int) -> None:
        record = self.check_child(block.header, now)
        check_committed(block)
        try:
            check_block(block, record.height, self.definition)
            if block.header.previous == self._tip.block_hash:
                self._connect(record, block, self._records.put_best(record.block_hash))
                return
        except InvalidChainData:
            self._refused.add(record.block_hash)
            raise
        self._branch(record, block.raw)

    def locator(self) -> tuple[Hash32, ...]:
        """Return hashes from the tip back to the first block: ten in a row, then ever sparser ones."""
        heights, height, step = [], int(self._tip.height), 1
        while height > 0:
            heights.append(height)
            step = step * 2 if len(heights) >= 10 else 1
            height -= step
        found = (self._records.active(at) for at in (*heights, 0))
        return tuple(each for each in found if each is not None)

    def headers_after(self, locator: Sequence[bytes], limit: int) -> list[bytes]:
        """Return raw headers of the active chain after the first hash of `locator` that is on it.

        Where none is, the list is empty: the other side is on another chain.
        """
        known = (self._records.header(each) for each in locator)
        fork = next((record for record in known if record is not None and self.is_active(record)), None)
        found: list[bytes] = []
        height = fork.height + 1 if fork is not None else self._tip.height + 1
        while len(found) < limit and height <= self._tip.height:
            found.append(encode_header(self._at(height).header))
            height += 1
        return found

    def _open(self) -> HeaderRecord:
        genesis = first_record(self.definition.genesis.header)
        tip_hash = self._records.tip()
        if tip_hash is None:
            self._begin(genesis)
            return genesis
        tip = self._records.header(tip_hash)
        if self._records.active(0) != genesis.block_hash or tip is None:
            raise StoreError("the store holds another chain than the genesis file names")
        return tip

    def _begin(self, genesis: HeaderRecord) -> None:
        block = self.definition.genesis
        coins = CoinChanges(self._records)
        coins.apply(block.transactions[0], Height(0))
        writes = self._records.put_block(genesis, block.raw) + self._records.put_best(genesis.block_hash)
        self._records.commit(writes + self._records.put_connected(genesis, []) + self._coin_writes(coins))

    def _resume(self) -> None:
        """Finish a reorganisation that a crash or a failing disk cut short."""
        if not self._unfinished:
            return
        best = self._require(self._records.best() or b"")
        while best != self._tip and best.work >= self._tip.work:
            try:
                self._activate(best)
            except InvalidChainData:
                best = self._most_work()
        self._records.commit(self._records.put_best(self._tip.block_hash))
        self._unfinished = False

    def _most_work(self) -> HeaderRecord:
        """Return the valid stored block with the most work, the tip if none has more."""
        valid = [record for record in self._records.headers() if not record.invalid]
        return max([self._tip, *valid], key=lambda record: record.work)

    def _branch(self, record: HeaderRecord, raw: bytes) -> None:
        """Store a block beside the active chain, and change over if its branch has more work."""
        writes = self._records.put_block(record, raw)
        if record.work <= self._tip.work:
            self._records.commit(writes)
            return
        self._records.commit(writes + self._records.put_best(record.block_hash))
        self._activate(record)

    def _activate(self, target: HeaderRecord) -> None:
        """Make the branch that ends in `target` active; raises `InvalidChainData` with all as it was."""
        path = self._path_from_active(target)
        before = self._tip
        self._unfinished = True
        self._disconnect_to(path[0].header.previous)
        for position, record in enumerate(path):
            try:
                self._connect_stored(record)
            except InvalidChainData:
                self._give_up(path[position:], before)
                raise
        self._unfinished = False

    def _changes(self) -> Change:
        """Return what changed since this was asked last: also what a failing disk kept untold."""
        disconnected: list[Hash32] = []
        record = self._told
        while not self.is_active(record):
            disconnected.append(record.block_hash)
            record = self._require(record.header.previous)
        heights = range(record.height + 1, self._tip.height + 1)
        self._told = self._tip
        return Change(tuple(disconnected), tuple(self._at(height).block_hash for height in heights))

    def _path_from_active(self, target: HeaderRecord) -> list[HeaderRecord]:
        """Return the records after the last active block, up to `target`.

        Raises `InvalidChainData` when one of them is invalid; those after it are marked too.
        """
        path: list[HeaderRecord] = []
        record = target
        while not self.is_active(record):
            path.append(record)
            if record.invalid:
                self._mark_invalid(path)
                raise InvalidChainData("the branch contains an invalid block")
            record = self._require(record.header.previous)
        return path[::-1]

    def _disconnect_to(self, fork: bytes) -> None:
        while self._tip.block_hash != fork:
            self._disconnect()

    def _give_up(self, rest: Sequence[HeaderRecord], before: HeaderRecord) -> None:
        """Mark the rest of a branch invalid and go back to the branch that ends in `before`."""
        self._mark_invalid(rest, best=before.block_hash)
        path = self._path_from_active(before)
        if path:
            self._disconnect_to(path[0].header.previous)
        else:
            self._disconnect_to(before.block_hash)
        for record in path:
            self._connect_stored(record)
        self._unfinished = False

    def _mark_invalid(self, records: Sequence[HeaderRecord], best: Hash32 | None = None) -> None:
        writes: Writes = [] if best is None else self._records.put_best(best)
        for record in records:
            marked = HeaderRecord(record.block_hash, record.header, record.height, record.work, invalid=True)
            writes += self._records.put_header(marked)
        self._records.commit(writes)

    def _connect_stored(self, record: HeaderRecord) -> None:
        raw = self._records.block(record.block_hash)
        if raw is None:
            raise AssertionError(f"stored block {record.block_hash[::-1].hex()} is missing")
        self._connect(record, parse_block(raw, self.definition.rules), [])

    def _connect(self, record: HeaderRecord, block: Block, writes: Writes) -> None:
        coins = CoinChanges(self._records)
        spent = connect_block(block, record.height, coins, self.definition, self.verified)
        if self._records.header(record.block_hash) is None:
            writes += self._records.put_block(record, block.raw)
        self._records.commit(writes + self._records.put_connected(record, spent) + self._coin_writes(coins))
        self._tip = record

    def _disconnect(self) -> None:
        record = self._tip
        raw = self._records.block(record.block_hash) or b""
        first, *rest = parse_block(raw, self.definition.rules).transactions
        coins = CoinChanges(self._records)
        coins.revert((first, *reversed(rest)), self._records.undo(record.block_hash))
        self._records.commit(self._records.put_disconnected(record) + self._coin_writes(coins))
        self._tip = self._require(record.header.previous)

    def _coin_writes(self, coins: CoinChanges) -> Writes:
        writes: Writes = []
        for outpoint, coin in coins.changed.items():
            writes += self._records.put_coin(outpoint, coin)
        return writes

    def _at(self, height: int) -> HeaderRecord:
        return self._require(self._records.active(height) or b"")

    def _require(self, block_hash: bytes) -> HeaderRecord:
        record = self._records.header(block_hash)
        if record is None:
            raise AssertionError(f"stored block {block_hash[::-1].hex()} is missing")
        return record
