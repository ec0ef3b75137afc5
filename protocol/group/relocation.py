"""Relocation: who moves, as what, and which RELOCATE blocks are tickets.

Answers for: pure functions of a group's state and of entropy. When a move is due and what else is asked of
its block is `kinds.moves`' business, where the entropy comes from `entropy`'s. Spec: `spec/relocation.md`.
"""

from protocol.group.age import age_after_return, may_move, older
from protocol.group.data_block import DataBlock, Move, RelocatePayload
from protocol.group.entropy import entropy_height
from protocol.group.membership import Member
from protocol.group.name import assign_name, distance, matches
from protocol.group.state import GroupState, Returning
from protocol.parameters import Parameters
from protocol.units import OperatorKey

NO_BLOCK = b""


def is_large(state: GroupState) -> bool:
    """Whether the group has more than G members: only then anybody is sent away or refused."""
    return len(state.membership) > state.genesis.parameters.group_size


def is_returning(state: GroupState, key: OperatorKey, stamp_height: int) -> bool:
    """Whether a member came back without a vote and may still hand over what it should have.

    That lapses `silence` stamped heights after its next name is known; then it is a member of age 0 like
    any other.
    """
    entry = state.returning.get(key)
    return entry is not None and stamp_height <= returning_until(entry, state.genesis.parameters)


def returning_until(entry: Returning, parameters: Parameters) -> int:
    """Return the last stamp under which a member that came back may be taken for full again."""
    return entropy_height(entry.seq, parameters) + parameters.silence


def contenders(state: GroupState, stamp_height: int) -> tuple[Member, ...]:
    """Return the members, sorted by key, of whom entropy alone chooses the one that moves; maybe none.

    A newcomer comes first; else, of those that have stayed their time, the eldest with the most events.
    The last voter of a large group stays, since nobody could decide anything without it.
    """
    keeps_last_voter = is_large(state) and len(state.electorate) == 1
    settled = [
        one
        for one in state.membership.members
        if not is_returning(state, OperatorKey(one.operator_key), stamp_height)
        and not (keeps_last_voter and one.operator_key in state.electorate)
    ]
    newcomers = tuple(one for one in settled if one.age == 0)
    if newcomers:
        return newcomers
    ripe = [one for one in settled if may_move(one.age, _events(state, one))]
    greatest = max(((one.age, _events(state, one)) for one in ripe), default=None)
    return tuple(one for one in ripe if (one.age, _events(state, one)) == greatest)


def _events(state: GroupState, member: Member) -> int:
    return state.events.get(OperatorKey(member.operator_key), 0)


def candidate(state: GroupState, entropy: bytes, stamp_height: int) -> Member | None:
    """Return the member that moves: the contender whose name is nearest to the entropy, or None."""
    ranked = contenders(state, stamp_height)
    return min(ranked, key=lambda member: distance(member.name, entropy), default=None)


def due_move(state: GroupState, member: Member, seq: int, entropy: bytes) -> RelocatePayload:
    """Return the move of a candidate: at most G members age where they are, and keep their names."""
    age = older(member.age)
    name = assign_name(age, member.operator_key, entropy) if is_large(state) else member.name
    why = Move.AGED if member.age else Move.FIRST
    return _relocate(member.operator_key, why, seq, age, name)


def return_move(state: GroupState, key: OperatorKey, entropy: bytes) -> RelocatePayload:
    """Return the move of a member that is returning (`KeyError` otherwise): with half the age it had."""
    returning = state.returning[key]
    age = age_after_return(returning.age)
    return _relocate(key, Move.REJOIN, returning.seq, age, assign_name(age, key, entropy))


def joining_move(key: bytes, seq: int, verdict: bytes, ending: bytes, entropy: bytes) -> RelocatePayload:
    """Return the move with which an operator's home group lets it join where its name falls."""
    return _relocate(key, Move.JOIN, seq, 0, assign_name(0, key, entropy), verdict, ending)


def _relocate(
    key: bytes,
    why: Move,
    seq: int,
    age: int,
    name: bytes,
    verdict: bytes = NO_BLOCK,
    ending: bytes = NO_BLOCK,
) -> RelocatePayload:
    return RelocatePayload(
        operator_key=key, why=why, seq=seq, age=age, name=name, verdict=verdict, ending=ending
    )


def is_ticket(block: DataBlock, payload: RelocatePayload) -> bool:
    """Whether a RELOCATE block sends its operator somewhere: else it stayed in the group, older."""
    return payload.why is Move.JOIN or not matches(block.prefix, payload.name)


def ticket_stamps(block: DataBlock, pending: int) -> tuple[int, int]:
    """Return the first and the last stamp under which a ticket is taken or refused.

    The first is above its own: so the tickets of one seat have rising stamps, in whichever groups.
    """
    return block.stamp_height + 1, block.stamp_height + pending
