"""Responses, receipts, dial-backs: cheap checks first, and nothing passes but what its signer said."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import encode, replace
from protocol.crypto import Signer, envelope_body, sha3_256
from protocol.errors import (
    InvalidSignature,
    MalformedMessage,
    NotAMember,
    ProtocolError,
    StaleMessage,
    WrongNetwork,
)
from protocol.tracking import response as module
from protocol.tracking.challenge import dial_back_digest
from protocol.tracking.response import (
    BadlySigned,
    ResponseChecker,
    build_probe,
    build_probe_reply,
    build_receipt,
    check_probe,
    check_probe_reply,
    check_receipt,
    read_response,
    read_responses,
    response_hash,
)
from tests.support.chain_view import MemoryChain
from tests.support.court import Court
from tests.support.operators import NETWORK, operator

COURT = Court(4)
CHALLENGE = COURT.challenge
CHECKER = ResponseChecker(NETWORK, CHALLENGE, COURT.registrations)
ALICE, BOB = COURT.members[0], COURT.members[1]
ENVELOPE = COURT.right(ALICE)
STRANGER = operator(99)
NONCE = b"n" * 32
REQUEST = build_probe(NETWORK, CHALLENGE, NONCE)
DIGEST = dial_back_digest(CHALLENGE, ALICE.key, NONCE, COURT.chain, COURT.parameters)
REPLY = build_probe_reply(ALICE.signer, REQUEST, DIGEST)
RECEIPT = build_receipt(BOB.signer, NETWORK, CHALLENGE, ALICE.key, ENVELOPE, 17)


def test_a_right_response_passes() -> None:
    response = CHECKER.check(ENVELOPE)
    assert response.signer == ALICE.key
    assert COURT.answers().is_right(response)
    assert response_hash(ENVELOPE) == sha3_256(ENVELOPE)


@pytest.mark.parametrize(
    ("envelope", "error"),
    [
        (b"", MalformedMessage),
        (ENVELOPE[:64], MalformedMessage),
        (ENVELOPE[:-1], MalformedMessage),
        (ENVELOPE + b"\0", MalformedMessage),
        (ENVELOPE + bytes(1 << 20), MalformedMessage),
        (COURT.response(ALICE, network=bytes(32)), WrongNetwork),
        (COURT.response(ALICE, seq=CHALLENGE.seq + 1), StaleMessage),
        (COURT.old(ALICE), StaleMessage),
        (COURT.response(ALICE, anchor_hash=bytes(32)), StaleMessage),
        (COURT.response(STRANGER), NotAMember),
        (COURT.badly_signed(ALICE), InvalidSignature),
        (BOB.signer.sign(envelope_body(ENVELOPE)), InvalidSignature),
    ],
)
def test_responses_that_do_not_pass(envelope: bytes, error: type[ProtocolError]) -> None:
    with pytest.raises(error):
        CHECKER.check(envelope)


def test_cheap_checks_come_before_the_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these costs a forger nothing, so it must not cost us a verification either."""

    def unasked(*_: object) -> None:
        raise AssertionError("the signature was verified")

    cheap = (
        COURT.response(ALICE, network=bytes(32)),
        COURT.old(ALICE),
        COURT.response(STRANGER),
        bytes(64) + b"\xdc\x00\x0a" + ENVELOPE[65:],
    )
    monkeypatch.setattr(module, "verify_envelope", unasked)
    for forged in cheap:
        with pytest.raises((MalformedMessage, WrongNetwork, StaleMessage, NotAMember)):
            CHECKER.check(forged)
    with pytest.raises(AssertionError):
        CHECKER.check(ENVELOPE)


@pytest.mark.parametrize(
    "changes",
    [
        {"answer": b"wrong answer"},
        {"answer": COURT.answers().answer(BOB.key)},
        {"stake_address": BOB.stake_address},
        {"node_address": b"\x00" + bytes(20)},
        {"ip": b"\xe0\0\0\x01"},
        {"ip": b"\x7f\0\0\0\x01"},
        {"port": 0},
    ],
)
def test_a_response_with_any_wrong_element_is_wrong(changes: dict[str, Any]) -> None:
    assert not COURT.answers().is_right(CHECKER.check(COURT.response(ALICE, **changes)))


def test_an_operator_may_have_moved() -> None:
    """Addresses change between periods; the one in the response is dialled."""
    moved = CHECKER.check(COURT.response(ALICE, ip=b"\x7f\x09\x09\x09", port=1))
    assert COURT.answers().is_right(moved)


