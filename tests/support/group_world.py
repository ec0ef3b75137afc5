"""A group with its data chain for tests: founders who vote, judge and answer, on an in-memory chain."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.codec import encode, replace
from protocol.crypto import SIGNATURE_SIZE
from protocol.genesis import Genesis, network_id
from protocol.group.blockmaker import build_verdict
from protocol.group.certificate import Certificate
from protocol.group.data_block import CertifiedBlock, block_hash, decode_block, decode_payload
from protocol.group.data_chain import DataChain
from protocol.group.vote import EquivocationProof, Phase, Slot, equivocation_proof, vote_body
from protocol.parameters import DEVNET
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import Challenge, derive_challenge
from protocol.tracking.observation import ObservationBuilder
from protocol.tracking.response import build_receipt, build_response, response_hash
from protocol.tracking.verdict import Registrations
from protocol.units import Hash32
from tests.support.chain_view import MemoryChain
from tests.support.founding import founded_by
from tests.support.operators import Operator, operators, staked_chain

SEQ = 1
"""The first challenge: its anchor is block 8, it closes at 12 and is judged at 14."""


@dataclass
class Group:
    """Four founders (or more) at the beginning of their data chain."""

    count: int = 4
    tip: int = 14
    founders: tuple[Operator, ...] = field(init=False)
    genesis: Genesis = field(init=False)
    chain: MemoryChain = field(init=False)
    state: DataChain = field(init=False)
    blocks: list[bytes] = field(default_factory=list)
    """The certified blocks so far."""

    def __post_init__(self) -> None:
        self.founders = operators(self.count)
        self.genesis = founded_by(self.founders, parameters=DEVNET)
        self.chain = staked_chain(self.founders, self.tip)
        self.state = DataChain.from_genesis(self.genesis)

    @property
    def network(self) -> bytes:
        return network_id(self.genesis)

    @property
    def everybody(self) -> tuple[Operator, ...]:
        """Who may be or become a voter."""
        return self.founders

    def certificate(
        self, body: bytes, signers: Sequence[Operator] | None = None, round_: int = 0
    ) -> Certificate:
        """The certificate that these (or all present voters) make of a block."""
        chosen = [one for one in self.everybody if one.key in self.state.electorate]
        height, digest = self.state.height + 1, block_hash(body)
        slot = Slot(self.network, self.state.electorate_name, height, round_, Phase.PRECOMMIT)
        signed = [
            (one.key, one.signer.sign(vote_body(slot, digest, one.key))[:SIGNATURE_SIZE])
            for one in (chosen if signers is None else signers)
        ]
        return Certificate(
            electorate=self.state.electorate_name,
            height=height,
            round=round_,
            block_hash=digest,
            signatures=tuple(sorted(signed)),
        )

    def certified(self, body: bytes, signers: Sequence[Operator] | None = None) -> CertifiedBlock:
        return CertifiedBlock(block=body, certificate=self.certificate(body, signers))

    def advance(self, body: bytes) -> None:
        """Let the voters certify a block and apply it."""
        certified = self.certified(body)
        self.state = self.state.apply(certified, self.chain)
        self.blocks.append(encode(certified))

    def challenge(self, seq: int = SEQ) -> Challenge:
        return derive_challenge(seq, self.chain, self.genesis.parameters)

    def registrations(self, seq: int) -> Registrations:
        """Whom the group judges in a challenge."""
        return self.state.book.in_force(seq * 8)

    def responses(self, seq: int = SEQ, of: Iterable[Operator] | None = None) -> dict[Hash32, bytes]:
        """The right responses of these (or all founders), by hash."""
        challenge, registrations = self.challenge(seq), self.registrations(seq)
        answers = AnswerKey(challenge, registrations, self.chain, self.genesis.parameters)
        envelopes = [
            build_response(
                one.signer,
                self.network,
                challenge,
                registrations[one.key],
                answers.answer(one.key),
                one.ip,
                9033,
            )
            for one in (self.founders if of is None else of)
        ]
        return {response_hash(envelope): envelope for envelope in envelopes}

    def observation(
        self, judge: Operator, responses: Iterable[bytes], seq: int = SEQ, reached: bool = True
    ) -> bytes:
        """A judge that got these responses in time and reached everybody (or nobody)."""
        challenge, registrations = self.challenge(seq), self.registrations(seq)
        answers = AnswerKey(challenge, registrations, self.chain, self.genesis.parameters)
        builder = ObservationBuilder(self.network, answers)
        for envelope in responses:
            builder.record_response(envelope, challenge.anchor_height + 1, b"")
        for key, entry in registrations.items():
            if reached:
                builder.record_probe(key, ip=entry.ip, fast=True)
        return judge.signer.sign(encode(builder.build(judge.key)))

    def observations(self, seq: int = SEQ, judges: Iterable[Operator] | None = None) -> list[bytes]:
        """What these judges (or all founders) saw when everything went well."""
        responses = self.responses(seq).values()
        return [self.observation(judge, responses, seq) for judge in (judges or self.founders)]

    def verdict_block(self, seq: int = SEQ) -> bytes:
        """The VERDICT block of a challenge in which everything went well."""
        return build_verdict(self.state, self.chain, seq, self.observations(seq), self.responses(seq))

    def receipt(
        self, judge: Operator, one: Operator, envelope: bytes, seq: int = SEQ, height: int = 9
    ) -> bytes:
        return build_receipt(judge.signer, self.network, self.challenge(seq), one.key, envelope, height)

    def registration(self, one: Operator, sequence: int = 1) -> bytes:
        return one.envelope(sequence, network=self.network)

    def contradiction(self, one: Operator, height: int = 1) -> EquivocationProof:
        """Proof that a founder voted for two things in one slot."""
        slot = Slot(self.network, "group:", height, 0, Phase.PREVOTE)
        votes = [one.signer.sign(vote_body(slot, bytes([n]) * 32, one.key)) for n in (1, 2)]
        proof = equivocation_proof(*votes)
        assert proof is not None
        return proof


def changed(body: bytes, **change: Any) -> bytes:
    """Return the block with changed fields."""
    return encode(replace(decode_block(body), **change))


def repacked(body: bytes, **change: Any) -> bytes:
    """Return the block with a changed payload."""
    block = decode_block(body)
    return encode(replace(block, payload=encode(replace(decode_payload(block), **change))))
