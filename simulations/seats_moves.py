"""How blocks move the operators' seats, held against the rules by somebody who computes them again.

Answers for: RELOCATE, ADMIT, REFUSE and EXPIRE: who may go and come, when, as what age and under which name.
Spec: `spec/relocation.md`, `spec/membership.md`, `spec/simulation.md`.
"""

from collections.abc import Iterator

from protocol.crypto import sha3_256
from protocol.group.data_block import (
    AdmitPayload,
    DataBlock,
    ExpirePayload,
    Move,
    RefusePayload,
    RelocatePayload,
)
from protocol.tracking.verdict import Reason
from simulations.seats import (
    AGE_MAX,
    AGES,
    IPS,
    NAMES,
    NEWCOMERS,
    SEATS,
    Group,
    Kept,
    Seat,
    Seats,
    Ticket,
)
from simulations.seats_judged import Breach, bits_of

# Going.


def relocate(
    seats: Seats, group: Group, block: DataBlock, payload: RelocatePayload, hashed: bytes
) -> Iterator[Breach]:
    """Move an operator, or let it age where it is."""
    key, who = payload.operator_key, f"{payload.operator_key.hex()[:8]} ({payload.why.name})"
    who += f" in group {group.prefix!r}"
    seats.moves[payload.why.name] = seats.moves.get(payload.why.name, 0) + 1
    if seats.holder(seats.seat(key).bits) is not group:
        yield SEATS, f"{who} moves, and its seat is elsewhere"
    yield from _named(seats, group, block, payload, who)
    if payload.why is Move.JOIN:
        yield from _leave_home(seats, block, payload, who)
        _send(seats, block, payload, hashed)
        return
    seat = seats.seat(key)
    if seat.kept is not Kept.MEMBER or key not in group.members:
        yield SEATS, f"{who} moves and is no member"
        return
    if payload.why is Move.REJOIN:
        yield from _rejoin(seats, seat, block, payload, who)
    else:
        yield from _turn(seats, group, block, payload, who)
    seat = seats.touch(key)
    if bits_of(payload.name).startswith(group.prefix):
        seat.bits, seat.age = bits_of(payload.name), payload.age
    else:
        seat.age = payload.age if payload.why is Move.REJOIN else seat.age
        _send(seats, block, payload, hashed)
        del group.members[key]
    seat.events, seat.returning = 0, None
    seats.change(group)


def _named(
    seats: Seats, group: Group, block: DataBlock, payload: RelocatePayload, who: str
) -> Iterator[Breach]:
    """Tell what is wrong with the name after a move."""
    keeps = payload.why in (Move.FIRST, Move.AGED) and not seats.is_large(group)
    if keeps:
        if bits_of(payload.name) != seats.seat(payload.operator_key).bits:
            yield NAMES, f"{who} gets another name in a group of {len(group.members)}"
        return
    height = seats.calendar.entropy_at(payload.seq)
    if block.stamp_height < height:
        yield NAMES, f"{who} gets its name under stamp {block.stamp_height}, before block {height}"
    entropy = seats.chain.block_hash(height) or b""
    if payload.name != sha3_256(bytes([payload.age]), payload.operator_key, entropy):
        yield NAMES, f"{who} gets a name that is not of challenge {payload.seq}"


def _turn(
    seats: Seats, group: Group, block: DataBlock, payload: RelocatePayload, who: str
) -> Iterator[Breach]:
    """Tell whether it is not this member's turn to be a year older."""
    if payload.seq != group.move_due:
        yield AGES, f"{who} moves after challenge {payload.seq}, and {group.move_due} is due"
    group.move_due = None
    seat = seats.seat(payload.operator_key)
    if payload.age != min(seat.age + 1, AGE_MAX):
        yield AGES, f"{who} is {payload.age} after {seat.age}"
    if (payload.why is Move.FIRST) != (seat.age == 0):
        yield AGES, f"{who} of age {seat.age}"
    entropy = seats.chain.block_hash(seats.calendar.entropy_at(payload.seq)) or b""
    chosen = _candidate(seats, group, entropy, block.stamp_height)
    if chosen != payload.operator_key:
        yield AGES, f"{who} of age {seat.age} with {seat.events} events: it is another one's turn"


