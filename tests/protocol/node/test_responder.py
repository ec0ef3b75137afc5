"""Our own answers, and the dial-backs that we answer."""

import pytest

from protocol.codec import decode, encode
from protocol.crypto import envelope_body
from protocol.errors import ProtocolError, StaleMessage
from protocol.genesis import network_id
from protocol.node.effects import Publish, Send
from protocol.node.messages import Receipts
from protocol.node.open_challenge import OpenChallenge
from protocol.node.responder import PROBES_ANSWERED_MAX, STRANGERS_MAX, Responder
from protocol.tracking.answer_key import AnswerKey
from protocol.tracking.challenge import derive_challenge, dial_back_digest
from protocol.tracking.registration import Registration
from protocol.tracking.response import (
    ProbeRequest,
    Receipt,
    build_probe,
    build_receipt,
    check_probe_reply,
    decode_response,
)
from protocol.units import OperatorKey
from tests.support.founding import founded_by
from tests.support.judging_groups import Groups
from tests.support.node_cluster import Cluster
from tests.support.operators import operators
from zenp2p.store import MemoryStore

FOUNDERS = operators(4)
ME, JUDGE = FOUNDERS[0], FOUNDERS[1]
GENESIS = founded_by(FOUNDERS)
NETWORK = network_id(GENESIS)
VIEW = Groups(NETWORK, {"": FOUNDERS}, "")
SEQ = 2


class Desk:
    """A responder on a chain whose challenge 2 is open."""

    def __init__(self) -> None:
        cluster = Cluster(FOUNDERS)
        self.chain = cluster.chain
        self.chain.mine_to(8)
        self.registrations = dict(cluster[ME].node.group.registrations(8))
        self.challenge = derive_challenge(SEQ, self.chain, GENESIS.parameters)
        self.store = MemoryStore()
        self.responder = Responder(GENESIS, ME.signer, self.chain, self.store)

    def opened(self, registrations: dict[OperatorKey, Registration] | None = None) -> OpenChallenge:
        known = self.registrations if registrations is None else registrations
        return OpenChallenge(NETWORK, AnswerKey(self.challenge, known, self.chain, GENESIS.parameters))

    def probe(self, number: int = 0) -> ProbeRequest:
        return build_probe(NETWORK, self.challenge, number.to_bytes(32, "big"))

    def answer(self, peer: OperatorKey, number: int = 0) -> bytes:
        return self.responder.answer_probe(peer, encode(self.probe(number)), self.challenge, VIEW)


def test_our_answer_goes_to_every_other_judge_and_to_the_group() -> None:
    desk = Desk()
    opened = desk.opened()
    sent = desk.responder.respond(opened, VIEW)
    assert sorted(one.peer for one in sent if isinstance(one, Send)) == sorted(
        one.key for one in FOUNDERS if one is not ME
    )
    assert len([one for one in sent if isinstance(one, Publish)]) == 1
    assert decode_response(envelope_body(opened.own_response)).answer == opened.answers.answer(ME.key)
    assert len(desk.responder.repeat(opened, VIEW)) == 1


def test_who_is_not_registered_or_too_late_says_nothing() -> None:
    desk = Desk()
    opened = desk.opened({})
    assert desk.responder.respond(opened, VIEW) == [] == desk.responder.repeat(opened, VIEW)
    desk.chain.mine_to(desk.challenge.closes)
    assert desk.responder.respond(desk.opened(), VIEW) == []


def test_a_dial_back_is_answered_with_the_transactions_behind_its_nonce() -> None:
    desk = Desk()
    reply = check_probe_reply(desk.answer(JUDGE.key), desk.probe(), ME.key)
    nonce = desk.probe().nonce
    assert reply.digest == dial_back_digest(desk.challenge, ME.key, nonce, desk.chain, GENESIS.parameters)


def test_each_judge_has_its_own_few_dial_backs_and_the_next_challenge_has_new_ones() -> None:
    desk = Desk()
    for number in range(PROBES_ANSWERED_MAX):
        desk.answer(JUDGE.key, number)
    with pytest.raises(StaleMessage):
        desk.answer(JUDGE.key, 99)
    assert desk.answer(FOUNDERS[2].key)
    desk.chain.mine_to(12)
    desk.challenge = derive_challenge(SEQ + 1, desk.chain, GENESIS.parameters)
    assert desk.answer(JUDGE.key)


def test_dial_backs_of_strangers_are_few_and_take_no_judges_place() -> None:
    desk = Desk()
    for number in range(STRANGERS_MAX):
        desk.answer(OperatorKey(number.to_bytes(32, "big")))
    with pytest.raises(StaleMessage):
        desk.answer(OperatorKey(b"\xff" * 32))
    assert desk.answer(OperatorKey(bytes(32)), 1) and desk.answer(JUDGE.key)
    assert len(desk.responder._answered) == STRANGERS_MAX + 1


def test_a_dial_back_that_is_none_costs_no_turn() -> None:
    desk = Desk()
    foreign = encode(build_probe(bytes(32), desk.challenge, bytes(32)))
    for data in (b"", b"junk", foreign, encode(desk.probe())[:-1]):
        with pytest.raises(ProtocolError):
            desk.responder.answer_probe(JUDGE.key, data, desk.challenge, VIEW)
    assert not desk.responder._answered


def test_receipts_are_kept_once_and_shown_at_the_close() -> None:
    desk = Desk()
    opened = desk.opened()
    desk.responder.respond(opened, VIEW)
    receipt = build_receipt(JUDGE.signer, NETWORK, desk.challenge, ME.key, opened.own_response, 9)
    said = decode(envelope_body(receipt), Receipt)
    with pytest.raises(ProtocolError):
        desk.responder.keep_receipt(said, bytes(64) + receipt[64:])
    assert desk.responder.show_receipts(desk.challenge, VIEW) == []
    kept, _ = desk.responder.keep_receipt(said, receipt)
    desk.store.write([(kept.key, kept.value)], sync=True)  # type: ignore[union-attr]
    assert desk.responder.keep_receipt(said, receipt) == []
    assert desk.responder.receipts(SEQ, desk.challenge.anchor_hash) == {JUDGE.key: receipt}
    (shown,) = desk.responder.show_receipts(desk.challenge, VIEW)
    assert isinstance(shown, Publish) and shown.topic == VIEW.topic_of(desk.responder.draw(desk.challenge))
    assert decode(shown.data[1:], Receipts).envelopes == (receipt,)
