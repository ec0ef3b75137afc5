"""How the embedded chain lies in the node's database.

Answers for: the key of every record, its bytes, and reading them back. Which records
belong into one atomic batch is decided by `chain`. All keys begin with `CHAIN_PREFIX`;
numbers in keys are big-endian. Spec: `spec/embedded_chain.md`.
"""

from dataclasses import dataclass

from protocol.chain.block import BlockHeader, block_hash, block_work, decode_header, encode_header
from protocol.chain.rules import HeaderLayout
from protocol.chain.transaction import OutPoint
from protocol.units import Hash32, Height
from zenp2p.chain.embedded.coins import Coin, decode_coin, decode_undo, encode_coin, encode_undo, outpoint_key
from zenp2p.ports import Store

CHAIN_PREFIX = b"c"
HEADERS_CACHED_MAX = 5_000
"""Header records kept in memory; beyond it the oldest are read from the store again."""

_HEADER, _BLOCK, _ACTIVE, _UNDO, _COIN = (CHAIN_PREFIX + letter for letter in (b"h", b"b", b"a", b"u", b"o"))
_TIP, _BEST = CHAIN_PREFIX + b"T", CHAIN_PREFIX + b"B"
_HEADER_SIZE = 80

Writes = list[tuple[bytes, bytes | None]]


@dataclass(frozen=True, slots=True)
class HeaderRecord:
    """A block that is stored, and where it stands in the tree of blocks."""

    block_hash: Hash32
    header: BlockHeader
    height: Height
    work: int
    """Hashes that the branch up to and with this block takes on average."""
    invalid: bool = False
    """Whether this block, or one before it, broke a rule when it was connected."""


def first_record(header: BlockHeader) -> HeaderRecord:
    """Return the record of the chain's first block."""
    return HeaderRecord(block_hash(header), header, Height(0), block_work(header.bits))


def child_record(parent: HeaderRecord, header: BlockHeader) -> HeaderRecord:
    """Return the record of a block on top of `parent`."""
    work = parent.work + block_work(header.bits)
    return HeaderRecord(block_hash(header), header, Height(parent.height + 1), work)


class ChainRecords:
    """Reads the chain's records, and turns what is to be written into (key, value) pairs."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._headers: dict[bytes, HeaderRecord] = {}

    def header(self, block_hash: bytes) -> HeaderRecord | None:
        """Return the record of a stored block."""
        cached = self._headers.get(block_hash)
        if cached is not None:
            return cached
        data = self._store.get(_HEADER + block_hash)
        if data is None:
            return None
        record = _decode_header_record(Hash32(block_hash), data)
        if len(self._headers) >= HEADERS_CACHED_MAX:
            del self._headers[next(iter(self._headers))]
        self._headers[record.block_hash] = record
        return record

    def headers(self) -> list[HeaderRecord]:
        """Return every stored block's record: for repairs only, it reads them all."""
        found = self._store.iterate(_HEADER)
        return [_decode_header_record(Hash32(key[len(_HEADER) :]), data) for key, data in found]

    def block(self, block_hash: bytes) -> bytes | None:
        """Return a stored raw block."""
        return self._store.get(_BLOCK + block_hash)

    def active(self, height: int) -> Hash32 | None:
        """Return the hash of the active chain's block at a height."""
        found = self._store.get(_ACTIVE + height.to_bytes(4, "big")) if height >= 0 else None
        return None if found is None else Hash32(found)

    def undo(self, block_hash: bytes) -> tuple[Coin, ...]:
        """Return the coins that an active block spent."""
        data = self._store.get(_UNDO + block_hash)
        if data is None:
            raise AssertionError(f"active block {block_hash[::-1].hex()} has no undo record")
        return decode_undo(data)

    def coin(self, outpoint: OutPoint) -> Coin | None:
        """Return an unspent output of the active chain."""
        data = self._store.get(_COIN + outpoint_key(outpoint))
        return None if data is None else decode_coin(data)

    def tip(self) -> Hash32 | None:
        """Return the hash of the active chain's last block, None in a new database."""
        found = self._store.get(_TIP)
        return None if found is None else Hash32(found)

    def best(self) -> Hash32 | None:
        """Return the stored block with the most work among those not known to be invalid."""
        found = self._store.get(_BEST)
        return None if found is None else Hash32(found)

    def commit(self, writes: Writes) -> None:
        """Write one batch. It is not synced: a later synced batch of the node covers it too."""
        self._store.write(writes, sync=False)

    def put_header(self, record: HeaderRecord) -> Writes:
        """Write a block's record."""
        self._headers.pop(record.block_hash, None)
        place = record.height.to_bytes(4, "big") + record.work.to_bytes(32, "big")
        return [
            (_HEADER + record.block_hash, encode_header(record.header) + place + bytes((record.invalid,)))
        ]

    def put_block(self, record: HeaderRecord, raw: bytes) -> Writes:
        """Write a block and its record."""
        return [*self.put_header(record), (_BLOCK + record.block_hash, raw)]

    def put_best(self, block_hash: Hash32) -> Writes:
        """Write which stored block has the most work."""
        return [(_BEST, block_hash)]

    def put_connected(self, record: HeaderRecord, spent: list[Coin]) -> Writes:
        """Make a block the active tip."""
        return [
            (_TIP, record.block_hash),
            (_ACTIVE + record.height.to_bytes(4, "big"), record.block_hash),
            (_UNDO + record.block_hash, encode_undo(spent)),
        ]

    def put_disconnected(self, record: HeaderRecord) -> Writes:
        """Make the parent of the active tip the tip."""
        return [
            (_TIP, record.header.previous),
            (_ACTIVE + record.height.to_bytes(4, "big"), None),
            (_UNDO + record.block_hash, None),
        ]

    def put_coin(self, outpoint: OutPoint, coin: Coin | None) -> Writes:
        """Write an unspent output, or take it away."""
        return [(_COIN + outpoint_key(outpoint), None if coin is None else encode_coin(coin))]


def _decode_header_record(block_hash: Hash32, data: bytes) -> HeaderRecord:
    header = decode_header(data[:_HEADER_SIZE], HeaderLayout.BITCOIN)
    height, work = int.from_bytes(data[80:84], "big"), int.from_bytes(data[84:116], "big")
    return HeaderRecord(block_hash, header, Height(height), work, bool(data[116]))
