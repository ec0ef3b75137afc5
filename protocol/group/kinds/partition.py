"""SPLIT and MERGE blocks: the last one of a group that goes on as two, or together with its sibling.

Answers for: when a group may split, when it has to merge, and which block of another group asks it to.
Either block ends the data chain; what goes on is made by `protocol.group.succession`.
Spec: `spec/partition.md`.
"""

from dataclasses import replace

from protocol.errors import InvalidBlock, NotYetKnown
from protocol.group.age import is_voting_age
from protocol.group.data_block import DataBlock, Kind, MergePayload, SplitPayload
from protocol.group.elsewhere import Around, Elsewhere, Standing
from protocol.group.name import PREFIX_BITS_MAX, matches, sibling
from protocol.group.regions import covers
from protocol.group.state import GroupState
from protocol.group.summons import has_stopped
from protocol.tracking.challenge import anchor_height


def halves(state: GroupState) -> tuple[int, int]:
    """Return how many voters' names continue the group's prefix with 0, and how many with 1."""
    voters = [member for member in state.membership.members if is_voting_age(member.age)]
    zeros = sum(matches(state.prefix + "0", member.name) for member in voters)
    return zeros, len(voters) - zeros


def may_split(state: GroupState) -> bool:
    """Whether both halves would have a voter more than a group needs."""
    if state.is_closed or state.summons or len(state.prefix) == PREFIX_BITS_MAX:
        return False
    return min(halves(state)) > state.genesis.parameters.group_size


def must_merge(state: GroupState) -> bool:
    """Whether there are too few voters, and a sibling to go on with."""
    is_small = len(state.electorate) < state.genesis.parameters.group_size
    return is_small and state.prefix != "" and not state.is_closed and not state.summons


def asks_to_merge(state: GroupState, merged: Standing) -> bool:
    """Whether a block ends a group whose sibling we are, or whose sibling has split into us and others.

    One from before the last split of the group that both were does not: it has its union behind it.
    """
    group = merged.block.prefix
    if state.is_closed or state.summons or not isinstance(merged.payload, MergePayload) or not group:
        return False
    is_beside_us = covers(sibling(group), state.prefix)
    return is_beside_us and merged.block.height > state.splits[len(group) - 1]


def is_wanted_whole(state: GroupState, named: Standing, stamp_height: int, elsewhere: Elsewhere) -> bool:
    """Whether a group has certified nothing for a term after this block, beside the one whose halves our
    sibling and we are: the whole may summon it, and has to be there again.

    Raises `NotYetKnown` while that group is not held up to the block.
    """
    if state.is_closed or state.summons or len(state.prefix) < 2:
        return False
    beside, block = sibling(state.prefix[:-1]), named.block
    began_with_it = (block.prefix, block.kind) == (beside[:-1], Kind.SPLIT)
    if block.prefix != beside and not began_with_it:
        return False
    stopped = elsewhere.state_at(beside, block.height)
    if stopped is None:
        raise NotYetKnown(f"block {block.height} of group {beside!r} is not held here")
    return stopped.splits == state.splits[:-1] and has_stopped(stopped, stamp_height)


def awaits_verdict(state: GroupState, stamp_height: int) -> bool:
    """Whether a challenge is closed and not judged, though it is not over the time for that.

    Its operators answered to the voters of this group, who are less of the union's.
    """
    parameters = state.genesis.parameters
    closed_after = stamp_height + parameters.burial - parameters.response_window
    seq = closed_after // parameters.challenge_every
    anchor = anchor_height(seq, parameters)
    if anchor < state.genesis.first_challenge_height or not state.unjudged(seq):
        return False
    return stamp_height < anchor + parameters.response_window + parameters.burial


def check_split(state: GroupState, block: DataBlock, payload: SplitPayload, around: Around) -> None:
    """Raise `InvalidBlock` unless the group may split, into halves of so many voters."""
    if not may_split(state):
        raise InvalidBlock(f"group {state.prefix!r} has not enough voters in both halves to split")
    if (payload.zeros, payload.ones) != halves(state):
        raise InvalidBlock(f"group {state.prefix!r} does not split into {payload.zeros} and {payload.ones}")


def after_split(state: GroupState, block: DataBlock, payload: SplitPayload, around: Around) -> GroupState:
    """Return the last state of this chain."""
    return replace(state, closed_by=Kind.SPLIT)


def check_merge(state: GroupState, block: DataBlock, payload: MergePayload, around: Around) -> None:
    """Raise unless the group has to merge: for itself, because another asks, or to be whole beside one that
    has stopped; that is named.

    `NotYetKnown` when that one is not held.
    """
    if payload.because:
        named = around.named(payload.because)
        is_asked = asks_to_merge(state, named)
        if not is_asked and not is_wanted_whole(state, named, block.stamp_height, around.elsewhere):
            raise InvalidBlock(f"block {payload.because.hex()[:16]} does not ask {state.prefix!r} to merge")
    elif not must_merge(state):
        raise InvalidBlock(f"group {state.prefix!r} has no reason to merge")
    if awaits_verdict(state, block.stamp_height):
        raise InvalidBlock(f"group {state.prefix!r} has to judge a challenge before it merges")


def after_merge(state: GroupState, block: DataBlock, payload: MergePayload, around: Around) -> GroupState:
    """Return the last state of this chain."""
    return replace(state, closed_by=Kind.MERGE)
