"""What nodes say to each other about the embedded chain.

Answers for: the shapes of requests, replies and announcements, and for every count in
them being bounded before anything else looks at it. They are plain messages: headers
and blocks prove themselves by their work, transactions by their signatures. When they
are sent, and what a wrong one costs, is left to `sync`. Spec: `spec/embedded_chain.md`.
"""

from typing import Annotated

from protocol.codec import MESSAGE_SIZE_MAX, Bytes32, Decoder, Meta, Wire, encode
from protocol.errors import MalformedMessage

CHAIN = 3
"""Kind byte of every message of the embedded chain."""
LOCATOR_MAX = 48
"""Hashes in a locator: the last few, then ever sparser ones, back to the first block."""
HEADERS_MAX = 1_000
"""Headers in one reply; a full reply says that there may be more."""
BLOCKS_MAX = 16
"""Blocks in one request and its reply."""
BLOCKS_BYTES_MAX = 1_000_000
"""Bytes of blocks in one reply; the reply stops before the block that would exceed them."""
POOL_IDS_MAX = 2_000
"""Transactions that a pool request names as known."""
PUSHED_BLOCK_MAX = 1 << 16
"""Bytes of the largest block that an announcement carries whole."""
TRANSACTION_BYTES_MAX = 100_000

Header80 = Annotated[bytes, Meta(min_length=80, max_length=80)]
RawBlock = Annotated[bytes, Meta(min_length=81, max_length=BLOCKS_BYTES_MAX)]
PushedBlock = Annotated[bytes, Meta(max_length=PUSHED_BLOCK_MAX)]
RawTransaction = Annotated[bytes, Meta(min_length=1, max_length=TRANSACTION_BYTES_MAX)]


class HeadersRequest(Wire, tag="headers?"):
    """Ask for the headers after the first hash of `locator` that is on the other side's chain."""

    network: Bytes32
    locator: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=LOCATOR_MAX)]


class Headers(Wire, tag="headers"):
    """Consecutive headers, lowest first; none when there is nothing to add."""

    network: Bytes32
    headers: Annotated[tuple[Header80, ...], Meta(max_length=HEADERS_MAX)]


class BlocksRequest(Wire, tag="blocks?"):
    """Ask for blocks by hash."""

    network: Bytes32
    hashes: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=BLOCKS_MAX)]


class Blocks(Wire, tag="blocks"):
    """Raw blocks in the order in which they were asked for; fewer when they are large or unknown."""

    network: Bytes32
    blocks: Annotated[tuple[RawBlock, ...], Meta(max_length=BLOCKS_MAX)]


class NewBlock(Wire, tag="new-block"):
    """The sender's new tip: its header, and the raw block unless it is large (then empty)."""

    network: Bytes32
    header: Header80
    block: PushedBlock

    def __post_init__(self) -> None:
        """The block must be the header's."""
        if self.block and self.block[:80] != self.header:
            raise ValueError("the block is not the header's")


class NewTransaction(Wire, tag="new-transaction"):
    """A raw transaction that is not mined yet."""

    network: Bytes32
    transaction: RawTransaction


class PoolRequest(Wire, tag="pool?"):
    """Ask for unmined transactions beside the known ones; each comes as a `NewTransaction`."""

    network: Bytes32
    known: Annotated[tuple[Bytes32, ...], Meta(max_length=POOL_IDS_MAX)]


ChainMessage = HeadersRequest | Headers | BlocksRequest | Blocks | NewBlock | NewTransaction | PoolRequest

_decode: Decoder[ChainMessage] = Decoder(ChainMessage, MESSAGE_SIZE_MAX)


def pack(message: ChainMessage) -> bytes:
    """Return the network form: the kind byte and the canonical encoding."""
    return bytes((CHAIN,)) + encode(message)


def unpack(data: bytes) -> ChainMessage:
    """Return the message; raises `MalformedMessage`."""
    if data[:1] != bytes((CHAIN,)):
        raise MalformedMessage("not a message of the embedded chain")
    return _decode(data[1:])
