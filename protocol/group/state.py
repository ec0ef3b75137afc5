"""The state of a group's data chain after a block: a frozen value, and what can be asked of it.

Answers for: what the rules of the block kinds (`kinds`) read and return anew. It is a pure function of the
genesis file and the blocks. Which block may follow is `data_chain`'s business. Spec: `spec/data_chain.md`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from protocol.chain.view import ChainView
from protocol.errors import InvalidBlock
from protocol.genesis import Genesis
from protocol.group.data_block import DataBlock, Kind, Move, Payload
from protocol.group.membership import Membership
from protocol.group.name import matches
from protocol.group.quorum import Electorate
from protocol.group.regions import falls, uncovered
from protocol.group.verdict_block import Judging
from protocol.group.void import Void
from protocol.group.vote import group_electorate
from protocol.tracking.challenge import Challenge, challenge_draw, derive_challenge
from protocol.tracking.registration_book import RegistrationBook
from protocol.tracking.verdict import Registrations
from protocol.units import Hash32, NetworkId, OperatorKey

Checked = tuple[DataBlock, Payload]
K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Judged:
    """Where a challenge was judged, or a part of it."""

    prefix: str
    """Of the data chain in which the VERDICT block stands."""
    height: int
    block_hash: Hash32
    anchor_hash: Hash32
    parts: tuple[str, ...]
    """The regions whose operators it judges."""


@dataclass(frozen=True, slots=True)
class Left:
    """A seat whose holder was removed: it may return."""

    age: int
    name: Hash32
    stamp_height: int


@dataclass(frozen=True, slots=True)
class Returning:
    """A member that came back without a vote and has to hand over what it should have."""

    age: int
    """The age that it had."""
    seq: int
    """The challenge that fixes the entropy of its next name."""
    stamp_height: int


@dataclass(frozen=True, slots=True)
class Away:
    """A seat whose holder was sent to another group."""

    ticket: Hash32
    why: Move
    age: int
    """Before the move, like the name."""
    name: Hash32
    stamp_height: int
    """Of the ticket; of two tickets of one operator the one with the higher stamp came later."""


@dataclass(frozen=True, slots=True)
class OpenSummons:
    """A stopped group that this one has summoned, and may absorb when it gives no sign of life."""

    prefix: str
    height: int
    head: Hash32
    """Where its data chain stood, and ends if nothing is heard of it."""
    block_hash: Hash32
    """The ABSORB block that summons it."""
    stamp_height: int
    stakes: tuple[bytes, ...]
    """The stake addresses of this group's voters, sorted: by their signature it counts on the chain."""


def nothing() -> MappingProxyType[Any, Any]:
    """Return an empty mapping that nobody can change."""
    return MappingProxyType({})


def without(mapping: Mapping[K, V], key: K) -> Mapping[K, V]:
    """Return a mapping without a key, which may not be in it."""
    return MappingProxyType({other: value for other, value in mapping.items() if other != key})


