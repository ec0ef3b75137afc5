"""Names for identifiers and quantities that could be swapped by mistake.

Amounts are integers of 1e-8 coin (zatoshi); heights count chain blocks from the
genesis block 0; hashes are 32 bytes in the order in which they are computed
(displayed block and transaction hashes are the reverse, see `protocol.chain`).
"""

from typing import NewType

from protocol.errors import RequestError

Zatoshi = NewType("Zatoshi", int)
"""An amount in 1e-8 coin."""
Height = NewType("Height", int)
"""A chain height; the chain's first block is 0."""
Hash32 = NewType("Hash32", bytes)
"""A 32-byte hash."""
OperatorKey = NewType("OperatorKey", bytes)
"""The 32-byte Ed25519 public key of a node's operator; also its libp2p identity."""
NetworkId = NewType("NetworkId", bytes)
"""SHA3-256 of the canonical genesis file."""
ChallengeSeq = NewType("ChallengeSeq", int)
"""The number of a challenge; its anchor is the block at `seq * challenge_every`."""
Period = NewType("Period", int)
"""The number of a payout period; it covers `period_blocks` heights."""
Age = NewType("Age", int)
"""A member's age, 0..255."""

COIN = 100_000_000
"""Zatoshi in one coin."""


def format_amount(amount: int) -> str:
    """Write zatoshi as coins with eight decimals, without going through a float."""
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), COIN)
    return f"{sign}{whole}.{part:08d}"


def parse_amount(text: str) -> Zatoshi:
    """Read coins with at most eight decimals as zatoshi; raises `RequestError`."""
    whole, point, part = text.partition(".")
    if not (whole.isascii() and whole.isdigit() and len(whole) <= 10):
        raise RequestError(f"not an amount: {text!r}")
    if len(part) > 8 or (point and not (part.isascii() and part.isdigit())):
        raise RequestError(f"not an amount with at most 8 decimals: {text!r}")
    return Zatoshi(int(whole) * COIN + int(part.ljust(8, "0")))
