"""Vectors of what operators and judges send each other. Formats: `spec/response.md`."""

from typing import Any

from protocol.codec import Wire, encode, replace
from protocol.crypto import Signer, envelope_body
from protocol.tracking.challenge import dial_back_digest
from protocol.tracking.observation import ObservationBuilder
from protocol.tracking.response import (
    Receipt,
    build_probe,
    build_probe_reply,
    build_receipt,
    decode_response,
    response_hash,
)
from tests.support.court import Court
from tests.support.operators import NETWORK
from tests.vectors.registry import vectors

NONCE = b"\x5a" * 32


def describe(message: Wire) -> dict[str, Any]:
    """The fields as JSON: bytes as hex, sightings as objects."""
    return {name: _value(getattr(message, name)) for name in message.__struct_fields__}


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple):
        return [_value(item) for item in value]
    return describe(value) if isinstance(value, Wire) else value


def envelope_case(kind: str, envelope: bytes, message: Wire) -> dict[str, Any]:
    assert envelope_body(envelope) == encode(message)
    return {"kind": kind, "envelope": envelope.hex(), "fields": describe(message)}


def signed(kind: str, message: Wire, signer: Signer) -> dict[str, Any]:
    return envelope_case(kind, signer.sign(encode(message)), message)


@vectors("response", "messages")
def messages() -> dict[str, Any]:
    court = Court(4)
    one, other, judge = court.members[:3]
    challenge = court.challenge
    response = court.right(one)
    moved = replace(decode_response(envelope_body(response)), ip=bytes.fromhex("2a0104f8" + "00" * 11 + "01"))
    receipt = Receipt(
        network=NETWORK,
        seq=challenge.seq,
        anchor_hash=challenge.anchor_hash,
        judge=judge.key,
        operator_key=one.key,
        response_hash=response_hash(response),
        height=17,
    )
    receipt_envelope = build_receipt(judge.signer, NETWORK, challenge, one.key, response, 17)
    request = build_probe(NETWORK, challenge, NONCE)
    digest = dial_back_digest(challenge, one.key, NONCE, court.chain, court.parameters)
    reply = build_probe_reply(one.signer, request, digest)
    seen = ObservationBuilder(NETWORK, court.answers())
    seen.record_response(response, 17, one.key)
    seen.record_probe(one.key, ip=one.ip, fast=True, tls_valid=True)
    seen.record_probe(other.key, ip=other.ip)
    return {
        "network": NETWORK.hex(),
        "response_hash": response_hash(response).hex(),
        "probe": {"body": encode(request).hex(), "fields": describe(request)},
        "probe_reply": reply.hex(),
        "envelopes": [
            envelope_case("response", response, decode_response(envelope_body(response))),
            signed("response", moved, one.signer),
            envelope_case("receipt", receipt_envelope, receipt),
            signed("observation", seen.build(judge.key), judge.signer),
        ],
    }
