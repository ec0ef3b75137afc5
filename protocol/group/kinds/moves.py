"""RELOCATE blocks: a member moves on, an operator leaves home, somebody who came back is taken for full.

Answers for: one member moves after each verdict, and entropy says which; the group that holds a seat is the
only one that sends it elsewhere. Who takes it in is `arrivals`' business. Spec: `spec/relocation.md`.
"""

from dataclasses import replace
from types import MappingProxyType

from protocol.codec import replace as replace_fields
from protocol.errors import InvalidBlock, StaleMessage
from protocol.group.data_block import DataBlock, Move, RelocatePayload
from protocol.group.elsewhere import Around
from protocol.group.entropy import entropy_height, move_entropy
from protocol.group.kinds.links import with_members
from protocol.group.kinds.named import named_ending, named_fresh_valid, named_ticket
from protocol.group.membership import Member
from protocol.group.name import home_draw
from protocol.group.relocation import (
    candidate,
    contenders,
    due_move,
    is_large,
    is_returning,
    is_ticket,
    joining_move,
    return_move,
)
from protocol.group.state import Away, GroupState, without
from protocol.units import Hash32, OperatorKey

UNKNOWN = bytes(32)
"""Stands for entropy that no chain here can say; the name that would follow from it is not compared."""


def check_relocate(state: GroupState, block: DataBlock, payload: RelocatePayload, around: Around) -> None:
    """Raise unless this move is due, or open to who joins or returns, and is what entropy makes of it."""
    if payload.why is Move.JOIN:
        _check_joining(state, block, payload, around)
    elif payload.why is Move.REJOIN:
        _check_return(state, block, payload, around)
    else:
        _check_due(state, block, payload, around)


def _entropy(state: GroupState, block: DataBlock, seq: int, around: Around) -> bytes:
    """Return the entropy of a challenge, buried under the block's stamp; `UNKNOWN` where none can say."""
    parameters = state.genesis.parameters
    if block.stamp_height < entropy_height(seq, parameters):
        raise InvalidBlock(f"the entropy of challenge {seq} is not buried at the stamp")
    return UNKNOWN if around.is_stranded else move_entropy(seq, around.chain, parameters)


def _compare(payload: RelocatePayload, expected: RelocatePayload, *, is_name_known: bool) -> None:
    if not is_name_known:
        expected = replace_fields(expected, name=payload.name)
    if payload != expected:
        raise InvalidBlock(f"{payload.operator_key.hex()[:16]} moves with another age or name")


def _check_due(state: GroupState, block: DataBlock, payload: RelocatePayload, around: Around) -> None:
    if payload.seq != state.move_due:
        raise StaleMessage(f"nobody is due to move after challenge {payload.seq}")
    entropy = _entropy(state, block, payload.seq, around)
    ranked = contenders(state, block.stamp_height)
    member = next((one for one in ranked if one.operator_key == payload.operator_key), None)
    is_chosen = around.is_stranded or member == candidate(state, entropy, block.stamp_height)
    if member is None or not is_chosen:
        raise InvalidBlock(f"{payload.operator_key.hex()[:16]} is not the one that moves")
    expected = due_move(state, member, payload.seq, entropy)
    _compare(payload, expected, is_name_known=not around.is_stranded or not is_large(state))


def _check_return(state: GroupState, block: DataBlock, payload: RelocatePayload, around: Around) -> None:
    key = OperatorKey(payload.operator_key)
    if not is_returning(state, key, block.stamp_height):
        raise StaleMessage(f"{key.hex()[:16]} is not returning")
    entropy = _entropy(state, block, state.returning[key].seq, around)
    _compare(payload, return_move(state, key, entropy), is_name_known=not around.is_stranded)


def _check_joining(state: GroupState, block: DataBlock, payload: RelocatePayload, around: Around) -> None:
    key = OperatorKey(payload.operator_key)
    if not state.covers(home_draw(key)):
        raise InvalidBlock(f"{key.hex()[:16]} is at home in another group")
    _check_seat_is_here(state, key, payload, around)
    seq = named_fresh_valid(state, block, around, payload.verdict, key)
    if state.book.of(key, block.stamp_height) is None:
        raise InvalidBlock(f"{key.hex()[:16]} has no registration in force")
    entropy = _entropy(state, block, seq, around)
    expected = joining_move(key, seq, payload.verdict, payload.ending, entropy)
    _compare(payload, expected, is_name_known=not around.is_stranded)


def _check_seat_is_here(
    state: GroupState, key: OperatorKey, payload: RelocatePayload, around: Around
) -> None:
    """Raise unless an operator's first seat is still here, or came back because nobody took it in.

    Then it is for a later challenge: else who never proves its work had one ticket after the other.
    """
    ending = payload.ending
    if key not in state.granted:
        if ending:
            raise InvalidBlock(f"{key.hex()[:16]} was never sent away, so no ending belongs to it")
        return
    away = state.away.get(key)
    if away is None or away.why is not Move.JOIN or not ending:
        raise StaleMessage(f"the first seat of {key.hex()[:16]} was given away")
    if named_ending(around, ending) != away.ticket:
        raise InvalidBlock(f"another ticket than that of {key.hex()[:16]} ended")
    if named_ticket(around, away.ticket)[1].seq >= payload.seq:
        raise StaleMessage(f"{key.hex()[:16]} had a ticket for challenge {payload.seq} or a later one")


def after_relocate(
    state: GroupState, block: DataBlock, payload: RelocatePayload, around: Around
) -> GroupState:
    """Return the state after a move: an operator is on its way with a ticket, or has aged here."""
    if payload.why is Move.JOIN:
        return _after_joining(state, payload)
    key = OperatorKey(payload.operator_key)
    member = state.membership.get(key)
    assert member is not None
    if payload.why is not Move.REJOIN:
        state = replace(state, move_due=None)
    state = replace(
        state,
        events=without(state.events, key),
        returning=without(state.returning, key),
    )
    if is_ticket(block, payload):
        return _sent_away(state, member, payload)
    moved = replace_fields(member, age=payload.age, name=payload.name)
    return with_members(state, state.membership.put(moved))


def _after_joining(state: GroupState, payload: RelocatePayload) -> GroupState:
    key = OperatorKey(payload.operator_key)
    away = Away(
        ticket=state.head, why=payload.why, age=0, name=home_draw(key), stamp_height=state.stamp_height
    )
    return replace(
        state,
        granted=state.granted | {key},
        away=MappingProxyType({**state.away, key: away}),
    )


def _sent_away(state: GroupState, member: Member, payload: RelocatePayload) -> GroupState:
    """Return the state without a member that has a ticket: the block's hash, now the head.

    It comes back as it was when nobody takes it in; but who had returned has handed over what it
    should have, and keeps the half of its age.
    """
    age = payload.age if payload.why is Move.REJOIN else member.age
    name, stamp = Hash32(member.name), state.stamp_height
    away = Away(ticket=state.head, why=payload.why, age=age, name=name, stamp_height=stamp)
    key = OperatorKey(member.operator_key)
    state = replace(state, away=MappingProxyType({**state.away, key: away}))
    return with_members(state, state.membership.remove(key))
