"""What a voter proposes next in its group, and which of others' proposals it cannot affirm yet.

Answers for: of all that could be decided the most urgent comes first: what the data chain itself asks
for, then verdicts, who leaves, what ends tickets, who moves, and entries of the book last. What a block may
say is `protocol.group.data_chain`'s business; where its contents come from is left to `tracker`,
`registrar` and those who see to the members' moves. Spec: `spec/node.md`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from protocol.chain.view import ChainView
from protocol.errors import NotYetKnown, ProtocolError, StaleMessage
from protocol.group.blockmaker import (
    build_evidence,
    build_link,
    build_merge,
    build_register,
    build_split,
    build_verdict,
)
from protocol.group.data_block import (
    REGISTERS_MAX,
    AbsorbPayload,
    AdmitPayload,
    DataBlock,
    Kind,
    MergePayload,
    Move,
    RelocatePayload,
    Removal,
    RemovePayload,
    VerdictPayload,
    decode_block,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Elsewhere, Standing
from protocol.group.kinds.partition import asks_to_merge
from protocol.group.movemaker import build_relocate
from protocol.group.name import sibling
from protocol.group.vote import EquivocationProof
from protocol.node.archive import Archive
from protocol.node.court import Judged
from protocol.tracking.response import response_hash
from protocol.units import Hash32

Make = Callable[[DataChain, ChainView, Elsewhere], bytes]
"""Returns a block that may follow this state; raises a `ProtocolError` when there is none at the moment."""
WITNESSED = frozenset({Kind.ABSORB, Kind.ADMIT, Kind.MERGE, Kind.RELOCATE, Kind.REMOVE})
"""Kinds of which some blocks say what only a voter itself can see."""
TURNS_MAX = 4
"""Blocks of one such kind that have their turns at the same height, each about another operator."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """What could be decided next, besides what the data chain itself asks for.

    It is looked through once, and only until something can be proposed.
    """

    judged: Iterable[Judged] = ()
    """Of which challenge there could be verdicts, if of any."""
    registrations: tuple[bytes, ...] = ()
    deregistrations: tuple[bytes, ...] = ()
    endings: Iterable[Make] = ()
    """EXPIRE, REFUSE and ADMIT blocks."""
    removals: Iterable[Make] = ()
    """REMOVE blocks."""
    moves: Iterable[Make] = ()
    """RELOCATE blocks of those who join or return."""
    absorbing: Iterable[Make] = ()
    """ABSORB blocks, and the MERGE that lets a group be whole which could absorb another."""


def next_blocks(
    state: DataChain,
    chain: ChainView,
    archive: Archive,
    proofs: Iterable[EquivocationProof],
    candidates: Candidates,
) -> Iterator[bytes]:
    """Yield the blocks that could come next, the most urgent first: that one we would propose."""
    for make in _makers(state, archive, proofs, candidates):
        try:
            body = make(state, chain, archive)
        except (StaleMessage, NotYetKnown):
            continue
        yield body


def needs_witness(body: bytes, elsewhere: Elsewhere) -> bool:
    """Whether a block says what each voter must have seen itself: honest voters may differ on it for ever."""
    block = decode_block(body)
    if block.kind not in WITNESSED:
        return False
    match decode_payload(block):
        case AdmitPayload() as payload:
            return bool(payload.ticket)
        case RelocatePayload() as payload:
            return payload.why is Move.REJOIN
        case RemovePayload() as payload:
            return payload.reason in (Removal.SILENT, Removal.FORWARDING)
        case AbsorbPayload():
            return True
        case MergePayload() as payload if payload.because:
            named = elsewhere.standing(payload.because)  # if a MERGE block asks, everybody can see it
            return named is None or not isinstance(named.payload, MergePayload)
        case _:
            return False


def take_turns(blocks: Iterable[bytes], elsewhere: Elsewhere) -> tuple[bytes, ...]:
    """Return what to propose in one round after the other, of what could come next, the most urgent first.

    That one alone if all can affirm it. Else every second round is for the first one that all can, and the
    others in turn for those before it: what honest voters differ on holds up nothing else. Where too many of
    a kind wait, another height is the turn of others.
    """
    waiting: dict[Kind, dict[bytes, bytes]] = {}
    affirmed: tuple[bytes, ...] = ()
    for body in blocks:
        if not needs_witness(body, elsewhere):
            affirmed = (body,)
            break
        block = decode_block(body)
        waiting.setdefault(block.kind, {}).setdefault(_whom(block), body)
    witnessed = [body for of_kind in waiting.values() for body in _some(list(of_kind.values()))]
    return tuple(one for first in witnessed for one in (first, *affirmed)) or affirmed


def _whom(block: DataBlock) -> bytes:
    """Return the operator that a block is about, empty where it is about a group."""
    match decode_payload(block):
        case AdmitPayload() | RelocatePayload() | RemovePayload() as payload:
            return payload.operator_key
        case _:
            return b""


def _some(waiting: list[bytes]) -> list[bytes]:
    """Return as many as have a turn, at each height others where there are more."""
    if len(waiting) <= TURNS_MAX:
        return waiting
    start = decode_block(waiting[0]).height % len(waiting)
    return (waiting[start:] + waiting[:start])[:TURNS_MAX]


def _makers(
    state: DataChain,
    archive: Archive,
    proofs: Iterable[EquivocationProof],
    candidates: Candidates,
) -> Iterator[Make]:
    """Yield what could make a block, the most urgent first.

    Of verdicts there is one a challenge, and of those who leave no more than there are members; tickets
    come from everywhere. So what pays, and what makes a slow group faster, never waits behind many tickets.
    """
    if state.is_closed:
        yield from map(_passing_over, candidates.absorbing)
        return
    yield lambda state, chain, _: build_link(state, chain)
    yield lambda state, chain, _: build_evidence(state, chain, proofs)
    yield lambda state, chain, _: build_merge(state, chain)
    asking = tuple(_asking_to_merge(state, archive))
    yield from (partial(_merge, merged) for merged in asking)
    if not asking:  # a large group that is waited for would split again each time its halves have merged
        yield lambda state, chain, _: build_split(state, chain)
    yield from map(_passing_over, candidates.absorbing)
    yield from (partial(_verdict, judged, archive) for judged in candidates.judged)
    yield from map(_passing_over, candidates.removals)
    yield from map(_passing_over, candidates.endings)
    yield lambda state, chain, _: build_relocate(state, chain)
    yield from map(_passing_over, candidates.moves)
    entries = candidates.registrations, candidates.deregistrations
    yield lambda state, chain, _: build_register(state, chain, *entries)


def _passing_over(make: Make) -> Make:
    """Return a maker that has nothing where what others asked for does not hold."""

    def attempt(state: DataChain, chain: ChainView, elsewhere: Elsewhere) -> bytes:
        try:
            return make(state, chain, elsewhere)
        except ProtocolError as error:
            raise StaleMessage(str(error)) from None

    return attempt


def _merge(merged: Standing, state: DataChain, chain: ChainView, _: Elsewhere) -> bytes:
    return build_merge(state, chain, merged)


def _asking_to_merge(state: DataChain, archive: Archive) -> Iterator[Standing]:
    """Yield the MERGE blocks with which groups beside ours, or beside what ours was, have ended."""
    for bits in range(1, len(state.prefix) + 1):
        last = archive.last(sibling(state.prefix[:bits]))
        if last is not None and asks_to_merge(state, last):
            yield last


def _verdict(
    judged: Judged, archive: Archive, state: DataChain, chain: ChainView, elsewhere: Elsewhere
) -> bytes:
    responses = {response_hash(envelope): envelope for envelope in judged.responses}
    challenge = judged.challenge
    registers = untaken(state, archive, challenge.anchor_height)[:REGISTERS_MAX]
    return build_verdict(
        state, chain, challenge.seq, judged.observations, responses, judged.receipts, registers, elsewhere
    )


def untaken(state: DataChain, archive: Archive, anchor_height: int | None = None) -> tuple[Hash32, ...]:
    """Return the REGISTER blocks of other groups that are not in the book yet, and count at an anchor.

    At any, where none is given. Those of one prefix stand in their order, so that as many as fit may be
    taken from the front.
    """
    others = (prefix for prefix in archive.registering() if prefix != state.prefix)
    return tuple(
        hashed
        for prefix in others
        for hashed in archive.registers_until(prefix, state.read.get(prefix, 0), anchor_height)
    )


def takes_up_enough(state: DataChain, chain: ChainView, archive: Archive, payload: VerdictPayload) -> bool:
    """Whether verdicts take up all registrations that count and that we know of.

    A voter waits one challenge for those that leave some out, no longer: so that a proposer cannot leave
    them out at will, and voters who hold different blocks do not stop the group for ever.
    """
    parameters = state.genesis.parameters
    anchor = payload.seq * parameters.challenge_every
    patience = parameters.response_window + parameters.burial + parameters.challenge_every
    if chain.tip()[0] >= anchor + patience or len(payload.registers) == REGISTERS_MAX:
        return True
    return frozenset(untaken(state, archive, anchor)).issubset(payload.registers)
