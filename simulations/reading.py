"""What a network message says, read once: for those who watch, and for those who forge.

Answers for: the type of a message, nothing of it checked. Spec: `spec/simulation.md`.
"""

from functools import lru_cache

from protocol.codec import MESSAGE_SIZE_MAX, Decoder, decode
from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import MalformedMessage
from protocol.group.vote import Proposal, Vote
from protocol.node.messages import PLAIN, SIGNED, Receipts
from protocol.tracking.observation import Observation
from protocol.tracking.registration import Registration
from protocol.tracking.response import Receipt, Response

Signed = Vote | Proposal | Observation | Receipt | Response | Registration

_decode: Decoder[Signed] = Decoder(Signed, MESSAGE_SIZE_MAX)
CACHE_SIZE = 4_096


@lru_cache(CACHE_SIZE)
def read_signed(data: bytes) -> Signed | None:
    """Return the signed statement in a network message, or None when it is something else."""
    if not data or data[0] != SIGNED:
        return None
    try:
        return _decode(data[1 + SIGNATURE_SIZE :])
    except MalformedMessage:
        return None


def read_receipts(data: bytes) -> Receipts | None:
    """Return the receipts that a network message shows, or None when it is something else."""
    if not data or data[0] != PLAIN:
        return None
    try:
        return decode(data[1:], Receipts)
    except MalformedMessage:
        return None


def judge_of(envelope: bytes) -> bytes:
    """Return who signed an observation, from its envelope; raises `MalformedMessage`."""
    return decode(envelope[SIGNATURE_SIZE:], Observation).judge
