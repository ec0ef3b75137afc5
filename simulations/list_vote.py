"""The whole network's voters agree on one payout list: real machines for some, real votes of all.

Answers for: a sample of voters runs the consensus machine with its ballot, computes the list itself and
checks every signature; every other honest voter signs, after a while of its own, what the machine beside it
signed; some are absent, maybe the first proposers too, some lie. Spec: `spec/simulation.md`.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import partial

from protocol.codec import encode, replace
from protocol.crypto import SIGNATURE_SIZE, Signer, sha3_256
from protocol.errors import ProtocolError
from protocol.genesis import encode_genesis
from protocol.group.certificate import Certificate
from protocol.group.consensus import Consensus
from protocol.group.membership import genesis_membership
from protocol.group.proposer import proposer_order
from protocol.group.vote import LIST_ELECTORATE, NIL, Vote, decode_statement
from protocol.group.vote_guard import VoteGuard
from protocol.node.ballot import Ballot
from protocol.node.effects import Effect, Incoming, Publish
from protocol.node.lister import LIST_ROUND_FACTOR
from protocol.node.messages import pack_signed
from protocol.payout.light import trust_from_genesis, verify_list
from protocol.payout.list_certificate import compact_certificate
from protocol.payout.list_file import encode_list_file
from protocol.payout.payout_list import check_list, first_state, propose_list
from protocol.units import OperatorKey
from simulations.list_source import PARAMETERS, PERIOD, Judgements, founded, grown, signer_of
from simulations.network import Network
from simulations.options import Fault, Options
from simulations.scheduler import Scheduler
from simulations.sharing import shared_work
from simulations.trace import FaultCounts, Trace

TOPIC = "list"
PROPOSERS = 12
"""Rounds whose proposers are among the machines; no run needs more."""
LATE_PROPOSERS_MAX = 2
"""Of the first proposers so many may be absent, so that their rounds are lost."""
TICK_MS = 250
FETCH_MS = 5_000
"""After this time a voter whom too many votes have missed asks another one for the certified list."""
ACTIONS_MAX = 50_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOptions(Options):
    """One ballot on a list. Times are virtual milliseconds, shares are of the voters."""

    voters: int = 5_000
    machines: int = 20
    absent_share: float = 0.15
    lying_share: float = 0.1
    """Vote for something else, or tell one half this and the other half that."""
    faults: frozenset[Fault] = frozenset({Fault.LOSS, Fault.DELAY, Fault.REORDERING})
    loss_probability: float = 0.01
    latency_min_ms: int = 20
    latency_max_ms: int = 800
    delay_max_ms: int = 6_000
    thinking_max_ms: int = 1_500
    """How much later than the machine beside it a voter signs."""
    patience_ms: int = 1_800_000


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """What came of a ballot."""

    voters: int
    machines: int
    decided: int
    """Machines that have the certified list."""
    fetched: int
    """Of them: had it from another one."""
    round: int
    """In which the list was certified; counted from 0."""
    votes: int
    """Signed votes, of everybody."""
    bytes_heard: int
    """By one machine, on the average."""
    file_bytes: int
    """Of the list file, certificate included."""
    virtual_ms: int
    violations: tuple[str, ...]
    trace: bytes

    @property
    def clean(self) -> bool:
        """Whether every machine decided, and no law was broken."""
        return not self.violations and self.decided == self.machines

    def as_json(self, seconds: float) -> str:
        """Return the one line; `seconds` is what it took."""
        figures = {field.name: getattr(self, field.name) for field in fields(self)}
        figures |= {"violations": len(self.violations), "seconds": round(seconds, 1)}
        figures["trace_hash"] = figures.pop("trace").hex()
        return json.dumps(figures)


class Machine:
    """One voter with all its rules; a party of the network."""

    def __init__(self, number: int, signer: Signer, place: "ListVote") -> None:
        self.number = number
        self.signer = signer
        self.heard_bytes = 0
        self.decided: tuple[bytes, Certificate] | None = None
        self.has_fetched = False
        self._place = place
        consensus = Consensus(
            place.network_id,
            LIST_ELECTORATE,
            place.electorate,
            PERIOD,
            signer.operator_key,
            PARAMETERS.round_milliseconds * LIST_ROUND_FACTOR,
            place.is_valid,
            {},
        )
        self._ballot = Ballot(consensus, signer, VoteGuard(), TOPIC, b"")

    @property
    def key(self) -> OperatorKey:
        """The operator's key."""
        return self.signer.operator_key

    @property
    def ip(self) -> bytes:
        """An address of its own."""
        return self.number.to_bytes(4, "big")

    @property
    def is_up(self) -> bool:
        """It never crashes."""
        return True

    def start(self, value: bytes) -> None:
        """Have the list to propose from now on."""
        self._release(self._ballot.restore([], self._place.scheduler.now_ms))
        self._release(self._ballot.offer(value, self._place.scheduler.now_ms))
        self._place.scheduler.after(TICK_MS, self._tick)

    def hear(self, incoming: Incoming) -> None:
        """Take a vote or a proposal of anybody."""
        self.heard_bytes += len(incoming.data)
        envelope = incoming.data[1:]
        try:
            statement = decode_statement(envelope[SIGNATURE_SIZE:])
            self._release(self._ballot.receive(envelope, statement, self._place.scheduler.now_ms))
        except ProtocolError as error:
            self._place.refused(self.number, error)

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        """Nobody asks."""
        raise NotImplementedError

    def _tick(self) -> None:
        if self.decided is None:
            self._release(self._ballot.tick(self._place.scheduler.now_ms))
            self._place.scheduler.after(TICK_MS, self._tick)

    def fetch(self, decided: tuple[bytes, Certificate], file_bytes: int) -> None:
        """Take the list from another machine, if the votes have not brought it; a wallet checks it later."""
        if self.decided is None:
            self.decided, self.has_fetched = decided, True
            self.heard_bytes += file_bytes

    def _release(self, effects: Sequence[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Publish):
                self._place.network.publish(self.number, TOPIC, effect.data)
                self._place.crowd.follow(self.number, effect.data)
        if self.decided is None and self._ballot.decided is not None:
            self.decided = self._ballot.decided
            self._place.scheduler.after(FETCH_MS, self._hand_out)

    def _hand_out(self) -> None:
        """Let others have the list: statuses say that it is here, and they ask."""
        assert self.decided is not None
        size = self._place.file_size(self.decided[1])
        for machine in self._place.machines:
            machine.fetch(self.decided, size)


class Crowd:
    """All other voters; together one party of the network, that only speaks."""

    def __init__(
        self, number: int, place: "ListVote", signers: Sequence[Signer], options: ListOptions
    ) -> None:
        self.number = number
        self.votes = 0
        self._place = place
        self._rng = place.rng
        self._thinking_ms = options.thinking_max_ms
        absent = int(len(signers) * options.absent_share)
        lying = int(len(signers) * options.lying_share)
        drawn = place.rng.sample(list(signers), len(signers))
        self._beside: dict[int, list[tuple[Signer, bool]]] = {at: [] for at in range(options.machines)}
        for at, signer in enumerate(drawn[absent:]):
            self._beside[at % options.machines].append((signer, at < lying))
        self._followed: dict[bytes, None] = {}

    key = OperatorKey(bytes(32))
    ip = bytes(4)
    is_up = True

    def hear(self, incoming: Incoming) -> None:
        """The machines hear for everybody."""

    def answer_probe(self, peer: OperatorKey, data: bytes) -> bytes:
        """Nobody asks."""
        raise NotImplementedError

    def follow(self, machine: int, data: bytes) -> None:
        """Let those beside a machine vote as it did, each once and after a while."""
        said = decode_statement(data[1 + SIGNATURE_SIZE :])
        if not isinstance(said, Vote) or data in self._followed:
            return
        self._followed[data] = None
        for signer, lies in self._beside[machine]:
            delay = self._rng.randint(1, self._thinking_ms)
            self._place.scheduler.after(delay, partial(self._lie if lies else self._vote, signer, said))

    def _vote(self, signer: Signer, said: Vote) -> None:
        self._place.network.publish(self.number, TOPIC, self._signed(signer, said))

    def _lie(self, signer: Signer, said: Vote) -> None:
        """Vote for something else; now and then tell half of them the one and half the other."""
        other = replace(said, block_hash=self._rng.choice((NIL, sha3_256(b"another list"))))
        forged = self._signed(signer, other)
        honest = self._signed(signer, said) if self._rng.random() < 0.5 else forged
        for receiver in self._place.network.listeners(TOPIC):
            told = honest if self._rng.random() < 0.5 else forged
            self._place.network.transmit(self.number, receiver, TOPIC, told)

    def _signed(self, signer: Signer, vote: Vote) -> bytes:
        self.votes += 1
        return pack_signed(signer.sign(encode(replace(vote, voter=signer.operator_key))))


class ListVote:
    """The actors of one ballot."""

    def __init__(self, seed: int, options: ListOptions) -> None:
        self.options = options
        self.rng = random.Random(seed)
        self.scheduler, self.trace = Scheduler(ACTIONS_MAX), Trace()
        self.chain = grown()
        signers = [signer_of(number) for number in range(options.voters)]
        first = self.chain.block_hash(0)
        assert first is not None
        self.genesis = founded(seed, signers, first)
        self.source = Judgements.of(self.genesis, self.chain)
        self.state = first_state(self.genesis)
        self.network_id = self.state.network
        self.electorate = genesis_membership(self.genesis).voters()
        self.ours = propose_list(self.genesis, self.state, self.source, self.chain)
        self.network = Network(options, self.rng, self.scheduler, self.trace, FaultCounts())
        order = proposer_order(self.network_id, LIST_ELECTORATE, self.electorate, PERIOD)
        late = self.rng.randint(0, LATE_PROPOSERS_MAX)
        early = dict.fromkeys(order[late : late + min(PROPOSERS, options.machines)])
        by_key = {signer.operator_key: signer for signer in signers}
        others = [key for key in by_key if key not in early]
        chosen = [*early, *self.rng.sample(others, options.machines - len(early))]
        self.machines = [Machine(number, by_key[key], self) for number, key in enumerate(chosen)]
        gone = {*chosen, *order[:late]}
        rest = [signer for key, signer in by_key.items() if key not in gone]
        self.crowd = Crowd(options.machines, self, rest, options)
        for machine in self.machines:
            self.network.join(machine)
            self.network.subscribe(machine.number, TOPIC)
        self.network.join(self.crowd)
        self._refused: list[str] = []

    def is_valid(self, value: bytes) -> bool:
        """Whether our own blocks and chain give this very list."""
        try:
            check_list(value, self.genesis, self.state, self.source, self.chain)
        except ProtocolError:
            return False
        return True

    def refused(self, number: int, error: ProtocolError) -> None:
        """A machine has refused a statement, though nobody forges here."""
        self._refused.append(f"machine {number} refused a statement: {error}")

    def run(self) -> ListOutcome:
        """Run to the end."""
        value = encode(self.ours.header)
        for machine in self.machines:
            self.scheduler.after(
                self.rng.randint(1, self.options.thinking_max_ms), partial(machine.start, value)
            )
        while self.scheduler.now_ms < self.options.patience_ms and not all(
            machine.decided for machine in self.machines
        ):
            self.scheduler.run_until(self.scheduler.now_ms + TICK_MS)
        return self._outcome(list(self._refused))

    def _outcome(self, violations: list[str]) -> ListOutcome:
        file_bytes, round_ = 0, -1
        decisions = [machine.decided for machine in self.machines if machine.decided is not None]
        if len({value for value, _ in decisions}) > 1:
            violations.append("two lists are certified")
        for decided, certificate in decisions:
            round_ = certificate.round
            file_bytes = self._read(decided, certificate, violations)
        return ListOutcome(
            voters=self.options.voters,
            machines=len(self.machines),
            decided=len(decisions),
            fetched=sum(machine.has_fetched for machine in self.machines),
            round=round_,
            votes=self.crowd.votes,
            bytes_heard=sum(machine.heard_bytes for machine in self.machines) // len(self.machines),
            file_bytes=file_bytes,
            virtual_ms=self.scheduler.now_ms,
            violations=tuple(violations),
            trace=self.trace.digest(),
        )

    def file_size(self, certificate: Certificate) -> int:
        """Return the bytes of the list file."""
        return len(self._file(certificate))

    def _file(self, certificate: Certificate) -> bytes:
        compact = compact_certificate(certificate, self.electorate)
        return encode_list_file(self.ours.header, self.ours.entries, self.ours.members, compact)

    def _read(self, value: bytes, certificate: Certificate, violations: list[str]) -> int:
        """Let a wallet verify a machine's list from files; return the size of its file."""
        file = self._file(certificate)
        if value != encode(self.ours.header):
            violations.append("another list than the rules give is certified")
        try:
            verify_list(file, trust_from_genesis(encode_genesis(self.genesis)))
        except ProtocolError as error:
            violations.append(f"a wallet refuses the list: {error}")
        return len(file)


def vote_on_list(seed: int, options: ListOptions) -> ListOutcome:
    """Run one ballot."""
    with shared_work():
        return ListVote(seed, options).run()
