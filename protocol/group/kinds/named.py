"""What a block says by naming another: a ticket, the end of one, a verdict.

Answers for: the named block is of the right kind and says what it is named for. Whether that is
enough for the naming block is left to the kinds. Spec: `spec/relocation.md`.
"""

from protocol.errors import InvalidBlock
from protocol.group.data_block import (
    DataBlock,
    ExpirePayload,
    RefusePayload,
    RelocatePayload,
    VerdictPayload,
)
from protocol.group.elsewhere import Around
from protocol.group.entropy import is_fresh
from protocol.group.name import matches
from protocol.group.relocation import is_ticket
from protocol.group.state import GroupState
from protocol.tracking.challenge import anchor_height, challenge_draw
from protocol.tracking.verdict import Reason
from protocol.units import Hash32


def named_ticket(around: Around, block_hash: bytes) -> tuple[DataBlock, RelocatePayload]:
    """Return a ticket and what it says; raises `NotYetKnown`, or `InvalidBlock` when it is none."""
    standing = around.named(block_hash)
    payload = standing.payload
    if not isinstance(payload, RelocatePayload) or not is_ticket(standing.block, payload):
        raise InvalidBlock(f"block {block_hash.hex()[:16]} is no ticket")
    return standing.block, payload


def named_ending(around: Around, block_hash: bytes) -> Hash32:
    """Return the ticket that a block ended without taking its holder in; raises like `named_ticket`."""
    payload = around.named(block_hash).payload
    if not isinstance(payload, RefusePayload | ExpirePayload):
        raise InvalidBlock(f"block {block_hash.hex()[:16]} neither refuses a ticket nor lets it expire")
    return Hash32(payload.ticket)


def named_verdict(
    state: GroupState, around: Around, block_hash: bytes, operator_key: bytes
) -> tuple[int, Reason]:
    """Return the challenge of a VERDICT block and what it says of an operator.

    Raises `NotYetKnown`, or `InvalidBlock` when it does not judge the operator or its challenge is void:
    judges may attest anybody's response, of whom their block then says that he is not registered.
    """
    payload = _verdicts(around, block_hash)
    anchor = anchor_height(payload.seq, state.genesis.parameters)
    if not around.is_stranded and around.chain.block_hash(anchor) != payload.anchor_hash:
        raise InvalidBlock(f"challenge {payload.seq} has another anchor on our chain")
    said = next((one for one in payload.verdicts if one.operator_key == operator_key), None)
    draw = challenge_draw(payload.anchor_hash, operator_key)
    if said is None or not any(matches(part, draw) for part in payload.parts):
        raise InvalidBlock(f"no verdict on {operator_key.hex()[:16]} in block {block_hash.hex()[:16]}")
    return payload.seq, said.reason


def named_challenge(around: Around, block_hash: bytes) -> int:
    """Return the challenge that a VERDICT block judges; raises like `named_ticket`."""
    return _verdicts(around, block_hash).seq


def _verdicts(around: Around, block_hash: bytes) -> VerdictPayload:
    payload = around.named(block_hash).payload
    if not isinstance(payload, VerdictPayload):
        raise InvalidBlock(f"block {block_hash.hex()[:16]} is no VERDICT block")
    return payload


def named_fresh_valid(
    state: GroupState, block: DataBlock, around: Around, block_hash: bytes, operator_key: bytes
) -> int:
    """Return the challenge in which a named block finds an operator VALID, not long before `block`."""
    seq, reason = named_verdict(state, around, block_hash, operator_key)
    if reason is not Reason.VALID:
        raise InvalidBlock(f"{operator_key.hex()[:16]} is {reason} in challenge {seq}")
    check_fresh(state, block, seq)
    return seq


def check_fresh(state: GroupState, block: DataBlock, seq: int) -> None:
    """Raise `InvalidBlock` unless the verdicts of a challenge are good under a block's stamp."""
    if not is_fresh(seq, block.stamp_height, state.genesis.parameters):
        raise InvalidBlock(f"challenge {seq} is not the basis of a move at chain height {block.stamp_height}")
