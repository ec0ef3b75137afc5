"""A network of consensus instances for one height, in which everything that can go wrong can be made to.

Replicas keep their vote file and their store apart, in the shell's order (vote file, one
write batch, then the network), and can be killed between any two of these steps; the
store may lose what was not synced, or everything. Messages wait in a pool until they are
delivered, dropped or doubled. Dishonest voters have keys and no rules.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from protocol.codec import encode
from protocol.crypto import Signer, envelope_body
from protocol.errors import ProtocolError
from protocol.group.actions import Accuse, Action, Decide, Resend, Sign
from protocol.group.certificate import Certificate, check_certifies
from protocol.group.consensus import Consensus
from protocol.group.quorum import Electorate, Voter
from protocol.group.vote import (
    EquivocationProof,
    Phase,
    Proposal,
    Signed,
    Slot,
    Statement,
    Vote,
    check_signed,
    value_hash,
    vote_body,
)
from protocol.group.vote_guard import VoteGuard
from protocol.units import Hash32

NETWORK = b"\x07" * 32
NAME = "group:"
HEIGHT = 3
BASE_MS = 100
DELAY_MS = 5
TWINS = 100
"""Twins of voter n have the numbers 100 + n and 200 + n."""

SIGNERS = tuple(Signer(bytes([number + 1]) * 32) for number in range(12))
"""The keys of the voters, in the order of their numbers (not sorted)."""

Certified = tuple[bytes, Certificate]


@lru_cache(maxsize=1 << 16)
def read(envelope: bytes) -> Statement:
    """Return the statement in an envelope, its signature checked (once for all who hear it)."""
    return check_signed(envelope, NETWORK)


@dataclass
class Disk:
    """What outlives a crash: the vote file, and the store with a mark up to which it is synced."""

    records: list[tuple[Slot, Hash32]] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    synced: int = 0
    decision: Certified | None = None


@dataclass
class Effects:
    """One batch of what a replica's shell must do: records, then the store, then the network."""

    records: list[tuple[Slot, Hash32]] = field(default_factory=list)
    envelopes: list[bytes] = field(default_factory=list)
    durable: bool = False
    decision: Certified | None = None
    sends: list[bytes | Certified] = field(default_factory=list)

    def steps(self) -> int:
        """How many places there are to be killed at, the end not counted."""
        return len(self.records) + 1 + len(self.sends)


class Replica:
    """One voter that keeps the rules: the machine, its guard, and a disk that outlives both.

    `number` is where messages go; two replicas with one key (twins) are a dishonest voter.
    """

    def __init__(
        self, number: int, signer: Signer, electorate: Electorate, validate: Callable[[bytes], bool]
    ) -> None:
        self.number = number
        self.signer = signer
        self.electorate = electorate
        self.validate = validate
        self.disk = Disk()
        self.guard = VoteGuard()
        self.consensus: Consensus | None = None
        self.accusations: list[EquivocationProof] = []
        self.refused: list[tuple[Statement, ProtocolError]] = []

    @property
    def decision(self) -> Certified | None:
        """What was decided, as the disk has it."""
        return self.disk.decision

    def boot(self, now: int, value: bytes | None = None, *, feed: bool = False) -> Effects:
        """Start from the disk; with `feed` the envelopes come one by one like fresh messages."""
        self.guard = VoteGuard(self.disk.records)
        self.consensus = Consensus(
            NETWORK,
            NAME,
            self.electorate,
            HEIGHT,
            self.signer.operator_key,
            BASE_MS,
            self.validate,
            self.guard.records(),
        )
        effects = Effects()
        if self.disk.decision is not None:
            return effects
        if not feed:
            self._carry(self.consensus.start(now, value, self.disk.envelopes), effects)
            return effects
        self._carry(self.consensus.start(now, value), effects)
        for envelope in list(self.disk.envelopes):
            self._take(read(envelope), envelope, now, effects)
        return effects

    def hear(self, message: bytes | Certified, now: int) -> Effects:
        """Take one message; a decided replica answers with its certificate."""
        effects = Effects()
        if self.disk.decision is not None:
            if isinstance(message, bytes):
                effects.sends.append(self.disk.decision)
            return effects
        assert self.consensus is not None
        if not isinstance(message, bytes):
            effects.decision = message
            check_decision(message, self.electorate)
            return effects
        statement = read(message)
        if self.consensus.wants(statement):
            effects.envelopes.append(message)
            self._take(statement, message, now, effects)
        return effects

    def act(self, actions: list[Action]) -> Effects:
        """Carry out what an input such as a tick asked for."""
        effects = Effects()
        self._carry(actions, effects)
        return effects

    def _take(self, statement: Statement, envelope: bytes, now: int, effects: Effects) -> None:
        assert self.consensus is not None
        try:
            if isinstance(statement, Vote):
                actions = self.consensus.receive_vote(envelope, statement, now)
            else:
                actions = self.consensus.receive_proposal(envelope, statement, now)
        except ProtocolError as error:
            self.refused.append((statement, error))
            if envelope in effects.envelopes:
                effects.envelopes.remove(envelope)
            return
        self._carry(actions, effects)

    def _carry(self, actions: list[Action], effects: Effects) -> None:
        assert self.consensus is not None
        waiting = deque(actions)
        while waiting:
            action = waiting.popleft()
            match action:
                case Sign():
                    if not self.guard.may_sign(action.slot, action.content_hash):
                        continue
                    self.guard.record(action.slot, action.content_hash)
                    envelope = self.signer.sign(action.body)
                    effects.records.append((action.slot, action.content_hash))
                    effects.envelopes.append(envelope)
                    effects.durable = True
                    effects.sends.append(envelope)
                    waiting.extend(self.consensus.signed(envelope))
                case Resend():
                    effects.sends.append(action.envelope)
                case Decide():
                    effects.decision = (action.value, action.certificate)
                    effects.sends.append(effects.decision)
                case Accuse():
                    self.accusations.append(action.proof)

    def commit(self, effects: Effects, killed_at: int | None = None) -> Sequence[bytes | Certified]:
        """Do the steps in the shell's order and return what was sent; `killed_at` steps if it is killed."""
        steps = effects.steps() if killed_at is None else min(killed_at, effects.steps())
        self.disk.records += effects.records[:steps]
        stored = steps > len(effects.records)
        if stored:
            self.disk.envelopes += [
                envelope for envelope in effects.envelopes if envelope not in self.disk.envelopes
            ]
            if effects.durable or effects.decision:
                self.disk.synced = len(self.disk.envelopes)
            self.disk.decision = self.disk.decision or effects.decision
        if killed_at is not None:
            self.consensus = None
        return effects.sends[: max(0, steps - len(effects.records) - 1)]

    def crash(self, *, power: bool = False, wipe: bool = False) -> None:
        """Die. `power` loses what the store had not synced, `wipe` the whole store; never the vote file."""
        self.consensus = None
        if power:
            del self.disk.envelopes[self.disk.synced :]
        if wipe:
            self.disk.envelopes.clear()
            self.disk.synced = 0
            self.disk.decision = None


