"""The blocks of a group's data chain: what each kind holds, and its one encoding.

Answers for: shapes, sizes and orders that can be seen in the block itself. Whether a
block may follow another is `data_chain`'s business. Spec: `spec/data_chain.md`.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

from protocol.codec import MESSAGE_SIZE_MAX, U32, U64, Bytes32, Decoder, Meta, Text, Wire
from protocol.errors import MalformedMessage
from protocol.group.certificate import Certificate
from protocol.group.name import is_prefix
from protocol.group.vote import EquivocationProof, value_hash
from protocol.tracking.verdict import Verdict
from protocol.units import Hash32

BLOCK_SIZE_MAX = 768 * 1024
"""Bytes of the largest block: it must fit into a proposal and, with its certificate, into a message."""
ENTRIES_MAX = 256
"""Registrations, and deregistrations, in one REGISTER block."""
OBSERVATIONS_MAX = 1_024
RECEIPTS_MAX = 4_096
RESPONSES_MAX = 8_192
VERDICTS_MAX = 8_192
PROOFS_MAX = 64

Blob = Annotated[bytes, Meta(min_length=1, max_length=BLOCK_SIZE_MAX)]


class Kind(IntEnum):
    """What a block does. The numbers from 5 on are reserved for the moves between groups."""

    LINK = 1
    REGISTER = 2
    VERDICT = 3
    EVIDENCE = 4
    RELOCATE = 5
    ADMIT = 6
    REFUSE = 7
    EXPIRE = 8
    SPLIT = 9
    MERGE = 10
    ABSORB = 11


class DataBlock(Wire, tag="block"):
    """One block: its place, the buried chain block that it stamps, and its payload."""

    network: Bytes32
    prefix: Text
    height: U64
    """Counted from 1; before the first block stands the genesis file."""
    previous: Bytes32
    """Hash of the block before; the network id for the first."""
    stamp_height: U64
    stamp_hash: Bytes32
    kind: Kind
    payload: Annotated[bytes, Meta(max_length=BLOCK_SIZE_MAX)]

    def __post_init__(self) -> None:
        """A block stands in one group's chain, after the genesis file."""
        if not is_prefix(self.prefix) or self.height < 1:
            raise ValueError("a block has a group's prefix and a height from 1 on")


class LinkPayload(Wire, tag="link"):
    """The members after a change, as a newcomer can check them."""

    number: U64
    members_count: U32
    members_root: Bytes32


class RegisterPayload(Wire, tag="register"):
    """Registrations (envelopes) and deregistrations (plain), each sorted by bytes, none twice."""

    registrations: Annotated[tuple[Blob, ...], Meta(max_length=ENTRIES_MAX)]
    deregistrations: Annotated[tuple[Blob, ...], Meta(max_length=ENTRIES_MAX)]

    def __post_init__(self) -> None:
        """One set of entries has one spelling, and a block is made for something."""
        check_ascending(self.registrations, "registrations")
        check_ascending(self.deregistrations, "deregistrations")
        if not self.registrations and not self.deregistrations:
            raise ValueError("a REGISTER block holds at least one entry")


class VerdictPayload(Wire, tag="verdicts"):
    """A challenge's verdicts and everything from which anybody derives them again, but the chain."""

    seq: U32
    anchor_hash: Bytes32
    observations: Annotated[tuple[Blob, ...], Meta(max_length=OBSERVATIONS_MAX)]
    """Envelopes, sorted by judge."""
    receipts: Annotated[tuple[Blob, ...], Meta(max_length=RECEIPTS_MAX)]
    """Envelopes, sorted by bytes."""
    responses: Annotated[tuple[Blob, ...], Meta(max_length=RESPONSES_MAX)]
    """The envelopes that observations and receipts name, exactly those, sorted by hash."""
    verdicts: Annotated[tuple[Verdict, ...], Meta(max_length=VERDICTS_MAX)]
    """Sorted by operator."""


class EvidencePayload(Wire, tag="evidence"):
    """Proofs that members contradicted themselves, one for each, sorted by the member's key."""

    proofs: Annotated[tuple[EquivocationProof, ...], Meta(min_length=1, max_length=PROOFS_MAX)]


Payload = LinkPayload | RegisterPayload | VerdictPayload | EvidencePayload

PAYLOADS: dict[Kind, type[Payload]] = {
    Kind.LINK: LinkPayload,
    Kind.REGISTER: RegisterPayload,
    Kind.VERDICT: VerdictPayload,
    Kind.EVIDENCE: EvidencePayload,
}
"""The payload of each kind that this version reads."""


class CertifiedBlock(Wire, tag="certified"):
    """A block and what proves to anybody that the voters decided it."""

    block: Blob
    certificate: Certificate


_decode_block: Decoder[DataBlock] = Decoder(DataBlock, BLOCK_SIZE_MAX)
_decode_payload: Decoder[Payload] = Decoder(Payload, BLOCK_SIZE_MAX)
_decode_certified: Decoder[CertifiedBlock] = Decoder(CertifiedBlock, MESSAGE_SIZE_MAX)


def block_hash(body: bytes) -> Hash32:
    """Return the hash by which a block is voted on, certified and followed."""
    return value_hash(body)


def decode_block(body: bytes) -> DataBlock:
    """Return the block in `body`; raises `MalformedMessage`."""
    return _decode_block(body)


def decode_payload(block: DataBlock) -> Payload:
    """Return a block's payload; raises `MalformedMessage` when it is not of the block's kind."""
    kind = PAYLOADS.get(block.kind)
    if kind is None:
        raise MalformedMessage(f"{block.kind.name} blocks are not made by this version")
    payload = _decode_payload(block.payload)
    if not isinstance(payload, kind):
        raise MalformedMessage(f"the payload does not belong into a {block.kind.name} block")
    return payload


def decode_certified(data: bytes) -> CertifiedBlock:
    """Return the certified block in `data`, nothing of it checked yet; raises `MalformedMessage`."""
    return _decode_certified(data)


def check_ascending(items: Sequence[bytes], what: str) -> None:
    """Raise `ValueError` unless `items` strictly ascend."""
    if any(first >= second for first, second in zip(items, items[1:], strict=False)):
        raise ValueError(f"{what} must be sorted, none twice")
