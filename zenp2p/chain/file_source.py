"""A chain read from a file of raw blocks, one in hexadecimal on each line (also gzipped).

Answers for: a file being enough of a chain to be indexed and to derive a challenge
from. It takes the file's order for the chain's, and says where blocks do not link or
do not match their Merkle root, rather than refusing: made-up test chains do neither.
It proves nothing: whether these are blocks of the real chain the file cannot tell.
Spec: `spec/index.md`.
"""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, cast

from protocol.chain.block import Block, block_hash, check_merkle_root, coinbase_height, parse_block
from protocol.chain.mark import Mark
from protocol.chain.rules import ChainFamily, ChainRules
from protocol.chain.script import script_address
from protocol.chain.transaction import OutPoint, decode_transaction
from protocol.errors import InvalidChainData
from protocol.units import Hash32, Height, Zatoshi
from zenp2p.chain.blockfiles.hex_lines import TOO_LONG, hex_lines
from zenp2p.chain.known_chains import recognise_chain

FILE_BYTES_MAX = 1 << 28
"""Bytes of all blocks together."""
BLOCK_BYTES_MAX = 4_000_000
"""Bytes of the largest block of any known chain."""
_GZIP_MAGIC = b"\x1f\x8b"


def read_blocks(path: Path) -> list[bytes]:
    """Return the file's raw blocks. Raises `OSError`, and `InvalidChainData` naming the line."""
    with path.open("rb") as file:
        magic = file.read(len(_GZIP_MAGIC))
        file.seek(0)
        if magic != _GZIP_MAGIC:
            return _blocks(file)
        try:
            with gzip.open(file) as unpacked:
                return _blocks(cast(BinaryIO, unpacked))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InvalidChainData(f"{path} cannot be unpacked: {error}") from None


def _blocks(file: BinaryIO) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    for line in hex_lines(file, BLOCK_BYTES_MAX):
        if line.raw is None:
            long = f"holds more than a block of {BLOCK_BYTES_MAX} bytes"
            reason = long if line.reason == TOO_LONG else "is not a block in hexadecimal"
            raise InvalidChainData(f"line {line.number} {reason}")
        found.append(line.raw)
        size += len(line.raw)
        if size > FILE_BYTES_MAX:
            raise InvalidChainData(f"more than {FILE_BYTES_MAX} bytes of blocks")
    return found


