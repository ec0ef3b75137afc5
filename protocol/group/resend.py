"""RESEND: what a voter of another group says when a block was not forwarded by the member whose turn it was.

Answers for: the signed statement, and that it can be about a foreign group only. Whether the block was the
member's to forward, and how many must say so until it loses its place, is the business of
`kinds.forwards`; when an honest voter says it, that of the node. Spec: `spec/forwarding.md`.
"""

from protocol.codec import U64, Bytes32, Text, Wire, encode
from protocol.crypto import Signer
from protocol.group.name import is_prefix
from protocol.group.regions import overlap
from protocol.units import OperatorKey

RESEND_SIZE_MAX = 1_024
"""Bytes of the largest statement's body."""


class Resend(Wire, tag="resend"):
    """I did not get that block of your group from the member that was to forward it."""

    network: Bytes32
    prefix: Text
    """Of the group that certified the block."""
    height: U64
    """Of the block in its data chain."""
    block_hash: Bytes32
    member: Bytes32
    """Who was to forward it: the voter whose name is nearest to the block's hash."""
    sender_prefix: Text
    """Of the group whose voter says so."""
    sender: Bytes32
    group_block: Bytes32
    """The hash of a certified block of the sender's group: who certified it had a vote there."""

    def __post_init__(self) -> None:
        """Only another group can say it, about a member that is not the sender."""
        if not is_prefix(self.prefix) or not is_prefix(self.sender_prefix) or self.height < 1:
            raise ValueError("blocks stand in the chains of groups, at heights from 1 on")
        if overlap(self.prefix, self.sender_prefix):
            raise ValueError("a block is missed by another group than its own")
        if self.member == self.sender:
            raise ValueError("nobody reports itself")

    @property
    def signer(self) -> OperatorKey:
        """Who must have signed it."""
        return OperatorKey(self.sender)


def build_resend(signer: Signer, resend: Resend) -> bytes:
    """Return the signed statement, as an envelope."""
    return signer.sign(encode(resend))
