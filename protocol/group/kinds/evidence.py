"""EVIDENCE blocks: who contradicted himself loses age and place.

Answers for: each proof convicts one present member, and a voter is left. What a proof is, is
`protocol.group.vote`'s business. Spec: `spec/evidence.md`.
"""

from dataclasses import replace
from types import MappingProxyType

from protocol.errors import InvalidBlock, StaleMessage
from protocol.group.age import age_after_return
from protocol.group.data_block import DataBlock, EvidencePayload
from protocol.group.elsewhere import Around
from protocol.group.kinds.links import with_members
from protocol.group.relocation import is_returning
from protocol.group.state import GroupState, Left, without
from protocol.group.vote import check_equivocation
from protocol.units import Hash32, OperatorKey


def check_evidence(state: GroupState, block: DataBlock, payload: EvidencePayload, around: Around) -> None:
    """Raise unless the proofs convict present members, one each, sorted, and not all voters."""
    guilty = [check_equivocation(proof, state.network) for proof in payload.proofs]
    if guilty != sorted(set(guilty)):
        raise InvalidBlock("proofs must be sorted by the member that they convict, one each")
    for key in guilty:
        if key not in state.membership:
            raise StaleMessage(f"{key.hex()[:16]} is no member")
    if all(voter.operator_key in guilty for voter in state.electorate.voters):
        raise InvalidBlock("a group without voters could never do anything again")


def after_evidence(
    state: GroupState, block: DataBlock, payload: EvidencePayload, around: Around
) -> GroupState:
    """Return the state without the guilty: they may come back with nothing."""
    for proof in payload.proofs:
        state = dismiss(state, check_equivocation(proof, state.network), block.stamp_height, keeps_age=False)
    return state


def dismiss(state: GroupState, key: OperatorKey, stamp_height: int, *, keeps_age: bool) -> GroupState:
    """Return the state without a member, whose seat stays here for its return.

    Each return costs half an age, finished or not: else who came back could leave again until it likes its
    next name.
    """
    member = state.membership.get(key)
    assert member is not None
    is_back = is_returning(state, key, stamp_height)
    age = age_after_return(state.returning[key].age) if is_back else member.age
    left = Left(age if keeps_age else 0, Hash32(member.name), stamp_height)
    state = replace(
        state,
        left=MappingProxyType({**state.left, key: left}),
        returning=without(state.returning, key),
    )
    return with_members(state, state.membership.remove(key))
