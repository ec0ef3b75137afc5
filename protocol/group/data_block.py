"""The blocks of a group's data chain: what each kind holds, and its one encoding.

Answers for: shapes, sizes and orders that can be seen in the block itself. Whether a
block may follow another is `data_chain`'s business. Spec: `spec/data_chain.md`.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Annotated

from protocol.codec import MESSAGE_SIZE_MAX, U8, U32, U64, Bytes32, Decoder, Meta, Text, Wire
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
REGISTERS_MAX = 1_024
"""REGISTER blocks of other groups that one VERDICT block takes up."""
PARTS_MAX = 248
"""Regions that one VERDICT block judges."""
REMOVAL_PROOFS_MAX = 1_024

Blob = Annotated[bytes, Meta(min_length=1, max_length=BLOCK_SIZE_MAX)]
NamedBlock = Annotated[bytes, Meta(max_length=32)]
"""The hash of a certified block of any group, or nothing."""


class Kind(IntEnum):
    """What a block does."""

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
    REMOVE = 12


class Move(IntEnum):
    """Why a seat moves to another group, or an age is counted up where it is."""

    JOIN = 0
    """An operator that never was a member, sent by its home group."""
    FIRST = 1
    """A member of age 0."""
    AGED = 2
    """A member that has stayed its time."""
    REJOIN = 3
    """One that was removed, has come back, and has handed over what it should have."""


class Refusal(IntEnum):
    """Why a group does not take somebody in."""

    SAME_IP = 1
    AGE0_FULL = 2
    NOT_REGISTERED = 3


class Removal(IntEnum):
    """Why a member loses its place, but keeps its age for a return."""

    SILENT = 1
    FORWARDING = 2
    CHALLENGES = 3
    DEREGISTERED = 4


class Step(IntEnum):
    """What an ABSORB block does with a sibling that has stopped."""

    SUMMON = 1
    """It says where the sibling's chain stands, for the chain to call on it."""
    TAKE = 2
    """No sign of life came: the sibling ended there, and the whole goes on."""
    DROP = 3
    """The summons is off."""


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
    parts: Annotated[tuple[Text, ...], Meta(min_length=1, max_length=PARTS_MAX)]
    """The regions that are judged here, as prefixes, sorted: what the group covers and has not judged yet."""
    registers: Annotated[tuple[Bytes32, ...], Meta(max_length=REGISTERS_MAX)]
    """REGISTER blocks of other groups that are taken up before judging, sorted by hash."""
    observations: Annotated[tuple[Blob, ...], Meta(max_length=OBSERVATIONS_MAX)]
    """Envelopes, sorted by judge."""
    receipts: Annotated[tuple[Blob, ...], Meta(max_length=RECEIPTS_MAX)]
    """Envelopes, sorted by bytes."""
    responses: Annotated[tuple[Blob, ...], Meta(max_length=RESPONSES_MAX)]
    """The envelopes that observations and receipts name, exactly those, sorted by hash."""
    verdicts: Annotated[tuple[Verdict, ...], Meta(max_length=VERDICTS_MAX)]
    """Sorted by operator."""

    def __post_init__(self) -> None:
        """One set of regions and of blocks has one spelling."""
        if any(not is_prefix(part) for part in self.parts) or list(self.parts) != sorted(set(self.parts)):
            raise ValueError("regions must be prefixes, sorted, none twice")
        check_ascending(self.registers, "blocks taken up")


class EvidencePayload(Wire, tag="evidence"):
    """Proofs that members contradicted themselves, one for each, sorted by the member's key."""

    proofs: Annotated[tuple[EquivocationProof, ...], Meta(min_length=1, max_length=PROOFS_MAX)]


class RelocatePayload(Wire, tag="relocate"):
    """A seat moves. The block's hash is the ticket with which its new group takes it in."""

    operator_key: Bytes32
    why: Move
    seq: U32
    """The challenge that fixes the entropy of the new name."""
    age: U8
    """The age after the move."""
    name: Bytes32
    """The name after the move."""
    verdict: NamedBlock
    """For JOIN: a VERDICT block that finds the operator VALID in challenge `seq`."""
    ending: NamedBlock
    """For JOIN once more: what ended the ticket before."""

    def __post_init__(self) -> None:
        """Only who joins shows a verdict."""
        if len(self.verdict) != (32 if self.why is Move.JOIN else 0):
            raise ValueError("a verdict is named by a JOIN, and by nothing else")
        if len(self.ending) not in (0, 32) or (self.ending and self.why is not Move.JOIN):
            raise ValueError("an ending is named by a JOIN only")


