"""A network of consensus instances for one height, in which everything that can go wrong can be made to.

Messages wait in a pool until they are delivered, dropped or doubled; dishonest voters
have keys and no rules. What a crash does to a voter is `ballot_replica`'s business.
"""

from collections.abc import Iterable, Sequence

from protocol.codec import encode
from protocol.crypto import envelope_body
from protocol.group.quorum import Electorate, Voter
from protocol.group.vote import (
    Phase,
    Proposal,
    Signed,
    Slot,
    Statement,
    Vote,
    value_hash,
    vote_body,
)
from tests.support.ballot_replica import (
    DELAY_MS,
    HEIGHT,
    NAME,
    NETWORK,
    SIGNERS,
    TWINS,
    Certified,
    Effects,
    Replica,
    read,
)


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
        self.left: set[bytes] = set()
        """Values of which everybody's chain has left what they rest on."""
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
        return Replica(number, SIGNERS[voter], self.electorate, good.__contains__, self.left.__contains__)

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
            self.finish(replica, replica.act(replica.consensus.offer([value], self.now)))

    def accept(self, number: int, value: bytes) -> None:
        """Let a replica find a value valid from now on."""
        self.good[number].add(value)
        replica = self.at(number)
        if replica.consensus is not None and replica.disk.decision is None:
            self.finish(replica, replica.act(replica.consensus.revalidate(self.now)))

    def leave(self, value: bytes) -> None:
        """Let everybody's chain leave what a value rests on: who finds it valid must have done so before."""
        self.left.add(value)
        for good in self.good.values():
            good.discard(value)
        for replica in self.alive():
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
