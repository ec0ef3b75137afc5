"""Responses, receipts and dial-backs: what passes between an operator and its judges.

Answers for: these messages and their checks, the cheap ones first and the signature
last, at a cost per response that is small beside the signature's. Whether an answer is
right is `answer_key`'s business (it needs the chain), what a judge keeps
`observation`'s, what follows `verdict`'s. Spec: `spec/response.md`.
"""

from collections.abc import Container, Iterable
from dataclasses import dataclass

from protocol.codec import (
    U16,
    U32,
    U64,
    AddressBytes,
    Bytes12,
    Bytes32,
    Decoder,
    IpBytes,
    Wire,
    encode,
)
from protocol.crypto import SIGNATURE_SIZE, Signer, envelope_body, sha3_256, verify_envelope
from protocol.errors import InvalidSignature, NotAMember, StaleMessage, WrongNetwork
from protocol.tracking.challenge import Challenge
from protocol.tracking.registration import Registration
from protocol.units import Hash32, OperatorKey

RESPONSE_SIZE_MAX = 320
"""Bytes of the largest response body."""
RECEIPT_SIZE_MAX = DIAL_BACK_SIZE_MAX = 256
"""Bytes of the largest body of a receipt, and of a dial-back or its reply."""


class Response(Wire, tag="response"):
    """An operator's answer to a challenge, and where it can be dialled; signed by the operator."""

    network: Bytes32
    seq: U32
    anchor_hash: Bytes32
    operator_key: Bytes32
    node_address: AddressBytes
    stake_address: AddressBytes
    answer: Bytes12
    ip: IpBytes
    port: U16

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed the envelope."""
        return OperatorKey(self.operator_key)


class Receipt(Wire, tag="receipt"):
    """A judge's word that it had a response at a height of its tip; signed by the judge."""

    network: Bytes32
    seq: U32
    anchor_hash: Bytes32
    judge: Bytes32
    operator_key: Bytes32
    response_hash: Bytes32
    height: U64

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed the envelope."""
        return OperatorKey(self.judge)


class ProbeRequest(Wire, tag="probe"):
    """A dial-back: a judge asks for the transactions behind a fresh nonce."""

    network: Bytes32
    seq: U32
    anchor_hash: Bytes32
    nonce: Bytes32


class ProbeReply(Wire, tag="probe-reply"):
    """The reply to a dial-back, signed by the operator that was reached."""

    network: Bytes32
    seq: U32
    anchor_hash: Bytes32
    operator_key: Bytes32
    nonce: Bytes32
    digest: Bytes32

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed the envelope."""
        return OperatorKey(self.operator_key)


decode_response: Decoder[Response] = Decoder(Response, RESPONSE_SIZE_MAX)
"""The response in a body, its signature still unchecked; raises `MalformedMessage`."""
decode_receipt: Decoder[Receipt] = Decoder(Receipt, RECEIPT_SIZE_MAX)
"""The receipt in a body, its signature still unchecked; raises `MalformedMessage`."""
_decode_probe: Decoder[ProbeRequest] = Decoder(ProbeRequest, DIAL_BACK_SIZE_MAX)
_decode_probe_reply: Decoder[ProbeReply] = Decoder(ProbeReply, DIAL_BACK_SIZE_MAX)


def response_hash(envelope: bytes) -> Hash32:
    """Return the hash that names a response: over the whole envelope, its signature included."""
    return sha3_256(envelope)


class ResponseChecker:
    """Checks the responses to one challenge: built once, then about a microsecond beside each signature."""

    __slots__ = ("_anchor_hash", "_network", "_registered", "_seq")

    def __init__(self, network: bytes, challenge: Challenge, registered: Container[OperatorKey]) -> None:
        """`registered` are the operators whose responses are looked at (a mapping or a frozen set)."""
        self._network = network
        self._seq = challenge.seq
        self._anchor_hash = challenge.anchor_hash
        self._registered = registered

    def check(self, envelope: bytes) -> Response:
        """Return the response in `envelope`: of this challenge, of a registered operator, signed.

        Raises `MalformedMessage`, `WrongNetwork`, `StaleMessage`, `NotAMember` or `InvalidSignature`,
        cheapest check first.
        """
        response = self.check_cheaply(envelope)
        verify_envelope(envelope, response.operator_key)
        return response

    def check_cheaply(self, envelope: bytes) -> Response:
        """Return the response after everything but its signature; raises as `check` does."""
        response = decode_response(envelope[SIGNATURE_SIZE:])
        if response.network != self._network:
            raise WrongNetwork(f"a response of network {response.network.hex()[:16]}")
        if response.seq != self._seq or response.anchor_hash != self._anchor_hash:
            raise StaleMessage(f"a response to challenge {response.seq}, this is {self._seq}")
        if response.operator_key not in self._registered:
            raise NotAMember(f"not registered: {response.operator_key.hex()}")
        return response


