"""The rounds of one height: algorithm 1 of Tendermint (arXiv 1807.04938) as a table of rules.

Answers for: which statement follows from what was heard, said and waited for; "line n" is
line n of the paper's algorithm 1. `consensus` is the door: it hears, wakes and restores.
Spec: `spec/consensus.md`.
"""

from collections.abc import Callable, Mapping

from protocol.codec import encode
from protocol.group.actions import Action, Decide, Resend, Sign
from protocol.group.certificate import Certificate
from protocol.group.pace import Pace, Timer
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
    proposal_content,
    vote_body,
    vote_content,
)
from protocol.units import Hash32, OperatorKey

SHOWN_VOTES_MAX = 256
"""Prevotes shown to prove a fresh lock; larger electorates rely on gossip for them."""


class Rounds:
    """One voter's (or, without `me`, an observer's) rounds at one height."""

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
        """Prepare the height; see `Consensus`."""
        self.network, self.name, self.electorate, self.height = network, name, electorate, height
        self.me = me if me is not None and me in electorate else None
        self.round, self.step = 0, Phase.PROPOSE
        self.decided = False
        self.spoken = Spoken()
        self.valid_round, self.valid_hash, self.valid_value = NEVER, NIL, b""
        self._proof: tuple[Signed, ...] = ()
        self._choices: tuple[bytes, ...] = ()
        """What we would propose, one round after the other."""
        self._validate, self._may_follow = validate, may_follow
        self._judged: dict[bytes, bool] = {}
        self._order = proposer_order(network, name, electorate, height)
        self._log = HeightLog(electorate)
        self._pace = Pace(round_milliseconds)
        self._shown: list[bytes] = []
        self._awake = False
        self._now = 0
        self._out: list[Action] = []
        for slot, content in (records or {}).items():
            if (slot.network, slot.electorate, slot.height) == (network, name, height):
                self.spoken.remember((slot.round, slot.phase), content)

    def proposer(self, round_: int) -> OperatorKey:
        """Return who proposes in a round."""
        return self._order[round_ % len(self._order)]

    # Speaking.

    def _say(self, phase: Phase, content: Hash32, body: bytes) -> None:
        """Ask for a signature, unless this slot or a later one was used for something else."""
        place = (self.round, phase)
        if self.me is not None and self.spoken.allows(place, content):
            self.spoken.remember(place, content)
            self._log.pin(self.spoken.locked_round)
            self._pace.said(self._now)
            self._out.append(Sign(self._slot(phase), content, body))

    def _slot(self, phase: Phase) -> Slot:
        return Slot(self.network, self.name, self.height, self.round, phase)

    def _vote(self, phase: Phase, block_hash: bytes) -> bool:
        self.step = phase
        if self.me is not None and self._log.at(self.round).tally(phase).says(self.me, block_hash):
            return True  # said before a crash, and still at hand
        body = vote_body(self._slot(phase), block_hash, self.me or bytes(32))
        self._say(phase, vote_content(block_hash), body)
        return True

    def _propose(self) -> None:
        """Lines 14 to 19, when it is our turn and there is something to propose."""
        value = self._own_choice() if self.valid_round == NEVER else self.valid_value
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

    def _own_choice(self) -> bytes | None:
        """Return what we would propose in this round, unless something is locked.

        Who proposes again after all others comes to the next choice, however many there are of either.
        """
        if not self._choices:
            return None
        turns, place = divmod(self.round, len(self._order))
        return self._choices[(turns + place) % len(self._choices)]

    # Rounds and timers.

    def _resume(self) -> None:
        """Wake up in the round of the last own statement, after what was said there."""
        self._awake = True
        self.round = max(self.round, self.spoken.last[0])
        self._note_valid()
        self._enter(self.round)
        if self.me is not None:  # perhaps it was kept and never sent
            self._out.extend(Resend(envelope) for envelope in self._log.said_by(self.me))
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
        self._pace.arm(Timer.PROPOSE, self._now)
        self._propose()

    def _give_up(self, timer: Timer) -> None:
        """Lines 57 to 67: what was waited for did not come."""
        if timer is Timer.PRECOMMIT:
            self._enter(self.round + 1)
        elif (timer, self.step) == (Timer.PROPOSE, Phase.PROPOSE):
            self._vote(Phase.PREVOTE, NIL)
        elif (timer, self.step) == (Timer.PREVOTE, Phase.PREVOTE):
            self._vote(Phase.PRECOMMIT, NIL)

    def _apply_rules(self) -> None:
        """Apply the rules until none has anything to add."""
        while self._awake and not self.decided and any(rule(self) for rule in _RULES):
            pass
        self._log.has_news = False

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
        if not self._is_valid(offers[0].hash, offers[0].proposal.value) and not self._follows(offers[0]):
            return False  # perhaps not yet: the timeout ends the waiting
        return self._vote(Phase.PREVOTE, offers[0].hash)

    def _follows(self, offer: Offer) -> bool:
        """Whether a value that our chain has left, or for which we lack what a voter has to have seen, is
        accepted all the same: FINAL prevoted it before.

        Then more than a third of the voters are honest and found it good, or followed such a proof of a
        still earlier round, and may be locked on it: without this they could go neither way.
        """
        if offer.proposal.valid_round and self._may_follow(offer.proposal.value):
            self._judged[offer.hash] = True
        return self.affirms(offer.hash)

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
                self.valid_round, self.valid_hash, self.valid_value = round_, final, value
                self._proof = log.prevotes.signatures(final)
                return True
        return False

    def _lock(self) -> bool:
        """Lines 37 to 41: FINAL prevoted a value in this round, and it is still time to precommit it."""
        if self.step is not Phase.PREVOTE or self.valid_round != self.round:
            return False
        return self._vote(Phase.PRECOMMIT, self.valid_hash)

    def _precommit_nil(self) -> bool:
        """Line 44: FINAL prevoted nothing."""
        if self.step is not Phase.PREVOTE or self._log.at(self.round).prevotes.final != NIL:
            return False
        return self._vote(Phase.PRECOMMIT, NIL)

    def _await_prevotes(self) -> bool:
        """Line 34: FINAL has prevoted something."""
        ready = self.step is Phase.PREVOTE and self._log.passed(Phase.PREVOTE)
        return ready and self._pace.arm(Timer.PREVOTE, self._now)

    def _await_precommits(self) -> bool:
        """Line 47: FINAL has precommitted something."""
        if not self._log.passed(Phase.PRECOMMIT) or not self._pace.arm(Timer.PRECOMMIT, self._now):
            return False
        return self._pace.arm(Timer.SHOW, self._now)

    def _show_lock(self) -> bool:
        """Show a lock of this round when the round is failing, so that every later proposer knows it.

        In the paper gossip does this. Without it a dishonest voter that completes a quorum for
        one honest voter at a time could make each proposer propose what is no longer acceptable.
        """
        if self._shown or self.valid_round != self.round or not self._pace.has_fired(Timer.SHOW):
            return False
        log, block_hash = self._log.at(self.round), self.valid_hash
        if log.prevotes.heads(block_hash) > SHOWN_VOTES_MAX:
            return False  # this is asked again at each vote: nothing may be sorted for it
        votes = [envelope for voter, envelope in log.prevotes.envelopes(block_hash) if voter != self.me]
        offers = [offer.envelope for offer in log.offers if offer.hash == block_hash]
        self._shown = offers + votes
        self._out.extend(Resend(envelope) for envelope in self._shown)
        return bool(self._shown)

    def _value(self, block_hash: bytes) -> bytes | None:
        """Return the value with this hash if this node has it."""
        if self.valid_round != NEVER and self.valid_hash == block_hash:
            return self.valid_value
        return self._log.value(block_hash)

    def affirms(self, block_hash: bytes) -> bool:
        """Whether this value was accepted here before; that stays so, whatever becomes of the chain."""
        return self._judged.get(block_hash, False) or self.spoken.affirms(block_hash)

    def _is_valid(self, block_hash: bytes, value: bytes) -> bool:
        verdict = self._judged.get(block_hash)
        if verdict is None:
            verdict = self._judged[block_hash] = self.affirms(block_hash) or self._validate(value)
        return verdict


_RULES: tuple[Callable[[Rounds], bool], ...] = (
    Rounds._decide,
    Rounds._skip,
    Rounds._answer,
    Rounds._note_valid,
    Rounds._lock,
    Rounds._precommit_nil,
    Rounds._await_prevotes,
    Rounds._await_precommits,
    Rounds._show_lock,
)
