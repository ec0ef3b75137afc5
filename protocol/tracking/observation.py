"""What one judge saw of the operators during a challenge.

Answers for: the signed observation, and what a judge collects for it: of each operator
the first right response, else the first one, and the best of its dial-backs. Nobody
can spoil what an operator sent: a wrong, old or badly signed response is kept only in
place of nothing, and the last two only when the operator itself handed them over. What
judges who differ make of it together is `verdict`'s business. Spec: `spec/response.md`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

from protocol.codec import U32, U64, Bytes32, Decoder, Meta, Wire
from protocol.crypto import envelope_body, verify_envelope
from protocol.errors import InvalidSignature, NotAMember, StaleMessage, WrongNetwork
from protocol.group.name import matches
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import challenge_draw
from protocol.tracking.diversity import is_packed_ip
from protocol.tracking.response import Response, ResponseChecker, decode_response, response_hash
from protocol.units import Hash32, OperatorKey

SIGHTINGS_MAX = 8_192
"""Operators in one observation."""
FOREIGN_MAX = 64
"""Responses of operators without a registration that a judge keeps, to be able to say so."""
OBSERVATION_SIZE_MAX = 1 << 20
"""Bytes of the largest observation body."""
NOTHING = b""
"""No response, or no address."""


class Sighting(Wire):
    """What a judge saw of one operator. Who was not seen at all has no sighting."""

    operator_key: Bytes32
    response_hash: Annotated[bytes, Meta(max_length=32)]
    """The hash of the response envelope that the judge keeps, or empty."""
    received_height: U64
    """Height of the judge's tip when it received that response; 0 without one."""
    reached: bool
    """Whether the operator was dialled and authenticated."""
    ip: Annotated[bytes, Meta(max_length=16)]
    """The packed address at which it was reached, or empty."""
    fast: bool
    """Whether it answered a fresh nonce rightly and in time."""
    tls_valid: bool
    """Whether its TLS host showed a valid certificate."""

    def __post_init__(self) -> None:
        """One spelling for each thing seen."""
        if len(self.response_hash) not in (0, 32) or (self.received_height and not self.response_hash):
            raise ValueError("a height belongs to a response, whose hash has 32 bytes")
        if self.reached != bool(self.ip) or (self.ip and not is_packed_ip(self.ip)):
            raise ValueError("who was reached, was reached at a packed IP address")
        if self.fast and not self.reached:
            raise ValueError("nobody is fast without being reached")
        if not (self.response_hash or self.reached or self.tls_valid):
            raise ValueError("a sighting of nothing")


