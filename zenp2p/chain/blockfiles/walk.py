"""A file of blocks walked from its beginning to its end: what `zenp2p chain check` shows.

Answers for: the format being told from the file, each record being counted or refused with
its reason, nothing in a file ending the walk. How much memory it takes depends on the
largest block, not on the file. Spec: `spec/cli.md`.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO, cast

from zenp2p.chain.blockfiles.block_file import KEY_BYTES, block_file_records
from zenp2p.chain.blockfiles.distinct import DistinctCounter
from zenp2p.chain.blockfiles.hex_lines import hex_records
from zenp2p.chain.blockfiles.json_values import json_records
from zenp2p.chain.blockfiles.record import Record
from zenp2p.chain.blockfiles.survey import LAYOUTS, Layout, survey_block, survey_stated
from zenp2p.chain.blockfiles.tally import NO_BLOCK, Tally

MASK_FILE = "xor.dat"
CANNOT_UNPACK = "the gzipped file cannot be unpacked any further"

_UNPACKING = (gzip.BadGzipFile, EOFError, zlib.error)
_GZIP_MAGIC = b"\x1f\x8b"
_LOOKED_AT = 4_096
_ADDRESS_SIZE = 21
_TEXT = frozenset(range(32, 127)) | frozenset(b"\t\r\n")


class BlockFormat(StrEnum):
    """How the blocks lie in a file."""

    HEXLINES = "hexlines"
    BLK = "blk"
    JSON = "json"


Progress = Callable[[int, int, int], None]
"""Told now and then: bytes of the file that were read, its size, blocks so far."""


@dataclass(frozen=True, slots=True)
class Walked:
    """What a walk found: `summary` is what `--json` prints."""

    summary: dict[str, Any]
    blocks: int
    flawless: bool
    """Whether every block was read whole, with its Merkle root."""


def walk_file(path: Path, kind: BlockFormat | None = None, progress: Progress | None = None) -> Walked:
    """Walk a file, by default of the format that it shows; raises `OSError` alone."""
    size = path.stat().st_size
    with DistinctCounter(_ADDRESS_SIZE) as addresses, path.open("rb") as packed:
        kind = kind or recognise_format(_unpacked(packed))
        file = _unpacked(packed)
        tally = Tally(addresses)
        last: Layout = LAYOUTS[0]
        for record in _records(file, kind, path):
            last = _take(record, tally, last)
            if progress is not None:
                progress(packed.tell(), size, tally.blocks)
        summary = _summary(tally, kind, size)
    return Walked(summary, tally.blocks, not tally.mismatched and not tally.unsupported)


def recognise_format(file: BinaryIO) -> BlockFormat:
    """Return the format that the file's beginning shows."""
    try:
        head = file.read(_LOOKED_AT)
    except _UNPACKING:
        head = b""
    if head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[", b'"'):
        return BlockFormat.JSON
    return BlockFormat.HEXLINES if all(each in _TEXT for each in head) else BlockFormat.BLK


def _unpacked(file: BufferedReader) -> BinaryIO:
    """Return the file from its beginning, unpacked where it is gzipped."""
    file.seek(0)
    magic = file.read(len(_GZIP_MAGIC))
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if magic == _GZIP_MAGIC else file


def _records(file: BinaryIO, kind: BlockFormat, path: Path) -> Iterator[Record]:
    """Yield the file's records; where it cannot be unpacked any further that is the last one."""
    try:
        match kind:
            case BlockFormat.HEXLINES:
                yield from hex_records(file)
            case BlockFormat.BLK:
                yield from block_file_records(file, _mask(path))
            case BlockFormat.JSON:
                yield from json_records(file)
    except _UNPACKING as error:
        yield Record("the file", reason=CANNOT_UNPACK, detail=str(error))


def _take(record: Record, tally: Tally, last: Layout) -> Layout:
    """Count a record; return the layout to try first with the next one."""
    if record.stated is not None:
        tally.add(record, survey_stated(record.stated))
    elif record.raw is None:
        tally.refuse(record, record.reason, record.detail)
    else:
        survey = survey_block(record.raw, last)
        if survey is None:
            tally.refuse(record, NO_BLOCK, record.detail)
        else:
            tally.add(record, survey)
            return survey.layout or last
    return last


def _mask(path: Path) -> bytes:
    """Return the key beside a block file, empty where there is none."""
    try:
        with (path.parent / MASK_FILE).open("rb") as file:
            key = file.read(KEY_BYTES + 1)
    except OSError:
        return b""
    return key if len(key) == KEY_BYTES else b""


def _summary(tally: Tally, kind: BlockFormat, size: int) -> dict[str, Any]:
    result = tally.result()
    return {
        "format": kind.value,
        "chain": tally.chain(),
        "magic": tally.magic.hex() or None,
        **result,
        "sizes": {"file": size, "blocks": tally.bytes, "largest": tally.largest},
        "remarks": tally.remarks,
    }
