"""Which places of the groups' data chains may turn out void, as far as one node can tell.

Answers for: what stands in a group's chain above a head that its sibling has summoned on the chain, and that
nobody answered within the term, may be void: unless the summons is known to be off. It errs on the safe
side only. What a voter makes of it is `standoff`'s business. Spec: `spec/absorb.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocol.chain.mark import Mark
from protocol.chain.view import ChainView
from protocol.group.data_block import Kind
from protocol.group.elsewhere import Elsewhere
from protocol.group.name import sibling
from protocol.group.state import GroupState
from protocol.group.summons import Summons, first_mining, read_summons, signs_of_life, term
from protocol.units import Hash32


class Held(Elsewhere, Protocol):
    """All groups' data chains as one node holds them."""

    def groups(self) -> Mapping[str, GroupState]:
        """Return the states of the groups that there are, by prefix."""

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        """Return the hash at which a group's data chain stood at a height, or None when that is not held."""

    def last(self, prefix: str, height: int) -> GroupState | None:
        """Return the last state of the stretch of a prefix's data chain in which a height lies."""

    def behind(self, prefix: str, height: int) -> Mapping[str, int]:
        """Return by prefix up to what height blocks are behind this place, its own height included."""

    def has_voted(self, electorate: str, height: int) -> bool:
        """Whether we have ever voted for a block at this height of an electorate, not only for none."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why a place may turn out void, and at what place its chain, or one before it, would end then."""

    why: str
    ends_at: tuple[str, int]


class Doubts:
    """Whether a place of a data chain may be void, as of a buried height of our chain."""

    def __init__(self, chain: ChainView, held: Held, stamp_height: int) -> None:
        self._chain = chain
        self._held = held
        self._stamp = stamp_height
        self._groups = held.groups()
        some = next(iter(self._groups.values()))
        self._term = term(some.genesis.parameters)

    def about(self, prefix: str, height: int, behind: Mapping[str, int] | None = None) -> Doubt | None:
        """Return why a place may be void, None when it cannot."""
        states = self._groups.values()
        for void in (void for state in states for void in state.voids):
            if void.covers(prefix, height):
                return Doubt(f"block {height} of group {prefix!r} is void", (void.prefix, void.above))
        since = min(_not_known_before(state) for state in states)
        marks = self._chain.marks(since + 1, self._stamp)
        due = [mark for mark in marks if mark.height + self._term <= self._stamp and read_summons(mark)]
        if not due:
            return None
        reach = self._held.behind(prefix, height) if behind is None else behind
        lines = [Line(line, reach, self._held) for line in sorted(reach) if line]
        for mark in due:
            for line in lines:
                summons = read_summons(mark)
                if summons is not None and self._is_open(mark, summons, marks, line):
                    why = f"group {line.prefix!r} was summoned at chain height {mark.height}, without answer"
                    return Doubt(why, (line.prefix, summons.height))
        return None

    def _is_open(self, mark: Mark, summons: Summons, marks: Sequence[Mark], line: "Line") -> bool:
        """Whether a mark that is due may end the chain of one of the groups behind the place, below it."""
        if not line.may_end(summons, mark):
            return False
        stopped = self._held.state_at(line.prefix, summons.height)
        if stopped is not None and self._is_answered(mark, marks, stopped):
            return False
        return not self._came_first(mark, line.prefix)

    def _is_answered(self, mark: Mark, marks: Sequence[Mark], stopped: GroupState) -> bool:
        """Whether a sign of life came within the term of a mined summons."""
        last = mark.height + self._term
        in_time = [one for one in marks if mark.ordinal < one.ordinal and one.height <= last]
        return bool(signs_of_life(in_time, stopped, self._held))

    def _came_first(self, mark: Mark, prefix: str) -> bool:
        """Whether the summoned group's own summons of its sibling stands before this mark, unanswered."""
        state = self._groups.get(prefix)
        if state is None or state.summons is None:
            return False
        opened = state.summons
        stopped = self._held.state_at(opened.prefix, opened.height)
        marks = self._chain.marks(opened.stamp_height + 1, self._stamp)
        mined = first_mining(marks, opened)
        if stopped is None or mined is None or mined.ordinal > mark.ordinal:
            return False
        return not self._is_answered(mined, marks, stopped)


def _not_known_before(state: GroupState) -> int:
    """Return up to what chain height every mark about a group's sibling is known to be open or not.

    A summons that is open is asked about from when it was made.
    """
    return state.stamp_height if state.summons is None else state.summons.stamp_height


class Line:
    """A group behind a place, and what is known of the sibling that may summon it."""

    def __init__(self, prefix: str, reach: Mapping[str, int], held: Held) -> None:
        self.prefix = prefix
        self._top = reach[prefix]
        self._parent = reach.get(prefix[:-1], -1)
        self._held = held
        self._beside = sibling(prefix)
        groups = sorted(held.groups().items())
        stamps = [state.stamp_height for other, state in groups if other.startswith(self._beside)]
        self._known_until = max(stamps, default=-1)

    def may_end(self, summons: Summons, mark: Mark) -> bool:
        """Whether a summons may end this group's chain below the place, as far as we know.

        Not that of a group which has gone on with its sibling since: that has the word of both.
        """
        if (summons.bits, summons.last_bit) != (len(self.prefix), int(self.prefix[-1])):
            return False
        if summons.height >= self._top:
            return False
        if not stands_open(self.prefix, summons, self._held):
            return False
        last = self._held.last(self.prefix, summons.height)
        if last is None or self._parent > last.splits[-1]:
            return False
        return not self._is_off(summons, mark)

    def _is_off(self, summons: Summons, mark: Mark) -> bool:
        """Whether we know that nothing can follow from a summons: it was never made, or dropped."""
        found = self._held.standing(summons.block)
        if found is None:
            return mark.height <= self._known_until  # the sibling's later blocks would stand after it
        last = self._held.last(found.block.prefix, found.block.height)
        opened = None if last is None else last.summons
        is_open = opened is not None and opened.block_hash == summons.block
        return found.block.prefix != self._beside or not is_open


def stands_open(prefix: str, summons: Summons, held: Held) -> bool:
    """Whether a summons names a head of a group at which its chain could end for its sibling.

    Where it ended by itself, but for a union, no block can summon it.
    """
    if held.block_hash(prefix, summons.height) != summons.head:
        return False
    state = held.state_at(prefix, summons.height)
    return state is None or state.closed_by in (None, Kind.MERGE)


def certain_heads(stamp_height: int, chain: ChainView, held: Held) -> list[tuple[str, int]]:
    """Return (prefix, height) of the groups' heads as far as none may turn out void, sorted."""
    doubts = Doubts(chain, held, stamp_height)
    waiting = [(prefix, state.height) for prefix, state in held.groups().items()]
    certain: set[tuple[str, int]] = set()
    while waiting:
        place = waiting.pop()
        found = doubts.about(*place)
        if found is None:
            certain.add(place)
        elif found.ends_at not in waiting:
            waiting.append(found.ends_at)
    return sorted(certain)
