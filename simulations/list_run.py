"""The whole network's agreement on one payout list, on a virtual clock.

Answers for: some voters are machines, each with links of its own that lose and delay; every other honest
voter hears what one of them hears, and says in its own name and with its own signature what that one says, a
little later; less than a third may be dishonest. A run ends when every machine has a certified list. The same
seed and options give the same trace, to the byte. How a list is agreed on is `protocol.group.consensus`'
business.
Spec: `spec/simulation.md`.
"""

import random
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from functools import partial

from protocol.codec import encode
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import ProtocolError
from protocol.group.certificate import Certificate
from protocol.group.vote import Proposal, Vote, decode_statement, vote_body
from protocol.node.messages import pack_signed, unpack
from protocol.payout.list_certificate import compact_certificate
from simulations.list_doubles import Doubles
from simulations.list_electorate import Election, hold_election
from simulations.list_options import Dishonesty, ListOptions
from simulations.list_voter import TOPIC, Address, Machine
from simulations.network import Network
from simulations.scheduler import Scheduler
from simulations.sharing import shared_work
from simulations.trace import FaultCounts, Trace

ACTIONS_MAX = 100_000_000


@dataclass(frozen=True, slots=True)
class ListOutcome:
    """What came of one run. A voter's figures are the mean over the machines, rounded down."""

    voters: int
    machines: int
    dishonest: int
    decided: int
    """Machines that have a certified list."""
    values: int
    """Different lists among them."""
    rounds: int
    """Until the last one has it."""
    took_file: int
    """Machines that have missed the decision and have it from another one."""
    statements: int
    """Different ones, of all voters."""
    heard_messages: int
    """By one voter, each once."""
    heard_bytes: int
    kept_bytes: int
    """The most that one voter's ballot holds in its record."""
    refused: int
    accused: int
    """Voters against whom there is proof."""
    signatures: int
    """In the largest certificate."""
    certificate_bytes: int
    compact_bytes: int
    """The same, as list files hold it."""
    header_bytes: int
    """Of a proposal's value."""
    file_bytes: int
    """Of the list file, certificate included."""
    violations: int
    """Certificates and lists that a wallet refuses."""
    lost: int
    virtual_seconds: float
    cpu_seconds: float
    trace_hash: str

    @property
    def is_agreed(self) -> bool:
        """Whether every machine has the one certified list, and a wallet takes it."""
        return self.decided == self.machines and self.values == 1 and not self.violations

    def as_dict(self) -> dict[str, object]:
        """Return the figures by name."""
        return asdict(self)

    def at_once(self) -> tuple[object, ...]:
        """Return everything but the time that the run took: the same for the same seed."""
        return tuple(getattr(self, one.name) for one in fields(self) if one.name != "cpu_seconds")


