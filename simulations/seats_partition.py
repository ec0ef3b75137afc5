"""How groups split, merge and are absorbed, held against the rules by somebody who computes them again.

Answers for: SPLIT, MERGE and ABSORB: which groups there are after them, with which members, and that a group
is absorbed only when the chain says that nobody of it has shown himself. Spec: `spec/partition.md`,
`spec/absorb.md`, `spec/simulation.md`.
"""

from collections.abc import Iterator, Sequence

from protocol.chain.mark import LIFE_MAGIC, SUMMONS_MAGIC, Mark
from protocol.crypto import sha3_256
from protocol.group.data_block import AbsorbPayload, DataBlock, Step
from simulations.seats import ABSORBED, SEATS, Group, Kept, Seats, Summoned, VoidPlaces
from simulations.seats_judged import Breach

UNION_HEIGHTS = 1 << 20
"""So far above its halves a union begins; twice as far a whole that has absorbed a half."""

HELD_CHALLENGES = 6
"""Of the challenges that nodes hold (`protocol.node.docket.HELD_MAX`) for so many there is time still."""


def sibling(prefix: str) -> str:
    """Return the prefix that differs in the last bit."""
    return prefix[:-1] + "10"[int(prefix[-1])]


def split(seats: Seats, group: Group) -> Iterator[Breach]:
    """Let a group go on as two."""
    yield from _not_summoning(group, "SPLIT")
    del seats.groups[group.prefix]
    for bit in "01":
        prefix = group.prefix + bit
        members = {key: None for key in group.members if seats.seats[key].bits.startswith(prefix)}
        child = seats.begin(
            Group(prefix, group.height, group.head, group.stamp, members, links_due=1, counts=False)
        )
        if len(seats.voters(child)) <= seats.size:
            yield SEATS, f"group {prefix!r} begins with {len(seats.voters(child))} voters"


def merge(seats: Seats, group: Group) -> Iterator[Breach]:
    """End a group; when its sibling has ended too a union begins, and the halves stay until it is bound."""
    yield from _not_summoning(group, "MERGE")
    group.ending = group.head.hex(), group.height
    parent = group.prefix[:-1]
    zero, one = (seats.groups.get(parent + bit) for bit in "01")
    if zero is None or one is None or zero.ending is None or one.ending is None:
        return
    stamps = [seats.stood[half.prefix, end[1]][1] for half in (zero, one) if (end := half.ending)]
    seats.unions[parent] = Group(
        prefix=parent,
        height=max(zero.ending[1], one.ending[1]) + UNION_HEIGHTS,
        head=sha3_256(bytes.fromhex(zero.ending[0]), bytes.fromhex(one.ending[0])),
        stamp=max(stamps),
        members={**zero.members, **one.members},
        links_due=2,
        counts=False,
        halves=(seats.voters(zero), seats.voters(one)),
    )


def _not_summoning(group: Group, what: str) -> Iterator[Breach]:
    if group.summons is not None:
        yield ABSORBED, f"group {group.prefix!r}: {what} while it has summoned {group.summons.prefix!r}"


def bind(seats: Seats, union: Group) -> None:
    """Let a union take the place of its halves: both have certified its second LINK."""
    for bit in "01":
        _excuse(seats, seats.groups[union.prefix + bit], union.stamp)
    del seats.unions[union.prefix]
    for bit in "01":
        del seats.groups[union.prefix + bit]
    seats.begin(union)


def _excuse(seats: Seats, half: Group, stamp: int) -> None:
    """Let a group have waited too long, after its MERGE block, to judge all that fell to it."""
    if half.ending is not None:
        seats.judged.excuse(half.prefix, stamp - HELD_CHALLENGES * seats.calendar.every)


# Without a sibling that has stopped.


def absorb(
    seats: Seats, group: Group, block: DataBlock, payload: AbsorbPayload, hashed: bytes
) -> Iterator[Breach]:
    """Let a group summon its sibling, leave it alone, or go on without it."""
    what = f"group {group.prefix!r}: {payload.step.name} of {payload.prefix!r}"
    if payload.step is Step.SUMMON:
        yield from _summon(seats, group, block, payload, hashed, what)
        return
    opened = group.summons
    named = payload.summons, payload.prefix, payload.height, payload.head
    if opened is None or named != (opened.by, opened.prefix, opened.height, opened.head):
        yield ABSORBED, f"{what}, which is not summoned"
        return
    group.summons = None
    if payload.step is Step.TAKE:
        yield from _take(seats, group, block, opened, what)


