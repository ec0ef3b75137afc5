"""REMOVE blocks: a member that does not do its part loses its place, and keeps its age for a return.

Answers for: what of a removal anybody can check. That a member was silent only each voter itself can say,
since a certificate without its vote proves nothing. Spec: `spec/membership.md`.
"""

from collections.abc import Callable, Mapping

from protocol.errors import InvalidBlock, StaleMessage
from protocol.group.data_block import DataBlock, Removal, RemovePayload
from protocol.group.elsewhere import Around
from protocol.group.kinds.evidence import dismiss
from protocol.group.kinds.forwards import check_forwards
from protocol.group.kinds.named import check_fresh, named_verdict
from protocol.group.state import GroupState
from protocol.tracking.verdict import Reason
from protocol.units import OperatorKey

HASH_SIZE = 32


def check_remove(state: GroupState, block: DataBlock, payload: RemovePayload, around: Around) -> None:
    """Raise unless a member is removed for a reason that holds, and a voter is left."""
    key = payload.operator_key
    if key not in state.membership:
        raise StaleMessage(f"{key.hex()[:16]} is no member")
    if all(voter.operator_key == key for voter in state.electorate.voters):
        raise InvalidBlock("a group without voters could never do anything again")
    REASONS[payload.reason](state, block, payload, around)


def after_remove(state: GroupState, block: DataBlock, payload: RemovePayload, around: Around) -> GroupState:
    """Return the state without the member."""
    return dismiss(state, OperatorKey(payload.operator_key), block.stamp_height, keeps_age=True)


def _check_silent(state: GroupState, block: DataBlock, payload: RemovePayload, around: Around) -> None:
    _check_no_proofs(payload)


def _check_deregistered(state: GroupState, block: DataBlock, payload: RemovePayload, around: Around) -> None:
    _check_no_proofs(payload)
    key = payload.operator_key
    if state.book.of(key, block.stamp_height) is not None:
        raise InvalidBlock(f"{key.hex()[:16]} has a registration in force")
    if any(one.operator_key == key and not one.registration for one in state.genesis.members):
        raise InvalidBlock(f"{key.hex()[:16]} may vote without a registration: it was founded so")


def _check_failed(state: GroupState, block: DataBlock, payload: RemovePayload, around: Around) -> None:
    """Raise unless the proofs name so many verdicts in a row, none of them VALID, the last one fresh."""
    failures = state.genesis.parameters.challenge_failures
    if [len(proof) for proof in payload.proofs] != [HASH_SIZE] * failures:
        raise InvalidBlock(f"not the hashes of {failures} blocks")
    said = [named_verdict(state, around, proof, payload.operator_key) for proof in payload.proofs]
    seqs = sorted(seq for seq, _ in said)
    if seqs != list(range(seqs[0], seqs[0] + failures)):
        raise InvalidBlock(f"not the verdicts of {failures} challenges in a row")
    if any(reason is Reason.VALID for _, reason in said):
        raise InvalidBlock(f"{payload.operator_key.hex()[:16]} did not fail each of these challenges")
    check_fresh(state, block, seqs[-1])


def _check_no_proofs(payload: RemovePayload) -> None:
    if payload.proofs:
        raise InvalidBlock(f"nothing proves a member {payload.reason.name}")


REASONS: Mapping[Removal, Callable[[GroupState, DataBlock, RemovePayload, Around], None]] = {
    Removal.SILENT: _check_silent,
    Removal.FORWARDING: check_forwards,
    Removal.CHALLENGES: _check_failed,
    Removal.DEREGISTERED: _check_deregistered,
}
"""What shows each reason; raises when it does not hold."""
