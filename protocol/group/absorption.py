"""What goes on when a group has absorbed its sibling: the whole, without the sibling's members.

Answers for: a state that everybody makes alike of the two ends, in which every seat of both stands once; and
that no place of a data chain is used twice, whatever the absorbed group certified unknown to others. Who may
absorb whom is `kinds.absorption`'s business. Spec: `spec/absorb.md`.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from protocol.group.data_block import Kind
from protocol.group.data_chain import DataChain
from protocol.group.kinds.evidence import dismiss
from protocol.group.regions import uncovered
from protocol.group.state import GroupState
from protocol.group.succession import HEIGHTS_LEFT_OUT, united
from protocol.group.void import Void
from protocol.units import OperatorKey


def absorbed(taker: DataChain, stopped: DataChain) -> DataChain:
    """Return the group that goes on after `taker` has absorbed `stopped`; a LINK is due.

    It begins with the hash of the ABSORB block, above every height that a union of the two could have come to
    unknown to others. The members of the stopped group may return; what it had not judged lapses.
    """
    if taker.closed_by is not Kind.ABSORB or stopped.closed_by not in (None, Kind.MERGE):
        raise ValueError(f"{taker.prefix!r} has not absorbed {stopped.prefix!r}")
    ends = _ended(taker), _ended(_emptied(stopped))
    whole = united(*sorted(ends, key=lambda state: state.prefix))
    height = whole.height + HEIGHTS_LEFT_OUT
    void = Void(
        prefix=stopped.prefix,
        above=stopped.height,
        beside=taker.height,
        through=height,
        silent_since=stopped.stamp_height,
        stamp_height=taker.stamp_height,
    )
    return replace(
        whole,
        height=height,
        head=taker.head,
        electorate=whole.membership.voters(),
        stamp_height=taker.stamp_height,
        stamp_hash=taker.stamp_hash,
        lapsed=_lapsed(whole, stopped.prefix, taker.stamp_height),
        voids=(*whole.voids, void),
    )


def _ended(state: DataChain) -> DataChain:
    """Return the state as if it had ended with a MERGE block, where it stands."""
    return replace(state, closed_by=Kind.MERGE, ending=None)


def _emptied(stopped: DataChain) -> DataChain:
    """Return the state without members, all of whom may return as after a removal."""
    state: GroupState = stopped
    for member in stopped.membership.members:
        state = dismiss(state, OperatorKey(member.operator_key), stopped.stamp_height, keeps_age=True)
    assert isinstance(state, DataChain)
    return state


def _lapsed(whole: DataChain, region: str, stamp_height: int) -> Mapping[int, tuple[str, ...]]:
    """Return what lapses of each challenge: the absorbed region, where nobody has judged it or soon can.

    So all challenges up to the next one after the whole can be known of: whoever answered those sent it to
    the group that had stopped.
    """
    parameters = whole.genesis.parameters
    first = -(-whole.genesis.first_challenge_height // parameters.challenge_every)
    last = (stamp_height + parameters.burial) // parameters.challenge_every + 1
    lapsed = dict(whole.lapsed)
    for seq in range(first, last + 1):
        done = [part for one in whole.judged.get(seq, ()) for part in one.parts]
        parts = uncovered(region, (*done, *lapsed.get(seq, ())))
        if parts:
            lapsed[seq] = tuple(sorted((*lapsed.get(seq, ()), *parts)))
    return MappingProxyType(dict(sorted(lapsed.items())))