def _summon(
    seats: Seats, group: Group, block: DataBlock, payload: AbsorbPayload, hashed: bytes, what: str
) -> Iterator[Breach]:
    head, stamp = seats.stood.get((payload.prefix, payload.height), (b"", 0))
    if group.summons is not None:
        yield ABSORBED, f"{what}, and {group.summons.prefix!r} is summoned already"
    if not group.prefix or payload.prefix != sibling(group.prefix) or head != payload.head:
        yield ABSORBED, f"{what} at {payload.height}, where it never stood"
    if block.stamp_height < stamp + seats.calendar.term:
        yield ABSORBED, f"{what} under {block.stamp_height}, which was there under {stamp}"
    group.summons = Summoned(
        by=hashed,
        stamp=block.stamp_height,
        prefix=payload.prefix,
        height=payload.height,
        head=payload.head,
        signers=frozenset(seats.voters(group)),
    )


def _take(seats: Seats, group: Group, block: DataBlock, opened: Summoned, what: str) -> Iterator[Breach]:
    """Let the whole begin with one half; the members of the other may return."""
    parent = group.prefix[:-1]
    height = max(group.height, opened.height) + 2 * UNION_HEIGHTS
    void = VoidPlaces(opened.prefix, opened.height, group.height, height)
    seats.undo(void)
    stopped = [
        key
        for key, seat in seats.seats.items()
        if seat.kept is Kept.MEMBER and seat.bits.startswith(opened.prefix)
    ]
    yield from _unanswered(seats, block, opened, stopped, what)
    for prefix in [prefix for prefix in seats.groups if prefix.startswith(parent)]:
        del seats.groups[prefix]
    for prefix in [prefix for prefix in seats.unions if prefix.startswith(parent)]:
        del seats.unions[prefix]
    for key in stopped:
        seats.retire(key, seats.stood[opened.prefix, opened.height][1])
    seats.voids.append(void)
    _excuse(seats, group, block.stamp_height)
    seats.judged.lapse(opened.prefix, block.stamp_height + seats.calendar.burial)
    seats.begin(Group(parent, height, group.head, group.stamp, group.members, links_due=1, counts=False))
    seats.absorbed += 1


def _unanswered(
    seats: Seats, block: DataBlock, opened: Summoned, stopped: Sequence[bytes], what: str
) -> Iterator[Breach]:
    """Tell why the chain does not say that a group has stopped."""
    bits = bytes((len(opened.prefix), int(opened.prefix[-1])))
    wanted = SUMMONS_MAGIC + bits + opened.height.to_bytes(8, "big") + opened.head + opened.by
    marks = seats.chain.marks(opened.stamp + 1, block.stamp_height)
    mined = next(
        (one for one in marks if one.payload == wanted and _owners(seats, one) & opened.signers), None
    )
    if mined is None:
        yield ABSORBED, f"{what} without a summons on the chain"
        return
    if block.stamp_height < mined.height + seats.calendar.term:
        yield ABSORBED, f"{what} under {block.stamp_height}, summoned at {mined.height}"
    old = {head for (prefix, at), (head, _) in seats.stood.items() if _leads(seats, prefix, at, opened)}
    voters = {key for key in stopped if seats.seats[key].age >= 1}
    later = [one for one in marks if one.ordinal > mined.ordinal and one.payload.startswith(LIFE_MAGIC)]
    for mark in later:
        if _owners(seats, mark) & voters and mark.payload[len(LIFE_MAGIC) :] not in old:
            yield ABSORBED, f"{what}, which has shown itself at {mark.height}"


def _leads(seats: Seats, prefix: str, height: int, opened: Summoned) -> bool:
    """Whether a place is behind the head at which a group was summoned."""
    return opened.prefix.startswith(prefix) and height <= opened.height and not seats.is_void(prefix, height)


def _owners(seats: Seats, mark: Mark) -> set[bytes]:
    """Return the operators whose stakes have signed a mark."""
    return {owner for one in mark.signed if (owner := seats.judged.owner(one)) is not None}
