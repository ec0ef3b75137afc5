"""Blocks in JSON: what a node answers to `getblock`, alone, in a list, or one after the other.

Answers for: answers of any shape of these nodes (raw, decoded, wrapped as JSON-RPC does)
becoming records; values read one at a time; text that is no JSON being told, not raised.
What only decoded JSON says is taken as stated. Spec: `spec/cli.md`.
"""

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from zenp2p.chain.blockfiles.record import BLOCK_BYTES_MAX, Record
from zenp2p.chain.blockfiles.stated import rebuilt_block, stated_block

VALUE_CHARS_MAX = 4 * BLOCK_BYTES_MAX
"""Characters of one value."""
BROKEN_MAX = 100
"""Values that are no JSON after which the rest is not read."""
NO_JSON, NO_BLOCK, NO_HEX = (
    "text is no JSON",
    "JSON that holds no block",
    "JSON without hexadecimal in its place",
)
TOO_MANY = "too much that is no JSON: the rest was not read"
_NESTED_MAX = 4
_CHUNK = 1 << 16
_TOKEN_MAX = 16
"""Characters of a literal or an escape, which a text may end within."""
_ENDS = '}]"'
_BETWEEN = " \t\r\n,"
_RAW_KEYS = ("hex", "block", "raw")


def json_records(file: BinaryIO) -> Iterator[Record]:
    """Yield the records of a file of JSON values."""
    for number, value in enumerate(json_values(file), 1):
        place = f"value {number}"
        if isinstance(value, Broken):
            yield Record(place, reason=value.reason)
        else:
            yield from _records(value, place, _NESTED_MAX)


class Broken:
    """Where no value could be read, and why."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def json_values(file: BinaryIO) -> Iterator[Any]:
    """Yield the values of a file: those in one list, or one after the other; `Broken` for anything else.

    Numbers with a fraction stay text: no amount is ever a float.
    """
    text = _Text(file)
    text.skip("\ufeff" + _BETWEEN)
    if text.begins("["):
        text.drop(1)
    broken = 0
    while True:
        text.skip(_BETWEEN + "]")
        if text.ended:
            return
        value = text.value()
        yield value
        if isinstance(value, Broken):
            broken += 1
            if broken == BROKEN_MAX:
                yield Broken(TOO_MANY)
                return
            text.drop_line()


class _Text:
    """The text that was read and not yet taken."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._decoder = json.JSONDecoder(parse_float=str, parse_constant=str)
        self._text = ""
        self._at = 0
        self._all_read = False

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._at == len(self._text) and not self._more(_CHUNK)

    def begins(self, wanted: str) -> bool:
        """Whether what is left begins so."""
        return not self.ended and self._text.startswith(wanted, self._at)

    def skip(self, characters: str) -> None:
        """Drop these characters from the beginning."""
        while not self.ended:
            left = self._text[self._at : self._at + _CHUNK]
            kept = left.lstrip(characters)
            self._at += len(left) - len(kept)
            if kept:
                return

    def drop(self, count: int) -> None:
        """Drop so many characters."""
        self._at += count

    def drop_line(self) -> None:
        """Drop the rest of a line."""
        while not self.ended:
            found = self._text.find("\n", self._at)
            self._at = len(self._text) if found < 0 else found + 1
            if found >= 0:
                return

    def value(self) -> Any:
        """Take one value, reading as far as it takes; `Broken` when there is none."""
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                if not self._may_go_on(error) or not self._more(max(_CHUNK, len(self._text) - self._at)):
                    return Broken(NO_JSON)
            except (ValueError, RecursionError):  # a number or a nesting beyond all measure
                return Broken(NO_JSON)
            else:
                if end == len(self._text) and self._text[-1] not in _ENDS and self._more(_CHUNK):
                    continue  # a number may go on
                self._at = end
                return value

    def _may_go_on(self, error: json.JSONDecodeError) -> bool:
        """Whether the text that was read may be the beginning of a value."""
        return error.msg.startswith("Unterminated string") or error.pos >= len(self._text) - _TOKEN_MAX

    def _more(self, size: int) -> bool:
        """Read on; False at the end, and when a value is longer than any block."""
        if self._all_read or len(self._text) - self._at > VALUE_CHARS_MAX:
            return False
        data = self._file.read(size)
        self._all_read = not data
        self._text = self._text[self._at :] + self._decode(data, not data)
        self._at = 0
        return bool(data) or bool(self._text)


def _records(value: Any, place: str, depth: int) -> Iterator[Record]:
    if isinstance(value, list) and depth:
        for number, item in enumerate(value, 1):
            yield from _records(item, f"{place}, item {number}", depth - 1)
    elif isinstance(value, dict) and isinstance(value.get("result"), dict | str | list) and depth:
        yield from _records(value["result"], place, depth - 1)
    else:
        yield _record(value, place)


def _record(value: Any, place: str) -> Record:
    raw = value if isinstance(value, str) else None
    said = None
    if isinstance(value, dict):
        raw = next((value[key] for key in _RAW_KEYS if isinstance(value.get(key), str)), None)
        if raw is None:
            return _decoded(value, place)
        said = _said_hash(value)
    if raw is None:
        return Record(place, reason=NO_BLOCK)
    try:
        return Record(place, bytes.fromhex(raw), said_hash=said)
    except ValueError:
        return Record(place, reason=NO_HEX)


def _decoded(value: dict[str, Any], place: str) -> Record:
    """Return the record of a decoded block: its bytes where they can be put together again."""
    raw = rebuilt_block(value)
    if raw is not None:
        return Record(place, raw, said_hash=_said_hash(value))
    stated = stated_block(value)
    return Record(place, stated=stated) if stated is not None else Record(place, reason=NO_BLOCK)


def _said_hash(value: dict[str, Any]) -> bytes | None:
    """Return the hash that stands beside a block, in computed order."""
    try:
        return bytes.fromhex(value["hash"])[::-1]
    except (KeyError, TypeError, ValueError):
        return None