class FileSource:
    """The blocks of a file as a chain. Fulfils `zenp2p.chain.source.ChainSource`."""

    def __init__(
        self, raw_blocks: Sequence[bytes], rules: ChainRules | None = None, first_height: int | None = None
    ) -> None:
        """Read the blocks under `rules`, or those that fit; raises `InvalidChainData`.

        Heights come from the coinbases, which must count up by one, unless `first_height` is given.
        """
        if not raw_blocks:
            raise InvalidChainData("the file holds no block")
        self.rules = rules if rules is not None else recognise_chain(raw_blocks)
        self._raw = list(raw_blocks)
        self._hashes: list[Hash32] = []
        unlinked, mismatched = self._read(first_height)
        self._position = {each: position for position, each in enumerate(self._hashes)}
        if len(self._position) != len(self._raw):
            raise InvalidChainData("a block stands in the file twice")
        self.unlinked = tuple(Height(self._first + position) for position in unlinked)
        """Heights of the blocks that do not name the block before them."""
        self.mismatched = tuple(Height(self._first + position) for position in mismatched)
        """Heights of the blocks whose header does not commit to their transactions."""

    def _read(self, first_height: int | None) -> tuple[list[int], list[int]]:
        """Take hashes and heights from the blocks, one at a time; return the positions of odd ones."""
        unlinked, mismatched = [], []
        for position, raw in enumerate(self._raw):
            block = parse_block(raw, self.rules)
            if position == 0:
                self._first = coinbase_height(block) if first_height is None else Height(first_height)
            elif block.header.previous != self._hashes[-1]:
                unlinked.append(position)
            if first_height is None:
                _check_height(block, position, self._first + position)
            if not _has_its_merkle_root(block):
                mismatched.append(position)
            self._hashes.append(block_hash(block.header))
        return unlinked, mismatched

    @property
    def first_height(self) -> Height:
        """The height of the file's first block."""
        return self._first

    def tip(self) -> tuple[Height, Hash32]:
        """Return the height and hash of the file's last block."""
        return Height(self._first + len(self._raw) - 1), self._hashes[-1]

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash of the block at `height`, None outside of the file."""
        position = height - self._first
        return self._hashes[position] if 0 <= position < len(self._hashes) else None

    def parent(self, block_hash: Hash32) -> Hash32 | None:
        """Return the hash of the block that stands before it in the file."""
        position = self._position.get(block_hash, 0)
        return self._hashes[position - 1] if position else None

    def block(self, block_hash: Hash32) -> bytes | None:
        """Return a raw block."""
        position = self._position.get(block_hash)
        return None if position is None else self._raw[position]


def _check_height(block: Block, position: int, expected: int) -> None:
    """Raise `InvalidChainData` unless the coinbase states the height that follows."""
    stated = coinbase_height(block)
    if stated != expected:
        raise InvalidChainData(
            f"block {position + 1} of the file states height {stated}, {expected} would follow;"
            " give the first height to number the blocks by their order"
        )


def _has_its_merkle_root(block: Block) -> bool:
    try:
        check_merkle_root(block)
    except InvalidChainData:
        return False
    return True


class FileView:
    """A file's chain up to some height, as the rules ask for it. Fulfils `protocol.chain.view.ChainView`.

    Transactions are numbered from the file's first block. It holds what a challenge needs; a
    balance is counted from all transactions each time.
    """

    def __init__(self, source: FileSource, until: int) -> None:
        """Take the blocks up to height `until`, which the file must hold."""
        self._source = source
        self._until = Height(until)
        self._raw: list[bytes] = []
        self._counts: list[int] = []
        for height in range(source.first_height, until + 1):
            block = source.block(source.block_hash(height) or Hash32(b"")) or b""
            self._raw += [tx.raw for tx in parse_block(block, source.rules).entries]
            self._counts.append(len(self._raw))

    @property
    def family(self) -> ChainFamily:
        """How the chain's transactions are laid out."""
        return self._source.rules.family

    def tip(self) -> tuple[Height, Hash32]:
        """Return the last height taken, and its block's hash."""
        return self._until, self._source.block_hash(self._until) or Hash32(b"")

    def block_hash(self, height: int) -> Hash32 | None:
        """Return the hash of the block at `height`, None outside of what was taken."""
        return self._source.block_hash(height) if height <= self._until else None

    def transaction_count(self, height: int) -> int:
        """Return the file's transactions up to `height`; raises `IndexError` above the last one."""
        if height < self._source.first_height:
            return 0
        return self._counts[height - self._source.first_height]

    def transaction(self, ordinal: int) -> bytes:
        """Return the raw transaction with this number; raises `IndexError`."""
        if ordinal < 0:
            raise IndexError(f"no transaction {ordinal}")
        return self._raw[ordinal]

    def balance(self, address: bytes, height: int) -> Zatoshi:
        """Return what an address holds of the outputs made in the file."""
        held: dict[OutPoint, int] = {}
        for raw in self._raw[: self.transaction_count(height)]:
            tx = decode_transaction(raw, self.family)
            for item in tx.inputs:
                held.pop(item.previous, None)
            for index, output in enumerate(tx.outputs):
                if script_address(output.script) == address:
                    held[OutPoint(tx.txid, index)] = output.amount
        return Zatoshi(sum(held.values()))

    def marks(self, first: int, last: int) -> tuple[Mark, ...]:
        """Return nothing: whose coins a mark spends is not known without the blocks before the file."""
        return ()
