"""Transactions that are valid now and not mined yet.

Answers for: what is kept being mineable in the order in which it is kept (parents
first), and for every limit: count, bytes, length of unmined chains, blocks of waiting.
A transaction that spends what another one spends already is refused, whatever it pays:
a payment is replaced by waiting until the first one has expired. When full, what pays
least for its size goes. Signatures and coins are judged by `validation`, relaying is
left to `sync`. Spec: `spec/embedded_chain.md`.
"""

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from protocol.chain.block import parse_block
from protocol.chain.script import ScriptKind, match_template
from protocol.chain.transaction import OutPoint, Transaction, decode_transaction, is_coinbase
from protocol.errors import InvalidChainData
from protocol.units import Hash32, Height, Zatoshi
from zenp2p.chain.embedded.chain import Change, EmbeddedChain
from zenp2p.chain.embedded.coins import Coin
from zenp2p.chain.embedded.validation import (
    check_alone,
    check_covered,
    check_final,
    check_mature,
    check_spending,
)

COUNT_MAX = 5_000
"""Transactions kept."""
BYTES_MAX = 5_000_000
"""Bytes of transactions kept."""
ANCESTORS_MAX = 100
"""Unmined transactions on which one may rest: as many chunks of one payment can wait at once."""
LIFETIME_BLOCKS = 576
"""Blocks that may pass a transaction over before it is forgotten."""


class Refused(InvalidChainData):
    """A transaction that this node does not want now, though nobody broke a rule of the chain."""


@dataclass(frozen=True, slots=True)
class PoolPolicy:
    """What this node keeps; not a rule of the chain."""

    fee_per_kilobyte: int = 0
    count_max: int = COUNT_MAX
    bytes_max: int = BYTES_MAX
    lifetime: int = LIFETIME_BLOCKS


@dataclass(frozen=True, slots=True)
class PoolEntry:
    """One unmined transaction."""

    txid: Hash32
    tx: Transaction
    fee: Zatoshi
    entered: Height
    """Height of the tip when it was accepted first."""

    @property
    def size(self) -> int:
        """Bytes of the transaction."""
        return len(self.tx.raw)

    @property
    def fee_rate(self) -> int:
        """Zatoshi for 1,000 bytes."""
        return self.fee * 1_000 // self.size