def test_only_where_it_can_be_dialled() -> None:
    court = Court(4)
    moved = CHECKER.check(COURT.response(ALICE, ip=b"\x7f\x09\x09\x09"))
    court.parameters = replace(court.parameters, loopback_allowed=False)
    assert not court.answers().is_right(moved)


def test_answers_are_computed_once() -> None:
    answers = COURT.answers()
    answers.prepare(COURT.registrations)
    answers._chain = MemoryChain(salt=b"a chain without this anchor")
    assert answers.is_right(CHECKER.check(ENVELOPE))
    with pytest.raises(StaleMessage):
        answers.answer(STRANGER.key)


def test_evidence_is_read_whatever_it_is_worth() -> None:
    old, bad = COURT.old(ALICE), COURT.badly_signed(BOB)
    found = read_responses([ENVELOPE, old, bad], NETWORK)
    assert set(found) == {response_hash(envelope) for envelope in (ENVELOPE, old, bad)}
    assert isinstance(found[response_hash(bad)], BadlySigned)
    assert found[response_hash(ENVELOPE)] == CHECKER.check(ENVELOPE)
    with pytest.raises(WrongNetwork):
        read_response(COURT.response(ALICE, network=bytes(32)), NETWORK)
    with pytest.raises(MalformedMessage):
        read_response(ENVELOPE[:-1], NETWORK)


def test_a_receipt_is_the_judges_word() -> None:
    receipt = check_receipt(RECEIPT, NETWORK)
    assert (receipt.signer, receipt.operator_key, receipt.height) == (BOB.key, ALICE.key, 17)
    assert receipt.response_hash == response_hash(ENVELOPE)
    with pytest.raises(WrongNetwork):
        check_receipt(RECEIPT, bytes(32))
    with pytest.raises(InvalidSignature):
        check_receipt(ALICE.signer.sign(envelope_body(RECEIPT)), NETWORK)


def test_a_dial_back_is_of_this_challenge() -> None:
    assert check_probe(encode(REQUEST), NETWORK, CHALLENGE) == REQUEST
    with pytest.raises(WrongNetwork):
        check_probe(encode(REQUEST), bytes(32), CHALLENGE)
    for stale in ({"seq": 1}, {"anchor_hash": bytes(32)}):
        with pytest.raises(StaleMessage):
            check_probe(encode(replace(REQUEST, **stale)), NETWORK, CHALLENGE)


def test_a_reply_is_the_operators_to_this_request() -> None:
    assert check_probe_reply(REPLY, REQUEST, ALICE.key).digest == DIGEST
    other = replace(REQUEST, nonce=b"m" * 32)
    with pytest.raises(StaleMessage):
        check_probe_reply(REPLY, other, ALICE.key)
    with pytest.raises(NotAMember):
        check_probe_reply(REPLY, REQUEST, BOB.key)
    with pytest.raises(WrongNetwork):
        check_probe_reply(REPLY, replace(REQUEST, network=bytes(32)), ALICE.key)
    with pytest.raises(InvalidSignature):
        check_probe_reply(bytes(64) + envelope_body(REPLY), REQUEST, ALICE.key)


Check = Callable[[bytes], object]
CHECKS: list[tuple[bytes, Check]] = [
    (ENVELOPE, CHECKER.check),
    (RECEIPT, lambda data: check_receipt(data, NETWORK)),
    (REPLY, lambda data: check_probe_reply(data, REQUEST, ALICE.key)),
]


@given(st.sampled_from(CHECKS), st.data())
def test_no_bit_can_be_changed(case: tuple[bytes, Check], data: st.DataObject) -> None:
    envelope, check = case
    changed = bytearray(envelope)
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ProtocolError):
        check(bytes(changed))


@given(st.sampled_from(CHECKS), st.binary(max_size=500))
def test_garbage_is_refused(case: tuple[bytes, Check], data: bytes) -> None:
    with pytest.raises(ProtocolError):
        case[1](data)
    with pytest.raises(ProtocolError):
        check_probe(data, NETWORK, CHALLENGE)


def test_a_signature_of_one_kind_serves_no_other() -> None:
    for envelope, check in CHECKS:
        for other, _ in CHECKS:
            if other is not envelope:
                with pytest.raises(ProtocolError):
                    check(other)


def test_signers_are_named_by_their_messages() -> None:
    assert CHECKER.check(ENVELOPE).signer == check_probe_reply(REPLY, REQUEST, ALICE.key).signer == ALICE.key
    assert isinstance(ALICE.signer, Signer)
