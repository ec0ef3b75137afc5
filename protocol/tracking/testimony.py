"""What the judges attest together.

Answers for: which observations are a verdict's, and which of the things that only a
judge could see more than a third of the voters and of their age attest. Of any final set of
voters more than a third saw what all honest judges saw, and while less than a third lie,
they can neither invent nor hide it. What follows is `verdict`'s business.
Spec: `spec/verdict.md`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum

from protocol.errors import InvalidBlock, NotAMember, StaleMessage
from protocol.group.quorum import Electorate
from protocol.parameters import Parameters
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import Challenge
from protocol.tracking.diversity import ip_slot
from protocol.tracking.observation import Observation, Sighting
from protocol.tracking.response import BadlySigned, Receipt, Response
from protocol.units import Hash32, OperatorKey

Evidence = Response | BadlySigned


class Merit(IntEnum):
    """How far an operator's best response got; each step includes those below it."""

    NONE = 0
    RECEIVED = 1
    IN_TIME = 2
    CURRENT = 3
    SIGNED = 4
    RIGHT = 5


@dataclass(slots=True)
class _Words:
    """What one judge says of one operator."""

    merit: Merit = Merit.NONE
    slot: bytes = b""
    fast: bool = False
    tls_valid: bool = False


def referenced_responses(
    observations: Iterable[Observation], receipts: Iterable[Receipt] = ()
) -> tuple[Hash32, ...]:
    """Return the hashes of the responses that a verdict on these must come with, sorted."""
    seen = {sighting.response_hash for observation in observations for sighting in observation.sightings}
    seen |= {receipt.response_hash for receipt in receipts}
    return tuple(Hash32(digest) for digest in sorted(seen - {b""}))


def check_observations(
    challenge: Challenge, observations: Sequence[Observation], electorate: Electorate
) -> None:
    """Raise unless these are observations of this challenge by a final set of voters, one each.

    `StaleMessage` for another challenge, `NotAMember` for a foreign judge, `InvalidBlock` for a judge
    that stands there twice and for too few.
    """
    judges = [observation.signer for observation in observations]
    for observation in observations:
        _check_statement(challenge, electorate, observation, observation.judge)
    if len(frozenset(judges)) != len(judges):
        raise InvalidBlock("two observations of one judge")
    if not electorate.is_final(judges):
        raise InvalidBlock(f"observations of {len(judges)} of {len(electorate)} voters are not final")


def _check_statement(
    challenge: Challenge, electorate: Electorate, statement: Observation | Receipt, judge: bytes
) -> None:
    if (statement.seq, statement.anchor_hash) != (challenge.seq, challenge.anchor_hash):
        raise StaleMessage(f"a judge's word on challenge {statement.seq}, this is {challenge.seq}")
    if judge not in electorate:
        raise NotAMember(f"not a voter: {judge.hex()}")


class Testimony:
    """All that the judges say of the operators in one challenge, and what of it is attested."""

    def __init__(
        self,
        electorate: Electorate,
        answers: AnswerKey,
        responses: Mapping[Hash32, Evidence],
        parameters: Parameters,
    ) -> None:
        """`responses` must hold every response that is named."""
        self._challenge = answers.challenge
        self._electorate = electorate
        self._is_third = electorate.is_third
        self._answers = answers
        self._responses = responses
        self._parameters = parameters
        self._merits: dict[tuple[bytes, bytes], Merit] = {}
        self._words: dict[bytes, dict[bytes, _Words]] = {}

    def hear(self, observations: Iterable[Observation], receipts: Iterable[Receipt]) -> None:
        """Take checked observations, and receipts: these count as if their judges' observations said so.

        Raises `InvalidBlock` when a response that is named is missing, and for a receipt `StaleMessage`
        or `NotAMember` as `check_observations` does.
        """
        for observation in observations:
            for sighting in observation.sightings:
                self._hear_sighting(observation.judge, sighting)
        for receipt in receipts:
            _check_statement(self._challenge, self._electorate, receipt, receipt.judge)
            self._hear_response(self._of(receipt.judge, receipt.operator_key), receipt, receipt.height)

    def _hear_sighting(self, judge: bytes, sighting: Sighting) -> None:
        words = self._of(judge, sighting.operator_key)
        words.slot = ip_slot(sighting.ip, self._parameters) if sighting.reached else b""
        words.fast = sighting.fast
        words.tls_valid = sighting.tls_valid
        if sighting.response_hash:
            self._hear_response(words, sighting, sighting.received_height)

    def merit(self, operator_key: bytes) -> Merit:
        """Return the highest step that is attested."""
        said = self._said_of(operator_key)
        for step in sorted(Merit, reverse=True):
            if self._is_third(judge for judge, words in said if words.merit >= step):
                return step
        return Merit.NONE

    def slot(self, operator_key: bytes) -> bytes:
        """Return the slot at which the operator was reached, or empty; of several the lowest."""
        by_slot: dict[bytes, list[bytes]] = {}
        for judge, words in self._said_of(operator_key):
            by_slot.setdefault(words.slot, []).append(judge)
        return next((slot for slot in sorted(by_slot) if slot and self._is_third(by_slot[slot])), b"")

    def is_fast(self, operator_key: bytes, slot: bytes) -> bool:
        """Whether it is attested that the operator, at that slot, answered a fresh nonce in time."""
        said = self._said_of(operator_key)
        return self._is_third(judge for judge, words in said if words.fast and words.slot == slot)

    def is_tls_valid(self, operator_key: bytes) -> bool:
        """Whether a valid certificate of the operator's TLS host is attested."""
        return self._is_third(judge for judge, words in self._said_of(operator_key) if words.tls_valid)

    def responded(self) -> tuple[OperatorKey, ...]:
        """Return the operators, registered or not, of whom any response is attested, sorted."""
        return tuple(OperatorKey(key) for key in sorted(self._words) if self.merit(key))

    def _of(self, judge: bytes, operator_key: bytes) -> _Words:
        return self._words.setdefault(operator_key, {}).setdefault(judge, _Words())

    def _said_of(self, operator_key: bytes) -> Iterable[tuple[bytes, _Words]]:
        return self._words.get(operator_key, {}).items()

    def _hear_response(self, words: _Words, said: Sighting | Receipt, height: int) -> None:
        merit = self._merit_in_time(said.operator_key, said.response_hash)
        if height >= self._challenge.closes:
            merit = min(merit, Merit.RECEIVED)
        words.merit = max(words.merit, merit)

    def _merit_in_time(self, operator_key: bytes, digest: bytes) -> Merit:
        """Return how far a response gets if it came in time; each is looked at once."""
        known = self._merits.get((operator_key, digest))
        if known is None:
            known = self._merits[operator_key, digest] = self._weigh(operator_key, digest)
        return known

    def _weigh(self, operator_key: bytes, digest: bytes) -> Merit:
        evidence = self._responses.get(Hash32(digest))
        if evidence is None:
            raise InvalidBlock(f"a judge names response {digest.hex()[:16]}, which is not there")
        response = evidence.response if isinstance(evidence, BadlySigned) else evidence
        if response.operator_key != operator_key:
            return Merit.NONE
        if (response.seq, response.anchor_hash) != (self._challenge.seq, self._challenge.anchor_hash):
            return Merit.IN_TIME
        if evidence is not response:
            return Merit.CURRENT
        return Merit.RIGHT if self._answers.is_right(response) else Merit.SIGNED
