"""What other groups report about members of ours that did not forward a block.

Answers for: reports that count are kept, one a voter and block, until they suffice or are too old; from
them follow removals that this voter proposes; and it affirms none of a member that it heard itself. What
counts is the business of `protocol.group.kinds.forwards`, what we report of others that of `watch`. Nothing
is kept over a restart. Spec: `spec/forwarding.md`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations

from protocol.chain.view import ChainView
from protocol.crypto import verify_envelope
from protocol.errors import InvalidBlock, NotAMember
from protocol.genesis import Genesis
from protocol.group.data_block import DataBlock, Payload, Removal, RemovePayload, decode_certified
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Around, Elsewhere
from protocol.group.kinds.forwards import (
    FORWARDS_MISSED,
    Reporters,
    check_missed,
    forwarding_window,
    missed_blocks,
    reported_by,
)
from protocol.group.movemaker import build_remove
from protocol.group.resend import Resend
from protocol.node.live_groups import LiveGroups
from protocol.node.proposals import Make
from protocol.node.watch import Watch, reporting
from protocol.units import Hash32, OperatorKey

BLOCKS_MAX = 256
"""Blocks of which reports are kept; those on the lowest are dropped first."""
LAST_MISSED_MAX = 4
"""Of the blocks that a member missed: the last ones, of which two are chosen."""
VOTES_LOOKED_AT_MAX = 64
"""Certificates in which a member's vote between two blocks is looked for."""


@dataclass(slots=True)
class _Missed:
    """The reports on one block."""

    height: int
    stamp_height: int
    member: OperatorKey
    by_group: dict[Reporters, dict[OperatorKey, bytes]] = field(default_factory=dict)
    """Envelopes by their senders."""

    def said_by(self, sender: bytes) -> bool:
        """Whether a voter has reported this block."""
        return any(sender in envelopes for envelopes in self.by_group.values())

    def proofs(self) -> tuple[bytes, ...]:
        """Return the reports of a quorum of one group, or nothing."""
        reporters = reported_by({group: set(envelopes) for group, envelopes in self.by_group.items()})
        return tuple(self.by_group[reporters].values()) if reporters else ()


class Resends:
    """The reports on members of our group at one node."""

    def __init__(
        self, genesis: Genesis, me: OperatorKey, chain: ChainView, groups: LiveGroups, watch: Watch
    ) -> None:
        self._parameters = genesis.parameters
        self._me = me
        self._chain = chain
        self._groups = groups
        self._watch = watch
        self._prefix = ""
        self._missed: dict[Hash32, _Missed] = {}
        self._presences: dict[tuple[OperatorKey, int, int], bytes | None] = {}

    def take(self, resend: Resend, envelope: bytes) -> None:
        """Take a report on a member of our group; raises a `ProtocolError` when it does not count here."""
        state = self._groups.own.state
        if self._me not in state.electorate or resend.prefix != state.prefix:
            raise NotAMember(f"a report on group {resend.prefix!r}, in which we have no vote")
        hashed = Hash32(resend.block_hash)
        missed = self._missed.get(hashed)
        if missed is not None and missed.said_by(resend.sender):
            return  # each is said a few times
        prefixes = (machine.state.prefix for machine in self._groups)
        if resend.sender_prefix not in reporting(prefixes, resend.prefix, hashed):
            raise InvalidBlock(f"not group {resend.sender_prefix!r} reports this block")
        reporters = check_missed(state, resend, self._stamp, Around(self._chain, self._groups.archive))
        verify_envelope(envelope, resend.signer)
        if missed is None:
            missed = self._begin(hashed, resend)
        missed.by_group.setdefault(reporters, {})[resend.signer] = envelope

    def _begin(self, hashed: Hash32, resend: Resend) -> _Missed:
        standing = self._groups.archive.standing(hashed)
        assert standing is not None
        stamp = standing.block.stamp_height
        missed = self._missed[hashed] = _Missed(resend.height, stamp, OperatorKey(resend.member))
        while len(self._missed) > BLOCKS_MAX:
            del self._missed[min(self._missed, key=lambda one: self._missed[one].height)]
        return missed

    @property
    def _stamp(self) -> int:
        """What a block would stamp now."""
        return self._chain.tip()[0] - self._parameters.burial

    def look(self) -> None:
        """Drop what cannot count any more."""
        state = self._groups.own.state
        if state.prefix != self._prefix:
            self._prefix, self._missed, self._presences = state.prefix, {}, {}
        oldest = self._stamp - forwarding_window(self._parameters)
        self._missed = {
            hashed: one
            for hashed, one in self._missed.items()
            if one.stamp_height >= oldest and one.member in state.membership
        }
        if not self._missed:
            self._presences = {}

    def removals(self) -> tuple[Make, ...]:
        """Return what makes removals of members that enough have reported."""
        if len(self._missed) < FORWARDS_MISSED:
            return ()
        shown: dict[OperatorKey, list[tuple[int, tuple[bytes, ...]]]] = {}
        for missed in sorted(self._missed.values(), key=lambda one: one.height):
            if proofs := missed.proofs():
                shown.setdefault(missed.member, []).append((missed.height, proofs))
        return tuple(make for member in sorted(shown) for make in self._removals_of(member, shown[member]))

    def _removals_of(self, member: OperatorKey, shown: list[tuple[int, tuple[bytes, ...]]]) -> Iterator[Make]:
        for (first, some), (second, more) in combinations(shown[-LAST_MISSED_MAX:], FORWARDS_MISSED):
            presence = self._presence(member, first, second)
            if presence is not None:
                yield partial(_remove, member, (*some, *more, presence))

    def _presence(self, member: OperatorKey, first: int, second: int) -> bytes | None:
        """Return a member's vote at a height above `first`, up to `second`, as our certificates have it."""
        place = (member, first, second)
        if place not in self._presences:
            self._presences[place] = self._find_presence(member, first, second)
        return self._presences[place]

    def _find_presence(self, member: OperatorKey, first: int, second: int) -> bytes | None:
        state = self._groups.own.state
        for height in range(second, max(first, second - VOTES_LOOKED_AT_MAX), -1):
            stored = self._groups.archive.certified(state.prefix, height)
            if stored is None:
                continue
            vote = decode_certified(stored).certificate.vote_of(state.network, member)
            if vote is not None:
                return vote
        return None

    def may_affirm(self, state: DataChain, block: DataBlock, payload: Payload) -> bool:
        """Whether we did not hear ourselves that a member told of a block for which it would be removed."""
        if not isinstance(payload, RemovePayload) or payload.reason is not Removal.FORWARDING:
            return True
        return not any(self._watch.has_told(hashed) for hashed in missed_blocks(payload))


def _remove(
    member: OperatorKey, proofs: tuple[bytes, ...], state: DataChain, chain: ChainView, elsewhere: Elsewhere
) -> bytes:
    return build_remove(state, chain, elsewhere, member, Removal.FORWARDING, proofs)
