"""Whose votes this node has heard in its group, and since when it hears nothing of whom.

Answers for: a voter votes for a removal only on what it missed itself, for so long that neither a lost
message nor a restart explains it. It is not kept over a restart: who has just begun to listen has missed
nothing yet. Spec: `spec/membership.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from protocol.group.state import GroupState
from protocol.parameters import Parameters
from protocol.units import OperatorKey

LINKS_MISSED = 2
"""Counted links without a word that are as good as `blocks_missed` blocks (seed 001: two in a row)."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Where things stood when a voter was heard last."""

    height: int
    """Of the data block on which it voted; at the beginning of the last one that is certified."""
    tip: int
    """Of the chain."""
    events: int
    """Counted links that the voter had seen."""


def blocks_missed(parameters: Parameters) -> int:
    """Return X: decided blocks without a vote after which a voter is missed (seed 001: half a group)."""
    return max(1, parameters.group_size // 2)


class Attendance:
    """What one voter knows of the others of its group."""

    def __init__(self, me: OperatorKey, parameters: Parameters) -> None:
        self._me = me
        self._parameters = parameters
        self._prefix: str | None = None
        self._heard: dict[OperatorKey, Heard] = {}

    def hear(self, key: OperatorKey, height: int, state: GroupState, tip: int) -> None:
        """A vote of this voter on the block at a height came, its signature checked."""
        if state.prefix == self._prefix and key in state.electorate:
            now, before = self._now(key, state, tip), self._heard.get(key)
            heard = min(height, state.height + 1)  # nobody votes ahead for the times to come
            self._heard[key] = replace(now, height=max(heard, before.height if before else 0))

    def may_be_news(self, key: OperatorKey, height: int, tip: int) -> bool:
        """Whether a vote of this voter on the block at a height may be news; quickly."""
        heard = self._heard.get(key)
        return heard is not None and (heard.height < height or heard.tip < tip)

    def is_news(self, key: OperatorKey, height: int, state: GroupState, tip: int) -> bool:
        """Whether a vote of this voter on the block at a height would tell more than the last one did.

        One on the same block does when the chain went on: it is still there. Nothing does of who has no vote.
        """
        heard = self._heard.get(key)
        return heard is not None and (heard.height < min(height, state.height + 1) or heard.tip < tip)

    def look(self, state: GroupState | None, tip: int) -> None:
        """Go on with this state of our group: who is new there begins to be missed from now on."""
        if state is None:
            self._prefix, self._heard = None, {}
            return
        if state.prefix != self._prefix:
            self._prefix, self._heard = state.prefix, {}
        self._heard = {key: self._heard.get(key) or self._now(key, state, tip) for key in _voters(state)}

    def _now(self, key: OperatorKey, state: GroupState, tip: int) -> Heard:
        return Heard(state.height, tip, state.events.get(key, 0))

    def is_silent(self, key: OperatorKey, state: GroupState, tip: int) -> bool:
        """Whether this node itself missed a voter for so long that it may go."""
        heard = self._heard.get(key)
        if heard is None or key == self._me or state.prefix != self._prefix:
            return False
        blocks = state.height - heard.height
        links = state.events.get(key, 0) - heard.events
        enough = blocks >= blocks_missed(self._parameters) or links >= LINKS_MISSED
        return enough and tip - heard.tip >= self._parameters.silence

    def missed(self, key: OperatorKey, state: GroupState) -> int:
        """Return how many blocks were decided without a voter, in a row; 0 for who is no voter here."""
        heard = self._heard.get(key)
        if heard is None or state.prefix != self._prefix:
            return 0
        return max(0, state.height - heard.height)

    def silent(self, state: GroupState, tip: int) -> list[OperatorKey]:
        """Return the voters that may go, sorted."""
        return [key for key in _voters(state) if self.is_silent(key, state, tip)]


def _voters(state: GroupState) -> Iterator[OperatorKey]:
    return (OperatorKey(voter.operator_key) for voter in state.electorate.voters)
