"""What is said on the chain about a group that has stopped: its sibling's summons, and its sign of life.

Answers for: the bytes of both marks, and what mined marks mean: when a summons has run its term, and whether
the stopped group gave a sign of life. A mark alone proves nothing; what follows from it is left to
`kinds.absorption` and `standoff`. Spec: `spec/absorb.md`.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

from protocol.chain.mark import LIFE_MAGIC, SUMMONS_MAGIC, Mark
from protocol.group.data_block import Kind
from protocol.group.elsewhere import Elsewhere
from protocol.group.name import PREFIX_BITS_MAX
from protocol.group.state import GroupState, OpenSummons
from protocol.parameters import Parameters
from protocol.units import Hash32, OperatorKey

SILENCES = 2
"""Times `silence`: how long a group certifies nothing before it is summoned, and has to show itself after."""

_SUMMONS = struct.Struct(">BBQ32s32s")


@dataclass(frozen=True, slots=True)
class Summons:
    """A mark that says: this group's data chain ends here, as far as its sibling knows."""

    bits: int
    """Of the stopped group's prefix; which one of so many bits it is the head says,"""
    last_bit: int
    """but for the last of them: two siblings begin with one head."""
    height: int
    head: Hash32
    """What the last block known is, or with what the group began."""
    block: Hash32
    """The ABSORB block that summons it."""


def term(parameters: Parameters) -> int:
    """Return the chain heights for which a group is silent before it is summoned, and again after."""
    return SILENCES * parameters.silence


def encode_summons(summons: Summons) -> bytes:
    """Return the payload: magic 5, bits of the prefix 1, last bit 1, height 8, head 32, block 32."""
    fields = summons.bits, summons.last_bit, summons.height, summons.head, summons.block
    return SUMMONS_MAGIC + _SUMMONS.pack(*fields)


def encode_life(block_hash: bytes) -> bytes:
    """Return the payload: magic 5, hash of a block of the summoned group above the head that is named."""
    return LIFE_MAGIC + block_hash


def read_summons(mark: Mark) -> Summons | None:
    """Return the summons that a mark is, or None."""
    data = mark.payload
    if not data.startswith(SUMMONS_MAGIC) or len(data) != len(SUMMONS_MAGIC) + _SUMMONS.size:
        return None
    bits, last_bit, height, head, block = _SUMMONS.unpack_from(data, len(SUMMONS_MAGIC))
    if not 1 <= bits <= PREFIX_BITS_MAX or last_bit > 1:
        return None
    return Summons(bits, last_bit, height, Hash32(head), Hash32(block))


def read_life(mark: Mark) -> Hash32 | None:
    """Return the hash that a sign of life shows, or None for another mark."""
    data = mark.payload
    if not data.startswith(LIFE_MAGIC) or len(data) != len(LIFE_MAGIC) + 32:
        return None
    return Hash32(data[len(LIFE_MAGIC) :])


def mark_of(opened: OpenSummons) -> Summons:
    """Return the mark that puts a group's open summons on the chain."""
    return summons_of(opened.prefix, opened.height, opened.head, opened.block_hash)


def summons_of(prefix: str, height: int, head: Hash32, block: Hash32) -> Summons:
    """Return the mark by which a block summons a group at this head."""
    return Summons(len(prefix), int(prefix[-1]), height, head, block)


def voters_stakes(state: GroupState) -> tuple[bytes, ...]:
    """Return the stake addresses of a group's voters, sorted: who speaks for it on the chain."""
    registered = state.book.in_force(state.stamp_height)
    keys = (OperatorKey(voter.operator_key) for voter in state.electorate.voters)
    return tuple(sorted(registered[key].stake_address for key in keys if key in registered))


def is_silent(stopped: GroupState, stamp_height: int) -> bool:
    """Whether a group may be summoned: it could certify a block, and has not for a whole term."""
    if stamp_height < stopped.stamp_height + term(stopped.genesis.parameters):
        return False
    return stopped.closed_by in (None, Kind.MERGE) and bool(voters_stakes(stopped))


def has_stopped(stopped: GroupState, stamp_height: int) -> bool:
    """Whether a group is silent, and there were challenges to judge for so long."""
    genesis = stopped.genesis
    is_late = stamp_height >= genesis.first_challenge_height + term(genesis.parameters)
    return is_late and is_silent(stopped, stamp_height)


def first_mining(marks: Sequence[Mark], opened: OpenSummons) -> Mark | None:
    """Return the first of the marks, in the chain's order, that is this summons.

    A voter of the group that made it has signed it.
    """
    summons = mark_of(opened)
    signed = (mark for mark in marks if any(one in opened.stakes for one in mark.signed))
    return next((mark for mark in signed if read_summons(mark) == summons), None)


def signs_of_life(marks: Sequence[Mark], stopped: GroupState, elsewhere: Elsewhere) -> list[Mark]:
    """Return the marks that are signs of life of a group whose last known state is `stopped`.

    A voter's stake has signed them, and they show no block up to that state. A hash that nobody knows
    counts: the group alone may know it.
    """
    shown = [(mark, hashed) for mark in marks if (hashed := read_life(mark)) is not None]
    stakes = voters_stakes(stopped) if shown else ()
    return [
        mark
        for mark, hashed in shown
        if any(one in stakes for one in mark.signed) and not _stands_behind(stopped, hashed, elsewhere)
    ]


def _stands_behind(stopped: GroupState, hashed: Hash32, elsewhere: Elsewhere) -> bool:
    """Whether a hash is of a block of this group, or of those that it came from, up to this state."""
    found = elsewhere.standing(hashed)
    if found is None or not stopped.prefix.startswith(found.block.prefix):
        return False
    place = found.block.prefix, found.block.height
    return place[1] <= stopped.height and not any(void.covers(*place) for void in stopped.voids)
