"""Challenges at one node: when they open and close, and who of this node is asked about them.

Answers for: a challenge opens with its anchor and is observed when the block at `judged_at`
connects (deadlines are heights); what comes for it reaches the challenge that it means; when our
group changes, open challenges go on from our new seat. What is held at once is `docket`'s, our own answers
are `responder`'s, judging others `judge`'s; what observations mean is `protocol.tracking.verdict`'s
business, the verdict block the `group` machine's. Spec: `spec/response.md`, `spec/verdict.md`.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from protocol.chain.view import ChainView
from protocol.crypto import SIGNATURE_SIZE, Signer
from protocol.errors import NotAMember, ProtocolError, StaleMessage
from protocol.genesis import Genesis, network_id
from protocol.node.court import GroupView, Judged
from protocol.node.docket import HELD_MAX, Docket
from protocol.node.effects import Announce, Effect, Incoming, News, Persist, ProbeResult
from protocol.node.judge import Judge
from protocol.node.messages import Receipts, Responses, ResponsesRequest
from protocol.node.open_challenge import OpenChallenge
from protocol.node.records import (
    OBSERVATION,
    RESPONSE,
    SIGHTING,
    VOID,
    Records,
    challenge_prefix,
    split_challenge_key,
)
from protocol.node.responder import Responder
from protocol.node.voids import Voids, Why
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import challenge_draw, derive_challenge
from protocol.tracking.observation import Observation
from protocol.tracking.response import Receipt, decode_response
from protocol.units import Hash32, OperatorKey

EARLY_MAX = 1_024
"""Responses kept before their challenge opens; beyond it the oldest is dropped (operators repeat them)."""


class Tracker:
    """The machine of challenges at one node."""

    def __init__(self, genesis: Genesis, signer: Signer, chain: ChainView, records: Records) -> None:
        self._genesis = genesis
        self._parameters = genesis.parameters
        self._network = network_id(genesis)
        self._me = signer.operator_key
        self._chain = chain
        self._records = records
        self._docket = Docket(chain)
        self._tip = self._highest = 0
        """Our last block's height, and the highest one that it ever had."""
        self.voids = Voids()
        self._responder = Responder(genesis, signer, chain, records)
        self._judge = Judge(genesis, signer, chain)
        self._early: deque[Incoming] = deque(maxlen=EARLY_MAX)

    @property
    def is_judge(self) -> bool:
        """Whether we have a vote in our group, as far as we were told."""
        return self._judge.is_seated

    # Heights.

    def restore(self, view: GroupView) -> list[Effect]:
        """Take up the challenges that are not judged yet, as the record holds them."""
        self._tip = self._highest = self._chain.tip()[0]
        self._judge.take_seat(view)
        newest = self._tip // self._parameters.challenge_every
        effects: list[Effect] = []
        for seq in range(max(0, newest - HELD_MAX), newest + 1):
            opened = self._prepare(seq, view)
            if opened is not None:
                self._docket.admit(opened)
                effects += self._respond(opened, view)
        return effects + self._sweep(newest - HELD_MAX, view)

    def _sweep(self, oldest: int, view: GroupView) -> list[Effect]:
        """Drop the records of challenges that can never be judged any more, or are judged."""
        effects: list[Effect] = []
        for family in (RESPONSE, SIGHTING, OBSERVATION, VOID):
            for key, _ in self._records.iterate(family):
                seq, anchor_hash, other = split_challenge_key(family, key)
                own_word = challenge_prefix(OBSERVATION, seq, anchor_hash) + self._me
                is_named = family == RESPONSE and self._records.get(own_word) is not None
                is_ours = is_named or (family == OBSERVATION and other == self._me)
                if seq < oldest or (view.is_judged(seq) and not is_ours):
                    effects.append(Persist(key, None))
        return effects

    def _forget_words(self, oldest: int) -> list[Effect]:
        """Drop our observations of challenges that no group will judge any more, and what they name."""
        words = [(OBSERVATION, key) for key, _ in self._records.iterate(OBSERVATION)]
        words += [(RESPONSE, key) for key, _ in self._records.iterate(RESPONSE)]
        return [Persist(key, None) for family, key in words if split_challenge_key(family, key)[0] < oldest]

    def regroup(self, view: GroupView) -> list[Effect]:
        """Go on from the seat that we have now: our group, or our vote in it, may have changed.

        What is held of those who still fall to us stays. Of what we have observed we say no second word.
        What our new group has still to judge it cannot without our word, though our old one has done with it.
        """
        effects: list[Effect] = []
        if self._judge.take_seat(view):
            for opened in self._docket:
                self._judge.move(opened)
                self._keep_own(opened, effects)
            self._reopen(view)
            for opened in self._docket.current():
                if self._tip >= opened.challenge.judged_at:
                    effects += self._judge.observe(opened)
        return effects

    def _reopen(self, view: GroupView) -> None:
        """Hold what our group has not judged of late, with what the record has of it."""
        newest = self._tip // self._parameters.challenge_every
        lately = range(max(0, newest - HELD_MAX), newest + 1) if self.is_judge else ()
        found = (self._prepare(seq, view) for seq in lately)
        self._docket.resume([opened for opened in found if opened is not None])

    def connect(self, height: int, view: GroupView) -> list[Effect]:
        """A block connected: open, observe, answer again what is due."""
        self._tip, self._highest = height, max(self._highest, height)
        effects = self.regroup(view)
        if height % self._parameters.challenge_every == 0:
            effects += self._on_anchor(height // self._parameters.challenge_every, view)
        for opened in self._docket.current():
            if height < opened.challenge.closes:
                effects += self._judge.dial_again(opened)
            elif height == opened.challenge.closes:
                effects += self._responder.show_receipts(opened.challenge, view)
            elif height >= opened.challenge.judged_at:
                effects += self._judge.observe(opened)
        return effects

    def _on_anchor(self, seq: int, view: GroupView) -> list[Effect]:
        """An anchor joined the chain: its challenge opens, or is void from the beginning."""
        anchor = self._chain.block_hash(seq * self._parameters.challenge_every)
        judged = view.judged_anchor(seq)
        if anchor is None or judged == anchor:
            return self.voids.restore(seq, anchor) if anchor is not None else []
        if judged is not None:
            return self.voids.note(seq, anchor, Why.JUDGED_BEFORE)
        opened = self._prepare(seq, view)
        if opened is None:
            return []
        challenge = opened.challenge
        if self._highest >= challenge.closes and not opened.was_open:
            # We have stood past its close on another branch: nobody who followed us can have answered.
            mark = Persist(challenge_prefix(VOID, seq, anchor), b"")
            return [mark, *self.voids.note(seq, anchor, Why.CLOSED_BEFORE)]
        self.voids.restore(seq, anchor)
        self._docket.admit(opened)
        news: News = {"seq": seq, "height": challenge.anchor_height, "anchor": anchor.hex()}
        effects = [*self._forget_words(seq - HELD_MAX), Announce("challenge.opened", news)]
        return effects + self._respond(opened, view) + self._take_early()

    def disconnect(self, height: int, block_hash: bytes, view: GroupView) -> list[Effect]:
        """A block left the chain: its challenge, if it was an anchor, is void unless it comes back."""
        self._tip = max(0, height - 1)
        seq, rest = divmod(height, self._parameters.challenge_every)
        if rest:
            return []
        anchor = Hash32(block_hash)
        if view.judged_anchor(seq) == anchor:
            return self.voids.note(seq, anchor, Why.LEFT_JUDGED)
        if self._docket.get(seq, anchor) is None:
            return []
        self._docket.look()
        return self.voids.note(seq, anchor, Why.LEFT)

    def _prepare(self, seq: int, view: GroupView) -> OpenChallenge | None:
        """Return the challenge `seq` of our chain, unless it is before the first one, judged or void."""
        anchor = seq * self._parameters.challenge_every
        if anchor < self._genesis.first_challenge_height or self._chain.block_hash(anchor) is None:
            return None
        challenge = derive_challenge(seq, self._chain, self._parameters)
        if view.is_judged(seq):
            return None
        held = self._docket.get(seq, challenge.anchor_hash)
        if held is not None:
            return held
        if self._records.get(challenge_prefix(VOID, seq, challenge.anchor_hash)) is not None:
            self.voids.note(seq, challenge.anchor_hash, Why.CLOSED_BEFORE)
            return None
        answers = AnswerKey(challenge, view.registrations(anchor), self._chain, self._parameters)
        opened = OpenChallenge(self._network, answers, self._judge.prefix)
        self._judge.prepare(opened)
        opened.was_open = opened.restore(self._records)
        return opened

    def tick(self, view: GroupView, now: int) -> list[Effect]:
        """Dial back those whose responses came; see of which challenge there could be verdicts by now.

        They wait a while for the judges that are missing, and not only from our turn to propose on.
        """
        for opened in self._docket:
            self._judge.see_whether_ready(opened, view, now)
        return self._judge.dial(self._docket)

    def probed(self, result: ProbeResult) -> list[Effect]:
        """A dial-back ended."""
        return self._judge.probed(result, self._docket)

    # As an operator.

    def _respond(self, opened: OpenChallenge, view: GroupView) -> list[Effect]:
        """Answer for ourselves."""
        sent = self._responder.respond(opened, view)
        effects: list[Effect] = []
        if sent:
            self._keep_own(opened, effects)
        return effects + sent

    def _keep_own(self, opened: OpenChallenge, effects: list[Effect]) -> None:
        """As our own judge we are the first to have our response."""
        is_in_time = opened.own_response and self._highest < opened.challenge.closes
        if is_in_time and self.is_judge and opened.builder.is_ours(self._me):
            # It is observed, its anchor came back when it could be judged, or we are registered no more.
            with suppress(StaleMessage, NotAMember):
                self._judge.keep(opened, opened.own_response, self._highest, self._me, effects)

    def answer_probe(self, peer: OperatorKey, data: bytes, view: GroupView) -> bytes:
        """Return the signed reply to a judge's dial-back; raises `ProtocolError`."""
        newest = self._docket.newest
        if newest is None:
            raise StaleMessage("no challenge is open")
        return self._responder.answer_probe(peer, data, newest.challenge, view)

    def receipts(self, seq: int, anchor_hash: bytes) -> dict[OperatorKey, bytes]:
        """Return the receipts that we hold for our response to a challenge, by judge."""
        return self._responder.receipts(seq, anchor_hash)

    def on_receipt(self, receipt: Receipt, envelope: bytes, view: GroupView) -> list[Effect]:
        """Keep a judge's receipt for our own response, our proof; raises `ProtocolError`."""
        opened = self._docket.get(receipt.seq, receipt.anchor_hash)
        if opened is None or receipt.operator_key != self._me:
            raise StaleMessage("a receipt for nothing of ours that is open")
        if receipt.judge not in view.judges(self._responder.draw(opened.challenge)):
            raise StaleMessage("a receipt by nobody who judges us")
        return self._responder.keep_receipt(receipt, envelope)

    # As a judge.

    def on_response(self, envelope: bytes, incoming: Incoming, effects: list[Effect]) -> None:
        """Take a response: keep it if it is better than what we hold; who hands it over gets a receipt."""
        try:
            opened = self._docket.meant_by(envelope)
            if not self._judge.is_seated:
                return
            self._judge.keep(opened, envelope, self._highest, incoming.peer, effects)
        except StaleMessage:
            self._note_early(envelope, incoming)
            raise
        if not incoming.topic:
            effects += self._judge.receipt(opened, incoming.peer)

    def _note_early(self, envelope: bytes, incoming: Incoming) -> None:
        """Keep a response whose anchor may reach others before us: the next one, or another branch's."""
        response = decode_response(envelope[SIGNATURE_SIZE:])
        every = self._parameters.challenge_every
        anchor = response.seq * every
        is_next = self._tip < anchor <= self._tip + every
        is_last = self._tip - every < anchor <= self._tip
        if is_next or (is_last and self._chain.block_hash(anchor) != response.anchor_hash):
            self._early.append(incoming)

    def _take_early(self) -> list[Effect]:
        """Take the responses that came before their challenge opened; what still fits none is dropped."""
        waiting, self._early = self._early, deque(maxlen=EARLY_MAX)
        effects: list[Effect] = []
        for incoming in waiting:
            with suppress(ProtocolError):
                self.on_response(incoming.data[1:], incoming, effects)
        return effects

    def on_observation(self, observation: Observation, envelope: bytes, view: GroupView) -> list[Effect]:
        """Take what another judge saw; raises `ProtocolError`."""
        opened = self._docket.get(observation.seq, observation.anchor_hash)
        if opened is None:
            raise StaleMessage(f"an observation of challenge {observation.seq}")
        return self._judge.hear(opened, observation, envelope, view)

    def on_receipts(self, shown: Receipts, view: GroupView) -> None:
        """Hear as a judge what others acknowledged; the good ones count also if it raises `ProtocolError`."""
        opened = self._docket.get(shown.seq, shown.anchor_hash)
        if opened is None:
            raise StaleMessage(f"receipts of challenge {shown.seq}")
        self._judge.hear_receipts(opened, shown, view.electorate)

    def on_responses_request(self, request: ResponsesRequest, peer: OperatorKey) -> list[Effect]:
        """Hand over responses that an observation names."""
        opened = self._docket.get(request.seq, request.anchor_hash)
        return self._judge.hand_over(opened, request, peer) if opened else []

    def on_responses(self, responses: Responses) -> list[Effect]:
        """Take responses that we asked for."""
        opened = self._docket.get(responses.seq, responses.anchor_hash)
        if opened is not None:
            for envelope in responses.envelopes:
                opened.keep_fetched(envelope)
        return []

    def repeat(self, view: GroupView) -> list[Effect]:
        """Say again what others may have missed, while it still matters."""
        effects: list[Effect] = []
        for opened in self._docket.current():
            if self._tip < opened.challenge.closes:
                effects += self._responder.repeat(opened, view)
            effects += self._judge.repeat(opened, view)
        return effects

    # Verdicts.

    def judged(self, view: GroupView, now: int) -> Iterator[Judged]:
        """Yield what verdict blocks of challenges that are due can be made of, of the oldest one first."""
        for opened in self._docket.current():
            if self._tip < opened.challenge.judged_at or view.is_judged(opened.challenge.seq):
                continue
            judged = self._judge.judged(opened, view, now)
            if judged is not None:
                yield judged

    def on_verdicts(self, seq: int, view: GroupView) -> list[Effect]:
        """A verdict block was certified, by any group: when ours has judged, nothing else is needed.

        On this branch or another: a challenge is judged once. With an anchor that is not on our chain it
        is void all the same.
        """
        judged = view.judged_anchor(seq)
        if judged is None or not view.is_judged(seq):
            return []
        effects: list[Effect] = []
        for opened in self._docket.close(seq):
            effects += opened.forget(self._records, self._me)
        here = self._chain.block_hash(seq * self._parameters.challenge_every)
        if here not in (None, judged):
            effects += self.voids.note(seq, judged, Why.LEFT_JUDGED)
            effects += self.voids.note(seq, Hash32(here or b""), Why.JUDGED_BEFORE)
        return effects

    def on_registrations(self, stamp_height: int, view: GroupView) -> list[Effect]:
        """Any group certified registrations: those stamped at or below an open anchor count there."""
        effects: list[Effect] = []
        for opened in self._docket.current():
            challenge = opened.challenge
            if stamp_height <= challenge.anchor_height:
                registrations = view.registrations(challenge.anchor_height)
                opened.update(opened.answers.renewed(registrations))
                if not opened.own_response:
                    effects += self._respond(opened, view)
        return effects

    def company(self, view: GroupView) -> tuple[list[OperatorKey], list[OperatorKey]]:
        """Return with whom the newest challenge brings us together until it is judged.

        First our judges, if we are judged; then, if we are a judge, those who fall to us, by their draws:
        when they are too many for somebody, chance says which.
        """
        opened = self._docket.newest
        if opened is None or self._tip >= opened.challenge.judged_at:
            return [], []
        judges: list[OperatorKey] = []
        if self._me in opened.answers.registrations:
            voters = view.judges(self._responder.draw(opened.challenge)).voters
            judges = [OperatorKey(voter.operator_key) for voter in voters]
        anchor, ours = opened.challenge.anchor_hash, opened.builder.registered if self.is_judge else ()
        return judges, sorted(ours, key=lambda key: challenge_draw(anchor, key))

    def open_challenges(self) -> tuple[OpenChallenge, ...]:
        """Return the challenges that wait for their verdict, oldest first."""
        return tuple(self._docket.current())