def check_decision(decision: Certified, electorate: Electorate) -> None:
    """Raise unless the certificate is what anybody would accept for the value."""
    value, certificate = decision
    check_certifies(certificate, NETWORK, electorate, name=NAME, height=HEIGHT, block_hash=value_hash(value))


class BallotNetwork:
    """Replicas, what the dishonest can forge, and the pool of messages under way."""

    def __init__(self, ages: Sequence[int], dishonest: Iterable[int] = (), *, twins: bool = False) -> None:
        self.electorate = Electorate.of(
            Voter(operator_key=SIGNERS[number].operator_key, age=age) for number, age in enumerate(ages)
        )
        self.dishonest = tuple(sorted(dishonest))
        self.now = 0
        self.good: dict[int, set[bytes]] = {}
        """Values that each replica finds valid so far."""
        self.replicas = [
            self._replica(number, number) for number in range(len(ages)) if number not in self.dishonest
        ]
        """The honest ones."""
        pairs = [(TWINS * copy + number, number) for number in self.dishonest for copy in (1, 2)]
        self.twins = [self._replica(*pair) for pair in pairs] if twins else []
        self.pool: list[tuple[int, bytes | Certified]] = []
        """(number of the replica it goes to, message)"""
        self.signed: dict[bytes, Statement] = {}
        """Every statement that anybody ever signed and let out, by envelope."""
        self._supporters: dict[tuple[Phase, int, bytes], set[bytes]] = {}
        self.decisions: list[tuple[int, Certified]] = []

    def _replica(self, number: int, voter: int) -> Replica:
        good = self.good[number] = set()
        return Replica(number, SIGNERS[voter], self.electorate, good.__contains__)

    @property
    def everyone(self) -> list[Replica]:
        """All that run the machine, twins too."""
        return self.replicas + self.twins

    @property
    def honest_keys(self) -> frozenset[bytes]:
        """The keys of the honest voters."""
        return frozenset(replica.signer.operator_key for replica in self.replicas)

    def at(self, number: int) -> Replica:
        """Return the replica with this number."""
        return next(replica for replica in self.everyone if replica.number == number)

    def alive(self) -> list[Replica]:
        """The replicas that are running."""
        return [replica for replica in self.everyone if replica.consensus is not None]

    def boot(self, replica: Replica, value: bytes | None = None, *, feed: bool = False) -> None:
        """Start a replica from its disk."""
        self.finish(replica, replica.boot(self.now, value, feed=feed))

    def finish(self, replica: Replica, effects: Effects, killed_at: int | None = None) -> None:
        """Commit a batch and let out what it sends."""
        before = replica.disk.decision
        for message in replica.commit(effects, killed_at):
            self.send(message, [other.number for other in self.everyone if other is not replica])
        if replica.disk.decision is not None and before is None:
            self.decisions.append((replica.number, replica.disk.decision))

    def send(self, message: bytes | Certified, recipients: Iterable[int]) -> None:
        """Put a message under way."""
        if isinstance(message, bytes) and message not in self.signed:
            statement = read(message)
            self.signed[message] = statement
            if isinstance(statement, Vote):
                place = (statement.phase, statement.round, statement.block_hash)
                self._supporters.setdefault(place, set()).add(statement.voter)
        self.pool += [(number, message) for number in recipients]

    def deliver(self, index: int, killed_at: int | None = None) -> None:
        """Deliver one message of the pool."""
        number, message = self.pool.pop(index)
        replica = self.at(number)
        if replica.consensus is not None:
            self.finish(replica, replica.hear(message, self.now), killed_at)

    def deliver_among(self, numbers: Iterable[int]) -> None:
        """Deliver everything under way to these replicas, and what follows from it among them."""
        reached = set(numbers)
        for _ in range(10_000):
            index = next((at for at, (number, _) in enumerate(self.pool) if number in reached), None)
            if index is None:
                return
            self.deliver(index)
        raise AssertionError("messages without end")

    def tick(self, replica: Replica) -> None:
        """Let a replica notice the time."""
        if replica.consensus is not None and replica.disk.decision is None:
            self.finish(replica, replica.act(replica.consensus.tick(self.now)))

    def offer(self, replica: Replica, value: bytes) -> None:
        """Give a replica something to propose."""
        if replica.consensus is not None and replica.disk.decision is None:
            self.finish(replica, replica.act(replica.consensus.offer(value, self.now)))

    def accept(self, number: int, value: bytes) -> None:
        """Let a replica find a value valid from now on."""
        self.good[number].add(value)
        replica = self.at(number)
        if replica.consensus is not None and replica.disk.decision is None:
            self.finish(replica, replica.act(replica.consensus.revalidate(self.now)))

    def run(self, numbers: Iterable[int], milliseconds: int) -> None:
        """Let these replicas talk to each other undisturbed for a while; the others hear nothing."""
        reached = set(numbers)
        group = [replica for replica in self.everyone if replica.number in reached]
        end = self.now + milliseconds
        while self.now < end:
            self.deliver_among(replica.number for replica in group)
            due = [replica.consensus.needs_attention for replica in group if replica.consensus]
            times = [at for at in due if at is not None]
            self.now = min(end, max(self.now + DELAY_MS, min(times, default=end)))
            for replica in group:
                self.tick(replica)

    # What the dishonest can do: sign anything that is theirs to sign.

    def forge_vote(self, number: int, phase: Phase, round_: int, block_hash: bytes) -> bytes:
        """Return any vote of a dishonest voter."""
        assert number in self.dishonest
        signer = SIGNERS[number]
        slot = Slot(NETWORK, NAME, HEIGHT, round_, phase)
        return signer.sign(vote_body(slot, block_hash, signer.operator_key))

    def forge_proposal(self, number: int, round_: int, value: bytes, valid_round: int = 0) -> bytes:
        """Return any proposal of a dishonest voter, with all the proof for it that exists."""
        assert number in self.dishonest
        signer = SIGNERS[number]
        proof = self.prevotes(valid_round - 1, value_hash(value)) if valid_round else ()
        proposal = Proposal(
            network=NETWORK,
            electorate=NAME,
            height=HEIGHT,
            round=round_,
            valid_round=valid_round if proof else 0,
            proof=proof,
            proposer=signer.operator_key,
            value=value,
        )
        return signer.sign(encode(proposal))

    def prevotes(self, round_: int, block_hash: bytes) -> tuple[Signed, ...]:
        """Return the prevotes for a value in a round that were ever let out, sorted by voter."""
        found = {
            statement.voter: envelope[:64]
            for envelope, statement in self.signed.items()
            if isinstance(statement, Vote)
            and (statement.phase, statement.round) == (Phase.PREVOTE, round_)
            and statement.block_hash == block_hash
        }
        return tuple(sorted(found.items()))

    def supporters(self, phase: Phase, round_: int, block_hash: bytes) -> set[bytes]:
        """Return who ever voted so."""
        return self._supporters.get((phase, round_, block_hash), set())

    def certified(self) -> set[bytes]:
        """Return the values for which a certificate could be made of all that was ever let out."""
        return {
            block_hash
            for (phase, _, block_hash), voters in self._supporters.items()
            if phase is Phase.PRECOMMIT and block_hash and self.electorate.is_final(voters)
        }


def contradictions(signed: Iterable[tuple[bytes, Statement]], keys: frozenset[bytes]) -> list[Slot]:
    """Return the slots in which one of `keys` made two statements."""
    bodies: dict[tuple[bytes, Slot], bytes] = {}
    double = []
    for envelope, statement in signed:
        if statement.signer in keys:
            body = envelope_body(envelope)
            if bodies.setdefault((statement.signer, statement.slot), body) != body:
                double.append(statement.slot)
    return double