class ListRun:
    """The actors of one run."""

    def __init__(self, seed: int, options: ListOptions) -> None:
        self.options = options
        self._rng = rng = random.Random(seed)
        self.election: Election = hold_election(seed, options, rng)
        self._scheduler = Scheduler(ACTIONS_MAX)
        self._trace, self._counts = Trace(), FaultCounts()
        self._network = Network(options, rng, self._scheduler, self._trace, self._counts)
        self._followers = self.election.followers
        self.machines: dict[int, Machine] = {}
        for number in range(options.voters):
            self._network.join(self._party(number))
        self._doubles: Doubles | None = None
        if options.dishonesty is Dishonesty.EQUIVOCATING:
            around = rng, self._scheduler, self._network, self._publish
            self._doubles = Doubles(self.election, options, *around)
        self._round = -1
        """The highest one to which a machine has come."""
        self._said: dict[bytes, None] = {}
        self._echoes: dict[bytes, bytes] = {}
        """By the body of a vote: its envelope, for when it is said again."""
        self._has_decided = False
        self.refusals: list[str] = []
        """What a wallet says of lists that it does not take."""

    def _party(self, number: int) -> Address:
        if number not in self._followers:
            return Address(number, self.election.key(number))
        machine = Machine(number, self.election, self.options.round_ms, self._say)
        self.machines[number] = machine
        return machine

    def run(self) -> ListOutcome:
        """Run to the end."""
        began = time.process_time()
        for number, machine in self.machines.items():
            self._network.subscribe(number, TOPIC)
            value = self._rng.choice(self.election.values)
            self._scheduler.after(
                self._rng.randint(0, self.options.ready_max_ms), partial(self._begin, machine, value)
            )
        self._scheduler.after(self.options.heal_ms, self._network.heal)
        while not self._is_over():
            self._scheduler.run_until(self._scheduler.now_ms + self.options.tick_ms)
            self._look()
        return self._outcome(time.process_time() - began)

    def _is_over(self) -> bool:
        everybody = all(machine.decided for machine in self.machines.values())
        return everybody or self._scheduler.now_ms >= self.options.longest_ms

    def _begin(self, machine: Machine, value: bytes) -> None:
        machine.offer(value, self._scheduler.now_ms)
        self._tick(machine)

    def _tick(self, machine: Machine) -> None:
        if machine.decided is None:
            machine.tick(self._scheduler.now_ms)
            self._scheduler.after(self.options.tick_ms, partial(self._tick, machine))

    def _look(self) -> None:
        """Tell the dishonest of a new round, and those who have missed the decision of the file."""
        for machine in self.machines.values():
            while self._round < machine.round:
                self._round += 1
                if self._doubles is not None:
                    self._doubles.on_round(self._round)
        made = next((machine.decided for machine in self.machines.values() if machine.decided), None)
        if made is not None and not self._has_decided:
            self._has_decided = True
            self._scheduler.after(self.options.file_after_ms, partial(self._hand_over, *made))

    def _hand_over(self, value: bytes, certificate: Certificate) -> None:
        """Let those who have not decided take the file."""
        for machine in self.machines.values():
            if machine.decided is None:
                machine.take_file(value, certificate)

    # What is said.

    def _say(self, number: int, data: bytes) -> None:
        """Publish what a machine says, and let its followers say the same."""
        self._publish(number, data)
        _, envelope = unpack(data)
        statement = decode_statement(envelope[SIGNATURE_SIZE:])
        if isinstance(statement, Proposal):
            if self._doubles is not None:
                self._doubles.on_proposal(statement)
        elif statement.voter == self.machines[number].key:
            for follower in self._followers[number]:
                behind = self._rng.randint(0, self.options.behind_max_ms)
                self._scheduler.after(behind, partial(self._follow, follower, statement))

    def _follow(self, follower: int, vote: Vote) -> None:
        body = vote_body(vote.slot, vote.block_hash, self.election.key(follower))
        envelope = self._echoes.get(body)
        if envelope is None:
            envelope = self._echoes[body] = self.election.signers[follower].sign(body)
        self._publish(follower, pack_signed(envelope))

    def _publish(self, number: int, data: bytes) -> None:
        self._said[data] = None
        self._network.publish(number, TOPIC, data)

    # What came of it.

    def _outcome(self, cpu_seconds: float) -> ListOutcome:
        machines = self.machines.values()
        decided = [machine.decided for machine in machines if machine.decided is not None]
        for value, certificate in decided:
            self._verify(value, certificate)
        certificates = [certificate for _, certificate in decided]
        compact = [compact_certificate(one, self.election.electorate) for one in certificates]
        return ListOutcome(
            voters=self.options.voters,
            machines=len(self.machines),
            dishonest=len(self.election.dishonest),
            decided=len(decided),
            values=len({value for value, _ in decided}),
            rounds=1 + max(self._round, *(machine.round for machine in machines)),
            took_file=sum(machine.took_file for machine in machines),
            statements=len(self._said),
            heard_messages=_mean(len(machine.heard) for machine in machines),
            heard_bytes=_mean(sum(map(len, machine.heard)) for machine in machines),
            kept_bytes=max(machine.kept_most for machine in machines),
            refused=sum(machine.refused for machine in machines),
            accused=len(
                {
                    decode_statement(proof.first[SIGNATURE_SIZE:]).signer
                    for machine in machines
                    for proof in machine.accused
                }
            ),
            signatures=max((len(one.signatures) for one in certificates), default=0),
            certificate_bytes=max((len(encode(one)) for one in certificates), default=0),
            compact_bytes=max((len(encode(one)) for one in compact), default=0),
            header_bytes=max(map(len, self.election.values)),
            file_bytes=max((len(self.election.file(*one)) for one in decided), default=0),
            violations=len(self.refusals),
            lost=self._counts.lost,
            virtual_seconds=self._scheduler.now_ms / 1_000,
            cpu_seconds=round(cpu_seconds, 2),
            trace_hash=self._trace.digest().hex(),
        )

    def _verify(self, value: bytes, certificate: Certificate) -> None:
        try:
            self.election.check_file(value, certificate)
        except ProtocolError as error:
            self.refusals.append(str(error))


def _mean(counts: Iterable[int]) -> int:
    """Return the mean of some counts, rounded down."""
    listed = list(counts)
    return sum(listed) // len(listed)


def run_list(seed: int, options: ListOptions) -> ListOutcome:
    """Run one list."""
    with shared_work():
        return ListRun(seed, options).run()