def _candidate(seats: Seats, group: Group, entropy: bytes, stamp: int) -> bytes | None:
    """Return the member that is a year older next."""
    voters = seats.voters(group)
    only = next(iter(voters)) if seats.is_large(group) and len(voters) == 1 else None
    there = {
        key: seats.seats[key]
        for key in group.members
        if key != only and not seats.is_returning(seats.seats[key], stamp)
    }
    newcomers = [key for key, seat in there.items() if seat.age == 0]
    ripe = {key: (seat.age, seat.events) for key, seat in there.items() if seat.events >= 1 << seat.age}
    eldest = [key for key in ripe if ripe[key] == max(ripe.values())]
    drawn = int(bits_of(entropy), 2) if entropy else 0
    return min(newcomers or eldest, key=lambda key: int(there[key].bits, 2) ^ drawn, default=None)


def _rejoin(
    seats: Seats, seat: Seat, block: DataBlock, payload: RelocatePayload, who: str
) -> Iterator[Breach]:
    """Tell what is wrong with a member's return into its rights."""
    if not seats.is_returning(seat, block.stamp_height):
        yield AGES, f"{who} is taken for full, and did not come back, or too long ago"
    if payload.seq != seat.return_seq:
        yield NAMES, f"{who} returns by challenge {payload.seq}, not {seat.return_seq}"
    if payload.age != (seat.returning or 0) // 2:
        yield AGES, f"{who} returns with age {payload.age} after {seat.returning}"


def _leave_home(seats: Seats, block: DataBlock, payload: RelocatePayload, who: str) -> Iterator[Breach]:
    seat = seats.seat(payload.operator_key)
    ticket = seats.tickets.get(seat.ticket)
    comes_again = seat.kept is Kept.AWAY and ticket is not None and ticket.why is Move.JOIN
    if not (seat.kept is Kept.HOME or (comes_again and ticket is not None and ticket.is_back)):
        yield SEATS, f"{who} leaves home, and its seat is {seat.kept.value}"
    if payload.seq <= seat.joined_by:
        yield SEATS, f"{who} has a second ticket for challenge {payload.seq}"
    if payload.age != 0:
        yield AGES, f"{who} joins with age {payload.age}"
    yield from _valid(seats, block, payload.operator_key, payload.verdict, who)


def _valid(seats: Seats, block: DataBlock, key: bytes, verdict: bytes, who: str) -> Iterator[Breach]:
    """Tell why a verdict is no ground for a move."""
    said = seats.judged.said(verdict)
    if said is None or said.reasons.get(key) is not Reason.VALID:
        yield SEATS, f"{who} moves by a verdict that does not find it VALID"
    elif not seats.calendar.is_fresh(said.seq, block.stamp_height):
        yield SEATS, f"{who} moves by the verdict of challenge {said.seq} under {block.stamp_height}"


def _send(seats: Seats, block: DataBlock, payload: RelocatePayload, hashed: bytes) -> None:
    seat, bits = seats.touch(payload.operator_key), bits_of(payload.name)
    seats.tickets[hashed] = Ticket(payload.operator_key, payload.why, payload.age, bits, block.stamp_height)
    seat.kept, seat.ticket = Kept.AWAY, hashed
    if payload.why is Move.JOIN:
        seat.joined_by = payload.seq


# Coming.


def admit(seats: Seats, group: Group, block: DataBlock, payload: AdmitPayload) -> Iterator[Breach]:
    """Let an operator come in."""
    key, seat = payload.operator_key, seats.touch(payload.operator_key)
    who, bits = f"{key.hex()[:8]} in group {group.prefix!r}", bits_of(payload.name)
    if not bits.startswith(group.prefix):
        yield SEATS, f"{who} comes in under a name of another group"
    if payload.ticket:
        yield from _with_ticket(seats, seat, block, payload, who)
    elif payload.ending:
        yield from _again(seats, group, seat, payload, who)
    else:
        yield from _after_removal(seats, seat, block, payload, who)
    if seat.kept is Kept.MEMBER:
        yield SEATS, f"{who} comes in and is a member already"
    yield from _company(seats, group, payload, who)
    seat.kept, seat.bits, seat.age, seat.events = Kept.MEMBER, bits, payload.age, 0
    group.members[key] = None
    seats.change(group)