class AdmitPayload(Wire, tag="admit"):
    """Somebody becomes a member: with a ticket, back after its ending, or back after a removal."""

    operator_key: Bytes32
    age: U8
    name: Bytes32
    ticket: NamedBlock
    """The RELOCATE block that sent it here; or empty."""
    ending: NamedBlock
    """The REFUSE or EXPIRE block because of which its old group takes it back; or empty."""
    verdict: NamedBlock
    """The VERDICT block that finds it VALID after it was removed here; or empty."""
    nonce: U64
    """Of the join proof for a ticket; else 0."""

    def __post_init__(self) -> None:
        """One reason, and a nonce only where a proof is asked for."""
        if sorted(map(len, (self.ticket, self.ending, self.verdict))) != [0, 0, 32]:
            raise ValueError("an ADMIT names one block: a ticket, an ending or a verdict")
        if self.nonce and not self.ticket:
            raise ValueError("a nonce belongs to a ticket")


class RefusePayload(Wire, tag="refuse"):
    """A ticket ends: its holder cannot come in."""

    ticket: Bytes32
    reason: Refusal


class ExpirePayload(Wire, tag="expire"):
    """A ticket ends: its holder did not come in time."""

    ticket: Bytes32


class SplitPayload(Wire, tag="split"):
    """The group goes on as two; so many voters in each half."""

    zeros: U32
    ones: U32


class MergePayload(Wire, tag="merge"):
    """The group goes on together with its sibling."""

    because: NamedBlock
    """The MERGE block that asks for it, or the last block of a group that only the whole can summon; empty
    when there are too few voters."""

    def __post_init__(self) -> None:
        """A block or none."""
        if len(self.because) not in (0, 32):
            raise ValueError("a block's hash has 32 bytes")


class AbsorbPayload(Wire, tag="absorb"):
    """A step towards going on without a sibling that has stopped, as far as it is known."""

    step: Step
    prefix: Text
    """The group that has stopped."""
    height: U64
    head: Bytes32
    """Its last block that is known, or what its chain began with."""
    summons: NamedBlock
    """The block that summoned it; empty in that block itself."""

    def __post_init__(self) -> None:
        """Every step but the first one is about a summons."""
        if not is_prefix(self.prefix) or not self.prefix:
            raise ValueError("a group with a sibling has a prefix")
        if len(self.summons) != (0 if self.step is Step.SUMMON else 32):
            raise ValueError("a summons is named by what follows it, and by nothing else")


class RemovePayload(Wire, tag="remove"):
    """A member loses its place; it keeps its age for a return."""

    operator_key: Bytes32
    reason: Removal
    proofs: Annotated[tuple[Blob, ...], Meta(max_length=REMOVAL_PROOFS_MAX)]
    """What shows it to anybody, where it can be shown; sorted, none twice."""

    def __post_init__(self) -> None:
        """One set of proofs has one spelling."""
        check_ascending(self.proofs, "proofs")


Payload = (
    LinkPayload
    | RegisterPayload
    | VerdictPayload
    | EvidencePayload
    | RelocatePayload
    | AdmitPayload
    | RefusePayload
    | ExpirePayload
    | SplitPayload
    | MergePayload
    | AbsorbPayload
    | RemovePayload
)

PAYLOADS: dict[Kind, type[Payload]] = {
    Kind.LINK: LinkPayload,
    Kind.REGISTER: RegisterPayload,
    Kind.VERDICT: VerdictPayload,
    Kind.EVIDENCE: EvidencePayload,
    Kind.RELOCATE: RelocatePayload,
    Kind.ADMIT: AdmitPayload,
    Kind.REFUSE: RefusePayload,
    Kind.EXPIRE: ExpirePayload,
    Kind.SPLIT: SplitPayload,
    Kind.MERGE: MergePayload,
    Kind.ABSORB: AbsorbPayload,
    Kind.REMOVE: RemovePayload,
}
"""The payload of each kind."""


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
    payload = _decode_payload(block.payload)
    if not isinstance(payload, PAYLOADS[block.kind]):
        raise MalformedMessage(f"the payload does not belong into a block of kind {block.kind.name}")
    return payload


def decode_certified(data: bytes) -> CertifiedBlock:
    """Return the certified block in `data`, nothing of it checked yet; raises `MalformedMessage`."""
    return _decode_certified(data)


def check_ascending(items: Sequence[bytes], what: str) -> None:
    """Raise `ValueError` unless `items` strictly ascend."""
    if any(first >= second for first, second in zip(items, items[1:], strict=False)):
        raise ValueError(f"{what} must be sorted, none twice")
