"""Challenges that count for nobody, and why.

Answers for: each is announced when it becomes void, and again when its anchor comes back after a verdict; the
last ones can be asked for. That nobody is paid for them is `protocol.payout.list_blocks`' business.
Spec: `spec/challenge.md`.
"""

from enum import StrEnum

from protocol.node.effects import Announce, Effect
from protocol.units import Hash32

VOIDS_MAX = 64
"""Void challenges that are remembered; the oldest is forgotten first."""


class Why(StrEnum):
    """What makes a challenge void."""

    LEFT = "its anchor left the chain"
    LEFT_JUDGED = "its anchor left the chain, and its verdicts with it"
    JUDGED_BEFORE = "it was judged with another anchor, and a challenge is judged once"
    CLOSED_BEFORE = "its window had closed before its anchor joined the chain"


class Voids:
    """The challenges that became void while this node ran."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, Hash32], Why] = {}

    def note(self, seq: int, anchor_hash: Hash32, why: Why) -> list[Effect]:
        """A challenge is void from now on; announced when that, or the reason, is new."""
        if self._known.get((seq, anchor_hash)) is why:
            return []
        self._known.pop((seq, anchor_hash), None)
        self._known[(seq, anchor_hash)] = why
        while len(self._known) > VOIDS_MAX:
            del self._known[next(iter(self._known))]
        return [Announce("challenge.void", {"seq": seq, "anchor": anchor_hash.hex(), "reason": why.value})]

    def restore(self, seq: int, anchor_hash: Hash32) -> list[Effect]:
        """The anchor is on the chain again, and the challenge counts; announced if it was void."""
        if self._known.pop((seq, anchor_hash), None) is None:
            return []
        return [Announce("challenge.restored", {"seq": seq, "anchor": anchor_hash.hex()})]

    def of(self, seq: int) -> dict[Hash32, Why]:
        """Return the anchors with which a challenge is void, and why."""
        return {anchor: why for (number, anchor), why in self._known.items() if number == seq}
