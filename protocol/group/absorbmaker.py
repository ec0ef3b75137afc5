"""What a group beside a stopped one proposes: the summons, its dropping, the taking over; and, where it has
split, that its halves come together for it.

Answers for: a block made here passes `DataChain.check_block` on the same state, chain and other groups; when
there is nothing to do that is said. Whether a voter may propose and affirm it is `standoff`'s business.
Spec: `spec/absorb.md`.
"""

from protocol.chain.view import ChainView
from protocol.errors import InvalidBlock, NotYetKnown, StaleMessage
from protocol.group.blockmaker import build_block, next_stamp
from protocol.group.data_block import AbsorbPayload, Kind, MergePayload, Step
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Around, Elsewhere
from protocol.group.kinds.absorption import check_unanswered
from protocol.group.kinds.partition import awaits_verdict, is_wanted_whole
from protocol.group.name import sibling
from protocol.group.state import GroupState, OpenSummons
from protocol.group.summons import encode_summons, is_silent, mark_of, voters_stakes


def build_summons(state: DataChain, chain: ChainView, stopped: GroupState) -> bytes:
    """Return the block that summons a sibling of which `stopped` is the last state that is known.

    Raises `StaleMessage` while it has not been silent for a term, or another summons is open.
    """
    if state.summons is not None or not state.prefix or stopped.prefix != sibling(state.prefix):
        raise StaleMessage("no sibling that could be summoned")
    if not voters_stakes(state):
        raise StaleMessage("nobody here could sign the summons")
    if not is_silent(stopped, next_stamp(state, chain)):
        raise StaleMessage(f"group {stopped.prefix!r} has not been silent for a term")
    payload = AbsorbPayload(
        step=Step.SUMMON, prefix=stopped.prefix, height=stopped.height, head=stopped.head, summons=b""
    )
    return build_block(state, chain, Kind.ABSORB, payload)


def build_rejoin(state: DataChain, chain: ChainView, elsewhere: Elsewhere, stopped: GroupState) -> bytes:
    """Return the MERGE block of a half of the group that could summon `stopped`, and is not there.

    Raises `StaleMessage` when nothing calls for it, `NotYetKnown` while a challenge has to be judged first.
    """
    named = elsewhere.standing(stopped.head)
    stamp_height = next_stamp(state, chain)
    if named is None or not is_wanted_whole(state, named, stamp_height, elsewhere):
        raise StaleMessage(f"group {stopped.prefix!r} has not stopped beside one whose half we are")
    if awaits_verdict(state, stamp_height):
        raise NotYetKnown("a challenge has to be judged first")
    return build_block(state, chain, Kind.MERGE, MergePayload(because=named.block_hash))


def build_take(state: DataChain, chain: ChainView, elsewhere: Elsewhere) -> bytes:
    """Return the block that absorbs the summoned sibling.

    Raises `StaleMessage` without a summons, or while the chain does not say that nobody answered it.
    """
    opened = _opened(state)
    try:
        check_unanswered(opened, next_stamp(state, chain), Around(chain, elsewhere))
    except InvalidBlock as error:
        raise StaleMessage(str(error)) from None
    return build_block(state, chain, Kind.ABSORB, _about(opened, Step.TAKE))


def build_drop(state: DataChain, chain: ChainView) -> bytes:
    """Return the block that drops the open summons; raises `StaleMessage` when there is none."""
    return build_block(state, chain, Kind.ABSORB, _about(_opened(state), Step.DROP))


def summons_payload(opened: OpenSummons) -> bytes:
    """Return what the OP_RETURN that puts a summons on the chain carries."""
    return encode_summons(mark_of(opened))


def _opened(state: GroupState) -> OpenSummons:
    if state.summons is None:
        raise StaleMessage("no summons is open")
    return state.summons


def _about(opened: OpenSummons, step: Step) -> AbsorbPayload:
    return AbsorbPayload(
        step=step, prefix=opened.prefix, height=opened.height, head=opened.head, summons=opened.block_hash
    )
