"""One node as a judge of those who fall to its group.

Answers for: responses kept and acknowledged by receipts, dial-backs, the one observation that this
judge makes of each challenge, what other judges saw, and what a verdict block can be made of. Who falls
to another group is no business of ours, and costs us nothing. When a challenge opens, closes and is
observed is `tracker`'s business; what observations mean is `protocol.tracking.verdict`'s.
Spec: `spec/response.md`, `spec/verdict.md`.
"""

from collections.abc import Iterable

from protocol.chain.view import ChainView
from protocol.codec import encode
from protocol.crypto import Signer
from protocol.errors import MalformedMessage, NotAMember, ProtocolError, StaleMessage
from protocol.genesis import Genesis, network_id
from protocol.group.quorum import Electorate
from protocol.node.court import GroupView, Judged
from protocol.node.dial_back import DialBack
from protocol.node.effects import Effect, ProbeResult, Publish, Send
from protocol.node.messages import (
    RESPONSES_MAX,
    Receipts,
    Responses,
    ResponsesRequest,
    group_topic,
    pack_plain,
    pack_signed,
)
from protocol.node.open_challenge import OpenChallenge
from protocol.node.shown_receipts import read_receipts
from protocol.tracking.observation import Observation, check_observation
from protocol.tracking.response import Receipt, build_receipt, check_receipt
from protocol.units import OperatorKey


