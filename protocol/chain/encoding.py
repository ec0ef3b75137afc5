"""How the chain writes numbers, lists and hashes.

Answers for: reading untrusted bytes without ever going past their end (each count
and length is bounded by the bytes that are left, before anything is allocated),
compact sizes with one spelling each, and the reversed hexadecimal in which block
and transaction hashes are shown. What the bytes mean is left to `transaction` and
`block`. Spec: `spec/transaction.md`.
"""

from protocol.errors import InvalidChainData, RequestError
from protocol.units import Hash32

_WIDTHS = {0xFD: 2, 0xFE: 4, 0xFF: 8}
_LEAST = {0xFD: 0xFD, 0xFE: 0x1_0000, 0xFF: 0x1_0000_0000}


class Reader:
    """Reads forward through `data`; everything that does not fit raises `InvalidChainData`."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes, offset: int = 0) -> None:
        if not 0 <= offset <= len(data):
            raise InvalidChainData(f"offset {offset} lies outside of {len(data)} bytes")
        self.data = data
        self.position = offset

    def take(self, size: int) -> bytes:
        """Return the next `size` bytes."""
        start = self.position
        end = start + size
        if end > len(self.data):
            raise InvalidChainData(f"{size} bytes wanted at {start}, {len(self.data) - start} left")
        self.position = end
        return self.data[start:end]

    def uint(self, size: int) -> int:
        """Return the next unsigned little-endian number of `size` bytes."""
        start = self.position
        end = start + size
        if end > len(self.data):
            self.take(size)
        self.position = end
        return int.from_bytes(self.data[start:end], "little")

    def compact_size(self) -> int:
        """Return the next compact size; a longer spelling than needed is refused."""
        first = self.data[self.position] if self.position < len(self.data) else self.take(1)[0]
        self.position += 1
        if first < 0xFD:
            return first
        value = self.uint(_WIDTHS[first])
        if value < _LEAST[first]:
            raise InvalidChainData(f"compact size {value} is not in its shortest form")
        return value

    def count(self, least_size: int) -> int:
        """Return the next compact size as a count of items of at least `least_size` bytes each."""
        count = self.compact_size()
        if count * least_size > len(self.data) - self.position:
            raise InvalidChainData(f"{count} items cannot stand in {len(self.data) - self.position} bytes")
        return count

    def var_bytes(self) -> bytes:
        """Return the next byte string, which its compact size precedes."""
        return self.take(self.compact_size())

    def finish(self) -> None:
        """Raise `InvalidChainData` unless everything has been read."""
        if self.position != len(self.data):
            raise InvalidChainData(f"{len(self.data) - self.position} bytes too many")


def compact_size(value: int) -> bytes:
    """Write a count or length in its shortest form."""
    if value < 0xFD:
        return value.to_bytes(1, "little")
    if value < 0x1_0000:
        return b"\xfd" + value.to_bytes(2, "little")
    if value < 0x1_0000_0000:
        return b"\xfe" + value.to_bytes(4, "little")
    return b"\xff" + value.to_bytes(8, "little")


def var_bytes(data: bytes) -> bytes:
    """Write a byte string with its length in front."""
    return compact_size(len(data)) + data


def display_hash(computed: bytes) -> str:
    """Show a block or transaction hash as every wallet does: reversed, in hexadecimal."""
    return computed[::-1].hex()


def parse_display_hash(text: str) -> Hash32:
    """Read a shown block or transaction hash into computed order; raises `RequestError`."""
    try:
        shown = bytes.fromhex(text) if len(text) == 64 else b""
    except ValueError:
        shown = b""
    if len(shown) != 32:
        raise RequestError(f"not a hash of 64 hexadecimal digits: {text[:80]!r}")
    return Hash32(shown[::-1])
