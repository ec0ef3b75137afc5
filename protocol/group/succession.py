"""What goes on when a data chain has ended: two halves after a SPLIT, the whole after both siblings' MERGE.

Answers for: everything that a group knows stands in exactly one of its successors, or in both where it is
knowledge and not a seat; nothing is lost and nothing doubled, and heights never go back. When a
group splits or merges is `kinds.partition`'s business. Spec: `spec/partition.md`.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from protocol.codec import replace as replace_fields
from protocol.crypto import sha3_256
from protocol.group.data_block import Kind
from protocol.group.data_chain import DataChain
from protocol.group.kinds.links import with_members
from protocol.group.kinds.slots import settle_slots
from protocol.group.membership import Member, Membership
from protocol.group.name import home_draw, matches, sibling
from protocol.group.quorum import JointElectorate
from protocol.group.state import Away, GroupState, Judged
from protocol.tracking.challenge import challenge_draw
from protocol.units import Hash32, OperatorKey

Seat = TypeVar("Seat")
UNION_BLOCKS = 2
"""LINKs with which a union begins: the first shows that both halves are there, the second binds them."""
HEIGHTS_LEFT_OUT = 1 << 20
"""Data heights between the end of two siblings and their union: more than either uses unknown to others."""


def children(state: DataChain) -> tuple[DataChain, DataChain]:
    """Return the two groups after a SPLIT, that of the names which continue with 0 first.

    Both begin at the height and with the hash of the SPLIT block, and a LINK is due.
    """
    if state.closed_by is not Kind.SPLIT:
        raise ValueError(f"group {state.prefix!r} did not split")
    return _child(state, "0"), _child(state, "1")


def united(zero: DataChain, one: DataChain) -> DataChain:
    """Return the group that two siblings are after the MERGE block of each; a LINK is due.

    It begins `HEIGHTS_LEFT_OUT` above the greater of their heights, with SHA3-256 of both blocks' hashes:
    one of them may have tried to absorb the other meanwhile, and nobody need know. Its first
    `UNION_BLOCKS` are LINKs that each half certifies for itself; until then the halves are still there.
    """
    zero, one = _as_ended(zero), _as_ended(one)
    _check_siblings(zero, one)
    head = sha3_256(zero.head, one.head)
    later = one if one.stamp_height > zero.stamp_height else zero
    whole = replace(
        zero,
        prefix=zero.prefix[:-1],
        height=max(zero.height, one.height) + HEIGHTS_LEFT_OUT,
        head=head,
        stamp_height=later.stamp_height,
        stamp_hash=later.stamp_hash,
        link=max(zero.link, one.link),
        book=zero.book.merge(one.book),
        holders=_holders_of_both(zero, one, head),
        judged=_judged_of_both(zero, one),
        gate_open=False,
        events=_both(zero.events, one.events),
        move_due=None,
        read=_read_of_both(zero, one),
        granted=zero.granted | one.granted,
        away=_later(zero.away, one.away),
        left=_both(zero.left, one.left),
        returning=_both(zero.returning, one.returning),
        ended=_both(zero.ended, one.ended),
        closed_by=None,
        splits=zero.splits[:-1],
        summons=None,
        ending=None,
        lapsed=_lapsed_of_both(zero, one),
        voids=tuple(
            sorted(
                dict.fromkeys((*zero.voids, *one.voids)), key=lambda void: (void.stamp_height, void.prefix)
            )
        ),
        _checked={},
    )
    members = _standing_in(whole.prefix, (*zero.membership.members, *one.membership.members))
    whole = _with_members(whole, members)
    settled = settle_slots(whole, whole)
    voters = JointElectorate.joining(zero.electorate, one.electorate, UNION_BLOCKS)
    return replace(_with_members(settled, settled.membership), electorate=voters)


def _as_ended(state: DataChain) -> DataChain:
    """Return the state as its MERGE block left it."""
    ended = state.ending or state
    assert isinstance(ended, DataChain)
    return ended


def _child(state: DataChain, bit: str) -> DataChain:
    prefix = state.prefix + bit

    def is_here(name: bytes) -> bool:
        return matches(prefix, name)

    members = _standing_in(prefix, (one for one in state.membership.members if is_here(one.name)))
    child = replace(
        state,
        prefix=prefix,
        gate_open=False,
        move_due=None,
        read=MappingProxyType({**state.read, state.prefix: state.height}),
        granted=frozenset(key for key in state.granted if is_here(home_draw(key))),
        away=_those(state.away, lambda key, seat: is_here(seat.name)),
        left=_those(state.left, lambda key, seat: is_here(seat.name)),
        returning=_those(state.returning, lambda key, seat: key in members),
        closed_by=None,
        splits=(*state.splits, state.height),
        _checked={},
    )
    return _with_members(child, members)


def _with_members(state: GroupState, membership: Membership) -> DataChain:
    """Return the state with other members, whose link counts for nobody's age."""
    changed = with_members(state, membership, counts=False)
    assert isinstance(changed, DataChain)
    return changed


