"""What an honest voter does not vote for while it is open which of two siblings goes on without the other.

Answers for: nobody certifies what may turn out void, or names it; a group is summoned and taken over only by
voters who know of nothing that it certified after; and no seat is given twice. None of it can be asked
of a certified block: what one voter knows another may not. Less than a third of a group's voters that break
these rules certify nothing. Spec: `spec/absorb.md`.
"""

from collections.abc import Iterable, Iterator

from protocol.chain.view import ChainView
from protocol.group.data_block import (
    AbsorbPayload,
    AdmitPayload,
    DataBlock,
    ExpirePayload,
    Kind,
    LinkPayload,
    MergePayload,
    Move,
    Payload,
    RefusePayload,
    RelocatePayload,
    SplitPayload,
    Step,
)
from protocol.group.doubt import Doubt, Doubts, Held
from protocol.group.name import sibling
from protocol.group.named_blocks import named_blocks
from protocol.group.state import GroupState
from protocol.group.succession import HEIGHTS_LEFT_OUT, UNION_BLOCKS
from protocol.group.summons import first_mining, has_stopped, signs_of_life, term
from protocol.group.vote import group_electorate


def objection(block: DataBlock, payload: Payload, chain: ChainView, held: Held) -> str:
    """Return why we do not vote for a block that the rules allow; "" when nothing speaks against it."""
    return (
        _objection_to_absorbing(block, payload, chain, held)
        or _objection_to_splitting(block, payload, chain, held)
        or _objection_to_rejoining(block, payload, chain, held)
        or _objection_to_seats(block, payload, held)
        or next((why for why in _doubts(block, payload, chain, held) if why), "")
    )


def objection_to_heads(
    places: Iterable[tuple[str, int]], stamp_height: int, chain: ChainView, held: Held
) -> str:
    """Return why we do not vote for a list of these heads; "" when nothing speaks against it.

    `stamp_height` is the last height of our chain that is buried.
    """
    doubts = Doubts(chain, held, stamp_height)
    return next((doubt.why for doubt in (doubts.about(*place) for place in places) if doubt), "")


def _doubts(block: DataBlock, payload: Payload, chain: ChainView, held: Held) -> Iterator[str]:
    """Yield what may make the block's own place void, or that of a block which it names."""
    if isinstance(payload, AbsorbPayload) and payload.step is not Step.TAKE:
        return  # changes nothing for others, and shows a sibling what was summoned and what was not
    doubts = Doubts(chain, held, block.stamp_height)
    behind = {**held.behind(block.prefix, block.height - 1), block.prefix: block.height}
    yield _why(doubts.about(block.prefix, block.height, behind))
    places: dict[str, int] = {}
    for hashed in named_blocks(payload):
        named = held.standing(hashed)
        if named is not None:
            prefix, height = named.block.prefix, named.block.height
            places[prefix] = max(height, places.get(prefix, 0))
    for prefix, height in sorted(places.items()):
        yield _why(doubts.about(prefix, height))


def _objection_to_absorbing(block: DataBlock, payload: Payload, chain: ChainView, held: Held) -> str:
    if isinstance(payload, MergePayload):
        return _objection_to_union((sibling(block.prefix),), held)
    if isinstance(payload, LinkPayload):
        return _objection_to_union((block.prefix + "0", block.prefix + "1"), held)
    if not isinstance(payload, AbsorbPayload):
        return ""
    state = held.groups().get(payload.prefix)
    if payload.step is not Step.DROP and _has_bound_itself(block.prefix, held):
        return f"we have voted for the union with group {payload.prefix!r}"
    is_last = state is not None and (state.height, state.head) == (payload.height, payload.head)
    if payload.step is not Step.DROP:
        return "" if is_last else f"group {payload.prefix!r} has certified more than block {payload.height}"
    if not is_last or may_drop(block.prefix, chain, held):
        return ""
    return f"nothing was heard of group {payload.prefix!r} since it was summoned"


def _objection_to_union(halves: Iterable[str], held: Held) -> str:
    """Return which of the groups that would become one has to drop its summons first, if one has."""
    states = (held.groups().get(half) for half in halves)
    summoning = next((state for state in states if state is not None and state.summons is not None), None)
    return "" if summoning is None else f"group {summoning.prefix!r} has to drop its summons first"


def _objection_to_splitting(block: DataBlock, payload: Payload, chain: ChainView, held: Held) -> str:
    """Return which group has stopped beside one that would split: only the whole can summon it."""
    if not isinstance(payload, SplitPayload) or not block.prefix:
        return ""
    beside = held.groups().get(sibling(block.prefix))
    if beside is None or not _is_gone(beside, block.stamp_height, chain, held):
        return ""
    return f"group {beside.prefix!r} has stopped, and our halves could not summon it"


