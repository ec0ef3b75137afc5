"""Votes, proposals, and the proof that somebody contradicted himself.

Answers for: the slot of every signed statement of consensus, and for what is an
offence: two different statements of one signer in one slot. When to make a
statement is `consensus`' business, that a slot is never used twice is
`vote_guard`'s. Spec: `spec/consensus.md`, `spec/evidence.md`.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Annotated

from protocol.codec import U32, U64, Bytes32, Bytes64, Decoder, Meta, Text, Wire, encode
from protocol.crypto import SIGNATURE_SIZE, envelope_body, sha3_256, verify_envelope
from protocol.errors import InvalidProof, InvalidSignature, MalformedMessage, WrongNetwork
from protocol.units import Hash32, OperatorKey

LIST_ELECTORATE = "list"
"""The electorate that signs payout lists: every voter of the network."""
GROUP_ELECTORATE = "group:"
"""Prefix of a group's electorate name; the group's prefix bits follow."""
NIL = b""
"""A vote for no value."""
VOTE_SIZE_MAX = 512
"""Bytes of the largest vote envelope."""
PROPOSAL_SIZE_MAX = 1 << 20
"""Bytes of the largest proposal body: the value and the proof of its lock."""
PROOF_SIGNATURES_MAX = 8_192
"""Prevotes in the proof of a proposal's lock."""
EVIDENCE_SIZE_MAX = 256 * 1024
"""Bytes of the largest pair of envelopes that is taken into a data block."""

Signed = tuple[Bytes32, Bytes64]
"""(signer, signature) over a body that the reader puts together himself."""


class Phase(IntEnum):
    """The statements of one round, in the order in which they are made."""

    PROPOSE = 0
    PREVOTE = 1
    PRECOMMIT = 2


@dataclass(frozen=True, slots=True, order=True)
class Slot:
    """The place of one statement: a signer says one thing there, for ever."""

    network: bytes
    electorate: str
    height: int
    round: int
    phase: Phase


def group_electorate(prefix: str) -> str:
    """Return the electorate name of the group with these prefix bits."""
    return GROUP_ELECTORATE + prefix


def is_electorate_name(name: str) -> bool:
    """Whether `name` is "list" or "group:" and prefix bits."""
    if name == LIST_ELECTORATE:
        return True
    return name.startswith(GROUP_ELECTORATE) and not name[len(GROUP_ELECTORATE) :].strip("01")


def check_signed_list(signatures: tuple[Signed, ...]) -> None:
    """Raise `ValueError` unless the signers are strictly ascending (so none stands there twice)."""
    signers = [signer for signer, _ in signatures]
    if any(first >= second for first, second in zip(signers, signers[1:], strict=False)):
        raise ValueError("signers must be sorted, without duplicates")


class Vote(Wire, tag="vote"):
    """A prevote or precommit for a value's hash (32 bytes), or for none (empty)."""

    network: Bytes32
    electorate: Text
    height: U64
    round: U32
    phase: Phase
    block_hash: Annotated[bytes, Meta(max_length=32)]
    voter: Bytes32

    def __post_init__(self) -> None:
        """The field types alone would let these pass."""
        if self.phase == Phase.PROPOSE or len(self.block_hash) not in (0, 32):
            raise ValueError("a vote is a prevote or precommit for 32 bytes or for none")
        if not is_electorate_name(self.electorate):
            raise ValueError(f"no electorate: {self.electorate!r}")

    @property
    def slot(self) -> Slot:
        """Where this vote is cast."""
        return Slot(self.network, self.electorate, self.height, self.round, self.phase)

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed it."""
        return OperatorKey(self.voter)


class Proposal(Wire, tag="proposal"):
    """A value for a round. `valid_round` is 0, or the round + 1 in which a quorum prevoted the value.

    `proof` holds those prevotes' signatures, so that nobody needs anybody's old votes.
    """

    network: Bytes32
    electorate: Text
    height: U64
    round: U32
    valid_round: U32
    proof: Annotated[tuple[Signed, ...], Meta(max_length=PROOF_SIGNATURES_MAX)]
    proposer: Bytes32
    value: Annotated[bytes, Meta(max_length=PROPOSAL_SIZE_MAX)]

    def __post_init__(self) -> None:
        """A lock is of an earlier round and comes with its proof."""
        if self.valid_round > self.round or bool(self.valid_round) != bool(self.proof):
            raise ValueError("a valid round is earlier than the proposal's and has its proof")
        if not is_electorate_name(self.electorate):
            raise ValueError(f"no electorate: {self.electorate!r}")
        check_signed_list(self.proof)

    @property
    def slot(self) -> Slot:
        """Where this proposal is made."""
        return Slot(self.network, self.electorate, self.height, self.round, Phase.PROPOSE)

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed it."""
        return OperatorKey(self.proposer)


