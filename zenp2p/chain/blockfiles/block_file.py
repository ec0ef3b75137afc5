"""The files in which nodes of the Bitcoin family keep their blocks (`blk*.dat`).

Answers for: records of magic, length and block, of any chain's magic; zeros before, between
and after them; a last record that is cut off; a wrong length costing no more than its own
record; and the key with which newer nodes mask these files. The order of the records means
nothing. Spec: `spec/cli.md`.
"""

from collections.abc import Iterator
from typing import BinaryIO

from zenp2p.chain.blockfiles.record import BLOCK_BYTES_MAX, Record

KNOWN_MAGICS = {
    bytes.fromhex(magic): name
    for magic, name in (
        ("f9beb4d9", "bitcoin"),
        ("0b110907", "bitcoin-testnet"),
        ("1c163f28", "bitcoin-testnet4"),
        ("0a03cf40", "bitcoin-signet"),
        ("fabfb5da", "regtest"),
        ("fbc0b6db", "litecoin"),
        ("fdd2c8f1", "litecoin-testnet"),
        ("24e92764", "zcash"),
        ("fa1af9bf", "zcash-testnet"),
        ("aae83f5f", "zcash-regtest"),
        ("63617368", "zen"),
        ("bff2cde6", "zen-testnet"),
        ("2f54cc9d", "zen-regtest"),
    )
}
"""First bytes of each record; other chains' are taken from the file's first record."""
KEY_BYTES = 8
BETWEEN, CUT_OFF, BAD_LENGTH = (
    "bytes that belong to no record",
    "a record is cut off at the end of the file",
    "a record has an impossible length",
)
NO_RECORD = "no record of a block file was found"
MASKED = (
    "newer nodes mask their block files: the key is the file xor.dat in the same folder, "
    "which must lie beside this file"
)

_BLOCK_BYTES_MIN = 81
_HEAD = 8
_CHUNK = 1 << 20


