"""Consensus as readable transcripts: who says what, and why a lock holds or yields.

Voters are named by the round in which they propose first: n0 proposes in round 0.
"""

import pytest

from protocol.group.consensus import Consensus
from protocol.group.proposer import proposer_order
from protocol.group.vote import Phase, Proposal, Statement, Vote, check_signed, value_hash
from tests.support.ballot_replica import HEIGHT, NAME, NETWORK, SIGNERS, Certified, Effects, Replica
from tests.support.ballots import BallotNetwork
from tests.support.transcripts import TRANSCRIPTS, check_transcript

PHASES = {"prevote": Phase.PREVOTE, "precommit": Phase.PRECOMMIT}
VALUES = {value_hash(letter.encode()): letter for letter in "ABCDE"} | {b"": "nothing"}


class Told(BallotNetwork):
    """A ballot network that tells what its replicas let out."""

    def __init__(self, ages: list[int], dishonest: list[int]) -> None:
        self.lines: list[str] = []
        super().__init__(ages, dishonest)
        order = proposer_order(NETWORK, NAME, self.electorate, HEIGHT)
        self.order = [next(n for n, s in enumerate(SIGNERS) if s.operator_key == key) for key in order]

    def name(self, key: bytes) -> str:
        number = next(n for n, s in enumerate(SIGNERS) if s.operator_key == key)
        return f"n{self.order.index(number)}"

    def finish(self, replica: Replica, effects: Effects, killed_at: int | None = None) -> None:
        accused = len(replica.accusations)
        super().finish(replica, effects, killed_at)
        me = self.name(replica.signer.operator_key)
        for message in effects.sends if killed_at is None else []:
            self.lines.append(f"{me} {self.tell(replica, message, message in effects.envelopes)}")
        if len(replica.accusations) > accused:
            self.lines.append(f"{me} has proof that somebody contradicts itself")

    def tell(self, replica: Replica, message: bytes | Certified, fresh: bool) -> str:
        if not isinstance(message, bytes):
            value, certificate = message
            share = f"{len(certificate.signatures)} of {len(self.electorate)}"
            return f"shows the certificate of {value.decode()}: round {certificate.round}, {share}"
        statement = check_signed(message, NETWORK)
        what = describe(statement)
        if statement.signer != replica.signer.operator_key:
            return f"shows: {self.name(statement.signer)} {what}"
        return what if fresh else f"again {what}"


def describe(statement: Statement) -> str:
    if isinstance(statement, Vote):
        verb = "prevotes" if statement.phase is Phase.PREVOTE else "precommits"
        return f"{verb} {VALUES[statement.block_hash]} in round {statement.round}"
    proven = ""
    if statement.valid_round:
        proven = f", valid since round {statement.valid_round - 1} ({len(statement.proof)} prevotes)"
    return f"proposes {statement.value.decode()} in round {statement.round}{proven}"


class Script:
    """The commands of the transcripts."""

    network: Told

    def __call__(self, command: str, arguments: list[str]) -> list[str]:
        getattr(self, f"do_{command}")(*arguments)
        lines, self.network.lines = self.network.lines, []
        return lines

    def _replicas(self, names: str) -> list[Replica]:
        """Replicas named like "n0,n2", or "all" of the honest."""
        if names == "all":
            known = [n for n in self.network.order if n not in self.network.dishonest]
            return [self.network.at(number) for number in known]
        return [self.network.at(self.network.order[int(name[1:])]) for name in names.split(",")]

    def do_voters(self, ages: str, dishonest: str = "") -> None:
        """voters AGES [n3,…]: the ages in the order of proposing, and who is dishonest."""
        count = len(ages.split(","))
        order = Told([1] * count, []).order
        by_place = [int(age) for age in ages.split(",")]
        placed = [by_place[order.index(number)] for number in range(count)]
        guilty = [order[int(name[1:])] for name in dishonest.split(",") if name]
        # Ages do not change who proposes when: the order depends on keys alone.
        self.network = Told(placed, guilty)

    def do_start(self, names: str, value: str = "") -> None:
        """start NAMES [VALUE]: boot, with a value to propose; everything is valid for everybody."""
        for replica in self._replicas(names):
            for letter in "ABCDE":
                self.network.good[replica.number].add(letter.encode())
            self.network.boot(replica, value.encode() or None)

    def do_offer(self, name: str, value: str) -> None:
        """offer NAME VALUE: something to propose arrives."""
        self.network.offer(self._replicas(name)[0], value.encode())

    def do_deliver(self, names: str) -> None:
        """deliver NAMES: everything under way to these, and what follows among them."""
        self.network.deliver_among(replica.number for replica in self._replicas(names))

    def do_lose(self, names: str = "all") -> None:
        """lose [NAMES]: drop everything under way to these."""
        gone = {replica.number for replica in self._replicas(names)}
        self.network.pool = [message for message in self.network.pool if message[0] not in gone]

    def do_pass(self, milliseconds: str, names: str = "all") -> None:
        """pass MS [NAMES]: time passes, and these notice."""
        self.network.now += int(milliseconds)
        for replica in self._replicas(names):
            self.network.tick(replica)

    def do_lie(self, name: str, phase: str, round_: str, value: str, names: str) -> None:
        """lie NAME prevote|precommit ROUND VALUE NAMES: a dishonest vote, to these only."""
        number = self.network.order[int(name[1:])]
        block_hash = next(digest for digest, letter in VALUES.items() if letter == value)
        envelope = self.network.forge_vote(number, PHASES[phase], int(round_), block_hash)
        self.network.send(envelope, [replica.number for replica in self._replicas(names)])

    def do_propose(self, name: str, round_: str, value: str, names: str) -> None:
        """propose NAME ROUND VALUE NAMES: a dishonest proposal, to these only."""
        number = self.network.order[int(name[1:])]
        envelope = self.network.forge_proposal(number, int(round_), value.encode())
        self.network.send(envelope, [replica.number for replica in self._replicas(names)])

    def do_crash(self, names: str, how: str = "") -> None:
        """crash NAMES [wipe]: the process dies; "wipe" takes the store too, never the vote file."""
        for replica in self._replicas(names):
            replica.crash(power=True, wipe=how == "wipe")

    def do_state(self, names: str = "all") -> None:
        """state [NAMES]: where each is."""
        for replica in self._replicas(names):
            self.network.lines.append(f"{self.network.name(replica.signer.operator_key)} {state(replica)}")


def state(replica: Replica) -> str:
    if replica.decision is not None:
        return f"decided {replica.decision[0].decode()}"
    machine = replica.consensus
    if machine is None:
        return "is down"
    if machine.needs_attention is None:
        return "sleeps"
    return f"round {machine.round}, {machine.step.name.lower()}, {locks(machine)}"


def locks(machine: Consensus) -> str:
    spoken = machine.spoken
    locked = f"locked on {VALUES[spoken.locked_hash]} since round {spoken.locked_round}"
    return locked if spoken.locked_hash else "no lock"


@pytest.mark.parametrize("name", sorted(path.name for path in TRANSCRIPTS.glob("consensus_*.txt")))
def test_transcript(name: str) -> None:
    check_transcript(name, Script())


def test_a_transcript_that_says_something_else_fails() -> None:
    script = Script()
    script("voters", ["1,1,1,1"])
    assert script("start", ["n0", "A"]) == ["n0 proposes A in round 0", "n0 prevotes A in round 0"]
    assert isinstance(next(iter(script.network.signed.values())), Proposal)
