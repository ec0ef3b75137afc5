"""A chain read from a file of raw blocks, one in hexadecimal on each line (also gzipped).

Answers for: a file being enough of a chain to be indexed and to derive a challenge
from. It takes the file's order for the chain's, and says where blocks do not link or
do not match their Merkle root, rather than refusing: made-up test chains do neither.
It proves nothing: whether these are blocks of the real chain the file cannot tell.
Spec: `spec/index.md`.
"""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from protocol.chain.block import Block, block_hash, check_merkle_root, coinbase_height, parse_block
from protocol.chain.rules import ChainRules
from protocol.errors import InvalidChainData
from protocol.units import Hash32, Height
from zenp2p.chain.known_chains import recognise_chain

FILE_BYTES_MAX = 1 << 30
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
            return _blocks(_lines(file))
        try:
            with gzip.open(file) as unpacked:
                return _blocks(_lines(unpacked))
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise InvalidChainData(f"{path} cannot be unpacked: {error}") from None


def _lines(file: "BinaryIO | gzip.GzipFile") -> Iterator[bytes]:
    """Yield lines, cut where a block would end: a file without line ends is not swallowed whole."""
    limit = 2 * BLOCK_BYTES_MAX + 3
    while line := file.readline(limit):
        yield line


def _blocks(lines: Iterable[bytes]) -> list[bytes]:
    found: list[bytes] = []
    size = 0
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if len(text) > 2 * BLOCK_BYTES_MAX:
            raise InvalidChainData(f"line {number} holds more than a block of {BLOCK_BYTES_MAX} bytes")
        try:
            found.append(bytes.fromhex(text.decode("ascii")))
        except ValueError:
            raise InvalidChainData(f"line {number} is not a block in hexadecimal") from None
        size += len(found[-1])
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
        blocks = [parse_block(raw, self.rules) for raw in raw_blocks]
        self._hashes = [block_hash(block.header) for block in blocks]
        self._position = {each: position for position, each in enumerate(self._hashes)}
        if len(self._position) != len(blocks):
            raise InvalidChainData("a block stands in the file twice")
        self._first = _first_height(blocks) if first_height is None else Height(first_height)
        self.unlinked = tuple(
            Height(self._first + position)
            for position, block in enumerate(blocks)
            if position and block.header.previous != self._hashes[position - 1]
        )
        """Heights of the blocks that do not name the block before them."""
        self.mismatched = tuple(
            Height(self._first + position)
            for position, block in enumerate(blocks)
            if not _has_its_merkle_root(block)
        )
        """Heights of the blocks whose header does not commit to their transactions."""

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


def _first_height(blocks: Sequence[Block]) -> Height:
    """Return the first block's height; raises `InvalidChainData` unless the coinbases count up by one."""
    first = coinbase_height(blocks[0])
    for position, block in enumerate(blocks):
        stated = coinbase_height(block)
        if stated != first + position:
            raise InvalidChainData(
                f"block {position + 1} of the file states height {stated}, {first + position} would follow;"
                " give the first height to number them by their order"
            )
    return first


def _has_its_merkle_root(block: Block) -> bool:
    try:
        check_merkle_root(block)
    except InvalidChainData:
        return False
    return True