def _company(seats: Seats, group: Group, payload: AdmitPayload, who: str) -> Iterator[Breach]:
    """Tell whether somebody comes in beside whom nobody may."""
    is_limited = payload.age == 0 and not payload.ending and seats.is_large(group)
    others = [key for key in group.members if key != payload.operator_key]
    if is_limited and any(seats.seats[key].age == 0 for key in others):
        yield NEWCOMERS, f"{who} is the second newcomer of {len(group.members)}"
    ip = seats.ips.get(payload.operator_key)
    if ip is not None and any(seats.ips.get(key) == ip for key in others):
        yield IPS, f"{who} shares an address"


def _with_ticket(
    seats: Seats, seat: Seat, block: DataBlock, payload: AdmitPayload, who: str
) -> Iterator[Breach]:
    ticket = seats.tickets.get(payload.ticket)
    if ticket is None or ticket.key != payload.operator_key or seat.ticket != payload.ticket:
        yield SEATS, f"{who} comes in with a ticket that is not its own"
        return
    if seat.kept is not Kept.AWAY or ticket.end:
        yield SEATS, f"{who} comes in with a ticket that ended: {ticket.end}"
    if not ticket.stamp < block.stamp_height <= ticket.stamp + seats.calendar.pending:
        yield SEATS, f"{who} comes in under {block.stamp_height} with a ticket of {ticket.stamp}"
    if payload.age != ticket.age:
        yield AGES, f"{who} comes in with age {payload.age}, its ticket says {ticket.age}"
    if bits_of(payload.name) != ticket.bits:
        yield NAMES, f"{who} comes in under another name than its ticket's"
    seats.end(payload.ticket, "ADMIT")
    seat.returning = None


def _again(seats: Seats, group: Group, seat: Seat, payload: AdmitPayload, who: str) -> Iterator[Breach]:
    ticket = seats.tickets.get(seats.endings.get(payload.ending, b""))
    if ticket is None or ticket.key != payload.operator_key or not ticket.is_back:
        yield SEATS, f"{who} comes back, and its ticket did not end so"
    elif seat.kept is not Kept.AWAY or seat.bits != bits_of(payload.name) or ticket.why is Move.JOIN:
        yield SEATS, f"{who} comes back, and its seat is {seat.kept.value}"
    if payload.age != seat.age:
        yield AGES, f"{who} comes back with age {payload.age} after {seat.age}"
    if ticket is not None:
        seats.end(seats.endings[payload.ending], "BACK")


def _after_removal(
    seats: Seats, seat: Seat, block: DataBlock, payload: AdmitPayload, who: str
) -> Iterator[Breach]:
    if seat.kept is not Kept.LEFT or seat.bits != bits_of(payload.name):
        yield SEATS, f"{who} returns, and its seat is {seat.kept.value}"
    if payload.age != 0:
        yield AGES, f"{who} returns with age {payload.age}: with a vote"
    yield from _valid(seats, block, payload.operator_key, payload.verdict, who)
    said = seats.judged.said(payload.verdict)
    seq = -1 if said is None else said.seq
    if not seats.calendar.is_open(seq, block.stamp_height):
        yield NAMES, f"{who} returns by challenge {seq} under {block.stamp_height}: its name is known"
    seat.returning, seat.return_seq = seat.age, seq + 1


def end(
    seats: Seats, group: Group, block: DataBlock, payload: RefusePayload | ExpirePayload, hashed: bytes
) -> Iterator[Breach]:
    """Let a ticket end without its holder coming in."""
    ticket = seats.tickets.get(payload.ticket)
    kind = "REFUSE" if isinstance(payload, RefusePayload) else "EXPIRE"
    seats.refused += kind == "REFUSE"
    if ticket is None or ticket.end:
        yield SEATS, f"a ticket ends twice: {kind} after {ticket.end if ticket else 'nothing'}"
        return
    if not ticket.bits.startswith(group.prefix):
        yield SEATS, f"{kind} of a ticket to another group in group {group.prefix!r}"
    last = ticket.stamp + seats.calendar.pending
    in_time = ticket.stamp < block.stamp_height <= last
    if in_time != (kind == "REFUSE") or block.stamp_height <= ticket.stamp:
        yield SEATS, f"{kind} under {block.stamp_height} of a ticket of {ticket.stamp}"
    seats.end(payload.ticket, kind)
    seats.endings[hashed] = payload.ticket
