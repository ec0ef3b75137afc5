"""Consensus under everything at once: loss, reordering, doubling, crashes at any step, lies, twins.

After every step the invariants are checked; at the end the network heals and must decide.
"""

from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from protocol.crypto import envelope_body
from protocol.group.quorum import Quorum
from protocol.group.vote import NIL, Phase, Vote, check_equivocation, value_hash
from tests.support.ballot_replica import NETWORK, check_decision
from tests.support.ballots import BallotNetwork, contradictions

GOOD = tuple(b"good %d" % number for number in range(3))
BAD = b"bad"
PHASES = st.sampled_from((Phase.PREVOTE, Phase.PRECOMMIT))
ROUNDS = st.integers(0, 4)
HASHES = st.sampled_from((NIL, value_hash(BAD), *map(value_hash, GOOD)))
HEAL_MS = 600_000
HEALED = 50_000


class ConsensusFaults(RuleBasedStateMachine):
    """Four to seven voters; the dishonest hold at most a third of the heads or of the age."""

    network: BallotNetwork
    seen = 0

    @initialize(
        ages=st.lists(st.integers(1, 6), min_size=4, max_size=7),
        order=st.permutations(range(7)),
        wanted=st.integers(0, 3),
        twins=st.booleans(),
        records_first=st.booleans(),
    )
    def begin(self, ages: list[int], order: list[int], wanted: int, twins: bool, records_first: bool) -> None:
        dishonest: list[int] = []
        for number in [number for number in order if number < len(ages)][:wanted]:
            heads, age = len(dishonest) + 1, sum(ages[other] for other in [*dishonest, number])
            if 3 * heads <= len(ages) or 3 * age <= sum(ages):
                dishonest.append(number)
        self.network = BallotNetwork(ages, dishonest, twins=twins)
        for replica in self.network.everyone:
            replica.records_first = records_first
            self.network.accept(replica.number, GOOD[0])
            self.network.boot(replica, GOOD[0] if replica.number % 2 else None)

    # The network.

    @rule(data=st.data(), killed_at=st.none() | st.integers(0, 4))
    @precondition(lambda self: self.network.pool)
    def deliver(self, data: st.DataObject, killed_at: int | None) -> None:
        index = data.draw(st.integers(0, len(self.network.pool) - 1))
        self.network.deliver(index, killed_at)

    @rule(share=st.sampled_from((2, 3, 5)), rest=st.integers(0, 4), backwards=st.booleans())
    @precondition(lambda self: self.network.pool)
    def deliver_a_share(self, share: int, rest: int, backwards: bool) -> None:
        for index in reversed(range(len(self.network.pool))):
            if index % share == rest % share:
                self.network.deliver(index)
        if backwards:
            self.network.pool.reverse()

    @rule(share=st.sampled_from((1, 2, 3)))
    @precondition(lambda self: self.network.pool)
    def lose(self, share: int) -> None:
        del self.network.pool[::share]

    @rule()
    @precondition(lambda self: 0 < len(self.network.pool) < 200)
    def double(self) -> None:
        self.network.pool += self.network.pool[::2]

    @rule(data=st.data(), milliseconds=st.sampled_from((20, 150, 400, 1_500)))
    def run_part(self, data: st.DataObject, milliseconds: int) -> None:
        """Let all but some talk for a while."""
        numbers = [replica.number for replica in self.network.everyone]
        away = data.draw(st.sets(st.sampled_from(numbers), max_size=len(numbers) - 1))
        self.network.run(set(numbers) - away, milliseconds)

    @rule(data=st.data(), per_cent=st.sampled_from((30, 60, 80)), rounds=st.integers(1, 4))
    def run_lossy(self, data: st.DataObject, per_cent: int, rounds: int) -> None:
        """Let everybody talk over links that lose a share of everything."""
        random = data.draw(st.randoms(use_true_random=False))
        for _ in range(rounds * 6):
            random.shuffle(self.network.pool)
            lost = [random.randrange(100) < per_cent for _ in self.network.pool]
            self.network.pool[:] = [m for m, gone in zip(self.network.pool, lost, strict=True) if not gone]
            for _ in range(len(self.network.pool)):
                self.network.deliver(0)
            self.wait(50)

    @rule(milliseconds=st.sampled_from((1, 100, 300)))
    def wait(self, milliseconds: int) -> None:
        self.network.now += milliseconds
        for replica in self.network.alive():
            self.network.tick(replica)

    # The machines.

    @rule(data=st.data(), power=st.booleans(), wipe=st.sampled_from((False, False, False, True)))
    @precondition(lambda self: self.network.alive())
    def crash(self, data: st.DataObject, power: bool, wipe: bool) -> None:
        data.draw(st.sampled_from(self.network.alive())).crash(power=power, wipe=wipe)

    @rule(data=st.data(), feed=st.booleans(), value=st.none() | st.sampled_from(GOOD))
    @precondition(lambda self: len(self.network.alive()) < len(self.network.everyone))
    def restart(self, data: st.DataObject, feed: bool, value: bytes | None) -> None:
        dead = [replica for replica in self.network.everyone if replica.consensus is None]
        replica = data.draw(st.sampled_from(dead))
        if value is not None:
            self.network.accept(replica.number, value)
        self.network.boot(replica, value, feed=feed)

    @rule(data=st.data(), value=st.sampled_from(GOOD))
    @precondition(lambda self: self.network.alive())
    def offer(self, data: st.DataObject, value: bytes) -> None:
        replica = data.draw(st.sampled_from(self.network.alive()))
        self.network.accept(replica.number, value)
        self.network.offer(replica, value)

    # The dishonest.

    def _recipients(self, data: st.DataObject) -> set[int]:
        numbers = [replica.number for replica in self.network.replicas]
        return data.draw(st.sets(st.sampled_from(numbers), min_size=1))

    @rule(data=st.data(), phase=PHASES, round_=ROUNDS, block_hash=HASHES)
    @precondition(lambda self: self.network.dishonest)
    def lie(self, data: st.DataObject, phase: Phase, round_: int, block_hash: bytes) -> None:
        for number in self.network.dishonest:
            envelope = self.network.forge_vote(number, phase, round_, block_hash)
            self.network.send(envelope, self._recipients(data))

    @rule(data=st.data(), round_=ROUNDS, value=st.sampled_from((BAD, *GOOD)), valid_round=ROUNDS)
    @precondition(lambda self: self.network.dishonest)
    def propose_anything(self, data: st.DataObject, round_: int, value: bytes, valid_round: int) -> None:
        number = data.draw(st.sampled_from(self.network.dishonest))
        envelope = self.network.forge_proposal(number, round_, value, min(valid_round, round_))
        self.network.send(envelope, self._recipients(data))

    @rule(data=st.data())
    @precondition(lambda self: self.network.dishonest)
    def complete_a_quorum_for_one(self, data: st.DataObject) -> None:
        """Echo the latest honest vote to one replica only, from all dishonest voters."""
        honest = self.network.honest_keys
        votes = [s for s in self.network.signed.values() if isinstance(s, Vote) and s.voter in honest]
        if votes:
            vote = max(votes, key=lambda vote: (vote.round, vote.phase, vote.block_hash))
            recipient = data.draw(st.sampled_from(self.network.replicas)).number
            for number in self.network.dishonest:
                envelope = self.network.forge_vote(number, vote.phase, vote.round, vote.block_hash)
                self.network.send(envelope, [recipient])

    @rule(data=st.data(), steps=st.integers(50, 300), per_mille_killed=st.sampled_from((0, 10, 30)))
    def storm(self, data: st.DataObject, steps: int, per_mille_killed: int) -> None:
        """Much of everything, drawn from one seed: it gets deep where single steps do not."""
        random = data.draw(st.randoms(use_true_random=False))
        for _ in range(steps):
            if self.network.pool and random.random() < 0.8:
                killed_at = random.randrange(5) if random.randrange(1_000) < per_mille_killed else None
                self.network.deliver(random.randrange(len(self.network.pool)), killed_at)
            elif random.random() < 0.5:
                self.wait(random.choice((5, 50, 100)))
            elif self.network.dishonest and random.random() < 0.5:
                self._lie_at_random(random)
            for replica in self.network.everyone:
                if replica.consensus is None and random.random() < 0.1:
                    self.network.boot(replica, feed=random.random() < 0.5)

    def _lie_at_random(self, random: Random) -> None:
        """Vote as somebody honest did, or against it, for some of the others only."""
        votes = [s for s in self.network.signed.values() if isinstance(s, Vote)]
        if not votes:
            return
        vote = max(random.choices(votes, k=3), key=lambda vote: vote.round)
        block_hash = random.choice([vote.block_hash, vote.block_hash, NIL, value_hash(GOOD[1])])
        for number in self.network.dishonest:
            envelope = self.network.forge_vote(number, vote.phase, vote.round, block_hash)
            recipients = [r.number for r in self.network.replicas if random.random() < 0.5]
            self.network.send(envelope, recipients)

    # What must hold after every step.

    @invariant()
    def invariant_agreement(self) -> None:
        """No two honest voters decide differently, also over crashes and wiped stores."""
        assert len({decision[0] for _, decision in self.network.decisions}) <= 1

    @invariant()
    def invariant_one_certificate_at_a_height(self) -> None:
        """Of all precommits ever let out, those of at most one value make a certificate."""
        assert len(self.network.certified()) <= 1

    @invariant()
    def invariant_one_vote_per_slot(self) -> None:
        """No honest voter ever lets out two statements for one slot, whatever it forgot."""
        assert not contradictions(self.network.signed.items(), self.network.honest_keys)

    @invariant()
    def invariant_certificate_verifies(self) -> None:
        """What is decided proves itself to anybody who knows the electorate."""
        for _, decision in self.network.decisions[self.seen :]:
            check_decision(decision, self.network.electorate)
        self.seen = len(self.network.decisions)

    @invariant()
    def invariant_decided_value_is_valid(self) -> None:
        """A value that no honest voter finds valid is not decided."""
        assert all(value in GOOD for _, (value, _) in self.network.decisions)

    @invariant()
    def invariant_lock_is_kept(self) -> None:
        """Who precommitted a value prevotes another one only after a later quorum for that."""
        votes = [s for s in self.network.signed.values() if isinstance(s, Vote) and s.block_hash]
        locks = [vote for vote in votes if vote.phase is Phase.PRECOMMIT]
        for vote in (vote for vote in votes if vote.phase is Phase.PREVOTE):
            if vote.voter not in self.network.honest_keys:
                continue
            mine = [lock for lock in locks if lock.voter == vote.voter and lock.round < vote.round]
            last = max(mine, key=lambda lock: lock.round, default=None)
            if last is not None and last.block_hash != vote.block_hash:
                assert any(
                    self.network.electorate.is_final(
                        self.network.supporters(Phase.PREVOTE, round_, vote.block_hash)
                    )
                    for round_ in range(last.round, vote.round)
                )

    @invariant()
    def invariant_recorded_before_sent(self) -> None:
        """Whatever an honest voter let out is in its vote file, as it was let out."""
        for replica in self.network.replicas:
            records = dict(replica.disk.records)
            for envelope, statement in self.network.signed.items():
                if statement.signer == replica.signer.operator_key:
                    assert statement.slot in records, envelope_body(envelope)

    @invariant()
    def invariant_only_the_dishonest_are_accused(self) -> None:
        """An accusation convicts, and never an honest voter; nor is an honest statement ever refused."""
        for replica in self.network.replicas:
            for proof in replica.accusations:
                assert check_equivocation(proof, NETWORK) not in self.network.honest_keys
            for statement, error in replica.refused:
                assert statement.signer not in self.network.honest_keys, error

    def teardown(self) -> None:
        """The honest, when they hold more than two thirds of both and hear each other, decide."""
        if not hasattr(self, "network"):
            return
        network = self.network
        if not network.electorate.is_quorum(Quorum.FINAL, network.honest_keys):
            return
        for replica in network.replicas:
            if replica.consensus is None:
                network.boot(replica)
            for value in GOOD:
                network.accept(replica.number, value)
            network.offer(replica, GOOD[0])
        numbers = [replica.number for replica in network.replicas]
        end = network.now + HEAL_MS
        while network.now < end and not all(replica.decision for replica in network.replicas):
            network.run(numbers, 1_000)
        assert all(replica.decision for replica in network.replicas), "the healed network decides"
        self.invariant_agreement()
        self.invariant_one_vote_per_slot()
        self.invariant_certificate_verifies()
        self.invariant_lock_is_kept()


TestConsensusFaults = ConsensusFaults.TestCase
TestConsensusFaults.settings = settings(
    max_examples=80,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
