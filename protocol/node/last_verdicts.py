"""The last verdicts on each operator, over all groups.

Answers for: in which block an operator was found VALID last, and whether it failed so many challenges in a
row that its place is in question. Spec: `spec/relocation.md`.
"""

from collections import deque
from dataclasses import dataclass

from protocol.group.data_block import VerdictPayload
from protocol.group.elsewhere import Standing
from protocol.tracking.verdict import Reason
from protocol.units import Hash32, OperatorKey


@dataclass(frozen=True, slots=True)
class Found:
    """What a VERDICT block says of an operator."""

    seq: int
    reason: Reason
    block_hash: Hash32


class LastVerdicts:
    """Fed with every block that a node takes; keeps the newest `kept` challenges of each operator."""

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._found: dict[OperatorKey, deque[Found]] = {}

    def note(self, standing: Standing) -> None:
        """Take a certified block."""
        payload = standing.payload
        if not isinstance(payload, VerdictPayload):
            return
        for verdict in payload.verdicts:
            if verdict.reason is not Reason.NOT_REGISTERED:
                found = Found(payload.seq, verdict.reason, standing.block_hash)
                self._insert(OperatorKey(verdict.operator_key), found)

    def _insert(self, key: OperatorKey, found: Found) -> None:
        """Keep them by challenge: groups may judge an old one late."""
        before = self._found.setdefault(key, deque(maxlen=self._kept))
        if not before or before[-1].seq < found.seq:
            before.append(found)
            return
        if any(one.seq == found.seq for one in before):
            return
        self._found[key] = deque(sorted((*before, found), key=lambda one: one.seq), maxlen=self._kept)

    def last(self, key: OperatorKey) -> Found | None:
        """Return the verdict of the newest challenge in which an operator was judged, or None."""
        found = self._found.get(key)
        return found[-1] if found else None

    def of(self, key: OperatorKey) -> tuple[Found, ...]:
        """Return the verdicts of the newest challenges in which an operator was judged, oldest first."""
        return tuple(self._found.get(key, ()))

    def failures(self, key: OperatorKey) -> tuple[Found, ...]:
        """Return the last verdicts, oldest first, if all are failures of consecutive challenges."""
        kept = self._found.get(key)
        if not kept or kept[-1].reason is Reason.VALID:
            return ()
        found = tuple(kept)
        in_a_row = all(one.seq + 1 == other.seq for one, other in zip(found, found[1:], strict=False))
        failed = all(one.reason is not Reason.VALID for one in found)
        return found if len(found) == self._kept and in_a_row and failed else ()
