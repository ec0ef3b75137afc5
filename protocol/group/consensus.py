"""Agreement on one value at one height: Tendermint (arXiv 1807.04938), without I/O or clock.

Answers for: what this voter says, when, and when a value is decided. Two certificates
for one height cannot exist while the dishonest hold less than a third of the voters
**or** less than a third of their age; a value is decided when the honest and
connected hold more than two thirds of both. What a value means is left to `validate`,
that a slot is used once even over a crash to the vote file (`vote_guard`), checked
signatures to the caller (`vote.check_signed`). Spec: `spec/consensus.md`; "line n"
below is line n of the paper's algorithm 1.

Where it differs from the paper, for a network that loses messages and has no gossip
log: a proposal of a locked value carries the proof of its lock; a voter that has gone
on to a later round counts as done with the earlier ones (for timers only); own
statements of the current round are sent again until the height is decided; a fresh
lock is shown to the others before the next round begins; a value that cannot be judged
yet is waited for until the timeout; and a height sleeps until somebody has something
to propose.
"""

from collections.abc import Callable, Iterable, Mapping

from protocol.codec import encode
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import NotAMember, StaleMessage
from protocol.group.actions import Accuse, Action, Decide, Resend, Sign
from protocol.group.certificate import Certificate, check_lock_proof
from protocol.group.pace import Pace
from protocol.group.proposer import proposer_order
from protocol.group.quorum import Electorate
from protocol.group.spoken import NEVER, Spoken
from protocol.group.tally import HeightLog, Offer
from protocol.group.vote import (
    NIL,
    Phase,
    Proposal,
    Signed,
    Slot,
    Statement,
    Vote,
    content_hash,
    decode_statement,
    equivocation_proof,
    proposal_content,
    value_hash,
    vote_body,
    vote_content,
)
from protocol.units import Hash32, OperatorKey

SHOWN_VOTES_MAX = 256
"""Others' prevotes shown to prove a fresh lock; larger electorates rely on gossip for them."""


