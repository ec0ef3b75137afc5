"""With whom this node decides now: the peers that its network keeps, and where they listen.

Answers for: in a network of thousands a node is connected with a few, and what it decides needs certain
ones: its group, the group to which its ticket leads, its judges, who is on the way into its group,
and whom it judges. How they are kept is the shell's business. Spec: `spec/node.md`.
"""

from collections.abc import Iterable, Mapping
from itertools import islice

from protocol.group.data_chain import DataChain
from protocol.node.effects import Effect, Keep, Learn
from protocol.node.groups import Groups
from protocol.node.mover import Mover, Seat
from protocol.node.tracker import Tracker
from protocol.tracking.registration import Registration
from protocol.tracking.registration_book import RegistrationBook
from protocol.units import OperatorKey

KEPT_MAX = 192
"""Peers that are kept at once; the most important come first."""
UNDER_WAY_MAX = 32
"""Of them those on the way into our group, the oldest tickets first."""


class KeptPeers:
    """What the shell was told of those with whom we decide."""

    def __init__(self, me: OperatorKey, groups: Groups, mover: Mover, tracker: Tracker) -> None:
        self._me = me
        self._groups = groups
        self._mover = mover
        self._tracker = tracker
        self._kept: tuple[OperatorKey, ...] = ()
        self._places: dict[OperatorKey, tuple[bytes, int]] = {}
        self._read: tuple[RegistrationBook | None, int] = (None, 0)
        self._registered: Mapping[OperatorKey, Registration] = {}

    def look(self, height: int) -> list[Effect]:
        """Return what has changed: where peers listen by the registrations at `height`, and who is kept.

        Of our judges and our group it is said where they listen in any case.
        """
        judges, judged = self._tracker.company(self._groups)
        found = dict.fromkeys((*self._seats(), *judges, *self._under_way(), *judged))
        found.pop(self._me, None)
        kept = tuple(islice(found, KEPT_MAX))
        effects = self._learn((*kept, *judges, *_members(self._groups.own.state)), height)
        if kept != self._kept:
            self._kept = kept
            effects.append(Keep(kept))
        return effects

    def _learn(self, keys: Iterable[OperatorKey], height: int) -> list[Effect]:
        before, self._places = self._places, {}
        effects: list[Effect] = []
        in_force = self._in_force(height)
        for key in dict.fromkeys(keys):
            entry = in_force.get(key) if key != self._me else None
            if entry is not None:
                place = self._places[key] = (entry.ip, entry.port)
                if place != before.get(key):
                    effects.append(Learn(key, *place))
        return effects

    def _in_force(self, height: int) -> Mapping[OperatorKey, Registration]:
        """Return the registrations at a height; made once for it, and for what the groups say by then."""
        book = self._groups.book
        if self._read[0] is not book or self._read[1] != height:
            self._read, self._registered = (book, height), book.in_force(height)
        return self._registered

    def _seats(self) -> list[OperatorKey]:
        """Return the members of the group that holds our seat, and of the one that will.

        Nobody who never had one: there may be thousands, more than their home group has places for.
        """
        here = self._mover.whereabouts()
        if here.seat is Seat.HOME:
            return []
        return _members(self._groups.own.state) + _members(self._groups[here.prefix].state)

    def _under_way(self) -> list[OperatorKey]:
        """Return who is on the way into our group."""
        own = self._groups.own.state
        tickets = self._groups.archive.tickets.leading_to(own.prefix)
        is_member = self._me in own.membership
        return [ticket.operator_key for ticket in islice(tickets, UNDER_WAY_MAX)] if is_member else []


def _members(state: DataChain) -> list[OperatorKey]:
    return [OperatorKey(one.operator_key) for one in state.membership.members]
