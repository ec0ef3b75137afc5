"""A court for tests: operators with stakes, judges with ages, and what each judge saw.

By default every judge saw everybody do everything right; a test changes what it is about.
The registered operators are the judges too, as on a small network.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from protocol.codec import encode, replace
from protocol.group.quorum import Voter
from protocol.parameters import DEVNET, Parameters
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import Challenge, derive_challenge
from protocol.tracking.observation import Observation, Sighting
from protocol.tracking.registration import Registration
from protocol.tracking.response import (
    BadlySigned,
    Receipt,
    Response,
    build_response,
    read_response,
    read_responses,
    response_hash,
)
from protocol.tracking.verdict import Reason, Registrations, Verdict, derive_verdicts
from protocol.units import Hash32, OperatorKey
from tests.support.chain_view import MemoryChain
from tests.support.operators import NETWORK, Operator, operators, staked_chain

SEQ = 2
UNSEEN: dict[str, Any] = {"reached": False, "ip": b"", "fast": False}


@dataclass
class Court:
    """One challenge before its judges."""

    count: int = 7
    ages: Sequence[int] = ()
    parameters: Parameters = DEVNET
    chain: MemoryChain = field(init=False)
    members: tuple[Operator, ...] = field(init=False)
    registrations: dict[OperatorKey, Registration] = field(init=False)
    contested: Registrations = field(default_factory=dict)
    previous: dict[bytes, OperatorKey] = field(default_factory=dict)
    evidence: dict[Hash32, bytes] = field(default_factory=dict)
    sightings: dict[OperatorKey, dict[OperatorKey, Sighting]] = field(init=False)
    """What each judge saw: judge -> operator -> sighting."""

    def __post_init__(self) -> None:
        self.members = operators(self.count)
        self.chain = staked_chain(self.members, 30)
        self.registrations = {one.key: one.registration() for one in self.members}
        self.sightings = {judge.key: {} for judge in self.members}
        for one in self.members:
            self.saw(one, self.right(one))

    @property
    def challenge(self) -> Challenge:
        return derive_challenge(SEQ, self.chain, self.parameters)

    @property
    def voters(self) -> tuple[Voter, ...]:
        ages = self.ages or [1] * self.count
        return tuple(
            Voter(operator_key=one.key, age=age) for one, age in zip(self.members, ages, strict=True)
        )

    def answers(self) -> AnswerKey:
        return AnswerKey(self.challenge, self.registrations, self.chain, self.parameters)

    def response(self, one: Operator, **changes: Any) -> bytes:
        """A signed response, right but for `changes`."""
        entry = self.registrations.get(one.key) or one.registration()
        answer = self.answers().answer(one.key)
        envelope = build_response(one.signer, NETWORK, self.challenge, entry, answer, entry.ip, entry.port)
        response = read_response(envelope, NETWORK)
        assert isinstance(response, Response)
        return one.signer.sign(encode(replace(response, **changes)))

    def right(self, one: Operator) -> bytes:
        return self.response(one)

    def wrong(self, one: Operator) -> bytes:
        return self.response(one, answer=b"wrong answer")

    def old(self, one: Operator) -> bytes:
        return self.response(one, seq=SEQ - 1)

    def badly_signed(self, one: Operator) -> bytes:
        return b"\x00" * 64 + self.right(one)[64:]

    def sighting(self, one: Operator, envelope: bytes = b"", height: int = 17, **changes: Any) -> Sighting:
        """A judge's sighting of an operator that was reached; the response is kept as evidence."""
        if envelope:
            self.evidence[response_hash(envelope)] = envelope
        seen = Sighting(
            operator_key=one.key,
            response_hash=response_hash(envelope) if envelope else b"",
            received_height=height if envelope else 0,
            reached=True,
            ip=one.ip,
            fast=True,
            tls_valid=False,
        )
        return replace(seen, **changes)

    def saw(
        self,
        one: Operator,
        envelope: bytes = b"",
        height: int = 17,
        judges: Iterable[Operator] | None = None,
        **changes: Any,
    ) -> None:
        """Let these judges (or all) see an operator so."""
        for judge in self.members if judges is None else judges:
            self.sightings[judge.key][one.key] = self.sighting(one, envelope, height, **changes)

    def missed(self, one: Operator, judges: Iterable[Operator] | None = None) -> None:
        """Let these judges (or all) have seen nothing of an operator."""
        for judge in self.members if judges is None else judges:
            self.sightings[judge.key].pop(one.key, None)

    def observation(self, judge: Operator) -> Observation:
        seen = self.sightings[judge.key]
        return Observation(
            network=NETWORK,
            seq=self.challenge.seq,
            anchor_hash=self.challenge.anchor_hash,
            judge=judge.key,
            sightings=tuple(seen[key] for key in sorted(seen)),
        )

    def observations(self, judges: Iterable[Operator] | None = None) -> list[Observation]:
        return [self.observation(judge) for judge in (self.members if judges is None else judges)]

    def responses(self) -> Mapping[Hash32, Response | BadlySigned]:
        return read_responses(self.evidence.values(), NETWORK)

    def verdicts(
        self, observations: Sequence[Observation] | None = None, receipts: Iterable[Receipt] = ()
    ) -> tuple[Verdict, ...]:
        return derive_verdicts(
            self.challenge,
            self.registrations,
            self.voters,
            self.observations() if observations is None else observations,
            self.responses(),
            self.chain,
            self.previous,
            self.parameters,
            contested=self.contested,
            receipts=receipts,
        )

    def reasons(
        self, observations: Sequence[Observation] | None = None, receipts: Iterable[Receipt] = ()
    ) -> dict[OperatorKey, Reason]:
        found = self.verdicts(observations, receipts)
        return {OperatorKey(verdict.operator_key): verdict.reason for verdict in found}

    def reason(self, one: Operator, observations: Sequence[Observation] | None = None) -> Reason:
        return self.reasons(observations)[one.key]