@dataclass(frozen=True, slots=True)
class BadlySigned:
    """A response that its operator did not sign as it stands: known for what it claims to be."""

    response: Response


def read_response(envelope: bytes, network: bytes) -> Response | BadlySigned:
    """Return what an envelope handed in as evidence holds, of whatever challenge.

    Raises `MalformedMessage` or `WrongNetwork`: such bytes are evidence of nothing.
    """
    response = decode_response(envelope_body(envelope))
    if response.network != network:
        raise WrongNetwork(f"a response of network {response.network.hex()[:16]}")
    try:
        verify_envelope(envelope, response.operator_key)
    except InvalidSignature:
        return BadlySigned(response)
    return response


def read_responses(envelopes: Iterable[bytes], network: bytes) -> dict[Hash32, Response | BadlySigned]:
    """Return the responses of a verdict block by their hashes; raises as `read_response` does."""
    return {response_hash(envelope): read_response(envelope, network) for envelope in envelopes}


def build_response(
    signer: Signer,
    network: bytes,
    challenge: Challenge,
    registration: Registration,
    answer: bytes,
    ip: bytes,
    port: int,
) -> bytes:
    """Return the envelope of our own response; `ip` and `port` say where we can be dialled now."""
    response = Response(
        network=network,
        seq=challenge.seq,
        anchor_hash=challenge.anchor_hash,
        operator_key=signer.operator_key,
        node_address=registration.node_address,
        stake_address=registration.stake_address,
        answer=answer,
        ip=ip,
        port=port,
    )
    return signer.sign(encode(response))


def build_receipt(
    signer: Signer, network: bytes, challenge: Challenge, operator_key: bytes, response: bytes, height: int
) -> bytes:
    """Return our receipt for a response envelope that we had when our tip stood at `height`."""
    receipt = Receipt(
        network=network,
        seq=challenge.seq,
        anchor_hash=challenge.anchor_hash,
        judge=signer.operator_key,
        operator_key=operator_key,
        response_hash=response_hash(response),
        height=height,
    )
    return signer.sign(encode(receipt))


def check_receipt(envelope: bytes, network: bytes) -> Receipt:
    """Return the receipt in `envelope`; raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`."""
    receipt = decode_receipt(envelope_body(envelope))
    if receipt.network != network:
        raise WrongNetwork(f"a receipt of network {receipt.network.hex()[:16]}")
    verify_envelope(envelope, receipt.judge)
    return receipt


def build_probe(network: bytes, challenge: Challenge, nonce: bytes) -> ProbeRequest:
    """Return a dial-back with 32 fresh random bytes."""
    return ProbeRequest(network=network, seq=challenge.seq, anchor_hash=challenge.anchor_hash, nonce=nonce)


def check_probe(data: bytes, network: bytes, challenge: Challenge) -> ProbeRequest:
    """Return the dial-back in a plain body, of the challenge that we answer now.

    Raises `MalformedMessage`, `WrongNetwork` or `StaleMessage`.
    """
    request = _decode_probe(data)
    if request.network != network:
        raise WrongNetwork(f"a dial-back of network {request.network.hex()[:16]}")
    if request.seq != challenge.seq or request.anchor_hash != challenge.anchor_hash:
        raise StaleMessage(f"a dial-back for challenge {request.seq}, this is {challenge.seq}")
    return request


def build_probe_reply(signer: Signer, request: ProbeRequest, digest: bytes) -> bytes:
    """Return the envelope that answers a dial-back with `challenge.dial_back_digest`."""
    reply = ProbeReply(
        network=request.network,
        seq=request.seq,
        anchor_hash=request.anchor_hash,
        operator_key=signer.operator_key,
        nonce=request.nonce,
        digest=digest,
    )
    return signer.sign(encode(reply))


def check_probe_reply(envelope: bytes, request: ProbeRequest, operator_key: bytes) -> ProbeReply:
    """Return the reply of `operator_key` to this very request; whether its digest is right is asked apart.

    Raises `MalformedMessage`, `WrongNetwork`, `StaleMessage`, `NotAMember` or `InvalidSignature`.
    """
    reply = _decode_probe_reply(envelope_body(envelope))
    if reply.network != request.network:
        raise WrongNetwork(f"a reply of network {reply.network.hex()[:16]}")
    if (reply.seq, reply.anchor_hash, reply.nonce) != (request.seq, request.anchor_hash, request.nonce):
        raise StaleMessage("a reply to another dial-back")
    if reply.operator_key != operator_key:
        raise NotAMember(f"a reply by {reply.operator_key.hex()[:16]}, who was not asked")
    verify_envelope(envelope, operator_key)
    return reply
