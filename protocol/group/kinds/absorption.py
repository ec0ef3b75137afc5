"""ABSORB blocks: going on without a sibling that has stopped, if it gives no sign of life over the chain.

Answers for: a group ends at the head that its sibling knows only when that was mined and, for a whole term,
no voter of its own showed another head on the chain; anybody finds the same from the chain. Whether the
sibling stands still only each voter can say. What goes on is made by `protocol.group.absorption`.
Spec: `spec/absorb.md`.
"""

from dataclasses import replace

from protocol.errors import InvalidBlock, NotYetKnown, StaleMessage
from protocol.group.data_block import AbsorbPayload, DataBlock, Kind, Step
from protocol.group.elsewhere import Around
from protocol.group.name import sibling
from protocol.group.state import GroupState, OpenSummons
from protocol.group.summons import first_mining, signs_of_life, term, voters_stakes
from protocol.units import Hash32


def check_absorb(state: GroupState, block: DataBlock, payload: AbsorbPayload, around: Around) -> None:
    """Raise unless the sibling may be summoned, the open summons dropped, or its group taken over."""
    if payload.step is Step.SUMMON:
        _check_summons(state, block, payload, around)
        return
    opened = state.summons
    if opened is None or opened.block_hash != payload.summons:
        raise StaleMessage(f"summons {payload.summons.hex()[:16]} is not open")
    if (payload.prefix, payload.height, payload.head) != (opened.prefix, opened.height, opened.head):
        raise InvalidBlock(f"summons {payload.summons.hex()[:16]} names another head")
    if payload.step is Step.TAKE and not around.is_stranded:
        check_unanswered(opened, block.stamp_height, around)


def _check_summons(state: GroupState, block: DataBlock, payload: AbsorbPayload, around: Around) -> None:
    if state.summons is not None:
        raise StaleMessage(f"group {state.summons.prefix!r} is summoned already")
    if not state.prefix or payload.prefix != sibling(state.prefix):
        raise InvalidBlock(f"group {payload.prefix!r} is not the sibling of {state.prefix!r}")
    stopped = summoned_state(payload, around)
    if stopped.head != payload.head or stopped.splits != state.splits:
        raise InvalidBlock(f"group {payload.prefix!r} has another head at {payload.height}")
    if stopped.closed_by not in (None, Kind.MERGE):
        raise InvalidBlock(f"the data chain of group {payload.prefix!r} ended at {payload.height}")
    if block.stamp_height < stopped.stamp_height + term(state.genesis.parameters):
        raise InvalidBlock(f"group {payload.prefix!r} has not been silent for a term")
    if not voters_stakes(state):
        raise InvalidBlock(f"nobody could sign the summons of group {payload.prefix!r}")
    if not voters_stakes(stopped):
        raise InvalidBlock(f"nobody could give a sign of life of group {payload.prefix!r}")


def summoned_state(named: AbsorbPayload | OpenSummons, around: Around) -> GroupState:
    """Return the last known state of a summoned group; raises `NotYetKnown` while it is not held."""
    stopped = around.elsewhere.state_at(named.prefix, named.height)
    if stopped is None:
        raise NotYetKnown(f"block {named.height} of group {named.prefix!r} is not held here")
    return stopped


def check_unanswered(opened: OpenSummons, stamp_height: int, around: Around) -> None:
    """Raise `InvalidBlock` unless a summons was mined, its term is over, and no sign of life came."""
    stopped = summoned_state(opened, around)
    marks = around.chain.marks(opened.stamp_height + 1, stamp_height)
    mined = first_mining(marks, opened)
    if mined is None:
        raise InvalidBlock(f"summons {opened.block_hash.hex()[:16]} is not mined")
    due = mined.height + term(stopped.genesis.parameters)
    if stamp_height < due:
        raise InvalidBlock(f"group {opened.prefix!r} may show itself up to chain height {due}")
    later = [mark for mark in marks if mark.ordinal > mined.ordinal]
    shown = signs_of_life(later, stopped, around.elsewhere)
    if shown:
        raise InvalidBlock(f"group {opened.prefix!r} gave a sign of life at chain height {shown[0].height}")


def after_absorb(state: GroupState, block: DataBlock, payload: AbsorbPayload, around: Around) -> GroupState:
    """Return the state after a step: with the summons, without it, or ended with the sibling."""
    if payload.step is Step.SUMMON:
        opened = OpenSummons(
            prefix=payload.prefix,
            height=payload.height,
            head=Hash32(payload.head),
            block_hash=state.head,
            stamp_height=block.stamp_height,
            stakes=voters_stakes(state),
        )
        return replace(state, summons=opened)
    if payload.step is Step.DROP:
        return replace(state, summons=None)
    return replace(state, closed_by=Kind.ABSORB)
