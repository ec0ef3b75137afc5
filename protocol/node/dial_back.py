"""Dial-backs of one judge: is the operator where its response says, with the chain at hand?

Answers for: every operator that responded is dialled back, a few at a time, and again at
the next blocks when it was not reached (one failure is no proof); each nonce is fresh
and known to nobody before it is sent. What was found is kept by `open_challenge`, what it
means is `protocol.tracking.verdict`'s business. Spec: `spec/response.md`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from protocol.chain.view import ChainView
from protocol.codec import encode
from protocol.crypto import Signer
from protocol.errors import ProtocolError
from protocol.genesis import Genesis, network_id
from protocol.node.effects import Effect, Probe, ProbeResult
from protocol.node.open_challenge import OpenChallenge
from protocol.tracking.challenge import dial_back_digest
from protocol.tracking.response import ProbeRequest, build_probe, check_probe_reply
from protocol.units import OperatorKey

DIALS_AT_ONCE_MAX = 16
"""Dial-backs begun in one tick."""


@dataclass(frozen=True, slots=True)
class _Dialled:
    open_challenge: OpenChallenge
    operator_key: OperatorKey
    request: ProbeRequest


class DialBack:
    """Dials operators back, and takes what came of it."""

    def __init__(self, genesis: Genesis, signer: Signer, chain: ChainView) -> None:
        self._parameters = genesis.parameters
        self._network = network_id(genesis)
        self._signer = signer
        self._chain = chain
        self._dialled: dict[int, _Dialled] = {}
        self._token = 0

    def _dial(self, opened: OpenChallenge, operator_key: OperatorKey) -> list[Effect]:
        """Dial an operator back where its response says it listens."""
        held = opened.builder.held(operator_key)
        if held is None or operator_key == self._signer.operator_key or not opened.may_probe(operator_key):
            return []
        self._token += 1
        place = opened.challenge.anchor_hash + operator_key + opened.attempts[operator_key].to_bytes(4, "big")
        request = build_probe(self._network, opened.challenge, self._signer.derive(b"dial-back", place))
        self._dialled[self._token] = _Dialled(opened, operator_key, request)
        response, registration = held.response, opened.answers.registrations.get(operator_key)
        return [
            Probe(
                self._token,
                operator_key,
                response.ip,
                response.port,
                encode(request),
                self._parameters.dial_back_seconds,
                registration.fqdn if registration else "",
                registration.tls_port if registration else 0,
            )
        ]

    def begin(self, challenges: Iterable[OpenChallenge]) -> list[Effect]:
        """Dial back those whose responses came, a few at a time."""
        effects: list[Effect] = []
        for opened in challenges:
            for _ in range(min(DIALS_AT_ONCE_MAX, len(opened.to_dial))):
                effects += self._dial(opened, opened.to_dial.popleft())
        return effects

    def again(self, opened: OpenChallenge) -> list[Effect]:
        """Dial back those who were not reached yet: one failure is no proof."""
        under_way = {dialled.operator_key for dialled in self._dialled.values()}
        effects: list[Effect] = []
        for operator_key in sorted(opened.attempts):
            if operator_key not in under_way:
                effects += self._dial(opened, operator_key)
        return effects

    def ended(self, result: ProbeResult, challenges: Iterable[OpenChallenge]) -> list[Effect]:
        """A dial-back ended: note who was reached where, and whether chain and TLS host were at hand.

        One that ends when its challenge is none of `challenges` any more was for nothing.
        """
        dialled = self._dialled.pop(result.token, None)
        if dialled is None or not result.ip:
            return []
        if not any(dialled.open_challenge is one for one in challenges):
            return []
        opened, key = dialled.open_challenge, dialled.operator_key
        fast = result.fast and self._is_right_reply(dialled, result.reply)
        return [opened.keep_sighting(key, result.ip, fast, result.tls_valid)]

    def _is_right_reply(self, dialled: _Dialled, envelope: bytes) -> bool:
        challenge, key = dialled.open_challenge.challenge, dialled.operator_key
        try:
            reply = check_probe_reply(envelope, dialled.request, key)
            digest = dial_back_digest(challenge, key, reply.nonce, self._chain, self._parameters)
        except ProtocolError:
            return False
        return reply.digest == digest