@dataclass(frozen=True, slots=True)
class GroupState:
    """The state after a block; nothing here ever changes."""

    genesis: Genesis
    network: NetworkId
    prefix: str
    height: int
    """Of the last block; 0 before the first."""
    head: Hash32
    """Hash of the last block; the network id before the first."""
    stamp_height: int
    """Chain height that the last block stamps; stamps never go back."""
    stamp_hash: Hash32
    """Hash of the chain block that it stamps; the network id before the first."""
    membership: Membership
    link: int
    """Number of the last link; the founding is link 0."""
    link_due: bool
    """Whether the members changed, so that the next block must be a LINK."""
    book: RegistrationBook
    holders: Mapping[bytes, OperatorKey]
    """IP slot -> who had the last VALID verdict there."""
    judged: Mapping[int, tuple[Judged, ...]]
    """By challenge."""
    electorate: Electorate
    """Who certifies the next block."""
    link_counts: bool = True
    """Whether the link that is due may count for the members' ages: not after a split or merge."""
    gate_open: bool = False
    """Whether a VERDICT stands after the last LINK: only then the next one counts."""
    events: Mapping[OperatorKey, int] = field(default_factory=nothing)
    """Counted churn events of each member in this group; who is missing has none."""
    move_due: int | None = None
    """The challenge after whose verdict somebody may still be relocated."""
    read: Mapping[str, int] = field(default_factory=nothing)
    """By another group's prefix: the height up to which its REGISTER blocks are in the book."""
    granted: frozenset[OperatorKey] = frozenset()
    """Operators whose first seat, at home here, was given away."""
    away: Mapping[OperatorKey, Away] = field(default_factory=nothing)
    left: Mapping[OperatorKey, Left] = field(default_factory=nothing)
    returning: Mapping[OperatorKey, Returning] = field(default_factory=nothing)
    ended: Mapping[Hash32, int] = field(default_factory=nothing)
    """Tickets that ended here, by the stamp of the block that ended them."""
    closed_by: Kind | None = None
    """The kind of the last block, if it ended this chain: SPLIT, MERGE, or the ABSORB of its sibling."""
    splits: tuple[int, ...] = ()
    """The heights at which the groups of the shorter prefixes split, from the whole network's on."""
    summons: OpenSummons | None = None
    """The sibling that is summoned."""
    ending: "GroupState | None" = None
    """This state as its MERGE block left it, when ABSORB blocks have followed."""
    lapsed: Mapping[int, tuple[str, ...]] = field(default_factory=nothing)
    """By challenge: the regions of absorbed groups that nobody judges any more."""
    voids: tuple[Void, ...] = ()
    """What does not count of groups that were absorbed here, the oldest first."""
    _checked: dict[Hash32, Checked] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_closed(self) -> bool:
        """Whether the last block ended this chain: the group split, or goes on with its sibling."""
        return self.closed_by is not None

    @property
    def ended_at(self) -> int:
        """The height of the MERGE block, if ABSORB blocks have followed it; else of the last block."""
        return self.height if self.ending is None else self.ending.height

    @property
    def electorate_name(self) -> str:
        """The name under which this group's voters vote."""
        return group_electorate(self.prefix)

    def challenge(self, seq: int, chain: ChainView) -> Challenge:
        """Return challenge `seq`, if this chain has it; raises `NotYetKnown` or `InvalidBlock`."""
        if seq * self.genesis.parameters.challenge_every < self.genesis.first_challenge_height:
            raise InvalidBlock(f"challenge {seq} is before the first one")
        return derive_challenge(seq, chain, self.genesis.parameters)

    def unjudged(self, seq: int) -> tuple[str, ...]:
        """Return the regions of this group that have no verdict of a challenge yet, sorted."""
        judged = [part for one in self.judged.get(seq, ()) for part in one.parts]
        return uncovered(self.prefix, (*judged, *self.lapsed.get(seq, ())))

    def judging(self, challenge: Challenge, book: RegistrationBook | None = None) -> Judging:
        """Return what this state, with another book of registrations if given, says of a challenge."""
        anchor = challenge.anchor_height
        book = self.book if book is None else book
        return Judging(
            network=self.network,
            challenge=challenge,
            electorate=self.electorate,
            ages={member.operator_key: member.age for member in self.membership.members},
            registrations=self.ours(book.in_force(anchor), challenge.seq, challenge.anchor_hash),
            contested=self.ours(book.contested(anchor), challenge.seq, challenge.anchor_hash),
            holders=self.holders,
            parameters=self.genesis.parameters,
            parts=self.unjudged(challenge.seq),
        )

    def ours(self, registrations: Registrations, seq: int, anchor_hash: Hash32) -> Registrations:
        """Return the registrations of the operators that this group has still to judge in a challenge."""
        parts = self.unjudged(seq)
        if parts == ("",):
            return registrations
        return {
            key: entry
            for key, entry in registrations.items()
            if falls(parts, challenge_draw(anchor_hash, key))
        }

    def is_stranded(self, chain: ChainView) -> bool:
        """Whether the last block stamps a chain block that another one has replaced."""
        here = chain.block_hash(self.stamp_height)
        return self.height > 0 and here not in (None, self.stamp_hash)

    def covers(self, name: bytes) -> bool:
        """Whether a 32-byte name falls to this group."""
        return matches(self.prefix, name)

    def forget_checks(self) -> None:
        """Check every block again from now on: the chain on which it was found good is another one."""
        self._checked.clear()
