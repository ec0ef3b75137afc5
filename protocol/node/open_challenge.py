"""One challenge at one node, from its anchor to its verdict block.

Answers for: what this node received, dialled and heard from the judges of one
challenge, and the record of it that survives a crash. When a challenge opens, closes and is
judged is `tracker`'s business; what counts is `protocol.tracking`'s.
Spec: `spec/node.md`.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import NotAMember, ProtocolError, StaleMessage
from protocol.group.quorum import Electorate
from protocol.node.effects import Effect, Persist
from protocol.node.records import OBSERVATION, RESPONSE, SIGHTING, Records, challenge_prefix
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import Challenge
from protocol.tracking.observation import Held, Observation, ObservationBuilder, check_observation
from protocol.tracking.response import RESPONSE_SIZE_MAX, response_hash
from protocol.units import Hash32, OperatorKey

PROBE_ATTEMPTS_MAX = 3
"""Dial-backs to one operator in one challenge."""
FETCHED_MAX = 16_384
"""Responses kept because another judge's observation names them."""
_HEIGHT_SIZE = 8
_FAST, _TLS_VALID = 1, 2
"""Bits of a written sighting."""
_BEFORE_ENVELOPE = _HEIGHT_SIZE + 32
"""Bytes of a written response before its envelope: the height, and who handed it over."""