def _objection_to_rejoining(block: DataBlock, payload: Payload, chain: ChainView, held: Held) -> str:
    """Return why a group does not merge for one that has stopped; "" when nothing speaks against it."""
    if not isinstance(payload, MergePayload) or not payload.because:
        return ""
    named = held.standing(payload.because)
    if named is not None and isinstance(named.payload, MergePayload):
        return ""
    beside = held.groups().get(sibling(block.prefix[:-1]))
    if beside is None or beside.head != payload.because:
        return f"group {sibling(block.prefix[:-1])!r} has certified more"
    if not _is_gone(beside, block.stamp_height, chain, held):
        return f"group {beside.prefix!r} gave a sign of life"
    ours = (
        held.groups()[prefix] for prefix in sorted(held.groups()) if prefix.startswith(sibling(block.prefix))
    )
    away = next((state for state in ours if has_stopped(state, block.stamp_height)), None)
    return "" if away is None else f"group {away.prefix!r} has stopped too, and we would wait for it"


def _is_gone(state: GroupState, stamp_height: int, chain: ChainView, held: Held) -> bool:
    """Whether a group has stopped, and showed no life on the chain within the last term either."""
    if not has_stopped(state, stamp_height):
        return False
    first = stamp_height - term(state.genesis.parameters) + 1
    return not signs_of_life(chain.marks(first, stamp_height), state, held)


def _has_bound_itself(prefix: str, held: Held) -> bool:
    """Whether we have voted for the block that makes a group's union with its sibling last."""
    state = held.groups().get(prefix)
    beside = held.groups().get(sibling(prefix))
    if state is None or beside is None or {state.closed_by, beside.closed_by} != {Kind.MERGE}:
        return False
    height = max(one.ended_at for one in (state, beside)) + HEIGHTS_LEFT_OUT + UNION_BLOCKS
    return held.has_voted(group_electorate(prefix[:-1]), height)


def may_drop(prefix: str, chain: ChainView, held: Held) -> bool:
    """Whether nothing can come of a group's open summons any more.

    A sign of life came, or we hold a later block of the summoned group; or nobody had it mined for a term.
    """
    state = held.groups().get(prefix)
    if state is None or state.summons is None:
        return False
    opened, tip = state.summons, chain.tip()[0]
    stopped = held.groups().get(opened.prefix)
    if stopped is None or stopped.head != opened.head:
        return True
    marks = chain.marks(opened.stamp_height + 1, tip)
    mined = first_mining(marks, opened)
    if mined is None:
        parameters = state.genesis.parameters
        return tip > opened.stamp_height + parameters.burial + term(parameters)
    return bool(signs_of_life([one for one in marks if one.ordinal > mined.ordinal], stopped, held))


def _objection_to_seats(block: DataBlock, payload: Payload, held: Held) -> str:
    """Return why nobody's seat is given or taken back after an absorption; "" when nothing speaks against it.

    The absorbed group may have sent its members elsewhere after the head that counts.
    """
    state = held.groups().get(block.prefix)
    key = _whose_seat(payload, held)
    if state is None or key is None or not state.voids:
        return ""
    last = state.voids[-1].stamp_height
    others = [other for prefix, other in sorted(held.groups().items()) if prefix != block.prefix]
    behind = next((other for other in others if other.stamp_height < last), None)
    if behind is not None:
        return f"of group {behind.prefix!r} nothing is known from chain height {last} on"
    if any(_took_in(other, key, state, held) for other in others):
        return f"{key.hex()[:16]} went elsewhere with a ticket that is void"
    return ""


def _whose_seat(payload: Payload, held: Held) -> bytes | None:
    """Return whose seat a block gives, takes back or ends the way of; None for other blocks."""
    if isinstance(payload, AdmitPayload) and not payload.ticket:
        return payload.operator_key
    if isinstance(payload, RelocatePayload) and payload.why is Move.JOIN:
        return payload.operator_key
    if isinstance(payload, RefusePayload | ExpirePayload):
        ticket = held.standing(payload.ticket)
        if ticket is not None and isinstance(ticket.payload, RelocatePayload):
            return ticket.payload.operator_key
    return None


def _took_in(other: GroupState, key: bytes, state: GroupState, held: Held) -> bool:
    """Whether another group has ended a void ticket of an operator."""
    slack = term(state.genesis.parameters)
    first = min(void.silent_since for void in state.voids) - slack
    last = max(void.stamp_height for void in state.voids)
    for ticket, stamp_height in other.ended.items():
        found = held.standing(ticket) if first <= stamp_height <= last else None
        if found is None or not isinstance(found.payload, RelocatePayload):
            continue
        place = found.block.prefix, found.block.height
        if found.payload.operator_key == key and any(void.covers(*place) for void in state.voids):
            return True
    return False


def _why(found: Doubt | None) -> str:
    return "" if found is None else found.why
