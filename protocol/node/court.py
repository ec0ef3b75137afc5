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
    """What the data chains say to judges and operators.

    An operator's *draw* in a challenge says which group judges it. *Our* group is the one that holds our
    seat: where we vote, if we have a vote. It changes when we move, or when it splits or merges.
    """

    @property
    def our_prefix(self) -> str:
        """The prefix of our group."""

    @property
    def electorate(self) -> Electorate:
        """The voters of our group, that certify its next block."""

    def judges(self, draw: bytes) -> Electorate:
        """The voters of the group to which a draw falls."""

    def topic_of(self, draw: bytes) -> str:
        """The topic of that group."""

    def registrations(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """The registrations of everybody who is judged at an anchor, by whatever group.

        By all REGISTER blocks that are here, of every group, taken up by our data chain or not: what is not,
        the verdict block takes up before it judges.
        """

    def is_judged(self, seq: int) -> bool:
        """Whether our group has judged a challenge, for all operators that fall to it."""

    def judged_anchor(self, seq: int) -> Hash32 | None:
        """The hash of the anchor with which our group judged a challenge, or None before that."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What a verdict block can be made of: a FINAL set of observations and the responses they name."""

    challenge: Challenge
    observations: tuple[bytes, ...]
    responses: tuple[bytes, ...]
    receipts: tuple[bytes, ...]