Statement = Vote | Proposal

_decode_vote: Decoder[Vote] = Decoder(Vote, VOTE_SIZE_MAX)
_decode_statement: Decoder[Statement] = Decoder(Statement, PROPOSAL_SIZE_MAX)


def value_hash(value: bytes) -> Hash32:
    """Return the hash under which a value is voted on (for a data block: its block hash)."""
    return sha3_256(value)


def vote_content(block_hash: bytes) -> Hash32:
    """Return what the vote file records of a vote: the hash voted for, 32 zero bytes for none.

    The slot and this are the whole statement, so a vote whose envelope was lost can be
    signed again, and a lock can be read from the vote file alone.
    """
    return Hash32(block_hash or bytes(32))


def voted_hash(content_hash: bytes) -> bytes:
    """Return the block hash that a recorded vote was for; `NIL` for none."""
    return NIL if content_hash == bytes(32) else content_hash


def proposal_content(body: bytes) -> Hash32:
    """Return what the vote file records of a proposal: the hash of its whole body."""
    return sha3_256(body)


def content_hash(statement: Statement, body: bytes) -> Hash32:
    """Return what the vote file records of a statement and its body."""
    return vote_content(statement.block_hash) if isinstance(statement, Vote) else proposal_content(body)


def decode_vote(body: bytes) -> Vote:
    """Return the vote in `body`, its signature still unchecked; raises `MalformedMessage`."""
    return _decode_vote(body)


def decode_statement(body: bytes) -> Statement:
    """Return the vote or proposal in `body`, its signature still unchecked; raises `MalformedMessage`."""
    return _decode_statement(body)


def check_signed(envelope: bytes, network: bytes) -> Statement:
    """Return the statement in `envelope`, decoded, of this network and signed by its signer.

    Raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`, cheapest check first.
    """
    statement = _decode_statement(envelope_body(envelope))
    if statement.network != network:
        raise WrongNetwork(f"a statement of network {statement.network.hex()[:16]}")
    verify_envelope(envelope, statement.signer)
    return statement


def vote_body(slot: Slot, block_hash: bytes, voter: bytes) -> bytes:
    """Return the one body that `voter` signs to vote for `block_hash` in `slot`."""
    return encode(
        Vote(
            network=slot.network,
            electorate=slot.electorate,
            height=slot.height,
            round=slot.round,
            phase=slot.phase,
            block_hash=block_hash,
            voter=voter,
        )
    )


def check_vote_signatures(slot: Slot, block_hash: bytes, signatures: tuple[Signed, ...]) -> None:
    """Raise `InvalidSignature` unless each signer cast this vote in this slot."""
    for signer, signature in signatures:
        verify_envelope(signature + vote_body(slot, block_hash, signer), signer)


class EquivocationProof(Wire, tag="equivocation"):
    """Two envelopes of one signer for one slot with different bodies, the smaller bytes first."""

    first: Annotated[bytes, Meta(max_length=EVIDENCE_SIZE_MAX)]
    second: Annotated[bytes, Meta(max_length=EVIDENCE_SIZE_MAX)]

    def __post_init__(self) -> None:
        """One order, so that one contradiction has one spelling; and small enough for a data block."""
        if self.first >= self.second:
            raise ValueError("the two statements are sorted and differ")
        if min(len(self.first), len(self.second)) <= SIGNATURE_SIZE:
            raise ValueError("an envelope is longer than its signature")
        if len(self.first) + len(self.second) > EVIDENCE_SIZE_MAX:
            raise ValueError(f"evidence is at most {EVIDENCE_SIZE_MAX} bytes")


def equivocation_proof(one: bytes, other: bytes) -> EquivocationProof | None:
    """Return the proof made of two envelopes, or None when they are too large for a data block.

    Only proposals can be too large, and a proposer who sends two only loses its own round.
    """
    if len(one) + len(other) > EVIDENCE_SIZE_MAX:
        return None
    first, second = sorted((one, other))
    return EquivocationProof(first=first, second=second)


def check_equivocation(proof: EquivocationProof, network: bytes) -> OperatorKey:
    """Return who contradicted himself, checked from the proof alone; raises `InvalidProof`.

    Nothing is asked of the signer but the two signatures, so the proof convicts a former
    voter as well as a present one.
    """
    try:
        one, other = check_signed(proof.first, network), check_signed(proof.second, network)
    except (MalformedMessage, WrongNetwork, InvalidSignature) as error:
        raise InvalidProof(f"no equivocation: {error}") from None
    if one.slot != other.slot or one.signer != other.signer:
        raise InvalidProof("no equivocation: the statements are of two slots or two signers")
    if envelope_body(proof.first) == envelope_body(proof.second):
        raise InvalidProof("no equivocation: one statement, signed twice")
    return one.signer