class Judge:
    """The machine of one judge. It holds no challenge itself: each call says which one is meant."""

    def __init__(self, genesis: Genesis, signer: Signer, chain: ChainView) -> None:
        self._parameters = genesis.parameters
        self._network = network_id(genesis)
        self._signer = signer
        self._dial_back = DialBack(genesis, signer, chain)
        self.prefix = ""
        """Of our group."""
        self.is_seated = False
        """Whether we have a vote there, so that we judge at all."""

    def take_seat(self, view: GroupView) -> bool:
        """Judge as a voter of our group as it is now; return whether that is another seat than before."""
        before = self.prefix, self.is_seated
        self.prefix, self.is_seated = view.our_prefix, self._signer.operator_key in view.electorate
        return before != (self.prefix, self.is_seated)

    def prepare(self, opened: OpenChallenge) -> None:
        """Compute ahead what those who fall to us must answer."""
        if self.is_seated:
            opened.answers.prepare(opened.builder.registered)

    def move(self, opened: OpenChallenge) -> None:
        """Go on with a challenge from another seat, unless all that we ever say of it is said."""
        opened.ready_since = None
        if self._signer.operator_key not in opened.observations:
            opened.update(opened.answers, self.prefix)
            self.prepare(opened)

    # Responses and receipts.

    def keep(
        self, opened: OpenChallenge, envelope: bytes, height: int, peer: bytes, effects: list[Effect]
    ) -> None:
        """Keep a response if it is better than what we hold; raises `ProtocolError`."""
        if self._signer.operator_key in opened.observations:
            raise StaleMessage(f"challenge {opened.challenge.seq} is observed")
        kept = opened.keep_response(envelope, height, peer)
        if kept is not None:
            effects.append(kept)
            opened.to_dial.append(OperatorKey(kept.key[-32:]))

    def receipt(self, opened: OpenChallenge, peer: OperatorKey) -> list[Effect]:
        """Tell an operator what we hold of it, so that nobody can say later that nothing came."""
        held = opened.builder.held(peer)
        if held is None:
            return []
        receipt = build_receipt(
            self._signer, self._network, opened.challenge, peer, held.envelope, held.height
        )
        return [opened.write_durably(held), Send(peer, pack_signed(receipt))]

    def hear_receipts(self, opened: OpenChallenge, shown: Receipts, electorate: Electorate) -> None:
        """Note what other judges acknowledged: a receipt counts as an observation.

        Each is taken as if it had come alone. Raises at the end, if any is refused, for the gravest reason.
        """
        refusals: list[ProtocolError] = []
        for receipt, envelope in zip(read_receipts(shown), shown.envelopes, strict=True):
            try:
                self._hear_receipt(opened, receipt, envelope, electorate)
            except ProtocolError as error:
                refusals.append(error)
        if refusals:
            raise max(refusals, key=lambda error: isinstance(error, MalformedMessage))

    def _hear_receipt(
        self, opened: OpenChallenge, receipt: Receipt | None, envelope: bytes, electorate: Electorate
    ) -> None:
        """Note one receipt, the first of its judge for an operator; raises `ProtocolError`."""
        if receipt is None:
            raise MalformedMessage("no receipt of the challenge that it is shown for")
        place = (OperatorKey(receipt.judge), OperatorKey(receipt.operator_key))
        if place in opened.receipts:
            return
        if receipt.judge not in electorate:
            raise StaleMessage("a receipt by nobody who judges that operator")
        if not self.is_seated:
            return
        if place[1] not in opened.builder.registered:
            raise NotAMember("a receipt for somebody who is not registered, or judged by another group")
        check_receipt(envelope, self._network)
        opened.receipts[place] = envelope

    # Dial-backs.

    def dial(self, challenges: Iterable[OpenChallenge]) -> list[Effect]:
        """Dial back those whose responses came."""
        return self._dial_back.begin(challenges)

    def dial_again(self, opened: OpenChallenge) -> list[Effect]:
        """Dial back those who were not reached yet."""
        return self._dial_back.again(opened) if self.is_seated else []

    def probed(self, result: ProbeResult, challenges: Iterable[OpenChallenge]) -> list[Effect]:
        """A dial-back ended."""
        return self._dial_back.ended(result, challenges)

    # Observations.

    def observe(self, opened: OpenChallenge) -> list[Effect]:
        """Say once what we saw; a judge that was away says that it saw nothing."""
        me = self._signer.operator_key
        if not self.is_seated or me in opened.observations:
            return []
        observation = opened.builder.build(me)
        envelope = self._signer.sign(encode(observation))
        kept = opened.keep_observation(observation, envelope)
        return [*opened.write_rest(), kept, self._publish(envelope)]

    def hear(
        self, opened: OpenChallenge, observation: Observation, envelope: bytes, view: GroupView
    ) -> list[Effect]:
        """Take what another judge saw, and ask it for the responses that we lack."""
        if observation.signer in opened.observations:
            raise StaleMessage(f"an observation of challenge {observation.seq}")
        if observation.signer not in view.electorate:
            raise NotAMember(f"{observation.signer.hex()[:16]} is no judge")
        check_observation(envelope, self._network)
        effects: list[Effect] = [opened.keep_observation(observation, envelope)]
        return effects + self._ask(opened, observation.signer)

    def _ask(self, opened: OpenChallenge, judge: OperatorKey) -> list[Effect]:
        missing = opened.missing(judge)
        if not missing or judge == self._signer.operator_key:
            return []
        request = ResponsesRequest(
            network=self._network,
            seq=opened.challenge.seq,
            anchor_hash=opened.challenge.anchor_hash,
            hashes=tuple(missing[:RESPONSES_MAX]),
        )
        return [Send(judge, pack_plain(request))]

    def hand_over(self, opened: OpenChallenge, request: ResponsesRequest, peer: OperatorKey) -> list[Effect]:
        """Hand over responses that an observation names."""
        envelopes = tuple(opened.envelopes_of(request.hashes))
        if not envelopes:
            return []
        answer = Responses(
            network=self._network, seq=request.seq, anchor_hash=request.anchor_hash, envelopes=envelopes
        )
        return [Send(peer, pack_plain(answer))]

    def repeat(self, opened: OpenChallenge, view: GroupView) -> list[Effect]:
        """Say again what other judges may have missed, and ask again for what we miss."""
        effects: list[Effect] = []
        own_word = opened.observations.get(self._signer.operator_key)
        if own_word is not None:
            effects.append(self._publish(own_word))
        for judge in opened.observations:
            if judge in view.electorate:
                effects += self._ask(opened, judge)
        return effects

    def _publish(self, observation: bytes) -> Effect:
        return Publish(group_topic(self._network, self.prefix), pack_signed(observation))

    # Verdicts.

    def see_whether_ready(self, opened: OpenChallenge, view: GroupView, now: int) -> None:
        """Note since when there could be verdicts: FINAL has said its word, and what it names is here."""
        may_be = opened.ready_since is None and view.electorate.is_final(opened.observations)
        if may_be and opened.complete(view.electorate) is not None:
            opened.ready_since = now

    def judged(self, opened: OpenChallenge, view: GroupView, now: int) -> Judged | None:
        """Return what the verdict block of a challenge that is due can be made of, or None.

        It waits a round for the judges that are still missing, then a FINAL set is enough.
        """
        self.see_whether_ready(opened, view, now)
        complete = None if opened.ready_since is None else opened.complete(view.electorate)
        if complete is None or opened.ready_since is None:
            return None
        everybody = len(complete[0]) == len(view.electorate)
        if not everybody and now < opened.ready_since + self._parameters.round_milliseconds:
            return None
        receipts = tuple(sorted(opened.receipts.values()))
        return Judged(opened.challenge, tuple(complete[0]), tuple(complete[1]), receipts)
