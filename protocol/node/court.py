"""What the machine of challenges and the machine of the data chain know of each other.

Answers for: the shapes that pass between `tracker` and `group`, so that neither knows the other's insides.
Spec: `spec/node.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from protocol.group.quorum import Electorate
from protocol.tracking.challenge import Challenge
from protocol.tracking.registration import Registration
from protocol.units import Hash32, OperatorKey


class GroupView(Protocol):
    """What the data chain says to judges and operators."""

    @property
    def electorate(self) -> Electorate:
        """The voters that certify the next block."""

    def registrations(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """The registrations of everybody who is judged at an anchor."""

    def is_judged(self, seq: int) -> bool:
        """Whether a challenge has its verdict block."""

    def judged_anchor(self, seq: int) -> Hash32 | None:
        """The hash of the anchor with which a challenge was judged."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a verdict block can be made of: a FINAL set of observations and the responses they name."""

    challenge: Challenge
    observations: tuple[bytes, ...]
    responses: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
