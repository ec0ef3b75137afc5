"""Any story of joins, moves, refusals, removals and returns, over groups that split and merge.

After every block each operator has exactly one seat, tickets end once, ages change by their rules alone,
a large group takes one newcomer at a time, and no two members of a group share an IP slot.
"""

from collections.abc import Callable, Iterable
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from protocol.errors import ProtocolError
from protocol.group.age import age_after_return
from protocol.group.blockmaker import build_evidence, build_merge, build_split
from protocol.group.data_block import (
    AdmitPayload,
    DataBlock,
    EvidencePayload,
    ExpirePayload,
    Kind,
    Move,
    RefusePayload,
    RelocatePayload,
    Removal,
    VerdictPayload,
    block_hash,
    decode_block,
    decode_certified,
    decode_payload,
)
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Standing
from protocol.group.kinds.slots import slots_of
from protocol.group.movemaker import (
    build_admit,
    build_expire,
    build_join,
    build_readmit,
    build_refuse,
    build_rejoin,
    build_relocate,
    build_remove,
    build_return,
)
from protocol.group.name import sibling
from protocol.group.relocation import is_large, is_returning, is_ticket
from protocol.group.succession import children, united
from protocol.group.vote import check_equivocation
from protocol.tracking.registration import registration_home
from protocol.units import Hash32, OperatorKey
from tests.support.moves_world import JOINERS, Moves
from tests.support.operators import Operator

Make = Callable[[], bytes]
CHOICE = st.integers(0, 1 << 16)
"""Which of those that there are."""
DEEDS = (
    *("joins", "moves", "admits", "admits") * 2,
    *("refusals", "expiries", "readmissions", "returns", "returns"),
    *("removals", "convictions", "splits", "merges", "merges", "wrong", "wrong"),
)
SOME_DEEDS = st.lists(st.tuples(st.sampled_from(DEEDS), CHOICE), min_size=4, max_size=12)


