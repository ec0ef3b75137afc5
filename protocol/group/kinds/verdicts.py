"""VERDICT blocks in a data chain: when a challenge may be judged, and what its verdicts change.

Answers for: each region of the name space has one verdict block a challenge, made under a stamp at or
after the close. What the payload must say is `protocol.group.verdict_block`'s business.
Spec: `spec/data_chain.md`.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from protocol.errors import InvalidBlock, StaleMessage
from protocol.group.data_block import DataBlock, VerdictPayload
from protocol.group.elsewhere import Around
from protocol.group.kinds.registers import take_up
from protocol.group.state import GroupState, Judged
from protocol.group.verdict_block import check_payload, check_without_chain
from protocol.tracking.registration_book import RegistrationBook
from protocol.tracking.verdict import Reason, Verdict
from protocol.units import Hash32, OperatorKey


def check_verdict(state: GroupState, block: DataBlock, payload: VerdictPayload, around: Around) -> None:
    """Raise unless the block judges what is still to be judged, as the rules have it."""
    parts = state.unjudged(payload.seq)
    if not parts:
        raise StaleMessage(f"challenge {payload.seq} is judged")
    if payload.parts != parts:
        raise InvalidBlock(f"challenge {payload.seq} is not judged for {parts}, no more and no less")
    book, _ = take_up(state, payload.registers, around)
    if around.is_stranded:
        _check_stranded(state, block, payload, book)
        return
    challenge = state.challenge(payload.seq, around.chain)
    if block.stamp_height < challenge.closes:
        # Else a later block could still register somebody for a challenge that is judged.
        raise InvalidBlock(f"challenge {payload.seq} is judged under a stamp before its close")
    check_payload(state.judging(challenge, book), payload, around.chain)


def _check_stranded(
    state: GroupState, block: DataBlock, payload: VerdictPayload, book: RegistrationBook
) -> None:
    """Check what needs no chain: the balances and answers were those of a branch that is gone."""
    parameters = state.genesis.parameters
    anchor = payload.seq * parameters.challenge_every
    if anchor < state.genesis.first_challenge_height:
        raise InvalidBlock(f"challenge {payload.seq} is before the first one")
    if block.stamp_height < anchor + parameters.response_window:
        raise InvalidBlock(f"challenge {payload.seq} is judged under a stamp before its close")
    registered = {**book.in_force(anchor), **book.contested(anchor)}
    ours = state.ours(registered, payload.seq, Hash32(payload.anchor_hash))
    check_without_chain(state.network, state.electorate, ours, payload)


def after_verdict(state: GroupState, block: DataBlock, payload: VerdictPayload, around: Around) -> GroupState:
    """Return the state after the verdicts: the gate is open, and somebody may be relocated."""
    book, read = take_up(state, payload.registers, around)
    judged = Judged(
        prefix=state.prefix,
        height=block.height,
        block_hash=state.head,
        anchor_hash=Hash32(payload.anchor_hash),
        parts=payload.parts,
    )
    before = state.judged.get(payload.seq, ())
    return replace(
        state,
        book=book,
        read=read,
        judged=MappingProxyType({**state.judged, payload.seq: (*before, judged)}),
        holders=holders_after(state.holders, payload.verdicts),
        gate_open=True,
        move_due=payload.seq,
    )


def holders_after(
    holders: Mapping[bytes, OperatorKey], verdicts: tuple[Verdict, ...]
) -> Mapping[bytes, OperatorKey]:
    """Return who had the last VALID verdict at each slot; nobody holds two."""
    valid = {
        OperatorKey(verdict.operator_key): verdict.slot
        for verdict in verdicts
        if verdict.reason is Reason.VALID and verdict.slot
    }
    kept = {slot: key for slot, key in holders.items() if key not in valid}
    kept.update((slot, key) for key, slot in valid.items())
    return MappingProxyType(dict(sorted(kept.items())))
