"""Where every operator's seat is, kept by somebody who sees every certified block and trusts no rule.

Answers for: groups, members, ages, events and tickets, by arithmetic of its own from what the blocks say, so
that a rule of `protocol` which is broken shows as a difference. What it finds wrong in a block it tells, and
goes on. The laws over the whole are `group_laws`'. Spec: `spec/simulation.md`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum

from protocol.crypto import envelope_body, sha3_256
from protocol.genesis import Genesis, network_id
from protocol.group.data_block import (
    AbsorbPayload,
    AdmitPayload,
    DataBlock,
    EvidencePayload,
    ExpirePayload,
    LinkPayload,
    MergePayload,
    Move,
    Payload,
    RefusePayload,
    RelocatePayload,
    RemovePayload,
    SplitPayload,
    Step,
    VerdictPayload,
)
from protocol.group.vote import decode_statement
from simulations.seats_judged import Judged, bits_of

AGES = "ages_follow_the_rules"
PLACES = "one_block_at_a_place"
SEATS = "one_seat_an_operator"
NEWCOMERS = "one_newcomer_in_a_large_group"
IPS = "one_ip_in_a_group"

UNION_HEIGHTS = 1 << 20
"""So far above its halves a union begins."""

Breach = tuple[str, str]
"""The name of a law, and what broke it."""


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
    returning: int | None = None
    """The age that a member had, who came back without a vote."""


@dataclass(slots=True)
class Ticket:
    """A seat on its way."""

    key: bytes
    why: Move
    age: int
    bits: str
    end: str = ""
    """The kind of the block that ended it."""


@dataclass(slots=True)
class Group:
    """A live group."""

    prefix: str
    height: int
    head: bytes
    members: dict[bytes, None]
    links_due: int = 0
    counts: bool = True
    gate_open: bool = False
    ending: tuple[int, bytes] | None = None
    """Height and hash of its MERGE block: then only ABSORB blocks follow."""
    halves: tuple[dict[bytes, int], ...] = ()
    """Of a union before its second block: the voters of each half, with their ages."""


@dataclass
class Ledger:
    """All seats of one network, from its genesis on."""

    genesis: Genesis
    ips: Mapping[bytes, bytes]
    """Where each operator listens."""
    seats: dict[bytes, Seat] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    tickets: dict[bytes, Ticket] = field(default_factory=dict)
    endings: dict[bytes, bytes] = field(default_factory=dict)
    """The ticket that a REFUSE or EXPIRE block ended."""
    places: dict[tuple[str, int], bytes] = field(default_factory=dict)
    judged: Judged = field(init=False)
    links: int = 0
    """LINK blocks certified anywhere: events."""
    moves: dict[str, int] = field(default_factory=dict)
    """RELOCATE blocks by why."""
    refused: int = 0

    def __post_init__(self) -> None:
        network = network_id(self.genesis)
        members: dict[bytes, None] = {}
        for one in self.genesis.members:
            name = sha3_256(bytes([one.age]), one.operator_key, network)
            self.seats[one.operator_key] = Seat(Kept.MEMBER, bits_of(name), one.age)
            members[one.operator_key] = None
        self.groups[""] = Group("", 0, network, members)
        self.judged = Judged(self.genesis)

    @property
    def size(self) -> int:
        """G."""
        return self.genesis.parameters.group_size

    def seat(self, key: bytes) -> Seat:
        """Return an operator's seat: at home, if no block ever spoke of it."""
        found = self.seats.get(key)
        if found is None:
            found = self.seats[key] = Seat(Kept.HOME, bits_of(sha3_256(key)))
        return found

    def holder(self, bits: str) -> Group | None:
        """Return the live group to which a name falls."""
        return next((self.groups[bits[:n]] for n in range(len(bits)) if bits[:n] in self.groups), None)

    def voters(self, group: Group) -> dict[bytes, int]:
        """Return the voters of a group with their ages."""
        return {key: self.seats[key].age for key in group.members if self.seats[key].age >= 1}

    def certifiers(self, group: Group) -> tuple[dict[bytes, int], ...]:
        """Return of whom, each for themselves, more than two thirds must certify a group's next block."""
        return group.halves or (self.voters(group),)

    def take(self, block: DataBlock, payload: Payload, hashed: bytes) -> Iterator[Breach]:
        """Go on by one certified block, in an order in which each comes after what it rests on."""
        place = block.prefix, block.height
        before = self.places.setdefault(place, hashed)
        if before != hashed:
            yield PLACES, f"two blocks {block.height} of group {block.prefix!r}"
            return
        group = self.groups.get(block.prefix)
        ends = group is not None and group.ending is not None and not isinstance(payload, AbsorbPayload)
        if group is None or ends or block.height != group.height + 1:
            yield PLACES, f"block {block.height} of group {block.prefix!r} follows nothing"
            return
        if block.previous != group.head:
            yield PLACES, f"block {block.height} of group {block.prefix!r} follows another one"
        if bool(group.links_due) != isinstance(payload, LinkPayload):
            yield (
                PLACES,
                f"block {block.height} of group {block.prefix!r} is a LINK when none is due, or none",
            )
        group.height, group.head = block.height, hashed
        match payload:
            case LinkPayload():
                self._link(group)
            case VerdictPayload():
                group.gate_open = True
                yield from self.judged.take(group.prefix, payload)
            case RelocatePayload():
                yield from self._relocate(group, payload, hashed)
            case AdmitPayload():
                yield from self._admit(group, payload)
            case RefusePayload() | ExpirePayload():
                yield from self._end(payload, hashed)
            case RemovePayload():
                yield from self._leave(group, payload.operator_key, keeps_age=True)
            case EvidencePayload():
                for proof in payload.proofs:
                    guilty = decode_statement(envelope_body(proof.first)).signer
                    yield from self._leave(group, guilty, keeps_age=False)
            case SplitPayload():
                yield from self._split(group)
            case MergePayload():
                self._merge(group)
            case AbsorbPayload() if payload.step is Step.TAKE:
                yield SEATS, f"group {payload.prefix!r} is absorbed, and nobody summoned it on the chain"
            case _:
                self.judged.register(payload, block.stamp_height)

    def _link(self, group: Group) -> None:
        self.links += 1
        if group.gate_open and group.counts:
            for key in group.members:
                self.seats[key].events += 1
        group.links_due = max(0, group.links_due - 1)
        group.gate_open = False
        if not group.links_due:
            group.counts, group.halves = True, ()

    def _change(self, group: Group) -> None:
        group.links_due, group.counts = 1, True

    # Moves.

    def _relocate(self, group: Group, payload: RelocatePayload, hashed: bytes) -> Iterator[Breach]:
        key, bits = payload.operator_key, bits_of(payload.name)
        seat = self.seat(key)
        who = f"{key.hex()[:8]} ({payload.why.name} in group {group.prefix!r})"
        self.moves[payload.why.name] = self.moves.get(payload.why.name, 0) + 1
        if self.holder(seat.bits) is not group:
            yield SEATS, f"{who} moves, and its seat is elsewhere"
        if payload.why is Move.JOIN:
            yield from self._leave_home(seat, payload, who)
            self._send(key, seat, payload, bits, hashed)
            return
        if seat.kept is not Kept.MEMBER or key not in group.members:
            yield SEATS, f"{who} moves and is no member"
            return
        yield from self._ages(group, seat, payload, who)
        seat.events, is_large = 0, len(group.members) > self.size
        stays = bits.startswith(group.prefix)
        if payload.why is not Move.REJOIN and not is_large and bits != seat.bits:
            yield AGES, f"{who} gets another name in a group of {len(group.members)}"
        if stays:
            seat.bits, seat.age, seat.returning = bits, payload.age, None
        else:
            before = payload.age if payload.why is Move.REJOIN else seat.age
            self._send(key, seat, payload, bits, hashed)
            seat.age, seat.returning = before, None
            del group.members[key]
        self._change(group)

    def _ages(self, group: Group, seat: Seat, payload: RelocatePayload, who: str) -> Iterator[Breach]:
        """Tell what is wrong with the age after a move."""
        if payload.why is Move.REJOIN:
            if seat.returning is None or payload.age != seat.returning // 2:
                yield AGES, f"{who} returns with age {payload.age} after {seat.returning}"
            return
        if payload.age != min(seat.age + 1, 255):
            yield AGES, f"{who} is {payload.age} after {seat.age}"
        if (payload.why is Move.FIRST) != (seat.age == 0):
            yield AGES, f"{who} of age {seat.age}"
        if seat.age > 0 and seat.events < 1 << seat.age:
            yield AGES, f"{who} of age {seat.age} after {seat.events} events"

    def _leave_home(self, seat: Seat, payload: RelocatePayload, who: str) -> Iterator[Breach]:
        ticket = self.tickets.get(seat.ticket)
        comes_again = seat.kept is Kept.AWAY and ticket is not None and ticket.why is Move.JOIN
        if not (seat.kept is Kept.HOME or (comes_again and ticket is not None and _is_back(ticket))):
            yield SEATS, f"{who} leaves home, and its seat is {seat.kept.value}"
        if payload.age != 0:
            yield AGES, f"{who} joins with age {payload.age}"

    def _send(self, key: bytes, seat: Seat, payload: RelocatePayload, bits: str, hashed: bytes) -> None:
        self.tickets[hashed] = Ticket(key, payload.why, payload.age, bits)
        seat.kept, seat.ticket = Kept.AWAY, hashed

    # Comings.

    def _admit(self, group: Group, payload: AdmitPayload) -> Iterator[Breach]:
        key, seat = payload.operator_key, self.seat(payload.operator_key)
        who = f"{key.hex()[:8]} in group {group.prefix!r}"
        bits = bits_of(payload.name)
        if not bits.startswith(group.prefix):
            yield SEATS, f"{who} comes in under a name of another group"
        if payload.ticket:
            yield from self._admit_with(self.tickets.get(payload.ticket), seat, payload, who)
        elif payload.ending:
            yield from self._admit_again(seat, payload, who)
        else:
            if seat.kept is not Kept.LEFT or seat.bits != bits:
                yield SEATS, f"{who} returns, and its seat is {seat.kept.value}"
            if payload.age != 0:
                yield AGES, f"{who} returns with age {payload.age}"
            seat.returning = seat.age
        if seat.kept is Kept.MEMBER:
            yield SEATS, f"{who} comes in and is a member already"
        yield from self._company(group, payload, who)
        seat.kept, seat.bits, seat.age, seat.events = Kept.MEMBER, bits, payload.age, 0
        group.members[key] = None
        self._change(group)

    def _company(self, group: Group, payload: AdmitPayload, who: str) -> Iterator[Breach]:
        """Tell whether somebody comes in beside whom nobody may."""
        is_limited = payload.age == 0 and not payload.ending and len(group.members) > self.size
        if is_limited and any(self.seats[key].age == 0 for key in group.members):
            yield NEWCOMERS, f"{who} is the second newcomer of {len(group.members)}"
        ip = self.ips.get(payload.operator_key)
        if any(self.ips.get(key) == ip for key in group.members if key != payload.operator_key):
            yield IPS, f"{who} shares an address"

    def _admit_with(
        self, ticket: Ticket | None, seat: Seat, payload: AdmitPayload, who: str
    ) -> Iterator[Breach]:
        if ticket is None or ticket.key != payload.operator_key or seat.ticket != payload.ticket:
            yield SEATS, f"{who} comes in with a ticket that is not its own"
            return
        if seat.kept is not Kept.AWAY or ticket.end:
            yield SEATS, f"{who} comes in with a ticket that ended: {ticket.end}"
        if (payload.age, bits_of(payload.name)) != (ticket.age, ticket.bits):
            yield AGES, f"{who} comes in with age {payload.age}, its ticket says {ticket.age}"
        ticket.end, seat.returning = "ADMIT", None

    def _admit_again(self, seat: Seat, payload: AdmitPayload, who: str) -> Iterator[Breach]:
        ticket = self.tickets.get(self.endings.get(payload.ending, b""))
        is_own = ticket is not None and ticket.key == payload.operator_key and _is_back(ticket)
        if not is_own or seat.kept is not Kept.AWAY or seat.bits != bits_of(payload.name):
            yield SEATS, f"{who} comes back, and its seat is {seat.kept.value}"
        if payload.age != seat.age:
            yield AGES, f"{who} comes back with age {payload.age} after {seat.age}"
        if ticket is not None:
            ticket.end = "BACK"

    def _end(self, payload: RefusePayload | ExpirePayload, hashed: bytes) -> Iterator[Breach]:
        ticket = self.tickets.get(payload.ticket)
        kind = "REFUSE" if isinstance(payload, RefusePayload) else "EXPIRE"
        self.refused += kind == "REFUSE"
        if ticket is None or ticket.end:
            yield SEATS, f"a ticket ends twice: {kind} after {ticket.end if ticket else 'nothing'}"
            return
        ticket.end, self.endings[hashed] = kind, payload.ticket

    # Goings.

    def _leave(self, group: Group, key: bytes, *, keeps_age: bool) -> Iterator[Breach]:
        seat = self.seat(key)
        if seat.kept is not Kept.MEMBER or key not in group.members:
            yield SEATS, f"{key.hex()[:8]} leaves group {group.prefix!r} and is no member"
            return
        self.dismiss(group, key, keeps_age=keeps_age)

    def dismiss(self, group: Group, key: bytes, *, keeps_age: bool) -> None:
        """Take a member out."""
        seat = self.seats[key]
        age = seat.age if seat.returning is None else seat.returning
        seat.kept, seat.age, seat.events, seat.returning = Kept.LEFT, age if keeps_age else 0, 0, None
        del group.members[key]
        self._change(group)

    # Partition.

    def _split(self, group: Group) -> Iterator[Breach]:
        del self.groups[group.prefix]
        for bit in "01":
            prefix = group.prefix + bit
            members = {key: None for key in group.members if self.seats[key].bits.startswith(prefix)}
            child = Group(prefix, group.height, group.head, members, links_due=1, counts=False)
            self.groups[prefix] = child
            if len(self.voters(child)) <= self.size:
                yield SEATS, f"group {prefix!r} begins with {len(self.voters(child))} voters"

    def _merge(self, group: Group) -> None:
        """End a group; when its sibling has ended too both go on as one."""
        group.ending = group.height, group.head
        parent = group.prefix[:-1]
        zero, one = (self.groups.get(parent + bit) for bit in "01")
        if zero is None or one is None or zero.ending is None or one.ending is None:
            return
        del self.groups[zero.prefix], self.groups[one.prefix]
        self.groups[parent] = Group(
            prefix=parent,
            height=max(zero.ending[0], one.ending[0]) + UNION_HEIGHTS,
            head=sha3_256(zero.ending[1], one.ending[1]),
            members={**zero.members, **one.members},
            links_due=2,
            counts=False,
            halves=(self.voters(zero), self.voters(one)),
        )


def _is_back(ticket: Ticket) -> bool:
    """Whether a ticket ended elsewhere, so that its seat is back with who sent it."""
    return ticket.end in ("REFUSE", "EXPIRE")