class Window:
    """The part of a file that is being looked at; what lies before it is forgotten."""

    def __init__(self, file: BinaryIO, key: bytes = b"") -> None:
        """With a `key` of `KEY_BYTES` every byte is unmasked by its place in the file."""
        self._file = file
        self._key = key
        self._data = bytearray()
        self._start = 0
        self._ended = False

    def holds(self, end: int) -> bool:
        """Read on until `end` (a place in the file); False when the file ends before it."""
        while self._start + len(self._data) < end and not self._ended:
            chunk = self._file.read(_CHUNK)
            self._ended = not chunk
            self._data += self._unmasked(chunk)
        return self._start + len(self._data) >= end

    def part(self, start: int, end: int) -> bytes:
        """Return what stands there, less where the file ends."""
        self.holds(end)
        return bytes(memoryview(self._data)[start - self._start : end - self._start])

    def zeros(self, start: int, end: int) -> int:
        """Return how many zeros stand from `start` on, less than `end`; of a masked file also unmasked ones.

        Space that a node reserves at a file's end is never masked, so it shows as the key.
        """
        part = self.part(start, end)
        plain = len(part) - len(part.lstrip(b"\x00"))
        if not self._key:
            return plain
        blank = self._mixed(part, start)
        unmasked = len(blank) - len(blank.lstrip(b"\x00"))
        return unmasked if unmasked >= KEY_BYTES else plain

    def find(self, wanted: bytes, start: int, end: int) -> int:
        """Return where `wanted` stands first between two places that were read, or -1."""
        found = self._data.find(wanted, start - self._start, end - self._start)
        return found + self._start if found >= 0 else -1

    def forget(self, until: int) -> None:
        """Forget what stands before `until`, now and then."""
        if until - self._start > 4 * _CHUNK:
            del self._data[: until - self._start]
            self._start = until

    @property
    def end(self) -> int:
        """Where what was read so far ends."""
        return self._start + len(self._data)

    def _unmasked(self, chunk: bytes) -> bytes:
        return self._mixed(chunk, self.end) if self._key else chunk

    def _mixed(self, part: bytes, start: int) -> bytes:
        """Mask or unmask bytes of the file that begin at `start`."""
        turn = start % KEY_BYTES
        repeated = (self._key * (len(part) // KEY_BYTES + 2))[turn : turn + len(part)]
        mixed = int.from_bytes(part, "little") ^ int.from_bytes(repeated, "little")
        return mixed.to_bytes(len(part), "little")


def block_file_records(file: BinaryIO, key: bytes = b"") -> Iterator[Record]:
    """Yield the records of a block file; the one of a file without any says so."""
    for mask in (b"", key) if any(key) else (b"",):
        file.seek(0)
        window = Window(file, mask)
        at = _skip_zeros(window, 0)
        if _is_framed(window, at):
            yield from _records(window, window.part(at, at + 4), at)
            return
    yield from _from_the_middle(file, key)


def _from_the_middle(file: BinaryIO, key: bytes) -> Iterator[Record]:
    """Look for a known magic anywhere: the file's beginning may be lost. A lone block has none."""
    file.seek(0)
    window = Window(file)
    found = min(
        (at for at in (_first_framed(window, magic) for magic in KNOWN_MAGICS) if at >= 0), default=-1
    )
    if found >= 0:
        yield Record("byte 0", reason=BETWEEN)
        yield from _records(window, window.part(found, found + 4), found)
    elif not window.holds(BLOCK_BYTES_MAX + 1) and window.end >= _BLOCK_BYTES_MIN:
        yield Record("the whole file", window.part(0, window.end), detail="" if any(key) else MASKED)
    else:
        yield Record("the whole file", reason=NO_RECORD, detail="" if any(key) else MASKED)


def _first_framed(window: Window, magic: bytes) -> int:
    """Return where a record with this magic begins, in the part of a file that one block may fill."""
    at = -1
    window.holds(BLOCK_BYTES_MAX + 1)
    while (at := window.find(magic, at + 1, window.end)) >= 0:
        if _is_framed(window, at):
            return at
    return -1


def _records(window: Window, magic: bytes, at: int) -> Iterator[Record]:
    while True:
        at = _skip_zeros(window, at)
        window.forget(at)
        if not window.holds(at + 1):
            return
        if window.part(at, at + 4) != magic:
            yield Record(f"byte {at}", reason=CUT_OFF if not window.holds(at + _HEAD) else BETWEEN)
            at = _next(window, magic, at)
            continue
        record, at = _record(window, magic, at)
        yield record


def _record(window: Window, magic: bytes, at: int) -> tuple[Record, int]:
    """Return the record at `at` and where the next one is looked for."""
    place, size = f"byte {at}", _size(window, at)
    if not _BLOCK_BYTES_MIN <= size <= BLOCK_BYTES_MAX:
        reason = BAD_LENGTH if window.holds(at + _HEAD) else CUT_OFF
        return Record(place, reason=reason), _next(window, magic, at + 4)
    end = at + _HEAD + size
    whole = window.holds(end)
    if not (whole and _ends_well(window, magic, end)):
        following = window.find(magic, at + _HEAD, min(end, window.end))
        if following >= 0:  # the length is wrong: the next record says where this one ends
            end, whole = following, True
    if not whole:
        return Record(place, reason=CUT_OFF), window.end
    return Record(place, window.part(at + _HEAD, end), magic=magic), end


def _size(window: Window, at: int) -> int:
    return int.from_bytes(window.part(at + 4, at + _HEAD), "little")


def _ends_well(window: Window, magic: bytes, end: int) -> bool:
    """Whether another record, zeros or the file's end follow."""
    return window.part(end, end + 4).rstrip(b"\x00") in (b"", magic)


def _is_framed(window: Window, at: int) -> bool:
    """Whether a record begins there: its length leads to another one, to zeros or to the end.

    A record of a known magic may also be cut off.
    """
    magic, size = window.part(at, at + 4), _size(window, at)
    if not window.holds(at + _HEAD) or not _BLOCK_BYTES_MIN <= size <= BLOCK_BYTES_MAX:
        return False
    end = at + _HEAD + size
    if not window.holds(end):
        return magic in KNOWN_MAGICS
    return magic in KNOWN_MAGICS or _ends_well(window, magic, end)


def _next(window: Window, magic: bytes, start: int) -> int:
    """Return where the magic stands next, or the file's end."""
    while True:
        window.holds(start + _CHUNK)
        found = window.find(magic, start, window.end)
        if found >= 0:
            return found
        if not window.holds(window.end + 1):
            return window.end
        start = max(start, window.end - 3)
        window.forget(start)


def _skip_zeros(window: Window, at: int) -> int:
    """Return where the next byte that is not zero stands, or the file's end."""
    step = _HEAD * 2
    while window.holds(at + 1):
        end = min(at + step, window.end)
        at += window.zeros(at, end)
        if at < end:
            break
        window.forget(at)
        step = min(2 * step, _CHUNK)
    return at
