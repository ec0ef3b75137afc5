"""Requests for a place: signed by the operator itself, for one network."""

import pytest

from protocol.codec import encode
from protocol.crypto import Signer, sha3_256
from protocol.errors import InvalidSignature, MalformedMessage, WrongNetwork
from protocol.group.join_request import JoinRequest, build_join_request, check_join_request

NETWORK = sha3_256(b"a network")
SIGNER, OTHER = Signer(b"\x01" * 32), Signer(b"\x02" * 32)


def test_a_request_says_who_and_why() -> None:
    request = check_join_request(build_join_request(SIGNER, NETWORK, 7, b"\x05" * 32), NETWORK)
    assert (request.signer, request.seq, request.verdict) == (SIGNER.operator_key, 7, b"\x05" * 32)


def test_nobody_asks_for_another() -> None:
    request = JoinRequest(network=NETWORK, operator_key=SIGNER.operator_key, seq=7, verdict=b"\x05" * 32)
    with pytest.raises(InvalidSignature):
        check_join_request(OTHER.sign(encode(request)), NETWORK)


def test_other_networks_and_cut_requests_are_refused() -> None:
    envelope = build_join_request(SIGNER, NETWORK, 7, b"\x05" * 32)
    with pytest.raises(WrongNetwork):
        check_join_request(envelope, sha3_256(b"another"))
    with pytest.raises(MalformedMessage):
        check_join_request(envelope[:-1], NETWORK)
