"""Receipts in messages: so many in each, and nothing lost or added on the way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.codec import decode, encode
from protocol.crypto import SIGNATURE_SIZE, sha3_256
from protocol.node.messages import RECEIPTS_MAX, Receipts
from protocol.node.shown_receipts import read_receipts, show_receipts
from protocol.tracking.challenge import Challenge
from protocol.tracking.response import RECEIPT_SIZE_MAX, build_receipt, check_receipt
from protocol.units import ChallengeSeq, Hash32, Height
from tests.support.operators import operators

NETWORK = bytes(range(32))
JUDGES = operators(3)


def challenge(seq: int = 2, anchor_hash: Hash32 | None = None) -> Challenge:
    anchor = anchor_hash or sha3_256(b"anchor")
    return Challenge(ChallengeSeq(seq), Height(8), anchor, 9, Height(12), Height(14))


@given(st.integers(0, 3 * RECEIPTS_MAX + 1))
def test_all_are_shown_in_their_order_in_as_few_messages_as_hold_them(count: int) -> None:
    envelopes = [SIGNATURE_SIZE * b"s" + number.to_bytes(2, "big") for number in range(count)]
    messages = list(show_receipts(NETWORK, challenge(), envelopes))
    assert [each for message in messages for each in message.envelopes] == envelopes
    assert len(messages) == -(-count // RECEIPTS_MAX)
    for message in messages:
        assert decode(encode(message), Receipts) == message
        assert (message.network, message.seq, message.anchor_hash) == (NETWORK, 2, challenge().anchor_hash)


def given_for(asked: Challenge, height: int = 9) -> list[bytes]:
    return [build_receipt(one.signer, NETWORK, asked, bytes(32), b"a response", height) for one in JUDGES]


def test_the_largest_receipt_has_room() -> None:
    (largest, *_) = given_for(challenge(2**32 - 1), 2**63 - 1)
    assert len(largest) <= SIGNATURE_SIZE + RECEIPT_SIZE_MAX
    (message,) = show_receipts(NETWORK, challenge(2**32 - 1), [largest])
    assert decode(encode(message), Receipts) == message


def test_each_is_read_in_its_place() -> None:
    envelopes = given_for(challenge())
    (message,) = show_receipts(NETWORK, challenge(), envelopes)
    assert read_receipts(message) == tuple(check_receipt(each, NETWORK) for each in envelopes)


@pytest.mark.parametrize("other", [challenge(3), challenge(anchor_hash=sha3_256(b"a fork")), None])
def test_what_holds_no_receipt_of_that_challenge_is_none_and_costs_no_other_its_place(
    other: Challenge | None,
) -> None:
    first, _, last = given_for(challenge())
    bad = bytes(200) if other is None else given_for(other)[1]
    (message,) = show_receipts(NETWORK, challenge(), [first, bad, last])
    assert read_receipts(message) == (check_receipt(first, NETWORK), None, check_receipt(last, NETWORK))
