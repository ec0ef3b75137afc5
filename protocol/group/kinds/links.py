"""LINK blocks: the members after a change, and what a churn event counts.

Answers for: a LINK states what the blocks before it made of the members, and it is a counted
churn event when a VERDICT stands between it and the link before: so a network that does
nothing but lose and move members ages nobody. Spec: `spec/data_chain.md`, `spec/group.md`.
"""

from dataclasses import replace
from types import MappingProxyType

from protocol.errors import InvalidBlock
from protocol.group.data_block import DataBlock, LinkPayload
from protocol.group.elsewhere import Around
from protocol.group.membership import Membership
from protocol.group.quorum import JointElectorate
from protocol.group.state import GroupState
from protocol.units import OperatorKey


def check_link(state: GroupState, block: DataBlock, payload: LinkPayload, around: Around) -> None:
    """Raise `InvalidBlock` unless the link states the present members."""
    expected = (state.link + 1, len(state.membership), state.membership.root())
    if (payload.number, payload.members_count, payload.members_root) != expected:
        raise InvalidBlock(f"link {state.link + 1} has {len(state.membership)} other members")


def after_link(state: GroupState, block: DataBlock, payload: LinkPayload, around: Around) -> GroupState:
    """Return the state after a link: if it counts, every member has seen one event more.

    A union's halves certify its first links each for itself.
    """
    events = state.events
    if state.gate_open and state.link_counts:
        keys = (OperatorKey(member.operator_key) for member in state.membership.members)
        events = MappingProxyType({key: events.get(key, 0) + 1 for key in keys})
    state = replace(state, link=payload.number, events=events, gate_open=False, link_counts=True)
    joint = state.electorate
    if isinstance(joint, JointElectorate):
        if joint.blocks > 1:
            return replace(state, electorate=replace(joint, blocks=joint.blocks - 1), link_due=True)
        return replace(state, electorate=state.membership.voters())
    return state


def with_members(state: GroupState, membership: Membership, *, counts: bool = True) -> GroupState:
    """Return the state with other members: a link is due, which may count unless `counts` is false.

    Who certifies the first blocks of a union stays the same: the voters of each half, as they came.
    """
    joint = isinstance(state.electorate, JointElectorate)
    kept = {key: n for key, n in state.events.items() if key in membership}
    return replace(
        state,
        membership=membership,
        electorate=state.electorate if joint else membership.voters(),
        events=MappingProxyType(kept),
        link_due=True,
        link_counts=counts,
    )
