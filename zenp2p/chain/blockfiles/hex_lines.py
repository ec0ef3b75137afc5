"""Blocks in hexadecimal, one on each line.

Answers for: lines of any length costing no more memory than the largest block; a line that
is no hexadecimal being told, not raised. Spec: `spec/cli.md`.
"""

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from zenp2p.chain.blockfiles.record import BLOCK_BYTES_MAX, Record

TOO_LONG, NO_HEX = "a line is longer than a block", "a line is not hexadecimal"
_SKIP_BYTES = 1 << 20


class HexLine(NamedTuple):
    """A line that is not empty: its number from 1, and its bytes or why there are none."""

    number: int
    raw: bytes | None
    reason: str = ""


def hex_lines(file: BinaryIO, size_max: int) -> Iterator[HexLine]:
    """Yield the file's lines as bytes, at most `size_max` each; empty lines are left out."""
    limit, number = 2 * size_max + 3, 0
    while line := file.readline(limit):
        number += 1
        text = line.strip()
        if len(text) > 2 * size_max:
            _skip_line(file, line)
            yield HexLine(number, None, TOO_LONG)
        elif text:
            yield _read(number, text)


def hex_records(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a file with one block in hexadecimal on each line."""
    for line in hex_lines(file, BLOCK_BYTES_MAX):
        yield Record(f"line {line.number}", line.raw, reason=line.reason)


def _read(number: int, text: bytes) -> HexLine:
    try:
        return HexLine(number, bytes.fromhex(text.decode("ascii")))
    except ValueError:
        return HexLine(number, None, NO_HEX)


def _skip_line(file: BinaryIO, part: bytes) -> None:
    """Read on to the end of a line that is too long to be kept."""
    while part and not part.endswith(b"\n"):
        part = file.readline(_SKIP_BYTES)