class Seats(RuleBasedStateMachine):
    """Everything that anybody could propose, proposed in any order; the rules say what of it may be."""

    def __init__(self) -> None:
        super().__init__()
        self.world = Moves()
        self.seq = 1
        self.enrolled = list(self.world.founders)
        self.tickets: list[Hash32] = []
        self.relocations: list[Hash32] = []
        """Tickets, and the blocks of those that aged where they were."""
        self.ends: dict[Hash32, Hash32] = {}
        """Ticket -> the block that ended it."""

    @initialize(salt=st.binary(max_size=2), age=st.sampled_from((1, 2)), joiners=st.integers(0, 8))
    def begin(self, salt: bytes, age: int, joiners: int) -> None:
        self.world = Moves(age=age)
        self.world.chain.mine(salt=salt)
        for one in JOINERS[:joiners]:
            self.world.enrol(one)
            self.enrolled.append(one)

    # What is tried.

    def attempt(self, make: Make) -> None:
        """Let a block be certified if the rules allow it, and what is due then."""
        try:
            body = make()
        except ProtocolError:
            return
        self.certify(body)
        prefix = decode_block(body).prefix
        for begun in self.world.live():
            if begun.startswith(prefix) or prefix.startswith(begun):
                self.settle(begun)

    def settle(self, prefix: str) -> None:
        while self.world.states[prefix].link_due:
            before = self.ages()
            self.world.link(prefix)
            self.check_ages(before, {})

    def certify(self, body: bytes) -> None:
        block, payload = decode_block(body), decode_payload(decode_block(body))
        before, ages = self.world.states[block.prefix], self.ages()
        self.world.advance(body)
        hashed, changed = block_hash(body), dict[bytes, int]()
        if isinstance(payload, RelocatePayload):
            changed = self.relocated(hashed, block, payload, ages)
        elif isinstance(payload, AdmitPayload):
            changed = self.admitted(hashed, before, payload, ages)
        elif isinstance(payload, RefusePayload | ExpirePayload):
            self.ended(Hash32(payload.ticket), hashed)
        elif isinstance(payload, EvidencePayload):
            changed = {check_equivocation(proof, before.network): 0 for proof in payload.proofs}
        self.check_ages(ages, changed)

    def relocated(
        self, hashed: Hash32, block: DataBlock, payload: RelocatePayload, ages: dict[bytes, int]
    ) -> dict[bytes, int]:
        """Note a ticket; return the age that the one that moved has now, by the rules."""
        key, before = payload.operator_key, ages[payload.operator_key]
        self.relocations.append(hashed)
        stays = not is_ticket(block, payload)
        if not stays:
            self.tickets.append(hashed)
        if payload.why is Move.REJOIN:
            assert payload.age == before
            return {}
        if payload.why is Move.JOIN:
            return {key: 0}
        assert payload.age == before + 1
        return {key: before + 1} if stays else {}

    def admitted(
        self, hashed: Hash32, before: DataChain, payload: AdmitPayload, ages: dict[bytes, int]
    ) -> dict[bytes, int]:
        key, newcomers = payload.operator_key, [one for one in before.membership.members if one.age == 0]
        if payload.ticket:
            self.ended(Hash32(payload.ticket), hashed)
        if payload.age == 0 and not payload.ending:
            assert not is_large(before) or not newcomers, "a second newcomer of a large group"
        if payload.verdict:
            return {key: age_after_return(ages[key])}
        if not payload.ticket:
            return {}
        moved = self.world.moved(payload.ticket)
        grown = int(moved.why in (Move.FIRST, Move.AGED))
        assert payload.age == ages[key] + grown
        return {key: payload.age}

    def ended(self, ticket: Hash32, by: Hash32) -> None:
        assert ticket not in self.ends, "a ticket ended twice"
        self.ends[ticket] = by

    # What could be proposed.

    def pick(self, choice: int) -> Operator:
        return self.enrolled[choice % len(self.enrolled)]

    def join(self, one: Operator, prefix: str, ending: bytes) -> bytes:
        verdict = self.latest(one)
        state = self.world.at(prefix)
        return build_join(state, self.world.chain, self.world, one.key, verdict, ending)

    def latest(self, one: Operator) -> Hash32:
        """The last VERDICT block that speaks of an operator, or any block when none does."""
        for standing in reversed(self.world.standings.values()):
            said = standing.payload
            if isinstance(said, VerdictPayload) and any(v.operator_key == one.key for v in said.verdicts):
                return standing.block_hash
        return next(iter(self.world.standings))

    def joins(self) -> Iterable[Make]:
        """Everybody that never was a member asks its home group, with the end of its last ticket."""
        for one in dict.fromkeys(self.enrolled):
            home = self.world.states[self.world.home(one)]
            away = home.away.get(one.key)
            if one.key not in home.granted or (away and away.why is Move.JOIN and away.ticket in self.ends):
                ending = self.ends[away.ticket] if away else b""
                yield partial(self.join, one, home.prefix, ending)

    def moves(self) -> Iterable[Make]:
        for prefix in self.world.live():
            if self.world.states[prefix].move_due is not None:
                yield partial(self.relocate, prefix)

    def relocate(self, prefix: str) -> bytes:
        return build_relocate(self.world.at(prefix), self.world.chain)

    def open_tickets(self) -> list[Hash32]:
        return [ticket for ticket in self.tickets if ticket not in self.ends]

    def admits(self) -> Iterable[Make]:
        return (partial(self.admit, ticket, self.target(ticket)) for ticket in self.open_tickets())

    def refusals(self) -> Iterable[Make]:
        return (partial(self.refuse, ticket, self.target(ticket)) for ticket in self.open_tickets())

    def expiries(self) -> Iterable[Make]:
        return (partial(self.expire, ticket, self.target(ticket)) for ticket in self.open_tickets())

    def target(self, ticket: Hash32) -> str:
        return self.world.fitting(self.world.moved(ticket).name)

    def admit(self, ticket: Hash32, prefix: str) -> bytes:
        state, nonce = self.world.at(prefix), self.world.nonce(ticket)
        return build_admit(state, self.world.chain, self.world, ticket, nonce)

    def refuse(self, ticket: Hash32, prefix: str) -> bytes:
        return build_refuse(self.world.at(prefix), self.world.chain, self.world, ticket)

    def expire(self, ticket: Hash32, prefix: str) -> bytes:
        return build_expire(self.world.at(prefix), self.world.chain, self.world, ticket)

    def readmissions(self) -> Iterable[Make]:
        """Whoever was not taken in comes back to the group that sent it."""
        for ticket, ending in self.ends.items():
            key = OperatorKey(self.world.moved(ticket).operator_key)
            for prefix in self.world.live():
                if key in self.world.states[prefix].away:
                    yield partial(self.readmit, key, prefix, ending)

    def readmit(self, key: OperatorKey, prefix: str, ending: Hash32) -> bytes:
        return build_readmit(self.world.at(prefix), self.world.chain, self.world, key, ending)

    def returns(self) -> Iterable[Make]:
        """Whoever was removed comes back, or is taken for full again."""
        for prefix in self.world.live():
            for key in self.world.states[prefix].left:
                yield partial(self.come_back, self.world.operator(key), prefix)
            for key in self.world.states[prefix].returning:
                yield partial(self.rejoin, key, prefix)

    def come_back(self, one: Operator, prefix: str) -> bytes:
        verdict = self.latest(one)
        return build_return(self.world.at(prefix), self.world.chain, self.world, one.key, verdict)

    def rejoin(self, key: OperatorKey, prefix: str) -> bytes:
        return build_rejoin(self.world.at(prefix), self.world.chain, key)

    def removals(self) -> Iterable[Make]:
        for prefix in self.world.live():
            for member in self.world.states[prefix].membership.members:
                yield partial(self.remove, member.operator_key, prefix)

    def remove(self, key: bytes, prefix: str) -> bytes:
        state = self.world.at(prefix)
        return build_remove(state, self.world.chain, self.world, key, Removal.SILENT)

    def convictions(self) -> Iterable[Make]:
        for prefix in self.world.live():
            for member in self.world.states[prefix].membership.members:
                yield partial(self.convict, self.world.operator(member.operator_key), prefix)

    def convict(self, one: Operator, prefix: str) -> bytes:
        state = self.world.at(prefix)
        body = build_evidence(state, self.world.chain, [self.world.contradiction(one)])
        state.check_block(body, self.world.chain, self.world)
        return body

    def splits(self) -> Iterable[Make]:
        return (partial(self.split, prefix) for prefix in self.world.live())

    def split(self, prefix: str) -> bytes:
        return build_split(self.world.at(prefix), self.world.chain)

    def merges(self) -> Iterable[Make]:
        """Groups that are too small merge, and the siblings of those that have."""
        for prefix, state in self.world.states.items():
            if state.closed_by is Kind.MERGE and sibling(prefix) in self.world.live():
                yield partial(self.merge, sibling(prefix), self.world.standings[state.head])
            elif not state.is_closed:
                yield partial(self.merge, prefix, None)

    def merge(self, prefix: str, because: Standing | None) -> bytes:
        return build_merge(self.world.at(prefix), self.world.chain, because)

    def wrong(self) -> Iterable[Make]:
        """What nobody should get: any ticket, any end and anybody's return, in any group."""
        for prefix in self.world.live():
            for ticket in self.relocations:
                yield partial(self.admit, ticket, prefix)
                yield partial(self.refuse, ticket, prefix)
                yield partial(self.expire, ticket, prefix)
            for ticket, ending in self.ends.items():
                key = OperatorKey(self.world.moved(ticket).operator_key)
                yield partial(self.readmit, key, prefix, ending)
                yield partial(self.join, self.world.operator(key), prefix, ending)
            for one in dict.fromkeys(self.enrolled):
                yield partial(self.join, one, prefix, b"")
                yield partial(self.come_back, one, prefix)

    # What is done.

    @rule(choice=CHOICE, shared=st.booleans())
    def enrol(self, choice: int, shared: bool) -> None:
        """Somebody registers, or changes to a place that another has."""
        one = self.pick(choice) if shared else JOINERS[choice % len(JOINERS)]
        again = self.enrolled.count(one)
        if self.world.fitting(registration_home(one.stake_address)) not in self.world.live():
            return
        if shared == bool(again):
            ages = self.ages()
            self.world.enrol(one, sequence=again + 1, ip=self.pick(choice // 7).ip if shared else b"")
            self.enrolled.append(one)
            self.check_ages(ages, {})

    @rule(silent=st.sets(CHOICE, max_size=2), deeds=SOME_DEEDS)
    def hold(self, silent: set[int], deeds: list[tuple[str, int]]) -> None:
        """The next challenge is judged, and more is done while its verdicts are fresh."""
        every = self.world.parameters.challenge_every
        self.seq = max(self.seq + 1, self.world.chain.tip()[0] // every)
        self.world.chain.mine_to(self.seq * every)
        self.world.chain.mine_to(self.world.challenge(self.seq).judged_at)
        ages = self.ages()
        self.world.hold(self.seq, [self.pick(choice) for choice in sorted(silent)])
        self.check_ages(ages, {})
        self.act(deeds)

    @rule(blocks=st.integers(1, 12))
    def grow(self, blocks: int) -> None:
        self.world.chain.mine_to(self.world.chain.tip()[0] + blocks)

    @rule(blocks=st.integers(1, 3), deeds=SOME_DEEDS)
    def go_on(self, blocks: int, deeds: list[tuple[str, int]]) -> None:
        """A little later, when tickets may be taken."""
        self.grow(blocks)
        self.act(deeds)

    def act(self, deeds: list[tuple[str, int]]) -> None:
        """One after the other is proposed, of what there is at that moment."""
        for name, choice in deeds:
            possible = list(getattr(self, name)())
            if possible:
                self.attempt(possible[choice % len(possible)])

    # What always holds.

    def everybody(self) -> list[OperatorKey]:
        return [one.key for one in self.world.everybody]

    def seats(self, key: OperatorKey) -> list[str]:
        """Every place where an operator could say that its seat is."""
        found = []
        for prefix, state in self.world.states.items():
            if key in state.membership:
                found.append(f"member of {prefix!r}")
            if key in state.left:
                found.append(f"left {prefix!r}")
            away = state.away.get(key)
            ended = self.ends.get(away.ticket) if away else None
            taken_in = ended and isinstance(self.world.standings[ended].payload, AdmitPayload)
            if away and not taken_in:
                found.append(f"away from {prefix!r}")
        if not any(key in state.granted for state in self.world.states.values()):
            found.append("at home")
        return found

    def age(self, key: OperatorKey) -> int:
        """The age that goes with an operator's seat; a return costs half of it at once."""
        for state in self.world.states.values():
            member = state.membership.get(key)
            if member is not None:
                is_back = is_returning(state, key, self.world.chain.tip()[0] - self.world.parameters.burial)
                return age_after_return(state.returning[key].age) if is_back else member.age
            if key in state.left:
                return state.left[key].age
        return max(
            (
                (state.away[key].stamp_height, state.away[key].age)
                for state in self.world.states.values()
                if key in state.away
            ),
            default=(0, 0),
        )[1]

    def ages(self) -> dict[bytes, int]:
        return {key: self.age(key) for key in self.everybody()}

    def check_ages(self, before: dict[bytes, int], changed: dict[bytes, int]) -> None:
        """Assert that nobody's age is another than it was, but for those of the last block, or a lapse."""
        for key in self.everybody():
            expected, age = changed.get(key, before[key]), self.age(key)
            assert age == expected or (age == 0 and self.has_lapsed(key)), (age, expected, self.seats(key))

    def has_lapsed(self, key: OperatorKey) -> bool:
        stamp = self.world.chain.tip()[0] - self.world.parameters.burial
        return any(
            key in state.returning and not is_returning(state, key, stamp)
            for state in self.world.states.values()
        )

    @invariant()
    def an_operator_has_one_seat(self) -> None:
        for key in self.everybody():
            seats = self.seats(key)
            assert len(seats) == 1, (key.hex()[:16], seats)

    @invariant()
    def no_two_members_of_a_group_share_a_slot(self) -> None:
        for state in self.world.states.values():
            if not state.is_closed:
                slots = list(slots_of(state, state.stamp_height).values())
                assert len(slots) == len(set(slots))

    @invariant()
    def a_group_has_a_voter_and_members_where_their_names_fall(self) -> None:
        for state in self.world.states.values():
            assert len(state.electorate) > 0
            assert all(state.covers(member.name) for member in state.membership.members)
            assert set(state.events) <= {member.operator_key for member in state.membership.members}
            assert all(state.covers(left.name) for left in state.left.values())
            assert all(state.covers(away.name) for away in state.away.values())

    def teardown(self) -> None:
        """Assert that a newcomer comes to the same states from the genesis file and the blocks alone."""
        whole = DataChain.from_genesis(self.world.genesis)
        states = {"": whole}
        for data in self.world.blocks:
            certified = decode_certified(data)
            block = decode_block(certified.block)
            states[block.prefix] = after = states[block.prefix].apply(certified, self.world.chain, self.world)
            if after.closed_by is Kind.SPLIT:
                del states[block.prefix]
                states |= {child.prefix: child for child in children(after)}
            elif after.closed_by is Kind.MERGE:
                pair = [states.get(block.prefix[:-1] + bit) for bit in "01"]
                if all(half is not None and half.closed_by is Kind.MERGE for half in pair):
                    zero, one = (half for half in pair if half is not None)
                    del states[zero.prefix], states[one.prefix]
                    states[block.prefix[:-1]] = united(zero, one)
        assert states == self.world.states


TestSeats = Seats.TestCase
TestSeats.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
