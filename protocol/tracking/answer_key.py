"""The right answers of one challenge.

Answers for: whether a response says what its operator's registration and the chain
say; each operator's answer is computed once, when it is first asked for or ahead of
that. Who signed the response is `response`'s business. Spec: `spec/response.md`.
"""

from collections.abc import Iterable, Mapping

from protocol.chain.view import ChainView
from protocol.errors import MalformedMessage
from protocol.parameters import Parameters
from protocol.tracking.challenge import Challenge, expected_answer
from protocol.tracking.diversity import check_routable
from protocol.tracking.registration import Registration
from protocol.tracking.response import Response
from protocol.units import OperatorKey


class AnswerKey:
    """The right answers of one challenge, each computed when it is first asked for.

    Holds for one chain: build another when the anchor leaves it (`StaleMessage` says so).
    """

    __slots__ = ("_answers", "_chain", "_parameters", "challenge", "registrations")

    def __init__(
        self,
        challenge: Challenge,
        registrations: Mapping[OperatorKey, Registration],
        chain: ChainView,
        parameters: Parameters,
    ) -> None:
        """`registrations` are those in force at the anchor; nobody else has an answer."""
        self.challenge = challenge
        self.registrations = registrations
        self._chain = chain
        self._parameters = parameters
        self._answers: dict[bytes, bytes] = {}

    def renewed(self, registrations: Mapping[OperatorKey, Registration]) -> "AnswerKey":
        """Return the right answers of the same challenge under other registrations."""
        renewed = AnswerKey(self.challenge, registrations, self._chain, self._parameters)
        renewed._answers = self._answers
        return renewed

    def answer(self, operator_key: bytes) -> bytes:
        """Return the one right answer of an operator."""
        known = self._answers.get(operator_key)
        if known is None:
            known = expected_answer(self.challenge, operator_key, self._chain, self._parameters)
            self._answers[operator_key] = known
        return known

    def prepare(self, operator_keys: Iterable[bytes]) -> None:
        """Compute answers ahead, so that no response has to wait for the chain."""
        for operator_key in operator_keys:
            self.answer(operator_key)

    def is_right(self, response: Response) -> bool:
        """Whether a response of this challenge says what its operator's registration and the chain say.

        Its endpoint may differ from the registered one (addresses change), but must be dialable.
        """
        registration = self.registrations.get(OperatorKey(response.operator_key))
        if registration is None:
            return False
        if (
            response.stake_address != registration.stake_address
            or response.node_address != registration.node_address
        ):
            return False
        if (response.ip != registration.ip or response.port != registration.port) and not self._is_dialable(
            response
        ):
            return False
        return response.answer == self.answer(response.operator_key)

    def _is_dialable(self, response: Response) -> bool:
        try:
            check_routable(response.ip, self._parameters)
        except MalformedMessage:
            return False
        return response.port > 0