class Consensus:
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
    ) -> None:
        """Prepare the height. Of the vote file's `records` those of this height count.

        `validate` says whether a value may be decided here, as far as this node knows now: a
        value that it refuses may be accepted later (`revalidate`), one that it accepts stays accepted.
        """
        self.network, self.name, self.electorate, self.height = network, name, electorate, height
        self.me = me if me is not None and me in electorate else None
        self.round, self.step = 0, Phase.PROPOSE
        self.decided = False
        self.spoken = Spoken()
        self.valid_round, self.valid_value = NEVER, b""
        self._proof: tuple[Signed, ...] = ()
        self._candidate: bytes | None = None
        self._validate = validate
        self._judged: dict[bytes, bool] = {}
        self._order = proposer_order(network, name, electorate, height)
        self._log = HeightLog(electorate)
        self._pace = Pace(round_milliseconds)
        self._shown: list[bytes] = []
        self._accused: set[bytes] = set()
        self._awake = False
        self._now = 0
        self._out: list[Action] = []
        for slot, content in (records or {}).items():
            if (slot.network, slot.electorate, slot.height) == (network, name, height):
                self.spoken.remember((slot.round, slot.phase), content)

    # What the owner hands in. Everything returns the actions that follow, in order.

    def start(self, now_ms: int, value: bytes | None = None, envelopes: Iterable[bytes] = ()) -> list[Action]:
        """Begin, with a value to propose if there is one; without, sleep until something happens.

        After a crash `envelopes` are this height's persisted statements, own and others', in
        any order, their signatures checked before they were persisted.
        """
        self._now, self._candidate = now_ms, value
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

    def offer(self, value: bytes, now_ms: int) -> list[Action]:
        """Have something (else) to propose from now on."""
        self._now = max(self._now, now_ms)
        self._candidate = value
        if not self._awake:
            self._resume()
        elif self.step is Phase.PROPOSE:
            self._propose()
        return self._finish()

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
        for phase in self._pace.expired(self._now):
            self._give_up(phase)
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

    def proposer(self, round_: int) -> OperatorKey:
        """Return who proposes in a round."""
        return self._order[round_ % len(self._order)]

    def wants(self, statement: Statement) -> bool:
        """Whether it is worth checking a statement's signature; cheap, and looks at its fields only."""
        place = (statement.network, statement.electorate, statement.height)
        if self.decided or place != (self.network, self.name, self.height):
            return False
        if statement.signer not in self.electorate or statement.signer in self._accused:
            return False
        if isinstance(statement, Vote):
            return self._log.wants_vote(statement)
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

    # Speaking.

    def _say(self, phase: Phase, content: Hash32, body: bytes) -> None:
        """Ask for a signature, unless this slot or a later one was used for something else."""
        place = (self.round, phase)
        if self.me is not None and self.spoken.allows(place, content):
            self.spoken.remember(place, content)
            self._log.pin(self.spoken.locked_round)
            self._out.append(Sign(self._slot(phase), content, body))

    def _slot(self, phase: Phase) -> Slot:
        return Slot(self.network, self.name, self.height, self.round, phase)

    def _vote(self, phase: Phase, block_hash: bytes) -> bool:
        self.step = phase
        body = vote_body(self._slot(phase), block_hash, self.me or bytes(32))
        self._say(phase, vote_content(block_hash), body)
        return True

    def _propose(self) -> None:
        """Lines 14 to 19, when it is our turn and there is something to propose."""
        value = self._candidate if self.valid_round == NEVER else self.valid_value
        if value is None or self.me is None or self.proposer(self.round) != self.me:
            return
        if self.spoken.last >= (self.round, Phase.PROPOSE) or self.valid_round >= self.round:
            return  # proposed already, before a crash
        proposal = Proposal(
            network=self.network,
            electorate=self.name,
            height=self.height,
            round=self.round,
            valid_round=self.valid_round + 1,
            proof=self._proof,
            proposer=self.me,
            value=value,
        )
        body = encode(proposal)
        self._say(Phase.PROPOSE, proposal_content(body), body)

    # Rounds and timers.

    def _resume(self) -> None:
        """Wake up in the round of the last own statement, after what was said there."""
        self._awake = True
        self.round = max(self.round, self.spoken.last[0])
        self._note_valid()
        self._enter(self.round)
        for phase in (Phase.PREVOTE, Phase.PRECOMMIT):
            voted = self.spoken.vote(self.round, phase)
            if voted is not None:
                self._vote(phase, voted)

    def _enter(self, round_: int) -> None:
        """Line 11: begin a round."""
        self.round, self.step = round_, Phase.PROPOSE
        self._shown = []
        self._log.enter(round_)
        self._pace.enter(round_, self._now)
        self._pace.arm(Phase.PROPOSE, self._now)
        self._propose()

    def _give_up(self, phase: Phase) -> None:
        """Lines 57 to 67: what was waited for did not come."""
        if phase is Phase.PRECOMMIT:
            self._enter(self.round + 1)
        elif phase is self.step:
            self._vote(Phase.PREVOTE if phase is Phase.PROPOSE else Phase.PRECOMMIT, NIL)

    def _finish(self) -> list[Action]:
        """Apply the rules until none has anything to add; hand out the actions."""
        while self._awake and not self.decided and any(rule(self) for rule in _RULES):
            pass
        actions, self._out = self._out, []
        return actions

    # The rules: each returns whether it changed anything.

    def _decide(self) -> bool:
        """Line 49: FINAL precommitted one value in one round."""
        for round_, block_hash in self._log.decisions():
            value = self._value(block_hash)
            if value is not None and self._is_valid(block_hash, value):
                signatures = self._log.at(round_).precommits.signatures(block_hash)
                certificate = Certificate(
                    electorate=self.name,
                    height=self.height,
                    round=round_,
                    block_hash=block_hash,
                    signatures=signatures,
                )
                self.decided = True
                self._out.append(Decide(value, certificate))
                return True
        return False

    def _skip(self) -> bool:
        """Line 55: more than a third of heads and age are in later rounds."""
        target = self._log.skip_target()
        if target is None:
            return False
        self._enter(target)
        return True

    def _answer(self) -> bool:
        """Lines 22 and 28: prevote the proposal if the lock allows it and it is valid."""
        offers = self._log.at(self.round).offers
        if self.step is not Phase.PROPOSE or not offers:
            return False
        if not self.lock_allows(offers[0]):
            return self._vote(Phase.PREVOTE, NIL)
        if not self._is_valid(offers[0].hash, offers[0].proposal.value):
            return False  # perhaps not yet: the timeout ends the waiting
        return self._vote(Phase.PREVOTE, offers[0].hash)

    def lock_allows(self, offer: Offer) -> bool:
        """Whether a proposal is the locked value, or proves a quorum for it no earlier than the lock."""
        if self.spoken.locked_round == NEVER or self.spoken.locked_hash == offer.hash:
            return True
        return offer.proposal.valid_round > self.spoken.locked_round  # valid_round is the round + 1

    def _note_valid(self) -> bool:
        """Lines 42 and 43, for late prevotes too: remember the latest value that FINAL prevoted."""
        for round_, log in self._log.rounds():
            final = log.prevotes.final
            if not final or not self.valid_round < round_ <= self.round:
                continue
            value = self._value(final)
            if value is not None and self._is_valid(final, value):
                self.valid_round, self.valid_value = round_, value
                self._proof = log.prevotes.signatures(final)
                return True
        return False

    def _lock(self) -> bool:
        """Lines 37 to 41: FINAL prevoted a value in this round, and it is still time to precommit it."""
        if self.step is not Phase.PREVOTE or self.valid_round != self.round:
            return False
        return self._vote(Phase.PRECOMMIT, value_hash(self.valid_value))

    def _precommit_nil(self) -> bool:
        """Line 44: FINAL prevoted nothing."""
        if self.step is not Phase.PREVOTE or self._log.at(self.round).prevotes.final != NIL:
            return False
        return self._vote(Phase.PRECOMMIT, NIL)

    def _await_prevotes(self) -> bool:
        """Line 34: FINAL has prevoted something."""
        ready = self.step is Phase.PREVOTE and self._log.passed(Phase.PREVOTE)
        return ready and self._pace.arm(Phase.PREVOTE, self._now)

    def _await_precommits(self) -> bool:
        """Line 47: FINAL has precommitted something."""
        return self._log.passed(Phase.PRECOMMIT) and self._pace.arm(Phase.PRECOMMIT, self._now)

    def _show_lock(self) -> bool:
        """Show a lock of this round when the round may fail, so that every later proposer knows it.

        In the paper gossip does this. Without it a dishonest voter that completes a quorum for
        one honest voter at a time could make each proposer propose what is no longer acceptable.
        """
        if self._shown or self.valid_round != self.round or not self._pace.is_armed(Phase.PRECOMMIT):
            return False
        log, block_hash = self._log.at(self.round), value_hash(self.valid_value)
        votes = [envelope for voter, envelope in log.prevotes.envelopes(block_hash) if voter != self.me]
        if len(votes) > SHOWN_VOTES_MAX:
            return False
        offers = [offer.envelope for offer in log.offers if offer.hash == block_hash]
        self._shown = offers + votes
        self._out.extend(Resend(envelope) for envelope in self._shown)
        return bool(self._shown)

    def _value(self, block_hash: bytes) -> bytes | None:
        """Return the value with this hash if this node has it."""
        if self.valid_round != NEVER and value_hash(self.valid_value) == block_hash:
            return self.valid_value
        return self._log.value(block_hash)

    def _is_valid(self, block_hash: bytes, value: bytes) -> bool:
        verdict = self._judged.get(block_hash)
        if verdict is None:
            verdict = self._judged[block_hash] = self._validate(value)
        return verdict


_RULES: tuple[Callable[[Consensus], bool], ...] = (
    Consensus._decide,
    Consensus._skip,
    Consensus._answer,
    Consensus._note_valid,
    Consensus._lock,
    Consensus._precommit_nil,
    Consensus._await_prevotes,
    Consensus._await_precommits,
    Consensus._show_lock,
)
