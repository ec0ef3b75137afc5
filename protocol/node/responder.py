"""One node as an operator: its responses, the receipts it got, the dial-backs it answers.

Answers for: our own answer to every challenge for which we are registered, sent to each
judge directly and on the group's topic; the judges' receipts, kept as our proof and shown to
the judges at the close; and replies to dial-backs, few to each judge. When a challenge
opens and closes is `tracker`'s business. Spec: `spec/response.md`.
"""

from protocol.chain.view import ChainView
from protocol.crypto import Signer
from protocol.errors import StaleMessage
from protocol.genesis import Genesis, network_id
from protocol.group.quorum import Electorate
from protocol.node.effects import Announce, Effect, Persist, Publish, Send
from protocol.node.messages import pack_signed
from protocol.node.open_challenge import OpenChallenge
from protocol.node.records import RECEIPT, Records, challenge_prefix
from protocol.tracking.challenge import Challenge, dial_back_digest
from protocol.tracking.response import (
    Receipt,
    build_probe_reply,
    build_response,
    check_probe,
    check_receipt,
)
from protocol.units import OperatorKey

PROBES_ANSWERED_MAX = 8
"""Dial-backs of one peer answered in one challenge."""
STRANGERS_MAX = 256
"""Peers that are no judges, as far as we know, and are answered in one challenge all the same."""


class Responder:
    """Answers for our own operator."""

    def __init__(
        self, genesis: Genesis, signer: Signer, chain: ChainView, records: Records, topic: str
    ) -> None:
        self._parameters = genesis.parameters
        self._network = network_id(genesis)
        self._signer = signer
        self._chain = chain
        self._records = records
        self._topic = topic
        self._answered: dict[OperatorKey, int] = {}
        """Dial-backs answered in the newest challenge, by peer: judges, and a bounded number of others."""
        self._answered_in: Challenge | None = None

    def respond(self, opened: OpenChallenge, electorate: Electorate) -> list[Effect]:
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
        packed = pack_signed(opened.own_response)
        judges = (OperatorKey(voter.operator_key) for voter in electorate.voters)
        return [Publish(self._topic, packed), *(Send(judge, packed) for judge in judges if judge != me)]

    def repeat(self, opened: OpenChallenge) -> list[Effect]:
        """Return what says our response again."""
        return [Publish(self._topic, pack_signed(opened.own_response))] if opened.own_response else []

    def keep_receipt(self, receipt: Receipt, envelope: bytes) -> list[Effect]:
        """Keep a judge's receipt for our own response; raises `InvalidSignature`."""
        check_receipt(envelope, self._network)
        key = challenge_prefix(RECEIPT, receipt.seq, receipt.anchor_hash) + receipt.judge
        if self._records.get(key) is not None:
            return []
        return [Persist(key, envelope), Announce("receipt", {"seq": receipt.seq, "height": receipt.height})]

    def show_receipts(self, challenge: Challenge) -> list[Effect]:
        """Return what shows the judges, at the close, what they acknowledged."""
        shown = self.receipts(challenge.seq, challenge.anchor_hash)
        return [Publish(self._topic, pack_signed(envelope)) for envelope in shown.values()]

    def receipts(self, seq: int, anchor_hash: bytes) -> dict[OperatorKey, bytes]:
        """Return the receipts that we hold for our response to a challenge, by judge."""
        prefix = challenge_prefix(RECEIPT, seq, anchor_hash)
        return {OperatorKey(key[len(prefix) :]): value for key, value in self._records.iterate(prefix)}

    def answer_probe(
        self, peer: OperatorKey, data: bytes, challenge: Challenge, electorate: Electorate
    ) -> bytes:
        """Return the signed reply to a judge's dial-back; raises `ProtocolError`."""
        if challenge != self._answered_in:
            self._answered_in, self._answered = challenge, {}
        count = self._answered.get(peer, 0)
        if count >= PROBES_ANSWERED_MAX:
            raise StaleMessage(f"{count} dial-backs in one challenge are enough")
        if not count and peer not in electorate and self._strangers(electorate) >= STRANGERS_MAX:
            raise StaleMessage(f"{STRANGERS_MAX} who are no judges have dialled back in one challenge")
        request = check_probe(data, self._network, challenge)
        self._answered[peer] = count + 1
        me = self._signer.operator_key
        digest = dial_back_digest(challenge, me, request.nonce, self._chain, self._parameters)
        return build_probe_reply(self._signer, request, digest)

    def _strangers(self, electorate: Electorate) -> int:
        return sum(peer not in electorate for peer in self._answered)
