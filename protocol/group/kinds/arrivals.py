"""ADMIT, REFUSE and EXPIRE blocks: how a seat on its way finds its place.

Answers for: a ticket ends once, in the group to which its name falls; who comes in is registered, alone at
its IP slot, and in a large group the only newcomer. That it transferred its join proof in time only the
voters can say. Spec: `spec/relocation.md`, `spec/membership.md`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from protocol.errors import InvalidBlock, StaleMessage
from protocol.group import join_proof
from protocol.group.data_block import (
    AdmitPayload,
    DataBlock,
    ExpirePayload,
    Move,
    Refusal,
    RefusePayload,
    RelocatePayload,
)
from protocol.group.elsewhere import Around
from protocol.group.entropy import is_name_open
from protocol.group.kinds.links import with_members
from protocol.group.kinds.named import named_challenge, named_ending, named_fresh_valid, named_ticket
from protocol.group.kinds.slots import is_taken, slot_of
from protocol.group.membership import Member
from protocol.group.relocation import is_large, ticket_stamps
from protocol.group.state import GroupState, Returning, without
from protocol.units import Hash32, OperatorKey


def is_unregistered(state: GroupState, key: bytes, age: int, stamp_height: int) -> bool:
    """Whether an operator has no registration in force."""
    return state.book.of(key, stamp_height) is None


def shares_slot(state: GroupState, key: bytes, age: int, stamp_height: int) -> bool:
    """Whether a member has the IP slot of an operator that is registered."""
    slot = slot_of(state, key, stamp_height)
    return slot is not None and is_taken(state, slot, stamp_height)


def is_full_of_newcomers(state: GroupState, key: bytes, age: int, stamp_height: int) -> bool:
    """Whether somebody of age 0 would be the second of a large group."""
    return age == 0 and is_large(state) and any(member.age == 0 for member in state.membership.members)


OBSTACLES: Mapping[Refusal, Callable[[GroupState, bytes, int, int], bool]] = {
    Refusal.SAME_IP: shares_slot,
    Refusal.AGE0_FULL: is_full_of_newcomers,
    Refusal.NOT_REGISTERED: is_unregistered,
}
"""Whether a reason to refuse holds: (state, operator, age, stamp)."""


def obstacles(state: GroupState, key: bytes, age: int, stamp_height: int) -> tuple[Refusal, ...]:
    """Return every reason for which an operator of this age cannot come in, in their order."""
    return tuple(reason for reason, holds in OBSTACLES.items() if holds(state, key, age, stamp_height))


def check_admit(state: GroupState, block: DataBlock, payload: AdmitPayload, around: Around) -> None:
    """Raise unless the operator has a ticket, comes back after its ending, or after a removal."""
    key = OperatorKey(payload.operator_key)
    if key in state.membership:
        raise StaleMessage(f"{key.hex()[:16]} is a member already")
    if payload.ticket:
        _check_with_ticket(state, block, payload, around)
        allowed: tuple[Refusal, ...] = ()
    elif payload.ending:
        _check_after_ending(state, payload, around)
        allowed = Refusal.AGE0_FULL, Refusal.NOT_REGISTERED
    else:
        _check_after_removal(state, block, payload, around)
        allowed = ()
    for reason in obstacles(state, key, payload.age, block.stamp_height):
        if reason not in allowed:
            raise InvalidBlock(f"{key.hex()[:16]} cannot come in: {reason.name}")


def _check_with_ticket(state: GroupState, block: DataBlock, payload: AdmitPayload, around: Around) -> None:
    ticket = open_ticket(state, payload.ticket, around)
    _check_in_time(state, block, ticket[0])
    _check_as(payload, ticket[1].operator_key, ticket[1].age, ticket[1].name)
    bits = state.genesis.parameters.join_proof_bits
    join_proof.verify(payload.operator_key, payload.ticket, payload.nonce, bits)


def _check_after_ending(state: GroupState, payload: AdmitPayload, around: Around) -> None:
    away = state.away.get(OperatorKey(payload.operator_key))
    if away is None:
        raise StaleMessage(f"{payload.operator_key.hex()[:16]} was not sent away from here")
    if away.why is Move.JOIN:
        raise InvalidBlock(f"{payload.operator_key.hex()[:16]} joins with a new ticket")
    if named_ending(around, payload.ending) != away.ticket:
        raise InvalidBlock(f"another ticket than that of {payload.operator_key.hex()[:16]} ended")
    _check_as(payload, payload.operator_key, away.age, away.name)


def _check_after_removal(state: GroupState, block: DataBlock, payload: AdmitPayload, around: Around) -> None:
    left = state.left.get(OperatorKey(payload.operator_key))
    if left is None:
        raise StaleMessage(f"{payload.operator_key.hex()[:16]} was not removed here")
    seq = named_fresh_valid(state, block, around, payload.verdict, payload.operator_key)
    if not is_name_open(seq, block.stamp_height, state.genesis.parameters):
        raise InvalidBlock(f"the entropy of challenge {seq + 1} is there: a return is by a later verdict")
    _check_as(payload, payload.operator_key, 0, left.name)


def _check_as(payload: AdmitPayload, key: bytes, age: int, name: bytes) -> None:
    if (payload.operator_key, payload.age, payload.name) != (key, age, name):
        raise InvalidBlock(f"{key.hex()[:16]} comes in with another age or name")


def open_ticket(state: GroupState, ticket: bytes, around: Around) -> tuple[DataBlock, RelocatePayload]:
    """Return a ticket that only this group can end, and has not; raises a `ProtocolError`."""
    sent, moved = named_ticket(around, ticket)
    if not state.covers(moved.name):
        raise InvalidBlock(f"ticket {ticket.hex()[:16]} is for another group")
    if ticket in state.ended:
        raise StaleMessage(f"ticket {ticket.hex()[:16]} has ended")
    return sent, moved


def _check_in_time(state: GroupState, block: DataBlock, sent: DataBlock) -> None:
    first, last = ticket_stamps(sent, state.genesis.parameters.relocation_pending)
    if block.stamp_height < first:
        raise InvalidBlock(f"a ticket is good from chain height {first} on")
    if block.stamp_height > last:
        raise StaleMessage(f"a ticket was good up to chain height {last}")


def after_admit(state: GroupState, block: DataBlock, payload: AdmitPayload, around: Around) -> GroupState:
    """Return the state with a member more, which has seen no event here yet."""
    key = OperatorKey(payload.operator_key)
    if payload.ticket:
        state = with_ended(state, payload.ticket, block.stamp_height)
    elif payload.verdict:
        seq = named_challenge(around, payload.verdict)
        back = Returning(age=state.left[key].age, seq=seq + 1, stamp_height=block.stamp_height)
        state = replace(state, returning=MappingProxyType({**state.returning, key: back}))
    state = replace(state, away=without(state.away, key), left=without(state.left, key))
    member = Member(
        operator_key=key,
        age=payload.age,
        name=payload.name,
        prefix=state.prefix,
        joined=state.link + 1,
    )
    return with_members(state, state.membership.put(member))


def check_refuse(state: GroupState, block: DataBlock, payload: RefusePayload, around: Around) -> None:
    """Raise unless the holder of an open ticket cannot come in, for this reason."""
    sent, moved = open_ticket(state, payload.ticket, around)
    _check_in_time(state, block, sent)
    if not OBSTACLES[payload.reason](state, moved.operator_key, moved.age, block.stamp_height):
        raise InvalidBlock(f"no reason to refuse {moved.operator_key.hex()[:16]}: {payload.reason.name}")


def check_expire(state: GroupState, block: DataBlock, payload: ExpirePayload, around: Around) -> None:
    """Raise unless the ticket is open still, and its time is over."""
    sent, _ = open_ticket(state, payload.ticket, around)
    _, last = ticket_stamps(sent, state.genesis.parameters.relocation_pending)
    if block.stamp_height <= last:
        raise InvalidBlock(f"ticket {payload.ticket.hex()[:16]} is good up to chain height {last}")


def after_ending(
    state: GroupState, block: DataBlock, payload: RefusePayload | ExpirePayload, around: Around
) -> GroupState:
    """Return the state in which a ticket has ended: its seat is back where it came from."""
    return with_ended(state, payload.ticket, block.stamp_height)


def with_ended(state: GroupState, ticket: bytes, stamp_height: int) -> GroupState:
    """Return the state in which a ticket has ended."""
    return replace(state, ended=MappingProxyType({**state.ended, Hash32(ticket): stamp_height}))
