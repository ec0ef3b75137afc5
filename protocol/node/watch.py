"""Who was heard telling of which block, and what we say when a forwarder of another group was not.

Answers for: a voter reports a member only for a block that was decided while this node was here, of which
another voter of that group has told everybody, and the forwarder has not, long enough after that. Who was
down, lags behind or hears nothing reports nobody. Nothing is kept over a restart. Spec: `spec/forwarding.md`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar

from protocol.chain.view import ChainView
from protocol.crypto import Signer, sha3_256
from protocol.errors import NotAMember, ProtocolError
from protocol.genesis import Genesis
from protocol.group.data_block import DataBlock
from protocol.group.elsewhere import Around
from protocol.group.kinds.forwards import check_missed
from protocol.group.name import NAME_BITS
from protocol.group.regions import overlap
from protocol.group.resend import Resend, build_resend
from protocol.node.effects import Announce, Effect, News, Publish
from protocol.node.forwarding import is_of_now, turn_milliseconds
from protocol.node.live_groups import LiveGroups
from protocol.node.messages import group_topic, pack_signed
from protocol.units import Hash32, OperatorKey

PATIENCE_TURNS = 3
"""Turns for which a forwarder is waited for after another voter was heard."""
SAYINGS = 3
"""How often a report is said, with as long a pause."""
REPORTING_GROUPS = 3
"""Groups that report a block that was not forwarded; one is enough, and messages stay few."""
AHEAD_MAX = 64
"""Blocks of a chain ahead of our own that are noted to have come early."""
KEPT_MAX = 1_024
"""Blocks of our own group whose forwarder is known to have told; the oldest is forgotten first."""
TOLD_MAX = 4_096
"""Blocks of which it is noted who told of them; the oldest is forgotten first."""
EARLY_MAX = 1_024
"""Chains of which it is noted what came early; that of the longest time ago is forgotten first."""
DUE_MAX = 256
"""Blocks about which we may have something to say; the oldest is forgotten first."""

K = TypeVar("K")
V = TypeVar("V")


@dataclass(slots=True)
class _Told:
    """What was heard of one block."""

    block: DataBlock
    forwarder: OperatorKey
    others: frozenset[OperatorKey]
    """Who else may tell of it."""
    was_told: bool = False
    """Whether the forwarder was heard."""


@dataclass(slots=True)
class _Due:
    """A block of which another one has told, and what we say about it."""

    told: _Told
    at: int
    said: int = 0
    packed: bytes = b""


def reporting(prefixes: Iterable[str], missed: str, block_hash: bytes) -> tuple[str, ...]:
    """Return the groups that report a block of group `missed`: those nearest to its hash's hash."""
    drawn = int.from_bytes(sha3_256(block_hash), "big")
    apart = [one for one in prefixes if not overlap(one, missed)]
    apart.sort(key=lambda one: int(one.ljust(NAME_BITS, "0"), 2) ^ drawn)
    return tuple(apart[:REPORTING_GROUPS])