class Mempool:
    """The unmined transactions of one node."""

    def __init__(self, chain: EmbeddedChain, policy: PoolPolicy | None = None) -> None:
        self._chain = chain
        self._policy = policy or PoolPolicy()
        self._entries: dict[bytes, PoolEntry] = {}
        self._spenders: dict[OutPoint, bytes] = {}
        self._bytes = 0
        self.version = 0
        """Rises with every change: a block template of an older version is out of date."""

    def __len__(self) -> int:
        """How many transactions are kept."""
        return len(self._entries)

    def __contains__(self, txid: object) -> bool:
        """Whether a transaction is kept."""
        return txid in self._entries

    def __iter__(self) -> Iterator[PoolEntry]:
        """Go through the transactions, each after those it rests on."""
        return iter(tuple(self._entries.values()))

    def get(self, txid: bytes) -> PoolEntry | None:
        """Return a kept transaction."""
        return self._entries.get(txid)

    def spender(self, outpoint: OutPoint) -> Hash32 | None:
        """Return the kept transaction that spends an output."""
        found = self._spenders.get(outpoint)
        return None if found is None else Hash32(found)

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """Return an output that nothing spends yet, neither in a block nor here."""
        return None if outpoint in self._spenders else self._made(outpoint)

    def accept(self, raw: bytes) -> PoolEntry | None:
        """Keep a transaction; return its entry, or None when it is kept already.

        Raises `Refused` for policy, `InvalidChainData` for a broken rule (or an unknown input).
        """
        tx = decode_transaction(raw, self._chain.definition.rules.family)
        check_covered(tx)  # before the id is looked up, which says nothing of a witness
        return None if tx.txid in self._entries else self._accept(tx, self._chain.tip_record.height)

    def apply(self, change: Change) -> None:
        """Follow the chain: drop what was mined, conflicts, and what waited too long; keep what came back."""
        if not change:
            return
        self.version += 1
        if change.disconnected:
            self._rebuild(change)
            return
        for block_hash in change.connected:
            for tx in self._transactions(block_hash):
                self._mined(tx)
        self._expire()

    def select(self, size_max: int) -> list[PoolEntry]:
        """Return what a block of `size_max` bytes should hold: best payers first, parents before children."""
        waiting = {txid: self._parents(entry.tx) for txid, entry in self._entries.items()}
        order = {txid: number for number, txid in enumerate(self._entries)}
        ready = [self._rank(txid, order) for txid, parents in waiting.items() if not parents]
        heapq.heapify(ready)
        chosen: list[PoolEntry] = []
        while ready:
            entry = self._entries[heapq.heappop(ready)[2]]
            if entry.size > size_max:
                continue
            size_max -= entry.size
            chosen.append(entry)
            for child in self._children(entry):
                waiting[child].discard(entry.txid)
                if not waiting[child]:
                    heapq.heappush(ready, self._rank(child, order))
        return chosen

    def _rank(self, txid: bytes, order: dict[bytes, int]) -> tuple[int, int, bytes]:
        return -self._entries[txid].fee_rate, order[txid], txid

    def _accept(self, tx: Transaction, entered: Height) -> PoolEntry:
        definition = self._chain.definition
        check_alone(tx, definition)
        self._check_wanted(tx)
        coins = [self._require(item.previous) for item in tx.inputs]
        self._check_due(tx, coins)
        fee = check_spending(tx, coins, self._chain.verified)
        entry = PoolEntry(tx.txid, tx, fee, entered)
        if entry.fee_rate < self._policy.fee_per_kilobyte:
            raise Refused(
                f"fee of {fee} for {entry.size} bytes is below {self._policy.fee_per_kilobyte} per 1,000"
            )
        if len(self._ancestors(tx)) > ANCESTORS_MAX:
            raise Refused(f"rests on more than {ANCESTORS_MAX} unmined transactions")
        self._make_room(entry)
        self._insert(entry)
        return entry

    def _check_wanted(self, tx: Transaction) -> None:
        """Refuse, before any signature is looked at, what cannot be kept."""
        if is_coinbase(tx):
            raise InvalidChainData("a coinbase stands in a block only")
        for output in tx.outputs:
            if not output.amount and match_template(output.script).kind is not ScriptKind.NULL_DATA:
                raise Refused("an output of nothing")
        for item in tx.inputs:
            if item.previous in self._spenders:
                raise Refused(f"an input is spent already by {self._spenders[item.previous][::-1].hex()}")

    def _check_due(self, tx: Transaction, coins: Sequence[Coin]) -> None:
        """Refuse what the next block could not hold; another node's next block may."""
        tip = self._chain.tip_record
        try:
            check_final(tx, tip.height + 1, tip.header.time)
            for coin in coins:
                check_mature(coin, tip.height + 1, self._chain.definition)
        except InvalidChainData as error:
            raise Refused(str(error)) from None

    def _require(self, outpoint: OutPoint) -> Coin:
        coin = self._made(outpoint)
        if coin is None:
            raise Refused(f"output {outpoint.txid[::-1].hex()}:{outpoint.index} is spent or not known here")
        return coin

    def _made(self, outpoint: OutPoint) -> Coin | None:
        """Return an output that no block has spent: of the chain, or of a kept transaction."""
        parent = self._entries.get(outpoint.txid)
        if parent is None:
            return self._chain.coin(outpoint)
        if outpoint.index >= len(parent.tx.outputs):
            return None
        output = parent.tx.outputs[outpoint.index]
        height = Height(self._chain.tip_record.height + 1)
        return Coin(Zatoshi(output.amount), output.script, height, coinbase=False)

    def _make_room(self, entry: PoolEntry) -> None:
        """Drop what pays less than `entry`, until there is room; raises `Refused` when that is not enough."""
        count, size = len(self._entries) + 1, self._bytes + entry.size
        if count <= self._policy.count_max and size <= self._policy.bytes_max:
            return
        going: dict[bytes, PoolEntry] = {}
        cheapest = iter(sorted(self._entries.values(), key=lambda other: other.fee_rate))
        while count > self._policy.count_max or size > self._policy.bytes_max:
            victim = next(cheapest, None)
            if victim is None or victim.fee_rate >= entry.fee_rate:
                raise Refused("the pool is full, and everything in it pays as much")
            for txid, other in self._with_descendants(victim).items():
                if txid not in going:
                    going[txid] = other
                    count, size = count - 1, size - other.size
        if not self._ancestors(entry.tx).isdisjoint(going):
            raise Refused("the pool is full, and room for it would be made of what it rests on")
        for other in going.values():
            self._forget(other)

    def _insert(self, entry: PoolEntry) -> None:
        self._entries[entry.txid] = entry
        for item in entry.tx.inputs:
            self._spenders[item.previous] = entry.txid
        self._bytes += entry.size
        self.version += 1

    def _remove(self, txid: bytes) -> None:
        """Drop a transaction and everything that rests on it."""
        entry = self._entries.get(txid)
        for other in self._with_descendants(entry).values() if entry is not None else ():
            self._forget(other)

    def _with_descendants(self, entry: PoolEntry) -> dict[bytes, PoolEntry]:
        """Return a kept transaction and all that rest on it, by id."""
        found: dict[bytes, PoolEntry] = {}
        waiting = [entry]
        while waiting:
            other = waiting.pop()
            if other.txid not in found:
                found[other.txid] = other
                waiting += [self._entries[child] for child in self._children(other)]
        return found

    def _forget(self, entry: PoolEntry) -> None:
        del self._entries[entry.txid]
        for item in entry.tx.inputs:
            del self._spenders[item.previous]
        self._bytes -= entry.size
        self.version += 1

    def _mined(self, tx: Transaction) -> None:
        entry = self._entries.get(tx.txid)
        if entry is not None:
            self._forget(entry)
            return
        for item in tx.inputs:
            if item.previous in self._spenders:
                self._remove(self._spenders[item.previous])

    def _rebuild(self, change: Change) -> None:
        """After a reorganisation judge everything anew: what came back first, it is older."""
        kept = list(self._entries.values())
        self._entries.clear()
        self._spenders.clear()
        self._bytes = 0
        height = self._chain.tip_record.height
        back = [tx for block in reversed(change.disconnected) for tx in self._transactions(block)]
        for tx in [tx for tx in back if not is_coinbase(tx)]:
            self._accept_again(tx, height)
        for entry in kept:
            self._accept_again(entry.tx, entry.entered)
        self._expire()

    def _accept_again(self, tx: Transaction, entered: Height) -> None:
        if tx.txid in self._entries:
            return
        try:
            self._accept(tx, entered)
        except InvalidChainData:
            return  # mined on the new branch, in conflict with it, or no longer mature

    def _expire(self) -> None:
        limit = self._chain.tip_record.height - self._policy.lifetime
        for entry in [entry for entry in self._entries.values() if entry.entered < limit]:
            self._remove(entry.txid)

    def _parents(self, tx: Transaction) -> set[bytes]:
        return {item.previous.txid for item in tx.inputs if item.previous.txid in self._entries}

    def _children(self, entry: PoolEntry) -> list[bytes]:
        """Return the kept transactions that spend an output of this one, in order of the outputs."""
        points = (OutPoint(entry.txid, index) for index in range(len(entry.tx.outputs)))
        found = (self._spenders.get(point) for point in points)
        return list(dict.fromkeys(txid for txid in found if txid is not None))

    def _ancestors(self, tx: Transaction) -> set[bytes]:
        """Return the kept transactions on which `tx` rests; stops counting above the limit."""
        found: set[bytes] = set()
        waiting = list(self._parents(tx))
        while waiting and len(found) <= ANCESTORS_MAX:
            txid = waiting.pop()
            if txid not in found:
                found.add(txid)
                waiting += self._parents(self._entries[txid].tx)
        return found

    def _transactions(self, block_hash: Hash32) -> tuple[Transaction, ...]:
        raw = self._chain.block(block_hash)
        if raw is None:
            raise AssertionError(f"stored block {block_hash[::-1].hex()} is missing")
        return parse_block(raw, self._chain.definition.rules).transactions
