"""The node machine's own messages: how nodes catch up with each other.

They carry nothing that has to be believed: requests, and answers whose contents
prove themselves by their certificates. So they are plain (kind byte 2), not signed.
Signed statements (kind byte 1) are defined beside the rules that read them.
Spec: `spec/node.md`.
"""

from typing import Annotated

from protocol.codec import MESSAGE_SIZE_MAX, U32, U64, Bytes32, Meta, Text, Wire, encode
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import MalformedMessage
from protocol.group.join_proof import CHUNK_BYTES
from protocol.group.name import is_prefix
from protocol.tracking.response import RECEIPT_SIZE_MAX

SIGNED = 1
"""Kind byte of a signed envelope."""
PLAIN = 2
"""Kind byte of a plain canonical message."""
BLOCKS_MAX = 64
"""Certified blocks in one answer, at most."""
WANTS_MAX = 1_024
"""Data chains of which one request asks for blocks."""
BLOCKS_BYTES_MAX = MESSAGE_SIZE_MAX // 2
"""Bytes of certified blocks in one answer, at most (but always one block)."""
FILE_BYTES_MAX = MESSAGE_SIZE_MAX - 256
"""Bytes of the largest list file that an answer holds; a longer one travels in no message."""
RESPONSES_MAX = 256
"""Responses in one request or answer, at most."""
RECEIPTS_MAX = 256
"""Receipts that one message shows, at most; of more judges there are several messages."""
PARTS = 4
"""Parts in which the 1 MiB of a join proof travels."""
PART_BYTES = CHUNK_BYTES // PARTS
ALL_PARTS = (1 << PARTS) - 1

Network32 = Bytes32
Blob = Annotated[bytes, Meta(min_length=1, max_length=MESSAGE_SIZE_MAX)]
ReceiptEnvelope = Annotated[
    bytes, Meta(min_length=SIGNATURE_SIZE + 1, max_length=SIGNATURE_SIZE + RECEIPT_SIZE_MAX)
]


class Status(Wire, tag="status"):
    """How far the sender is: in the data chains of all groups, and in its lists."""

    network: Network32
    sender: Bytes32
    """Whom to ask; unsigned, so no more than a hint."""
    heads: Bytes32
    """SHA3-256 over the heads of all live groups."""
    blocks: U64
    """How many certified data blocks the sender holds."""
    pruned: U64
    """How many of these, the first that it applied, it cannot hand over: what proves them is gone."""
    lists: U32
    """The period after the last certified list that the sender holds."""


class Want(Wire):
    """The next block of one data chain, and what follows it."""

    prefix: Text
    first: U64

    def __post_init__(self) -> None:
        """A block stands in a group's chain."""
        if not is_prefix(self.prefix):
            raise ValueError("a block stands under a group's prefix")


class BlocksRequest(Wire, tag="blocks?"):
    """Ask for certified data blocks of several chains, from a height on each."""

    network: Network32
    wants: Annotated[tuple[Want, ...], Meta(min_length=1, max_length=WANTS_MAX)]


class Blocks(Wire, tag="blocks"):
    """Certified data blocks, of each chain consecutive ones, none before what it names if both are here."""

    network: Network32
    blocks: Annotated[tuple[Blob, ...], Meta(min_length=1, max_length=BLOCKS_MAX)]


class Forward(Wire, tag="forward"):
    """A certified data block, told to all groups by a voter of its own."""

    network: Network32
    sender: Bytes32
    """Who says it; unsigned, for those who ask themselves whether a member does its duty."""
    certified: Blob


class ListRequest(Wire, tag="list?"):
    """Ask for the certified list of one period."""

    network: Network32
    period: U32


class ListAnswer(Wire, tag="list-answer"):
    """One list file."""

    network: Network32
    file: Blob


class ResponsesRequest(Wire, tag="responses?"):
    """Ask a judge for responses that its observation names."""

    network: Network32
    seq: U32
    anchor_hash: Bytes32
    hashes: Annotated[tuple[Bytes32, ...], Meta(min_length=1, max_length=RESPONSES_MAX)]


class Responses(Wire, tag="responses"):
    """Response envelopes of one challenge, as they came."""

    network: Network32
    seq: U32
    anchor_hash: Bytes32
    envelopes: Annotated[tuple[Blob, ...], Meta(min_length=1, max_length=RESPONSES_MAX)]


class Receipts(Wire, tag="receipts"):
    """Receipts of one challenge, as the judges gave them: their operator shows them to all its judges."""

    network: Network32
    seq: U32
    anchor_hash: Bytes32
    envelopes: Annotated[tuple[ReceiptEnvelope, ...], Meta(min_length=1, max_length=RECEIPTS_MAX)]


class ProofPart(Wire, tag="proof-part"):
    """A quarter of a join proof's 1 MiB, from the operator to a member of the group that it moves to."""

    network: Network32
    ticket: Bytes32
    nonce: U64
    index: Annotated[int, Meta(ge=0, le=PARTS - 1)]
    data: Annotated[bytes, Meta(min_length=PART_BYTES, max_length=PART_BYTES)]


class ProofHeld(Wire, tag="proof-held"):
    """What a member that expects a join proof says to its operator: which parts of it are there already."""

    network: Network32
    ticket: Bytes32
    parts: Annotated[int, Meta(ge=0, le=ALL_PARTS)]
    """Bit i is set when part i is held."""


def pack_signed(envelope: bytes) -> bytes:
    """Return the network form of a signed envelope."""
    return bytes((SIGNED,)) + envelope


def pack_plain(message: Wire) -> bytes:
    """Return the network form of a plain message."""
    return bytes((PLAIN,)) + encode(message)


def unpack(data: bytes) -> tuple[int, bytes]:
    """Return (kind, payload); raises `MalformedMessage` for an unknown kind."""
    if len(data) < 2 or data[0] not in (SIGNED, PLAIN):
        raise MalformedMessage("unknown kind of message")
    return data[0], data[1:]


def group_topic(network: bytes, prefix: str) -> str:
    """Topic on which a group's responses, observations and votes travel."""
    return f"{network.hex()[:16]}/group/{prefix}"


def network_topic(network: bytes) -> str:
    """Topic of what everybody needs: registrations, certified blocks, statuses, votes on lists."""
    return f"{network.hex()[:16]}/network"
