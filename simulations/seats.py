"""Where every operator's seat is: what somebody keeps who sees every certified block and trusts no rule.

Answers for: seats, groups and tickets as plain values, the questions that are asked of them, and that what a
block has changed can be undone when it turns out void. How blocks change them is the business of
`seats_moves` and `seats_partition`, in whose order `ledger`'s. Spec: `spec/simulation.md`.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum

from protocol.chain.view import ChainView
from protocol.crypto import sha3_256
from protocol.genesis import Genesis, network_id
from protocol.group.data_block import Move
from simulations.seats_judged import Judged, Place, bits_of

AGES = "ages_follow_the_rules"
NAMES = "names_come_from_entropy"
PLACES = "one_block_at_a_place"
SEATS = "one_seat_an_operator"
NEWCOMERS = "one_newcomer_in_a_large_group"
IPS = "one_ip_in_a_group"
ABSORBED = "absorbed_only_over_the_chain"

AGE_MAX = 255
JOURNAL_MAX = 4_096
"""Blocks, of all groups, of which it is known what they changed: far more than any group certifies void."""


class Kept(Enum):
    """How a group keeps a seat."""

    HOME = "home"
    MEMBER = "member"
    AWAY = "away"
    LEFT = "left"


@dataclass(slots=True)
class Seat:
    """The one seat of an operator."""

    kept: Kept
    bits: str
    """Of the name under which it is kept: the group is the live one whose prefix they begin with."""
    age: int = 0
    events: int = 0
    ticket: bytes = b""
    """With which its holder was sent away last."""
    joined_by: int = -1
    """The challenge of the last JOIN ticket."""
    returning: int | None = None
    """The age that a member had, who came back without a vote,"""
    return_seq: int = -1
    """and the challenge that gives its next name."""
    by: Place = ("", 0)
    """The block that changed it last."""


@dataclass(slots=True)
class Ticket:
    """A seat on its way."""

    key: bytes
    why: Move
    age: int
    bits: str
    stamp: int
    end: str = ""
    """The kind of the block that ended it."""

    @property
    def is_back(self) -> bool:
        """Whether it ended elsewhere, so that its seat is back with who sent it."""
        return self.end in ("REFUSE", "EXPIRE")


@dataclass(frozen=True, slots=True)
class Summoned:
    """A sibling that a group has summoned."""

    by: bytes
    """The block that did."""
    stamp: int
    prefix: str
    height: int
    head: bytes
    signers: frozenset[bytes]
    """Operators whose stakes may put it on the chain."""


@dataclass(slots=True)
class Group:
    """A live group, or a union that is not bound yet."""

    prefix: str
    height: int
    head: bytes
    stamp: int
    members: dict[bytes, None]
    links_due: int = 0
    counts: bool = True
    gate_open: bool = False
    move_due: int | None = None
    """The challenge after whose verdict somebody may still move."""
    ending: Place | None = None
    """Its MERGE block, as (its hash in hex, its height): then only ABSORB blocks follow."""
    halves: tuple[dict[bytes, int], ...] = ()
    """Of a union before its second block: the voters of each half, with their ages."""
    summons: Summoned | None = None


@dataclass(frozen=True, slots=True)
class VoidPlaces:
    """What does not count of a group that was absorbed."""

    prefix: str
    above: int
    beside: int
    """Where its sibling ended, which absorbed it."""
    through: int

    def covers(self, prefix: str, height: int) -> bool:
        """Whether a block at a place counts for nothing."""
        if height >= self.through:
            return False
        if prefix.startswith(self.prefix) or self.prefix.startswith(prefix):
            return height > self.above
        sibling = self.prefix[:-1] + "10"[int(self.prefix[-1])]
        return prefix.startswith(sibling) and height > self.beside


@dataclass(slots=True)
class Entry:
    """What one block changed."""

    place: Place
    hashed: bytes
    seats: dict[bytes, Seat | None] = field(default_factory=dict)
    """As they were before; None for one that no block had spoken of."""
    tickets: dict[bytes, str] = field(default_factory=dict)
    """How they had ended before."""


@dataclass(frozen=True, slots=True)
class Calendar:
    """The chain heights that matter, by arithmetic of its own."""

    every: int
    window: int
    burial: int
    silence: int
    pending: int

    def entropy_at(self, seq: int) -> int:
        """Return the height of the block that gives the names of a challenge."""
        return seq * self.every + self.window + 2 * self.burial

    def is_fresh(self, seq: int, stamp: int) -> bool:
        """Whether a verdict is good for a move."""
        return self.entropy_at(seq) <= stamp < self.entropy_at(seq + 2)

    def is_open(self, seq: int, stamp: int) -> bool:
        """Whether nobody can know the names of the challenge after this one yet."""
        return stamp + self.burial < self.entropy_at(seq + 1)

    @property
    def term(self) -> int:
        """How long a group is silent before it is summoned, and has to answer."""
        return 2 * self.silence


@dataclass
class Seats:
    """All seats of one network, from its genesis on."""

    genesis: Genesis
    ips: Mapping[bytes, bytes]
    """Where each operator listens."""
    chain: ChainView
    seats: dict[bytes, Seat] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    unions: dict[str, Group] = field(default_factory=dict)
    """What halves are about to become, that have both ended: they are still there."""
    tickets: dict[bytes, Ticket] = field(default_factory=dict)
    endings: dict[bytes, bytes] = field(default_factory=dict)
    """The ticket that a REFUSE or EXPIRE block ended."""
    stood: dict[Place, tuple[bytes, int]] = field(default_factory=dict)
    """Head and stamp at each place: of the block there, or of what began there."""
    voids: list[VoidPlaces] = field(default_factory=list)
    journal: deque[Entry] = field(default_factory=lambda: deque(maxlen=JOURNAL_MAX))
    judged: Judged = field(init=False)
    calendar: Calendar = field(init=False)
    moves: dict[str, int] = field(default_factory=dict)
    """RELOCATE blocks by why."""
    refused: int = 0
    absorbed: int = 0

    def __post_init__(self) -> None:
        network = network_id(self.genesis)
        parameters = self.genesis.parameters
        self.calendar = Calendar(
            every=parameters.challenge_every,
            window=parameters.response_window,
            burial=parameters.burial,
            silence=parameters.silence,
            pending=parameters.relocation_pending,
        )
        for one in self.genesis.members:
            name = sha3_256(bytes([one.age]), one.operator_key, network)
            self.seats[one.operator_key] = Seat(Kept.MEMBER, bits_of(name), one.age)
        members = {one.operator_key: None for one in self.genesis.members}
        self.begin(Group("", 0, network, 0, members))
        self.judged = Judged(self.genesis)

    @property
    def size(self) -> int:
        """G."""
        return self.genesis.parameters.group_size

    def begin(self, group: Group) -> Group:
        """Let a live group begin."""
        self.groups[group.prefix] = group
        self.stood[group.prefix, group.height] = group.head, group.stamp
        return group

    # What is asked.

    def seat(self, key: bytes) -> Seat:
        """Return an operator's seat: at home, if no block ever spoke of it."""
        found = self.seats.get(key)
        if found is None:
            found = self.seats[key] = Seat(Kept.HOME, bits_of(sha3_256(key)))
        return found

    def holder(self, bits: str) -> Group | None:
        """Return the live group to which a name falls."""
        return next((self.groups[bits[:n]] for n in range(len(bits)) if bits[:n] in self.groups), None)

    def at(self, prefix: str) -> Group | None:
        """Return the live group with a prefix, or the union that is about to be it."""
        return self.groups.get(prefix) or self.unions.get(prefix)

    def voters(self, group: Group) -> dict[bytes, int]:
        """Return the voters of a group with their ages."""
        return {key: self.seats[key].age for key in group.members if self.seats[key].age >= 1}

    def certifiers(self, group: Group) -> tuple[dict[bytes, int], ...]:
        """Return of whom, each for themselves, more than two thirds must certify a group's next block."""
        return group.halves or (self.voters(group),)

    def is_large(self, group: Group) -> bool:
        """Whether a group has more than G members."""
        return len(group.members) > self.size

    def is_returning(self, seat: Seat, stamp: int) -> bool:
        """Whether a member came back without a vote, and may still be taken for full again."""
        if seat.returning is None:
            return False
        return stamp <= self.calendar.entropy_at(seat.return_seq) + self.calendar.silence

    def is_void(self, prefix: str, height: int) -> bool:
        """Whether a block at a place counts for nothing: its group was absorbed below it."""
        return any(void.covers(prefix, height) for void in self.voids)

    # What is done.

    def enter(self, place: Place, hashed: bytes) -> None:
        """Let what changes from now on be what a block changes."""
        if not self.journal or self.journal[-1].hashed != hashed:
            self.journal.append(Entry(place, hashed))

    def touch(self, key: bytes) -> Seat:
        """Return an operator's seat to be changed by the block that is taken now."""
        entry, known = self.journal[-1], self.seats.get(key)
        if key not in entry.seats:
            entry.seats[key] = None if known is None else replace(known)
        seat = self.seat(key)
        seat.by = entry.place
        return seat

    def end(self, ticket: bytes, how: str) -> None:
        """Let a ticket end by the block that is taken now."""
        self.journal[-1].tickets.setdefault(ticket, self.tickets[ticket].end)
        self.tickets[ticket].end = how

    def change(self, group: Group) -> None:
        """Let a group's members have changed: a LINK is due."""
        group.links_due, group.counts = max(1, group.links_due), True

    def dismiss(self, group: Group, key: bytes, *, keeps_age: bool = True) -> None:
        """Take a member out."""
        self.retire(key, group.stamp, keeps_age=keeps_age)
        del group.members[key]

    def retire(self, key: bytes, stamp: int, *, keeps_age: bool = True) -> None:
        """Let a seat be that of somebody who was removed.

        Who had come back, and was not taken for full yet, keeps half of the age that it had.
        """
        seat = self.touch(key)
        age = (seat.returning or 0) // 2 if self.is_returning(seat, stamp) else seat.age
        seat.kept, seat.age, seat.events, seat.returning = Kept.LEFT, age if keeps_age else 0, 0, None

    def undo(self, void: VoidPlaces) -> None:
        """Let the blocks at void places have changed nothing, but for what others have made of it since."""
        for entry in reversed(self.journal):
            if not void.covers(*entry.place):
                continue
            for key, before in entry.seats.items():
                if self.seats[key].by != entry.place:
                    continue
                if before is None:
                    del self.seats[key]
                else:
                    self.seats[key] = before
            for ticket, end in entry.tickets.items():
                self.tickets[ticket].end = end
            entry.seats, entry.tickets = {}, {}
            self.judged.forget(entry.hashed)