def _check_siblings(zero: DataChain, one: DataChain) -> None:
    """Raise `ValueError` unless these are the last states of two siblings that merge."""
    if not zero.prefix.endswith("0") or one.prefix != sibling(zero.prefix):
        raise ValueError(f"{zero.prefix!r} and {one.prefix!r} are not a group and its sibling")
    if (zero.closed_by, one.closed_by) != (Kind.MERGE, Kind.MERGE) or zero.splits != one.splits:
        raise ValueError(f"{zero.prefix!r} and {one.prefix!r} did not both merge after one split")


def _standing_in(prefix: str, members: Iterable[Member]) -> Membership:
    return Membership.of(replace_fields(member, prefix=prefix) for member in members)


def _those(
    mapping: Mapping[OperatorKey, Seat], is_ours: Callable[[OperatorKey, Seat], bool]
) -> Mapping[OperatorKey, Seat]:
    return MappingProxyType({key: value for key, value in mapping.items() if is_ours(key, value)})


def _both(zero: Mapping[Any, Any], one: Mapping[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(dict(sorted({**zero, **one}.items())))


def _later(zero: Mapping[OperatorKey, Away], one: Mapping[OperatorKey, Away]) -> Mapping[OperatorKey, Away]:
    """Return the tickets of both; of one operator's two the later, since the other has ended long ago."""
    either = sorted((*zero.items(), *one.items()), key=lambda entry: entry[1].stamp_height)
    return MappingProxyType(dict(sorted(dict(either).items())))


def _read_of_both(zero: DataChain, one: DataChain) -> Mapping[str, int]:
    """Return up to where other groups' REGISTER blocks are in the book of both: what either has read."""
    read = {**zero.read, zero.prefix: zero.height}
    for prefix, height in {**one.read, one.prefix: one.height}.items():
        read[prefix] = max(height, read.get(prefix, 0))
    del read[zero.prefix[:-1]]  # the group's own blocks are in its book
    return MappingProxyType(dict(sorted(read.items())))


def _judged_of_both(zero: DataChain, one: DataChain) -> Mapping[int, tuple[Judged, ...]]:
    """Return where each challenge was judged by either, or before they split; in the order of heights."""
    judged: dict[int, tuple[Judged, ...]] = {}
    for seq in sorted({*zero.judged, *one.judged}):
        found = dict.fromkeys((*zero.judged.get(seq, ()), *one.judged.get(seq, ())))
        judged[seq] = tuple(sorted(found, key=lambda judged: (judged.height, judged.prefix)))
    return MappingProxyType(judged)


def _lapsed_of_both(zero: DataChain, one: DataChain) -> Mapping[int, tuple[str, ...]]:
    seqs = sorted({*zero.lapsed, *one.lapsed})
    return MappingProxyType(
        {seq: tuple(sorted({*zero.lapsed.get(seq, ()), *one.lapsed.get(seq, ())})) for seq in seqs}
    )


def _holders_of_both(zero: DataChain, one: DataChain, head: Hash32) -> Mapping[bytes, OperatorKey]:
    """Return who holds each IP slot: what both say, or one alone; else the lowest draw of the new head.

    Nobody holds two.
    """
    said = sorted(
        dict.fromkeys((*zero.holders.items(), *one.holders.items())),
        key=lambda pair: (challenge_draw(head, pair[1]), pair[0]),
    )
    holders: dict[bytes, OperatorKey] = {}
    placed: set[OperatorKey] = set()
    for slot, key in said:
        if slot not in holders and key not in placed:
            holders[slot] = key
            placed.add(key)
    return MappingProxyType(dict(sorted(holders.items())))
