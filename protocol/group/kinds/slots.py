"""One member an IP slot: a group holds no two members of one place.

Answers for: the slots of a group's members by their registrations in force, and who is dismissed when a
change of registration brings two members to one slot. A joining member is refused before it can share
one (`arrivals`). Spec: `spec/membership.md`.
"""

from collections.abc import Mapping

from protocol.group.kinds.evidence import dismiss
from protocol.group.name import distance
from protocol.group.state import GroupState
from protocol.tracking.diversity import ip_slot
from protocol.units import OperatorKey

Slots = Mapping[OperatorKey, bytes]


def slot_of(state: GroupState, key: bytes, stamp_height: int) -> bytes | None:
    """Return the IP slot of an operator's registration in force, or None when it has none."""
    entry = state.book.of(key, stamp_height)
    return ip_slot(entry.ip, state.genesis.parameters) if entry else None


def slots_of(state: GroupState, stamp_height: int) -> Slots:
    """Return the IP slots of the members that are registered, sorted by key."""
    keys = [OperatorKey(member.operator_key) for member in state.membership.members]
    found = {key: slot_of(state, key, stamp_height) for key in keys}
    return {key: slot for key, slot in found.items() if slot is not None}


def is_taken(state: GroupState, slot: bytes, stamp_height: int) -> bool:
    """Whether a member has an IP slot."""
    return slot in slots_of(state, stamp_height).values()


def settle_slots(state: GroupState, before: GroupState) -> GroupState:
    """Return the state in which no two members share a slot; who goes keeps its age for a return.

    Who had the slot `before` stays; of several such, or none, who had the last VALID verdict there, else
    the eldest, else the one whose name is nearest to the head of the data chain. The last voter stays
    whoever else goes.
    """
    while shared := _shared(state):
        slot = shared[0]
        held = slots_of(before, before.stamp_height)
        ranked = sorted(_holders(state, slot), key=lambda key: _claim(state, key, slot, held))
        state = dismiss(state, ranked[-1], state.stamp_height, keeps_age=True)
    return state


def _shared(state: GroupState) -> list[bytes]:
    slots = list(slots_of(state, state.stamp_height).values())
    return sorted({slot for slot in slots if slots.count(slot) > 1})


def _holders(state: GroupState, slot: bytes) -> list[OperatorKey]:
    return [key for key, held in slots_of(state, state.stamp_height).items() if held == slot]


def _claim(
    state: GroupState, key: OperatorKey, slot: bytes, before: Slots
) -> tuple[bool, bool, bool, int, int]:
    """Return the order in which members that share a slot may stay, the best claim first."""
    member = state.membership.get(key)
    assert member is not None
    is_last_voter = len(state.electorate) == 1 and key in state.electorate
    had_it, was_valid = before.get(key) == slot, state.holders.get(slot) == key
    return not is_last_voter, not had_it, not was_valid, -member.age, distance(member.name, state.head)
