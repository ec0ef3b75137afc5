"""Agreement on one value at one height: Tendermint (arXiv 1807.04938), without I/O or clock.

Answers for: what this voter says, when, and when a value is decided. Two certificates
for one height cannot exist while the dishonest hold less than a third of the voters
**or** less than a third of their age; a value is decided when the honest and
connected hold more than two thirds of both. What a value means is left to `validate`,
that a slot is used once even over a crash to the vote file (`vote_guard`), checked
signatures to the caller (`vote.check_signed`). Here is the door, the algorithm itself
is `rounds`. Spec: `spec/consensus.md`.

Where it differs from the paper, for a network that loses messages and has no gossip
log: a proposal of a locked value carries the proof of its lock; a voter that has gone
on to a later round counts as done with the earlier ones (for timers only); own
statements of the current round are sent again until the height is decided; a fresh
lock is shown to the others before the next round begins; a value that cannot be judged
yet is waited for until the timeout; and a height sleeps until somebody has something
to propose.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import NotAMember, StaleMessage
from protocol.group.actions import Accuse, Action, Resend
from protocol.group.certificate import check_lock_proof
from protocol.group.quorum import Electorate
from protocol.group.rounds import Rounds
from protocol.group.vote import (
    Phase,
    Proposal,
    Slot,
    Statement,
    Vote,
    content_hash,
    decode_statement,
    equivocation_proof,
)
from protocol.units import Hash32, OperatorKey


class Consensus(Rounds):
    """One voter's (or, without `me`, an observer's) part in the agreement on one height."""

    def __init__(
        self,
        network: bytes,
        name: str,
        electorate: Electorate,
        height: int,
        me: OperatorKey | None,
        round_milliseconds: int,
        validate: Callable[[bytes], bool],
        records: Mapping[Slot, Hash32] | None = None,
        may_follow: Callable[[bytes], bool] = lambda _: False,
    ) -> None:
        """Prepare the height. Of the vote file's `records` those of this height count.

        `validate` says whether a value may be decided here, as far as this node knows now: a
        value that it refuses may be accepted later (`revalidate`), one that it accepts, or that an own
        vote was for, stays accepted. `may_follow` says of a refused value whether its only fault is that
        our chain has left it, or that we did not see ourselves what a voter has to have seen: such a one is
        accepted when a proposal proves that a quorum prevoted it.
        """
        super().__init__(
            network, name, electorate, height, me, round_milliseconds, validate, records, may_follow
        )
        self._accused: set[bytes] = set()

    # What the owner hands in. Everything returns the actions that follow, in order.

    def start(self, now_ms: int, value: bytes | None = None, envelopes: Iterable[bytes] = ()) -> list[Action]:
        """Begin, with a value to propose if there is one; without, sleep until something happens.

        After a crash `envelopes` are this height's persisted statements, own and others', in the order
        in which they came (of a voter that contradicts itself the first is what evidence is held
        against), their signatures checked before they were persisted.
        """
        self._now, self._choices = now_ms, () if value is None else (value,)
        statements = [(envelope, decode_statement(envelope[SIGNATURE_SIZE:])) for envelope in envelopes]
        for envelope, statement in statements:
            if statement.signer == self.me:
                self._remember_own(envelope, statement)
        self._log.pin(self.spoken.locked_round)
        self._log.enter(max(self.spoken.last[0], 0))
        for envelope, statement in statements:
            self._note(envelope, statement)
        if value is not None or statements or self.spoken:
            self._resume()
        return self._finish()

    def offer(self, choices: Sequence[bytes], now_ms: int) -> list[Action]:
        """Have something (else) to propose from now on: one value, or several for one round after the other.

        Several are for values that not every honest voter may be able to accept: nothing waits for ever for
        another one.
        """
        self._choices = tuple(choices)
        if self._awake and self.step is Phase.PROPOSE:
            self._now = max(self._now, now_ms)
            self._propose()
        return self.wake(now_ms)

    def wake(self, now_ms: int) -> list[Action]:
        """Know that there is something to propose, for whoever's turn it is: nothing sleeps any longer."""
        self._now = max(self._now, now_ms)
        if not self._awake:
            self._resume()
        return self._finish()

    @property
    def is_our_turn(self) -> bool:
        """Whether we propose in this round."""
        return self.me is not None and self.proposer(self.round) == self.me

    @property
    def may_propose(self) -> bool:
        """Whether something to propose would be proposed now, or would wake this height up."""
        if not self._awake:
            return True
        is_open = self.step is Phase.PROPOSE and self.spoken.last < (self.round, Phase.PROPOSE)
        return self.is_our_turn and is_open

    def withdraw(self) -> None:
        """Have nothing to propose any more until something is offered again."""
        self._choices = ()

    def receive_proposal(self, envelope: bytes, proposal: Proposal, now_ms: int) -> list[Action]:
        """Hear a proposal whose signature was checked.

        Raises `StaleMessage`, `NotAMember` or `InvalidProof`; then nothing has changed.
        """
        self._check_place(proposal)
        if proposal.proposer != self.proposer(proposal.round):
            raise NotAMember(f"{proposal.proposer.hex()[:16]} does not propose in round {proposal.round}")
        if not self.wants(proposal):
            return []
        check_lock_proof(proposal, self.electorate)
        return self._hear(envelope, proposal, now_ms)

    def receive_vote(self, envelope: bytes, vote: Vote, now_ms: int) -> list[Action]:
        """Hear a vote whose signature was checked. Raises `StaleMessage` or `NotAMember`."""
        self._check_place(vote)
        return self._hear(envelope, vote, now_ms) if self.wants(vote) else []

    def signed(self, envelope: bytes) -> list[Action]:
        """Hear an own statement, asked for by `Sign` and now signed, recorded and durable."""
        return self._hear(envelope, decode_statement(envelope[SIGNATURE_SIZE:]), self._now)

    def tick(self, now_ms: int) -> list[Action]:
        """Let time pass: give up what was waited for too long, send own statements again."""
        self._now = max(self._now, now_ms)
        if self.decided or not self._awake:
            return []
        round_ = self.round
        for timer in self._pace.expired(self._now):
            if self.round == round_ and not self.decided:
                self._give_up(timer)
                self._apply_rules()
        if self._pace.resend_due(self._now):
            own = self._log.said_by(self.me) if self.me is not None else []
            self._out.extend(Resend(envelope) for envelope in own + self._shown)
        return self._finish()

    def revalidate(self, now_ms: int) -> list[Action]:
        """Judge again what could not be accepted before: the chain has moved."""
        self._now = max(self._now, now_ms)
        self._judged = {value: verdict for value, verdict in self._judged.items() if verdict}
        return self._finish()

    # What the owner may ask.

    @property
    def needs_attention(self) -> int | None:
        """The millisecond at which `tick` has something to do, or None."""
        return None if self.decided or not self._awake else self._pace.next_deadline()

    def keeps(self, round_: int) -> bool:
        """Whether what was heard in a round still matters; what was persisted of others may be dropped."""
        return self._log.keeps(round_)

    def wants(self, statement: Statement) -> bool:
        """Whether it is worth checking a statement's signature; cheap, and looks at its fields only."""
        place = (statement.network, statement.electorate, statement.height)
        if self.decided or place != (self.network, self.name, self.height):
            return False
        if statement.signer not in self.electorate:
            return False
        if isinstance(statement, Vote):
            is_accused = statement.signer in self._accused
            return self._log.counts(statement) if is_accused else self._log.wants_vote(statement)
        return statement.proposer == self.proposer(statement.round) and self._log.wants_proposal(statement)

    # Hearing.

    def _check_place(self, statement: Statement) -> None:
        place = (statement.network, statement.electorate, statement.height)
        if place != (self.network, self.name, self.height):
            raise StaleMessage(f"for height {statement.height} of {statement.electorate}")
        if statement.signer not in self.electorate:
            raise NotAMember(f"{statement.signer.hex()[:16]} has no vote in {self.name}")

    def _hear(self, envelope: bytes, statement: Statement, now_ms: int) -> list[Action]:
        self._now = max(self._now, now_ms)
        if self.decided:
            return []
        if statement.signer == self.me:
            self._remember_own(envelope, statement)
        self._note(envelope, statement)
        if not self._awake or self.spoken.last > (self.round, self.step):
            self._resume()
        elif not self._log.has_news:
            return self._hand_out()  # one vote more, and nothing follows from it
        return self._finish()

    def _remember_own(self, envelope: bytes, statement: Statement) -> None:
        """Take an own statement as said, even one that nothing but an envelope remembers."""
        place = (statement.round, statement.slot.phase)
        if place not in self.spoken:
            self.spoken.remember(place, content_hash(statement, envelope[SIGNATURE_SIZE:]))

    def _note(self, envelope: bytes, statement: Statement) -> None:
        if isinstance(statement, Vote):
            earlier = self._log.add_vote(envelope, statement)
        else:
            earlier = self._log.add_proposal(envelope, statement)
        if earlier is None or statement.signer in self._accused or statement.signer == self.me:
            return
        proof = equivocation_proof(earlier, envelope)
        if proof is not None:
            self._accused.add(statement.signer)
            self._out.append(Accuse(proof))

    def _finish(self) -> list[Action]:
        """Apply the rules; hand out the actions."""
        self._apply_rules()
        return self._hand_out()

    def _hand_out(self) -> list[Action]:
        actions, self._out = self._out, []
        return actions
