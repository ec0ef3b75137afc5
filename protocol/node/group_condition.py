"""How a group stands by our own chain: it runs, waits for its sibling, or has stopped; and what it owes.

Answers for: what a group has still to certify, since when, and who of it moves next, as its people want to
see it. Nothing is decided by it: what is done about a group that has stopped follows from blocks alone.
Spec: `spec/rpc.md`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from protocol.chain.view import ChainView
from protocol.group.data_block import Kind
from protocol.group.entropy import entropy_height
from protocol.group.kinds.partition import must_merge
from protocol.group.relocation import candidate, contenders
from protocol.group.state import GroupState
from protocol.parameters import Parameters
from protocol.units import OperatorKey

OWED_MAX = 64
"""Challenges that a group is shown to owe: the newest."""


class Condition(StrEnum):
    """How a group stands."""

    RUNS = "runs"
    MERGES = "waits for its sibling"
    """It ended with MERGE, and goes on when its sibling has done so."""
    STOPPED = "stopped"
    """It has certified nothing for `silence` heights, though something was due for as long."""


@dataclass(frozen=True, slots=True)
class Owed:
    """A challenge that a group has not judged, or not wholly."""

    seq: int
    parts: tuple[str, ...]
    """The regions without a verdict, sorted."""
    judged_at: int
    """The chain height from which on it could be judged."""


@dataclass(frozen=True, slots=True)
class GroupCondition:
    """How one group stands."""

    condition: Condition
    quiet: int
    """Chain heights since a block was certified; each is stamped `burial` below the tip of its time."""
    owed: tuple[Owed, ...]
    """Challenges, oldest first."""
    link_due: bool


def judgeable_at(seq: int, parameters: Parameters) -> int:
    """Return the height of the tip at which challenge `seq` can be judged."""
    return seq * parameters.challenge_every + parameters.response_window + parameters.burial


def group_condition(
    state: GroupState, tip: int, seqs: Iterable[int], is_void: Callable[[int], bool]
) -> GroupCondition:
    """Return how a group stands when our chain's tip has this height.

    `seqs` are the challenges that are worth judging still; those that are void are owed by nobody.
    """
    parameters = state.genesis.parameters
    certified_at = state.stamp_height + parameters.burial if state.height else 0
    quiet = max(0, tip - certified_at)
    owed = tuple(_owed(state, tip, seqs, is_void))[-OWED_MAX:]
    is_due = state.link_due or must_merge(state)
    since = [one.judged_at for one in owed] + ([certified_at] if is_due else [])
    waits = min(quiet, tip - min(since)) if since else 0
    condition = Condition.RUNS
    if state.closed_by is Kind.MERGE:
        condition = Condition.MERGES
    elif waits >= parameters.silence:
        condition = Condition.STOPPED
    return GroupCondition(condition, quiet, owed, state.link_due)


def _owed(state: GroupState, tip: int, seqs: Iterable[int], is_void: Callable[[int], bool]) -> Iterator[Owed]:
    for seq in seqs:
        judged_at = judgeable_at(seq, state.genesis.parameters)
        parts = state.unjudged(seq) if judged_at <= tip else ()
        if parts and not is_void(seq):
            yield Owed(seq, parts, judged_at)


@dataclass(frozen=True, slots=True)
class NextMove:
    """Whom a group lets move next, as things stand."""

    seq: int | None
    """The challenge after whose verdicts it moves; None until a further one is judged."""
    entropy_height: int | None
    """The chain block that chooses, of several, the one that moves, and gives it its name."""
    operators: tuple[OperatorKey, ...]
    """One, once it is known; those of whom it will be one, before; none when nobody has stayed its time."""


def next_move(state: GroupState, chain: ChainView) -> NextMove:
    """Return who moves next. Until it does, every block of the group may change it."""
    parameters = state.genesis.parameters
    stamp_height = max(state.stamp_height, chain.tip()[0] - parameters.burial)
    seq = state.move_due
    at = None if seq is None else entropy_height(seq, parameters)
    entropy = None if at is None else chain.block_hash(at)
    if entropy is None:
        ranked = contenders(state, stamp_height)
    else:
        chosen = candidate(state, entropy, stamp_height)
        ranked = () if chosen is None else (chosen,)
    return NextMove(seq, at, tuple(OperatorKey(one.operator_key) for one in ranked))