class Watch:
    """What this node knows of who forwards and who does not."""

    def __init__(self, genesis: Genesis, signer: Signer, chain: ChainView, groups: LiveGroups) -> None:
        self._parameters = genesis.parameters
        self._signer = signer
        self._chain = chain
        self._groups = groups
        self._began_at = chain.tip()[0]
        self._told: dict[Hash32, _Told] = {}
        self._kept: dict[Hash32, None] = {}
        """Blocks of our own group of which the forwarder was heard."""
        self._early: dict[str, int] = {}
        """By the prefix of a chain: up to which height a block may have come before it could be taken."""
        self._due: dict[Hash32, _Due] = {}

    def heard(self, hashed: Hash32, block: DataBlock, sender: OperatorKey, now: int) -> None:
        """Note that somebody told everybody of a block, which was taken if it could be."""
        if hashed not in self._groups.archive:
            self._come_early(block)
            return
        order = self._groups.archive.lives.members_before(block).nearest_voters(hashed)
        if overlap(block.prefix, self._groups.own.state.prefix):
            if sender == order[0]:
                _note(self._kept, hashed, None, KEPT_MAX)
            return
        if order[0] == self._signer.operator_key:
            return  # it was ours to tell, in the group that we came from
        told = self._told.get(hashed)
        if told is None and self._was_here(block):
            told = _Told(block, order[0], frozenset(order[1:]))
            _note(self._told, hashed, told, TOLD_MAX)
        if told is None:
            return
        if sender == told.forwarder:
            told.was_told = True
            self._due.pop(hashed, None)
        elif sender in told.others and not told.was_told and hashed not in self._due:
            _note(self._due, hashed, _Due(told, now + self._patience), DUE_MAX)

    def has_told(self, hashed: bytes) -> bool:
        """Whether the forwarder of a block of our group was heard here telling everybody of it."""
        return hashed in self._kept

    def due(self, now: int) -> list[Effect]:
        """Return what we have to say by now."""
        effects: list[Effect] = []
        for hashed, due in list(self._due.items()):
            if due.at > now:
                continue
            effects += self._say(hashed, due)
            due.at, due.said = now + self._patience, due.said + 1
            if due.said == SAYINGS or not due.packed:
                del self._due[hashed]
        return effects

    # Inside.

    @property
    def _patience(self) -> int:
        return PATIENCE_TURNS * turn_milliseconds(self._parameters)

    def _come_early(self, block: DataBlock) -> None:
        """Note that a block came before it could be taken: its forwarder may have told of it already."""
        for machine in self._groups:
            prefix = machine.state.prefix
            if overlap(prefix, block.prefix):
                height = min(block.height, machine.held_height + AHEAD_MAX)
                _note(self._early, prefix, max(height, self._early.pop(prefix, 0)), EARLY_MAX)

    def _was_here(self, block: DataBlock) -> bool:
        """Whether a block was decided while this node was here and in step."""
        is_new = block.stamp_height > self._began_at
        is_now = is_of_now(block.stamp_height, self._chain.tip()[0], self._parameters)
        early = (height for prefix, height in self._early.items() if overlap(prefix, block.prefix))
        return is_new and is_now and block.height > max(early, default=0)

    def _say(self, hashed: Hash32, due: _Due) -> list[Effect]:
        """Say that a block was not forwarded, if that counts for its group."""
        ours, told = self._groups.own.state, due.told
        topic = group_topic(ours.network, told.block.prefix)
        if due.packed:
            return [Publish(topic, due.packed)]
        try:
            resend = self._resend(hashed, told)
        except ProtocolError:
            return []
        due.packed = pack_signed(build_resend(self._signer, resend))
        fields: News = {"prefix": resend.prefix, "height": resend.height, "member": resend.member.hex()}
        return [Publish(topic, due.packed), Announce("forwarding.missed", fields)]

    def _resend(self, hashed: Hash32, told: _Told) -> Resend:
        """Return what we can say of a block that was not forwarded; raises where it would not count."""
        ours, theirs = self._groups.own.state, self._groups.get(told.block.prefix)
        prefixes = (machine.state.prefix for machine in self._groups)
        if theirs is None or ours.prefix not in reporting(prefixes, told.block.prefix, hashed):
            raise NotAMember("others report this block, or nobody any more")
        resend = Resend(
            network=ours.network,
            prefix=told.block.prefix,
            height=told.block.height,
            block_hash=hashed,
            member=told.forwarder,
            sender_prefix=ours.prefix,
            sender=self._signer.operator_key,
            group_block=ours.head,
        )
        check_missed(theirs.state, resend, told.block.stamp_height, Around(self._chain, self._groups.archive))
        return resend


def _note(notes: dict[K, V], key: K, value: V, most: int) -> None:
    """Put something down, and forget what was put down first where there is too much."""
    notes[key] = value
    while len(notes) > most:
        del notes[next(iter(notes))]