class OpenChallenge:
    """What one node holds of one challenge."""

    def __init__(self, network: bytes, answers: AnswerKey, prefix: str = "") -> None:
        """`prefix` is our group's: as a judge we look at those who fall to it."""
        self.challenge: Challenge = answers.challenge
        self.answers = answers
        self.builder = ObservationBuilder(network, answers, prefix)
        self.observations: dict[OperatorKey, bytes] = {}
        self.receipts: dict[tuple[OperatorKey, OperatorKey], bytes] = {}
        """Receipts by (judge, operator)."""
        self.own_response = b""
        self.told: set[OperatorKey] = set()
        """The judges to whom our own response was sent."""
        self.to_dial: deque[OperatorKey] = deque()
        """Whose responses came and who were not dialled yet."""
        self.attempts: dict[OperatorKey, int] = {}
        self.ready_since: int | None = None
        self.was_open = False
        """Whether our chain ever stood between its anchor and its close, as far as we know."""
        self._network = network
        self._response_key = self._key(RESPONSE)
        self._written: set[bytes] = set()
        """Operators of whom a response is in the record: only those get a receipt."""
        self._named: dict[OperatorKey, tuple[Hash32, ...]] = {}
        self._wanted: dict[Hash32, None] = {}
        """What anybody names, to look up; bounded by the judges' observations."""
        self._fetched: dict[Hash32, bytes] = {}

    # What comes in. Each returns what must be persisted.

    def keep_response(self, envelope: bytes, height: int, peer: bytes) -> Persist | None:
        """Take a response; None when one as good is held. Raises `ProtocolError`."""
        response = self.builder.record_response(envelope, height, peer)
        if response is not None:
            return self._write(response.operator_key, height, peer, envelope)
        held = self.builder.held(peer)
        if held is None or peer in self._written:
            return None
        return self._write(peer, held.height, peer, held.envelope)  # it had a flaw when it came first

    def write_rest(self) -> list[Persist]:
        """Return the writes of what is held and not in the record: what we name we must be able to show."""
        flawed = [held for held in self.builder.all_held() if held.response.signer not in self._written]
        return [
            self._write(held.response.signer, held.height, held.response.signer, held.envelope)
            for held in flawed
        ]

    def write_durably(self, held: Held) -> Persist:
        """Return the write after which a receipt may say that a response is here.

        What came by gossip is written without waiting for the disk: nobody was told that it came.
        """
        signer = held.response.signer
        return self._write(signer, held.height, signer, held.envelope)._replace(durable=True)

    def _write(self, operator_key: bytes, height: int, peer: bytes, envelope: bytes) -> Persist:
        self._written.add(operator_key)
        value = height.to_bytes(_HEIGHT_SIZE, "big") + peer + envelope
        return Persist(self._response_key + operator_key, value)

    def keep_sighting(self, operator_key: bytes, ip: bytes, fast: bool, tls_valid: bool = False) -> Persist:
        """Take the outcome of a dial-back; what is written is the best of all so far."""
        self.builder.record_probe(operator_key, ip=ip, fast=fast, tls_valid=tls_valid)
        ip, fast, tls_valid = self.builder.contact(operator_key)
        flags = fast * _FAST | tls_valid * _TLS_VALID
        return Persist(self._key(SIGHTING) + operator_key, bytes((flags,)) + ip)

    def keep_observation(self, observation: Observation, envelope: bytes) -> Persist:
        """Take a judge's first observation, its signature checked."""
        judge = observation.signer
        if judge in self.observations:
            raise StaleMessage("a judge observes once")
        self.observations[judge] = envelope
        named = tuple(Hash32(seen.response_hash) for seen in observation.sightings if seen.response_hash)
        self._named[judge] = named
        self._wanted.update(dict.fromkeys(named))
        return Persist(self._key(OBSERVATION) + judge, envelope, durable=True)

    def keep_fetched(self, envelope: bytes) -> None:
        """Take a response that some observation names, whatever it is worth."""
        if len(envelope) > SIGNATURE_SIZE + RESPONSE_SIZE_MAX or len(self._fetched) >= FETCHED_MAX:
            return
        named = response_hash(envelope)
        if named in self._wanted:
            self._fetched[named] = envelope

    def update(self, answers: AnswerKey, prefix: str | None = None) -> None:
        """Go on with other registrations, or as a judge of another group."""
        self.answers = answers
        self.builder.update(answers, prefix)

    # What is asked of it.

    def missing(self, judge: OperatorKey) -> list[Hash32]:
        """Return the responses that a judge's observation names and that we lack."""
        held = self._responses()
        return [named for named in self._named.get(judge, ()) if named not in held]

    def envelopes_of(self, hashes: Sequence[bytes]) -> Iterator[bytes]:
        """Yield those of the named responses that we hold."""
        held = self._responses()
        return (held[Hash32(named)] for named in hashes if named in held)

    def complete(self, electorate: Electorate) -> tuple[list[bytes], list[bytes]] | None:
        """Return (observations by judge, responses by hash) of a FINAL set of voters, or None."""
        held = self._responses()
        whole = [
            judge
            for judge in sorted(self.observations)
            if judge in electorate and all(named in held for named in self._named[judge])
        ]
        if not electorate.is_final(whole):
            return None
        named = sorted({hash_ for judge in whole for hash_ in self._named[judge]})
        return [self.observations[judge] for judge in whole], [held[hash_] for hash_ in named]

    def may_probe(self, operator_key: OperatorKey) -> bool:
        """Whether another dial-back to an operator is worth its cost; counts the attempt."""
        tried = self.attempts.get(operator_key, 0)
        if tried >= PROBE_ATTEMPTS_MAX or self._has_shown_all(operator_key):
            return False
        self.attempts[operator_key] = tried + 1
        return True

    def _has_shown_all(self, operator_key: OperatorKey) -> bool:
        """Whether an operator was fast, and its TLS host valid if it registered one."""
        registration = self.answers.registrations.get(operator_key)
        _, fast, tls_valid = self.builder.contact(operator_key)
        return fast and (tls_valid or registration is None or not registration.fqdn)

    # The record.

    def restore(self, records: Records) -> bool:
        """Take back what the record holds; return whether that is anything."""
        families = (RESPONSE, SIGHTING, OBSERVATION)
        if all(next(records.iterate(self._key(family)), None) is None for family in families):
            return False
        for _, envelope in records.iterate(self._key(OBSERVATION)):
            self.keep_observation(check_observation(envelope, self._network), envelope)
        prefix = self._key(RESPONSE)
        for key, value in records.iterate(prefix):
            self._written.add(key[len(prefix) :])
            height = int.from_bytes(value[:_HEIGHT_SIZE], "big")
            peer, envelope = value[_HEIGHT_SIZE:_BEFORE_ENVELOPE], value[_BEFORE_ENVELOPE:]
            with suppress(ProtocolError):  # a flawed one was kept as such, and is again
                try:
                    self.builder.record_response(envelope, height, peer)
                except NotAMember:
                    self.keep_fetched(envelope)  # if we named it as a judge of another group
        prefix = self._key(SIGHTING)
        for key, value in records.iterate(prefix):
            fast, tls_valid = bool(value[0] & _FAST), bool(value[0] & _TLS_VALID)
            self.keep_sighting(key[len(prefix) :], value[1:], fast, tls_valid)
        return True

    def forget(self, records: Records, own_word: OperatorKey) -> list[Effect]:
        """Drop the record: the verdict block holds what matters of it.

        But for our own observation, the one that this judge may ever make of this challenge, and the
        responses that it names: if we move into a group that has not judged yet, it needs them too.
        """
        named = frozenset(self._named.get(own_word, ()))
        families = (SIGHTING, OBSERVATION)
        keys = [key for family in families for key, _ in records.iterate(self._key(family))]
        keys += [
            key for key, value in records.iterate(self._key(RESPONSE)) if _response_of(value) not in named
        ]
        return [Persist(key, None) for key in keys if key != self._key(OBSERVATION) + own_word]

    def _key(self, family: bytes) -> bytes:
        return challenge_prefix(family, self.challenge.seq, self.challenge.anchor_hash)

    def _responses(self) -> Mapping[Hash32, bytes]:
        return {**self._fetched, **self.builder.envelopes()}


def _response_of(value: bytes) -> Hash32:
    """Return the hash of a written response."""
    return response_hash(value[_BEFORE_ENVELOPE:])
