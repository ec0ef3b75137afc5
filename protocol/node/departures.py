"""Who lost its place in a group last, and why, as the certified blocks say.

Answers for: what people are told of their own removal and of others'. What a removal changes is the
business of `protocol.group.kinds`. Spec: `spec/membership.md`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from protocol.crypto import envelope_body
from protocol.group.data_block import EvidencePayload, Payload, Removal, RemovePayload
from protocol.group.elsewhere import Standing
from protocol.group.vote import decode_statement
from protocol.units import OperatorKey

DEPARTURES_MAX = 1_024
"""Operators whose last departure is remembered; the oldest is forgotten first."""


class Cause(StrEnum):
    """What cost a member its place."""

    SILENT = "silent"
    FORWARDING = "forwarding"
    CHALLENGES = "challenges"
    DEREGISTERED = "deregistered"
    CONVICTED = "convicted"
    """It signed two statements for one slot."""
    SAME_IP = "same ip"
    """Another member has its IP slot; no block of its own says so."""


CAUSES = {
    Removal.SILENT: Cause.SILENT,
    Removal.FORWARDING: Cause.FORWARDING,
    Removal.CHALLENGES: Cause.CHALLENGES,
    Removal.DEREGISTERED: Cause.DEREGISTERED,
}


@dataclass(frozen=True, slots=True)
class Departed:
    """A member that lost its place."""

    operator_key: OperatorKey
    cause: Cause
    prefix: str
    """Of the group that removed it."""
    stamp_height: int
    """Of the block that did."""


class Departures:
    """The last departure of each operator, fed with every block that a node takes, in its order."""

    def __init__(self) -> None:
        self._last: dict[OperatorKey, Departed] = {}

    def note(self, standing: Standing) -> None:
        """Take a certified block."""
        block = standing.block
        for key, cause in _departed(standing.payload):
            self._last.pop(key, None)
            self._last[key] = Departed(key, cause, block.prefix, block.stamp_height)
            while len(self._last) > DEPARTURES_MAX:
                del self._last[next(iter(self._last))]

    def all(self) -> tuple[Departed, ...]:
        """Return the last departure of each operator, oldest first."""
        return tuple(self._last.values())

    def cause(self, operator_key: OperatorKey, stamp_height: int) -> Cause | None:
        """Return why an operator left that is stored as gone since a stamp; None when that is forgotten.

        Who went without a block that names it shared an IP slot with another member.
        """
        last = self._last.get(operator_key)
        if last is not None and last.stamp_height == stamp_height:
            return last.cause
        return Cause.SAME_IP if len(self._last) < DEPARTURES_MAX else None


def _departed(payload: Payload) -> Iterable[tuple[OperatorKey, Cause]]:
    if isinstance(payload, RemovePayload):
        return [(OperatorKey(payload.operator_key), CAUSES[payload.reason])]
    if isinstance(payload, EvidencePayload):
        said = (decode_statement(envelope_body(proof.first)) for proof in payload.proofs)
        return [(statement.signer, Cause.CONVICTED) for statement in said]
    return []
