"""RESEND: one statement, one encoding, small, and about a foreign group only."""

import pytest

from protocol.codec import Decoder, encode, replace
from protocol.crypto import SIGNATURE_SIZE, Signer, verify_envelope
from protocol.errors import MalformedMessage
from protocol.group.name import PREFIX_BITS_MAX
from protocol.group.resend import RESEND_SIZE_MAX, Resend, build_resend

SIGNER = Signer(b"\x07" * 32)
SAID = Resend(
    network=bytes(32),
    prefix="01",
    height=3,
    block_hash=b"\x01" * 32,
    member=b"\x02" * 32,
    sender_prefix="1",
    sender=SIGNER.operator_key,
    group_block=b"\x03" * 32,
)
decode: Decoder[Resend] = Decoder(Resend, RESEND_SIZE_MAX)


def test_it_is_signed_by_its_sender_and_reads_back() -> None:
    envelope = build_resend(SIGNER, SAID)
    verify_envelope(envelope, SAID.signer)
    assert decode(envelope[SIGNATURE_SIZE:]) == SAID


def test_the_largest_statement_fits() -> None:
    longest = replace(
        SAID, prefix="0" * PREFIX_BITS_MAX, sender_prefix="1" * PREFIX_BITS_MAX, height=2**63 - 1
    )
    assert decode(encode(longest)) == longest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prefix": ""}, "another group than its own"),
        ({"sender_prefix": ""}, "another group than its own"),
        ({"sender_prefix": "01"}, "another group than its own"),
        ({"sender_prefix": "0"}, "another group than its own"),
        ({"sender_prefix": "010"}, "another group than its own"),
        ({"sender_prefix": "x"}, "chains of groups"),
        ({"prefix": "2"}, "chains of groups"),
        ({"height": 0}, "chains of groups"),
        ({"member": SIGNER.operator_key}, "nobody reports itself"),
    ],
)
def test_what_nobody_can_say_does_not_exist(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SAID, **change)


def test_bytes_of_something_else_are_refused() -> None:
    body = encode(SAID)
    for damaged in (body[:-1], body + b"\x00", body.replace(b"resend", b"resent")):
        with pytest.raises(MalformedMessage):
            decode(damaged)
