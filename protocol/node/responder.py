"""One node as an operator: its responses, the receipts it got, the dial-backs it answers.

Answers for: our own answer to every challenge for which we are registered, sent to each
judge directly and on the topic of their group, which our draw names, whichever group is ours;
the judges' receipts, kept as our proof and shown to the judges at the close; and replies to
dial-backs, few to each judge. When a challenge opens and closes is `tracker`'s business.
Spec: `spec/response.md`.
"""

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.errors import StaleMessage
from protocol.genesis import Genesis, network_id
from protocol.group.quorum import Electorate
from protocol.node.court import GroupView
from protocol.node.effects import Announce, Effect, Persist, Publish, Send
from protocol.node.messages import pack_plain, pack_signed
from protocol.node.open_challenge import OpenChallenge
from protocol.node.records import RECEIPT, Records, challenge_prefix
from protocol.node.shown_receipts import show_receipts
from protocol.tracking.challenge import Challenge, challenge_draw, dial_back_digest
from protocol.tracking.response import (
    Receipt,
    build_probe_reply,
    build_response,
    check_probe,
    check_receipt,
)
from protocol.units import Hash32, OperatorKey

PROBES_ANSWERED_MAX = 8
"""Dial-backs of one peer answered in one challenge."""
STRANGERS_MAX = 256
"""Peers that are no judges, as far as we know, and are answered in one challenge all the same."""


class Responder:
    """Answers for our own operator."""

    def __init__(self, genesis: Genesis, signer: Signer, chain: ChainView, records: Records) -> None:
        self._parameters = genesis.parameters
        self._network = network_id(genesis)
        self._signer = signer
        self._chain = chain
        self._records = records
        self._answered: dict[OperatorKey, int] = {}
        """Dial-backs answered in the newest challenge, by peer: judges, and a bounded number of others."""
        self._answered_in: Challenge | None = None

    def draw(self, challenge: Challenge) -> Hash32:
        """Return what says which group judges us in a challenge."""
        return challenge_draw(challenge.anchor_hash, self._signer.operator_key)

    def respond(self, opened: OpenChallenge, view: GroupView) -> list[Effect]:
        """Return what sends our response, if we are registered and the challenge is open."""
        me = self._signer.operator_key
        registration = opened.answers.registrations.get(me)
        if registration is None or self._chain.tip()[0] >= opened.challenge.closes:
            return []
        opened.own_response = build_response(
            self._signer,
            self._network,
            opened.challenge,
            registration,
            opened.answers.answer(me),
            registration.ip,
            registration.port,
        )
        opened.told.clear()
        return self.repeat(opened, view)

    def repeat(self, opened: OpenChallenge, view: GroupView) -> list[Effect]:
        """Return what says our response again, and tells judges that came to their group since."""
        if not opened.own_response:
            return []
        draw, packed = self.draw(opened.challenge), pack_signed(opened.own_response)
        effects: list[Effect] = [Publish(view.topic_of(draw), packed)]
        for voter in view.judges(draw).voters:
            judge = OperatorKey(voter.operator_key)
            if judge != self._signer.operator_key and judge not in opened.told:
                opened.told.add(judge)
                effects.append(Send(judge, packed))
        return effects

    def keep_receipt(self, receipt: Receipt, envelope: bytes) -> list[Effect]:
        """Keep a judge's first receipt for our own response; raises `InvalidSignature`."""
        key = challenge_prefix(RECEIPT, receipt.seq, receipt.anchor_hash) + receipt.judge
        if self._records.get(key) is not None:
            return []
        check_receipt(envelope, self._network)
        return [Persist(key, envelope), Announce("receipt", {"seq": receipt.seq, "height": receipt.height})]

    def show_receipts(self, challenge: Challenge, view: GroupView) -> list[Effect]:
        """Return what shows the judges, at the close, what they acknowledged."""
        envelopes = tuple(self.receipts(challenge.seq, challenge.anchor_hash).values())
        topic = view.topic_of(self.draw(challenge))
        shown = show_receipts(self._network, challenge, envelopes)
        return [Publish(topic, pack_plain(message)) for message in shown]

    def receipts(self, seq: int, anchor_hash: bytes) -> dict[OperatorKey, bytes]:
        """Return the receipts that we hold for our response to a challenge, by judge."""
        prefix = challenge_prefix(RECEIPT, seq, anchor_hash)
        return {OperatorKey(key[len(prefix) :]): value for key, value in self._records.iterate(prefix)}

    def answer_probe(self, peer: OperatorKey, data: bytes, challenge: Challenge, view: GroupView) -> bytes:
        """Return the signed reply to a judge's dial-back; raises `ProtocolError`."""
        judges = view.judges(self.draw(challenge))
        if challenge != self._answered_in:
            self._answered_in, self._answered = challenge, {}
        count = self._answered.get(peer, 0)
        if count >= PROBES_ANSWERED_MAX:
            raise StaleMessage(f"{count} dial-backs in one challenge are enough")
        if not count and peer not in judges and self._strangers(judges) >= STRANGERS_MAX:
            raise StaleMessage(f"{STRANGERS_MAX} who are no judges have dialled back in one challenge")
        request = check_probe(data, self._network, challenge)
        self._answered[peer] = count + 1
        me = self._signer.operator_key
        digest = dial_back_digest(challenge, me, request.nonce, self._chain, self._parameters)
        return build_probe_reply(self._signer, request, digest)

    def _strangers(self, judges: Electorate) -> int:
        return sum(peer not in judges for peer in self._answered)