class Observation(Wire, tag="observation"):
    """What a judge saw in one challenge, sorted by operator; signed by the judge."""

    network: Bytes32
    seq: U32
    anchor_hash: Bytes32
    judge: Bytes32
    sightings: Annotated[tuple[Sighting, ...], Meta(max_length=SIGHTINGS_MAX)]

    def __post_init__(self) -> None:
        """One order, no operator twice."""
        keys = [sighting.operator_key for sighting in self.sightings]
        if any(first >= second for first, second in zip(keys, keys[1:], strict=False)):
            raise ValueError("sightings must be sorted by operator, each once")

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed the envelope."""
        return OperatorKey(self.judge)


_decode_observation: Decoder[Observation] = Decoder(Observation, OBSERVATION_SIZE_MAX)


def check_observation(envelope: bytes, network: bytes) -> Observation:
    """Return the observation in `envelope`, signed by its judge (whether that is a voter is asked apart).

    Raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`.
    """
    observation = _decode_observation(envelope_body(envelope))
    if observation.network != network:
        raise WrongNetwork(f"an observation of network {observation.network.hex()[:16]}")
    verify_envelope(envelope, observation.judge)
    return observation


class Held(NamedTuple):
    """The response of one operator that a judge keeps."""

    envelope: bytes
    response: Response
    height: int
    """Height of our tip when it came."""
    right: bool


@dataclass(frozen=True, slots=True)
class _Contact:
    """The best that the dial-backs to one operator found."""

    ip: bytes = NOTHING
    fast: bool = False
    tls_valid: bool = False


class ObservationBuilder:
    """Collects what one judge sees in one challenge of the registered operators that fall to its group.

    Memory is bounded by the number of registered operators. Recording the same things again in the
    same order gives the same observation, so a node that restarts replays what it persisted.
    """

    def __init__(self, network: bytes, answers: AnswerKey, prefix: str = "") -> None:
        """`answers` says who is registered and what is right; whose draw fits `prefix` is ours."""
        self._network = network
        self._held: dict[bytes, Held] = {}
        self._hashes: dict[bytes, Hash32] = {}
        self._contacts: dict[bytes, _Contact] = {}
        self._foreign = 0
        self._take(answers, prefix)

    def _take(self, answers: AnswerKey, prefix: str) -> None:
        self._answers = answers
        self._prefix = prefix
        self.registered = {key: entry for key, entry in answers.registrations.items() if self.is_ours(key)}
        """The registered operators that are ours."""
        self._checker = ResponseChecker(self._network, answers.challenge, self.registered)

    def update(self, answers: AnswerKey, prefix: str | None = None) -> None:
        """Go on with other registrations, or as a judge of another group.

        A block stamped at or below the anchor may come after it. What is held of those who are still
        ours stays.
        """
        self._take(answers, self._prefix if prefix is None else prefix)
        self._contacts = {key: found for key, found in self._contacts.items() if self.is_ours(key)}
        ours = {key: held for key, held in self._held.items() if self.is_ours(key)}
        self._hashes = {key: digest for key, digest in self._hashes.items() if key in ours}
        self._held = {key: held._replace(right=self._is_right(held)) for key, held in ours.items()}
        self._foreign = sum(key not in self.registered for key in ours)

    def is_ours(self, operator_key: bytes) -> bool:
        """Whether an operator, registered or not, falls to our group in this challenge."""
        prefix = self._prefix
        return not prefix or matches(
            prefix, challenge_draw(self._answers.challenge.anchor_hash, operator_key)
        )

    def held(self, operator_key: bytes) -> Held | None:
        """Return what we keep of an operator: a receipt says so, and the observation will."""
        return self._held.get(operator_key)

    def all_held(self) -> Iterable[Held]:
        """Return what we keep of everybody, sorted by operator."""
        return [held for _, held in sorted(self._held.items())]

    def record_response(self, envelope: bytes, height: int, peer: bytes) -> Response | None:
        """Take a response that `peer` handed over while our tip stood at `height`.

        Returns it when it is kept (persist it, and give a receipt), None when we hold one as good.
        Raises as `ResponseChecker.check` does, `NotAMember` for an operator that is not ours, and
        `StaleMessage` once the challenge can be judged.
        """
        if height >= self._answers.challenge.judged_at:
            raise StaleMessage(f"challenge {self._answers.challenge.seq} is being judged")
        try:
            response = self._checker.check_cheaply(envelope)
            held = self._held.get(response.operator_key)
            if held is not None and (held.right or held.envelope == envelope):
                return None
            verify_envelope(envelope, response.operator_key)
        except (StaleMessage, NotAMember, InvalidSignature):
            self._keep_flawed(envelope, height, peer)
            raise
        right = self._answers.is_right(response)
        if held is not None and not right:
            return None
        self._hold(response.operator_key, Held(envelope, response, height, right))
        return response

    def record_probe(
        self, operator_key: bytes, *, ip: bytes = NOTHING, fast: bool = False, tls_valid: bool = False
    ) -> None:
        """Take what one dial-back found: `ip` where the operator was authenticated, empty if it was not.

        The best of several attempts counts. Nothing is noted of who is not registered or not ours.
        """
        if operator_key not in self.registered:
            return
        before = self._contacts.get(operator_key, _Contact())
        better = ip and (fast, True) > (before.fast, bool(before.ip))
        found = replace(before, ip=ip, fast=fast) if better else before
        self._contacts[operator_key] = replace(found, tls_valid=before.tls_valid or tls_valid)

    def contact(self, operator_key: bytes) -> tuple[bytes, bool, bool]:
        """Return (address or empty, fast, TLS valid): the best that the dial-backs so far have found."""
        found = self._contacts.get(operator_key, _Contact())
        return found.ip, found.fast, found.tls_valid

    def build(self, judge: bytes) -> Observation:
        """Return the observation that `judge` signs: everybody of whom anything was seen."""
        seen = sorted({*self._held, *(key for key, found in self._contacts.items() if found != _Contact())})
        challenge = self._answers.challenge
        return Observation(
            network=self._network,
            seq=challenge.seq,
            anchor_hash=challenge.anchor_hash,
            judge=judge,
            sightings=tuple(map(self._sighting, seen)),
        )

    def envelopes(self) -> Mapping[Hash32, bytes]:
        """Return the responses to which the observation refers, sorted by hash."""
        return dict(sorted((self._hash(key), held.envelope) for key, held in self._held.items()))

    def _hold(self, operator_key: bytes, held: Held) -> None:
        self._held[operator_key] = held
        self._hashes.pop(operator_key, None)

    def _hash(self, operator_key: bytes) -> Hash32:
        """Return the hash of a held response, computed once and not when it comes in."""
        known = self._hashes.get(operator_key)
        if known is None:
            known = self._hashes[operator_key] = response_hash(self._held[operator_key].envelope)
        return known

    def _sighting(self, operator_key: bytes) -> Sighting:
        held = self._held.get(operator_key)
        contact = self._contacts.get(operator_key, _Contact())
        return Sighting(
            operator_key=operator_key,
            response_hash=self._hash(operator_key) if held else NOTHING,
            received_height=held.height if held else 0,
            reached=bool(contact.ip),
            ip=contact.ip,
            fast=contact.fast,
            tls_valid=contact.tls_valid,
        )

    def _keep_flawed(self, envelope: bytes, height: int, peer: bytes) -> None:
        """Keep a response that will not do, if its own operator handed it over and nothing better is held."""
        response = decode_response(envelope_body(envelope))
        key = response.operator_key
        if not self.is_ours(key):
            raise NotAMember(f"{key.hex()[:16]} is judged by another group")
        if key != peer or key in self._held:
            return
        if key not in self.registered:
            if self._foreign >= FOREIGN_MAX:
                return
            self._foreign += 1
        self._hold(key, Held(envelope, response, height, right=False))

    def _is_right(self, held: Held) -> bool:
        try:
            self._checker.check(held.envelope)
        except (StaleMessage, NotAMember, InvalidSignature):
            return False
        return self._answers.is_right(held.response)
