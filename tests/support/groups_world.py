"""Many groups for tests: their data chains, certified by the founders, over splits and merges.

It is what one node holds of all groups: `Elsewhere` for the rules, `ListSource` for payout lists.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as dataclass_replace
from functools import cache
from itertools import islice

from protocol.codec import encode, replace
from protocol.genesis import Genesis
from protocol.group.blockmaker import (
    build_evidence,
    build_link,
    build_merge,
    build_register,
    build_split,
    build_verdict,
)
from protocol.group.data_block import (
    Kind,
    RegisterPayload,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Standing
from protocol.group.kinds.links import with_members
from protocol.group.membership import Member, Membership, genesis_membership
from protocol.group.name import bits, matches, sibling
from protocol.group.succession import children, united
from protocol.group.void import Void
from protocol.parameters import DEVNET
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head
from protocol.tracking.challenge import anchor_height
from protocol.tracking.registration import registration_home
from protocol.tracking.verdict import Registrations
from protocol.units import ChallengeSeq, Hash32
from tests.support.founding import founded_by
from tests.support.group_world import SEQ, Group
from tests.support.operators import Operator, operator, staked_chain

FOUNDERS = 32
GROUP_SIZE = 2


@cache
def founding(count: int, depth: int) -> tuple[Genesis, tuple[Operator, ...]]:
    """Return a genesis whose founders are enough behind each prefix of `depth` bits, and them."""
    least = GROUP_SIZE + 1
    for attempt in range(200):
        numbers = range(attempt * count, (attempt + 1) * count)
        founders = tuple(sorted(map(operator, numbers), key=lambda one: one.key))
        genesis = founded_by(founders, parameters=replace(DEVNET, group_size=GROUP_SIZE))
        names = [bits(member.name, depth) for member in genesis_membership(genesis).members]
        if min(names.count(format(number, f"0{depth}b")) for number in range(1 << depth)) >= least:
            return genesis, founders
    raise AssertionError("no founders whose names fall so evenly")


@dataclass
class Groups(Group):
    """All groups of one network. `state` is that of the group whose turn it is."""

    count: int = FOUNDERS
    tip: int = 16
    """The first challenge waits for its verdict no longer."""
    depth: int = 3
    """There is enough for a split of each prefix that is shorter."""
    states: dict[str, DataChain] = field(init=False, default_factory=dict)
    """The live groups, those included that wait for their sibling's MERGE."""
    births: dict[tuple[str, int], list[tuple[str, int]]] = field(init=False, default_factory=dict)
    """Where data chains began, and with which heads of other groups behind them."""
    standings: dict[Hash32, Standing] = field(init=False, default_factory=dict)
    past: dict[tuple[str, int], DataChain] = field(init=False, default_factory=dict)
    """The state of each group at each of its heights."""

    def __post_init__(self) -> None:
        self.genesis, self.founders = founding(self.count, self.depth)
        self.chain = staked_chain(self.founders, self.tip)
        self._begin(DataChain.from_genesis(self.genesis))

    def at(self, prefix: str) -> DataChain:
        """Let a group have its turn."""
        self.state = self.states[prefix]
        return self.state

    def advance(self, body: bytes) -> None:
        """Let the block's group certify it; after a SPLIT or the second MERGE the next groups begin."""
        block = decode_block(body)
        before = self.at(block.prefix)
        certified = self.certified(body)
        self.state = self.state.apply(certified, self.chain, self)
        self.blocks.append(encode(certified))
        hashed = block_hash(body)
        self.standings[hashed] = Standing(hashed, block, decode_payload(block), before.membership)
        self.states[block.prefix] = self.past[block.prefix, block.height] = self.state
        if block.kind is Kind.SPLIT:
            self._go_on((self.state,), children(self.state))
        if block.kind is Kind.MERGE and self._sibling_is_closed(block.prefix):
            pair = self.states[block.prefix[:-1] + "0"], self.states[block.prefix[:-1] + "1"]
            self._go_on(pair, (united(*pair),))

    def link(self, prefix: str) -> None:
        """Let a group make the link that is due, or the two with which a union begins."""
        self.advance(build_link(self.at(prefix), self.chain))
        if self.state.link_due:
            self.advance(build_link(self.state, self.chain))

    def split(self, prefix: str = "") -> None:
        """Let a group split, and its halves make their first links."""
        self.advance(build_split(self.at(prefix), self.chain))
        for bit in "01":
            self.link(prefix + bit)

    def merge(self, prefix: str, because: str | None = None) -> None:
        """Let a group end with a MERGE block, because another ended so or because it is small."""
        merged = None if because is None else self.standings[self.states[because].head]
        self.advance(build_merge(self.at(prefix), self.chain, merged))

    def register(self, prefix: str, *envelopes: bytes) -> None:
        self.advance(build_register(self.at(prefix), self.chain, envelopes, []))

    def convict(self, prefix: str, *guilty: Operator) -> None:
        """Let a group cast members out, and make its link."""
        proofs = [self.contradiction(one) for one in guilty]
        self.advance(build_evidence(self.at(prefix), self.chain, proofs))
        self.link(prefix)

    def shrink(self, prefix: str) -> None:
        """Let a group fall below its least size."""
        self.convict(prefix, *self.voters(prefix)[GROUP_SIZE - 1 :])

    def take_back(self, prefix: str) -> None:
        """Let those who were cast out be members again, as if blocks had admitted them; with its link."""
        state = self.at(prefix)
        gone = [
            replace(member, prefix=prefix)
            for member in genesis_membership(self.genesis).members
            if member.operator_key in state.left
        ]
        kept = {
            key: seat for key, seat in state.left.items() if key not in {one.operator_key for one in gone}
        }
        back = with_members(
            dataclass_replace(state, left=kept), Membership.of((*state.membership.members, *gone))
        )
        assert isinstance(back, DataChain)
        self.state = self.states[prefix] = self.past[prefix, back.height] = back
        self.link(prefix)

    def judge(
        self,
        prefix: str,
        seq: int = SEQ,
        registers: Iterable[bytes] = (),
        silent: Iterable[Operator] = (),
    ) -> None:
        """Let a group judge a challenge that all but the silent answered."""
        parameters = self.genesis.parameters
        closes = anchor_height(seq, parameters) + parameters.response_window
        self.chain.mine_to(closes + parameters.burial)
        state = self.at(prefix)
        registered, absent = self.registrations(seq), {one.key for one in silent}
        answering = [one for one in self.everybody if one.key in registered and one.key not in absent]
        answered = self.responses(seq, answering)
        seen = [self.observation(judge, answered.values(), seq) for judge in self.voters(prefix)]
        self.advance(
            build_verdict(state, self.chain, seq, seen, answered, registers=registers, elsewhere=self)
        )

    def voters(self, prefix: str) -> list[Operator]:
        return [one for one in self.everybody if one.key in self.states[prefix].electorate]

    def registrations(self, seq: int) -> Registrations:
        return self.state.judging(self.challenge(seq)).registrations

    def strangers(self, prefix: str, count: int) -> list[Operator]:
        """Operators of no group whose stakes are registered in this one."""
        found = (operator(number) for number in range(9_000, 9_999))
        fitting = (one for one in found if matches(prefix, registration_home(one.stake_address)))
        return list(islice(fitting, count))

    # What the rules ask of other groups.

    def standing(self, block_hash: bytes) -> Standing | None:
        return self.standings.get(Hash32(block_hash))

    def registers(self, prefix: str, after: int, until: int | None = None) -> Sequence[Standing]:
        mine = (one for one in self.standings.values() if one.block.prefix == prefix)
        found = [one for one in mine if isinstance(one.payload, RegisterPayload) and one.block.height > after]
        found = [one for one in found if until is None or one.block.height <= until]
        return sorted(found, key=lambda one: one.block.height)

    def state_at(self, prefix: str, height: int) -> DataChain | None:
        return self.past.get((prefix, height))

    # What payout lists ask.

    def heads(self) -> tuple[Head, ...]:
        return tuple(
            Head(prefix=prefix, height=state.height, block_hash=state.head)
            for prefix, state in sorted(self.states.items())
        )

    def reach(self, heads: tuple[Head, ...]) -> dict[str, tuple[tuple[int, int], ...]]:
        found: dict[tuple[str, int], int] = {}
        waiting = [(head.prefix, head.height) for head in heads]
        while waiting:
            prefix, height = waiting.pop()
            start = max(start for other, start in self.births if other == prefix and start <= height)
            found[prefix, start] = max(height, found.get((prefix, start), 0))
            waiting += self.births[prefix, start]
        reach: dict[str, tuple[tuple[int, int], ...]] = {}
        for (prefix, start), height in sorted(found.items()):
            reach[prefix] = (*reach.get(prefix, ()), (start, height))
        return reach

    def voids(self, heads: tuple[Head, ...]) -> tuple[Void, ...]:
        return ()

    def block_hash(self, prefix: str, height: int) -> Hash32 | None:
        state = self.past.get((prefix, height))
        return state.head if state else None

    def verdict_records(self, first_seq: int, last_seq: int) -> list[VerdictRecord]:
        return [
            VerdictRecord(
                one.block.prefix,
                one.block.height,
                one.block_hash,
                ChallengeSeq(one.payload.seq),
                Hash32(one.payload.anchor_hash),
                one.payload.verdicts,
                one.payload.parts,
            )
            for one in self.standings.values()
            if isinstance(one.payload, VerdictPayload) and first_seq <= one.payload.seq <= last_seq
        ]

    def members(self, heads: tuple[Head, ...]) -> tuple[Member, ...]:
        groups = [self.past[head.prefix, head.height].membership.members for head in heads]
        return Membership.of(member for members in groups for member in members).members

    # Inside.

    def _sibling_is_closed(self, prefix: str) -> bool:
        other = self.states.get(sibling(prefix))
        return other is not None and other.closed_by is Kind.MERGE

    def _go_on(self, ended: Iterable[DataChain], begun: Iterable[DataChain]) -> None:
        for state in ended:
            del self.states[state.prefix]
        for state in begun:
            self._begin(state, ended)

    def _begin(self, state: DataChain, parents: Iterable[DataChain] = ()) -> None:
        place = state.prefix, state.height
        assert place not in self.past, "a height of a prefix comes again"
        self.births[place] = [(parent.prefix, parent.height) for parent in parents]
        self.state = self.states[state.prefix] = self.past[place] = state
