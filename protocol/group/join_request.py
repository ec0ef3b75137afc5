"""The request of an operator that wants to become a member, or a member again.

Answers for: one signed statement to the group that holds the operator's seat: which verdict shows that it
is worth a place. Whether that group sends it on, and where, is the business of the group's blocks
(`kinds.moves`, `kinds.arrivals`). Spec: `spec/relocation.md`.
"""

from protocol.codec import U32, Bytes32, Decoder, Wire, encode
from protocol.crypto import Signer, envelope_body, verify_envelope
from protocol.errors import WrongNetwork
from protocol.units import OperatorKey

JOIN_REQUEST_SIZE_MAX = 256
"""Bytes of the largest request's body."""


class JoinRequest(Wire, tag="join?"):
    """Take me in: that block of verdicts finds me VALID in challenge `seq`."""

    network: Bytes32
    operator_key: Bytes32
    seq: U32
    verdict: Bytes32
    """Hash of the VERDICT block, of any group."""

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed it."""
        return OperatorKey(self.operator_key)


_decode: Decoder[JoinRequest] = Decoder(JoinRequest, JOIN_REQUEST_SIZE_MAX)


def build_join_request(signer: Signer, network: bytes, seq: int, verdict: bytes) -> bytes:
    """Return the signed request, as an envelope."""
    request = JoinRequest(network=network, operator_key=signer.operator_key, seq=seq, verdict=verdict)
    return signer.sign(encode(request))


def check_join_request(envelope: bytes, network: bytes) -> JoinRequest:
    """Return the request in an envelope, its signature checked.

    Raises `MalformedMessage`, `WrongNetwork` or `InvalidSignature`.
    """
    request = _decode(envelope_body(envelope))
    if request.network != network:
        raise WrongNetwork(f"a request of network {request.network.hex()[:16]}")
    verify_envelope(envelope, request.signer)
    return request
