"""Which operators are under way between groups, as the certified blocks say.

Answers for: the tickets that no block has ended yet, and what ended the last ticket of an operator that did
not arrive. What makes a ticket and what ends it is the business of `protocol.group.kinds`. Spec:
`spec/relocation.md`.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from protocol.group.data_block import AdmitPayload, ExpirePayload, Move, RefusePayload, RelocatePayload
from protocol.group.elsewhere import Standing
from protocol.group.name import matches
from protocol.units import Hash32, OperatorKey

MOVES_MAX = 1_024
"""Moves that can be shown; the oldest is forgotten first."""


class Outcome(StrEnum):
    """What became of a move."""

    UNDER_WAY = "under way"
    ARRIVED = "arrived"
    STAYED = "stayed"
    """The new name fell into the same group, or the group was too small to let it go."""
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Moved:
    """A move as people want to see it."""

    ticket: Hash32
    operator_key: OperatorKey
    why: Move
    source: str
    target: str
    """Prefix of the group that ended it; while it is under way empty."""
    age: int
    """After the move."""
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Ticket:
    """A seat under way."""

    ticket: Hash32
    """The hash of its RELOCATE block."""
    operator_key: OperatorKey
    why: Move
    seq: int
    """The challenge whose entropy it follows from."""
    age: int
    """After the move, like the name."""
    name: Hash32
    source: str
    """Prefix of the group that sent it."""
    stamp_height: int


@dataclass(frozen=True, slots=True)
class Ending:
    """What ended a ticket whose holder did not arrive."""

    ticket: Ticket
    block_hash: Hash32
    """Of the REFUSE or EXPIRE block."""


class Tickets:
    """The tickets of all groups, fed with every block that a node takes, in its order."""

    def __init__(self) -> None:
        self._open: dict[Hash32, Ticket] = {}
        self._by_operator: dict[OperatorKey, Ticket] = {}
        self._endings: dict[OperatorKey, Ending] = {}
        self._moves: deque[Moved] = deque(maxlen=MOVES_MAX)

    def note(self, standing: Standing) -> None:
        """Take a certified block."""
        match standing.payload:
            case RelocatePayload() as payload:
                self._begin(standing, payload)
            case AdmitPayload() as payload:
                self._endings.pop(OperatorKey(payload.operator_key), None)
                self._end(Hash32(payload.ticket), standing, Outcome.ARRIVED)
            case RefusePayload() | ExpirePayload() as payload:
                refused = isinstance(payload, RefusePayload)
                outcome = Outcome.REFUSED if refused else Outcome.EXPIRED
                ticket = self._end(Hash32(payload.ticket), standing, outcome)
                if ticket is not None:
                    self._endings[ticket.operator_key] = Ending(ticket, standing.block_hash)

    def _begin(self, standing: Standing, payload: RelocatePayload) -> None:
        block = standing.block
        key = OperatorKey(payload.operator_key)
        self._endings.pop(key, None)
        stays = payload.why is not Move.JOIN and matches(block.prefix, payload.name)
        self._moves.append(
            Moved(
                ticket=standing.block_hash,
                operator_key=key,
                why=payload.why,
                source=block.prefix,
                target=block.prefix if stays else "",
                age=payload.age,
                outcome=Outcome.STAYED if stays else Outcome.UNDER_WAY,
            )
        )
        if stays:
            return
        ticket = Ticket(
            ticket=standing.block_hash,
            operator_key=key,
            why=payload.why,
            seq=payload.seq,
            age=payload.age,
            name=Hash32(payload.name),
            source=block.prefix,
            stamp_height=block.stamp_height,
        )
        self._open[ticket.ticket] = self._by_operator[key] = ticket

    def _end(self, hashed: Hash32, standing: Standing, outcome: Outcome) -> Ticket | None:
        ticket = self._open.pop(hashed, None)
        for at, moved in enumerate(self._moves):
            if moved.ticket == hashed:
                self._moves[at] = replace(moved, target=standing.block.prefix, outcome=outcome)
        if ticket is not None and self._by_operator.get(ticket.operator_key) == ticket:
            del self._by_operator[ticket.operator_key]
        return ticket

    def moves(self) -> tuple[Moved, ...]:
        """Return the last moves of all groups, oldest first."""
        return tuple(self._moves)

    def of(self, operator_key: OperatorKey) -> Ticket | None:
        """Return the ticket with which an operator is under way, or None."""
        return self._by_operator.get(operator_key)

    def leading_to(self, prefix: str) -> Iterator[Ticket]:
        """Yield the tickets that lead to the group with this prefix, oldest first."""
        return (ticket for ticket in tuple(self._open.values()) if matches(prefix, ticket.name))

    def endings(self) -> Iterator[Ending]:
        """Yield what ended the last ticket of each operator that was not taken back since, oldest first."""
        return iter(tuple(self._endings.values()))

    def ending_of(self, operator_key: OperatorKey) -> Ending | None:
        """Return what ended an operator's last ticket, unless it was taken back since."""
        return self._endings.get(operator_key)
