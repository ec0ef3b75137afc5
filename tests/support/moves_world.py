"""Two groups whose members come, move and go: a network above its least group sizes, with joiners to come.

It is what one node holds of both data chains, and it plays everybody: joiners search their nonces, voters
certify whatever the rules allow.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from types import MappingProxyType

from protocol.codec import replace as replace_fields
from protocol.genesis import Genesis
from protocol.group.blockmaker import build_register
from protocol.group.data_block import (
    RelocatePayload,
    Removal,
    VerdictPayload,
    block_hash,
    decode_block,
)
from protocol.group.data_chain import DataChain
from protocol.group.elsewhere import Around
from protocol.group.entropy import entropy_height
from protocol.group.join_proof import JoinProver
from protocol.group.kinds.registers import take_up
from protocol.group.membership import Member, genesis_membership
from protocol.group.movemaker import (
    build_admit,
    build_expire,
    build_join,
    build_refuse,
    build_relocate,
    build_remove,
)
from protocol.group.name import home_draw, matches
from protocol.parameters import DEVNET, Parameters
from protocol.tracking.registration import (
    Registration,
    build_deregistration,
    check_registration,
    registration_home,
)
from protocol.tracking.verdict import Registrations
from protocol.units import Hash32
from tests.support.founding import founded_by
from tests.support.group_world import SEQ
from tests.support.groups_world import Groups
from tests.support.operators import Operator, operator, staked_chain

PARAMETERS = replace_fields(DEVNET, group_size=3, join_proof_bits=2)
JOINERS = tuple(operator(1_000 + number) for number in range(8))
NONCE_TRIES = 1_000


@cache
def founding(
    halves: tuple[int, int], parameters: Parameters, age: int, bystanders: tuple[Operator, ...]
) -> tuple[Genesis, tuple[Operator, ...]]:
    """Return a genesis of so many founders whose names begin with 0, and with 1; and the founders."""
    for attempt in range(200):
        numbers = range(attempt * 100, attempt * 100 + sum(halves))
        founders = tuple(sorted(map(operator, numbers), key=lambda one: one.key))
        genesis = founded_by(founders, bystanders=bystanders, parameters=parameters, age=age)
        members = genesis_membership(genesis).members
        keys = {one.key for one in founders}
        zeros = sum(matches("0", member.name) for member in members if member.operator_key in keys)
        if zeros == halves[0]:
            return genesis, founders
    raise AssertionError(f"no founders whose names fall {halves}")


@dataclass
class Moves(Groups):
    """Groups 0 and 1 of one network, or the one group of a network that has not split."""

    tip: int = 14
    halves: tuple[int, int] = (5, 5)
    is_split: bool = True
    parameters: Parameters = PARAMETERS
    age: int = 1
    """Of the founders."""
    bystanders: tuple[Operator, ...] = ()
    """Founders without a registration, besides."""

    def __post_init__(self) -> None:
        self.genesis, self.founders = founding(self.halves, self.parameters, self.age, self.bystanders)
        self.chain = staked_chain(self.everybody, self.tip)
        self._begin(DataChain.from_genesis(self.genesis))
        if self.is_split:
            self.split()

    @property
    def everybody(self) -> tuple[Operator, ...]:
        return tuple(sorted((*self.founders, *self.bystanders, *JOINERS), key=lambda one: one.key))

    def operator(self, key: bytes) -> Operator:
        return next(one for one in self.everybody if one.key == key)

    def fitting(self, name: bytes) -> str:
        """The group to which a name falls."""
        return next(prefix for prefix in self.states if matches(prefix, name))

    def seated(self, key: bytes) -> str:
        """The group of which an operator is a member."""
        return next(prefix for prefix, state in self.states.items() if key in state.membership)

    def live(self) -> list[str]:
        """The groups that can certify something."""
        return [prefix for prefix, state in sorted(self.states.items()) if not state.is_closed]

    def home(self, one: Operator) -> str:
        return self.fitting(home_draw(one.key))

    def settle(self, body: bytes) -> Hash32:
        """Advance by a block and the LINK blocks that are due then; return the block's hash."""
        self.advance(body)
        self.settle_links(decode_block(body).prefix)
        return block_hash(body)

    def settle_links(self, prefix: str) -> None:
        while self.states[prefix].link_due:
            self.link(prefix)

    def enrol(self, one: Operator, sequence: int = 1, ip: bytes = b"") -> None:
        """Let an operator's registration stand in the chain of its stake's home."""
        prefix = self.fitting(registration_home(one.stake_address))
        envelope = one.envelope(sequence, network=self.network, ip=ip)
        self.settle(build_register(self.at(prefix), self.chain, [envelope], []))

    def registered(self, one: Operator, sequence: int, ip: bytes = b"") -> Registration:
        """An operator's registration, checked."""
        envelope = one.envelope(sequence, network=self.network, ip=ip)
        return check_registration(envelope, self.network, self.genesis.chain, self.parameters)

    def strike_off(self, one: Operator, sequence: int = 2) -> None:
        """Let an operator's deregistration stand in the chain of its stake's home."""
        data = build_deregistration(
            one.sign_text,
            network=self.network,
            operator_key=one.key,
            stake_address=one.stake_address,
            stake_sequence=sequence,
        )
        prefix = self.fitting(registration_home(one.stake_address))
        self.settle(build_register(self.at(prefix), self.chain, [], [data]))

    def untaken(self, prefix: str) -> list[Hash32]:
        """The REGISTER blocks of the other groups that a group has still to take up."""
        read = self.states[prefix].read
        others = sorted({place[0] for place in self.past} - {prefix})
        return [one.block_hash for other in others for one in self.registers(other, read.get(other, 0))]

    def registrations(self, seq: int) -> Registrations:
        """Whom the group judges, when it has taken up what others registered."""
        book, _ = take_up(self.state, self.untaken(self.state.prefix), Around(self.chain, self))
        return self.state.judging(self.challenge(seq), book).registrations

    def judge(
        self,
        prefix: str,
        seq: int = SEQ,
        registers: Iterable[bytes] = (),
        silent: Iterable[Operator] = (),
    ) -> None:
        """Let a group judge a challenge, having taken up what others registered, and make its links."""
        self.at(prefix)
        super().judge(prefix, seq, tuple(registers) or self.untaken(prefix), silent)
        self.settle_links(prefix)

    def hold(self, seq: int, silent: Sequence[Operator] = ()) -> None:
        """Let all groups judge a challenge, and the chain grow until its entropy is buried."""
        for prefix in self.live():
            self.chain.mine_to(seq * self.parameters.challenge_every)
            self.judge(prefix, seq, silent=silent)
        self.bury_entropy(seq)

    def bury(self, height: int) -> None:
        """Let the chain grow until a block may stamp a height."""
        self.chain.mine_to(height + self.parameters.burial)

    def bury_entropy(self, seq: int) -> None:
        self.bury(entropy_height(seq, self.parameters))

    def verdict_on(self, one: Operator, seq: int) -> Hash32:
        """The VERDICT block that speaks of an operator."""
        for standing in self.standings.values():
            said = standing.payload
            if not isinstance(said, VerdictPayload) or said.seq != seq:
                continue
            if any(verdict.operator_key == one.key for verdict in said.verdicts):
                return standing.block_hash
        raise AssertionError(f"no verdict on operator {one.number}")

    def join(self, one: Operator, seq: int, ending: bytes = b"") -> Hash32:
        """Let an operator's home group give it a ticket."""
        verdict = self.verdict_on(one, seq)
        return self.settle(build_join(self.at(self.home(one)), self.chain, self, one.key, verdict, ending))

    def newcomer(self, one: Operator, seq: int) -> str:
        """Let an operator register before challenge `seq` and come in after it; return its group."""
        self.enrol(one)
        self.hold(seq)
        return self.admit(self.join(one, seq))

    def relocate(self, prefix: str) -> Hash32:
        """Let the one move whose turn it is."""
        return self.settle(build_relocate(self.at(prefix), self.chain))

    def admit(self, ticket: Hash32) -> str:
        """Let the holder of a ticket come in with its join proof; return its group."""
        self.bury(self.standings[ticket].block.stamp_height + 1)
        prefix = self.fitting(self.moved(ticket).name)
        self.settle(build_admit(self.at(prefix), self.chain, self, ticket, self.nonce(ticket)))
        return prefix

    def refuse(self, ticket: Hash32) -> Hash32:
        self.bury(self.standings[ticket].block.stamp_height + 1)
        prefix = self.fitting(self.moved(ticket).name)
        return self.settle(build_refuse(self.at(prefix), self.chain, self, ticket))

    def expire(self, ticket: Hash32) -> Hash32:
        """Let the chain grow until a ticket has expired, and its end be certified."""
        sent = self.standings[ticket].block
        self.bury(sent.stamp_height + self.parameters.relocation_pending + 1)
        prefix = self.fitting(self.moved(ticket).name)
        return self.settle(build_expire(self.at(prefix), self.chain, self, ticket))

    def remove(self, one: Operator, reason: Removal = Removal.SILENT, proofs: Iterable[bytes] = ()) -> Hash32:
        """Let an operator's group remove it."""
        state = self.at(self.seated(one.key))
        return self.settle(build_remove(state, self.chain, self, one.key, reason, proofs))

    def reduce(self, prefix: str, count: int) -> None:
        """Let a group lose voters until it has so many members."""
        while len(self.states[prefix].membership) > count:
            self.remove(self.voters(prefix)[-1])

    def give_events(self, one: Operator, count: int) -> str:
        """Let a member have seen so many counted events; return its group."""
        prefix = self.seated(one.key)
        state = self.states[prefix]
        events = MappingProxyType({**state.events, one.key: count})
        self.states[prefix] = replace(state, events=events)
        return prefix

    def member(self, one: Operator) -> Member:
        found = self.states[self.seated(one.key)].membership.get(one.key)
        assert found is not None
        return found

    def moved(self, ticket: bytes) -> RelocatePayload:
        payload = self.standings[Hash32(ticket)].payload
        assert isinstance(payload, RelocatePayload)
        return payload

    def nonce(self, ticket: bytes) -> int:
        """The join proof of a ticket's holder."""
        prover = JoinProver(self.moved(ticket).operator_key, ticket, self.parameters.join_proof_bits)
        found = prover.search(NONCE_TRIES)
        assert found is not None
        return found
