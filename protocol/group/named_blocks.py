"""Which certified blocks a block names.

Answers for: every hash in a payload by which the rules read a block of any group. Spec: `spec/data_chain.md`.
"""

from protocol.group.data_block import (
    AbsorbPayload,
    AdmitPayload,
    ExpirePayload,
    MergePayload,
    Payload,
    RefusePayload,
    RelocatePayload,
    Removal,
    RemovePayload,
    VerdictPayload,
)


def named_blocks(payload: Payload) -> tuple[bytes, ...]:
    """Return the hashes of the blocks that a payload names, in the order of its fields."""
    if isinstance(payload, VerdictPayload):
        return payload.registers
    if isinstance(payload, RelocatePayload):
        named: tuple[bytes, ...] = (payload.verdict, payload.ending)
    elif isinstance(payload, AdmitPayload):
        named = payload.ticket, payload.ending, payload.verdict
    elif isinstance(payload, RefusePayload | ExpirePayload):
        named = (payload.ticket,)
    elif isinstance(payload, MergePayload):
        named = (payload.because,)
    elif isinstance(payload, AbsorbPayload):
        named = (payload.summons,)
    elif isinstance(payload, RemovePayload) and payload.reason is Removal.CHALLENGES:
        named = payload.proofs
    else:
        named = ()
    return tuple(one for one in named if one)
