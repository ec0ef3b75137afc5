"""Canonical wire form: MessagePack arrays with a type tag.

Answers for: one value has one encoding, and bytes that are not that encoding are
refused before anything else looks at them. Decoding is typed and bounded, then
the value is encoded again and must give the same bytes: that one comparison
refuses long integers, long array headers and every other second spelling.
What the fields mean is left to the message types, who signed them to
`protocol.crypto`. Spec: `spec/wire.md`. The only importer of msgspec in
`protocol`: message types take `Meta` and `replace` from here.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Generic, TypeVar, dataclass_transform

import msgspec
from msgspec import Meta as Meta
from msgspec.structs import replace as replace

from protocol.errors import MalformedMessage

W = TypeVar("W")

MESSAGE_SIZE_MAX = 1 << 20
"""Bytes of the largest message that any decoder looks at unless told otherwise."""
ERROR_TEXT_MAX = 200
"""Characters of a decoding error that are kept."""

U8 = Annotated[int, Meta(ge=0, le=0xFF)]
U16 = Annotated[int, Meta(ge=0, le=0xFFFF)]
U32 = Annotated[int, Meta(ge=0, le=0xFFFF_FFFF)]
U64 = Annotated[int, Meta(ge=0, le=0x7FFF_FFFF_FFFF_FFFF)]
"""Non-negative and below 2**63, so that every language's signed integer holds it."""
Bytes12 = Annotated[bytes, Meta(min_length=12, max_length=12)]
Bytes32 = Annotated[bytes, Meta(min_length=32, max_length=32)]
Bytes64 = Annotated[bytes, Meta(min_length=64, max_length=64)]
Bytes65 = Annotated[bytes, Meta(min_length=65, max_length=65)]
AddressBytes = Annotated[bytes, Meta(min_length=21, max_length=21)]
"""One kind byte (0 P2PKH, 1 P2SH) and the 20-byte hash: network-independent form of an address."""
IpBytes = Annotated[bytes, Meta(min_length=4, max_length=16)]
"""A packed IPv4 (4 bytes) or IPv6 (16 bytes) address."""
Text = Annotated[str, Meta(max_length=253)]


@dataclass_transform(frozen_default=True, kw_only_default=True)  # what a type checker cannot see by itself
class Wire(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, gc=False, kw_only=True):
    """Base of everything that is written canonically: a frozen array of fields, in order.

    Give each message its own tag: `class Response(Wire, tag="response"): ...`.
    Checks that go beyond the field types belong in `__post_init__` and raise
    `ValueError` there (decoding turns it into `MalformedMessage`).
    """


_encoder = msgspec.msgpack.Encoder()


def encode(value: Wire) -> bytes:
    """Return the canonical bytes of `value`."""
    return _encoder.encode(value)


class Decoder(Generic[W]):
    """A typed canonical decoder, built once for a type or a union of tagged types."""

    __slots__ = ("_decode", "_size_max")

    def __init__(self, kind: Any, size_max: int = MESSAGE_SIZE_MAX) -> None:
        self._decode = msgspec.msgpack.Decoder(kind).decode
        self._size_max = size_max

    def __call__(self, data: bytes) -> W:
        """Return the value that `data` encodes; raises `MalformedMessage`."""
        if len(data) > self._size_max:
            raise MalformedMessage(f"{len(data)} bytes, at most {self._size_max} allowed")
        try:
            value: W = self._decode(data)
        except (msgspec.DecodeError, RecursionError, ValueError) as error:
            raise MalformedMessage(_printable(error)) from None
        if _encoder.encode(value) != data:
            raise MalformedMessage("not the canonical encoding")
        return value


def _printable(error: Exception) -> str:
    """Return the error's text, short and on one line: it may quote megabytes of what the peer sent."""
    text = str(error)[:ERROR_TEXT_MAX]
    return "".join(letter if letter.isprintable() else "?" for letter in text)


_decoders: dict[tuple[Any, int], Decoder[Any]] = {}


def decode(data: bytes, kind: type[W], size_max: int = MESSAGE_SIZE_MAX) -> W:
    """Return the `kind` that `data` encodes; raises `MalformedMessage`."""
    decoder = _decoders.get((kind, size_max))
    if decoder is None:
        decoder = _decoders[(kind, size_max)] = Decoder(kind, size_max)
    value: W = decoder(data)
    return value


def bounded(items: Sequence[object], limit: int, what: str) -> None:
    """Raise `ValueError` when `items` has more than `limit` entries (for `__post_init__`)."""
    if len(items) > limit:
        raise ValueError(f"{len(items)} {what}, at most {limit} allowed")
