"""What becomes of a transaction that is handed to a chain, whichever kind of chain it is.

Answers for: sending is safe to repeat, since the answer says whether the transaction was
sent now, waits already or is mined; and a node's refusal, which each family words in its
own way, has one meaning. Who sends, and to whom, is left to the chains' services. Spec: `spec/rpc.md`.
"""

from dataclasses import dataclass
from enum import StrEnum

from protocol.chain.encoding import display_hash
from protocol.errors import ZenError
from protocol.units import Hash32

NODE_REASON_CHARACTERS_MAX = 300
"""Of the node's own words in a message."""
ALREADY_MINED = -27
"""The node's error code: the transaction stands in a block."""
NOT_A_TRANSACTION = -22
"""The node's error code: the bytes are none."""


class BroadcastState(StrEnum):
    """Where a transaction is after it was handed in."""

    SENT = "sent"
    WAITING = "waiting"
    """It was in the pool already."""
    MINED = "mined"


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What became of a transaction."""

    txid: Hash32
    state: BroadcastState


class Refusal(StrEnum):
    """Why a node does not take a transaction, as a sentence."""

    CONFLICT = "an output that it spends is spent by another transaction in the node's pool"
    MISSING = "an output that it spends is not known to the node, or spent in a block"
    FEE = "the node does not relay it at this fee"
    DUST = "an output of it holds so little that the node does not relay it"
    NOT_FINAL = "it cannot stand in the next block yet"
    TOO_LARGE = "it is larger than the node relays"
    INVALID = "it breaks a rule of the chain"
    OTHER = "the node does not take it"


class BroadcastRefused(ZenError):
    """A node does not take a transaction. `reason` holds the node's own words."""

    def __init__(self, reason: str, refusal: Refusal = Refusal.OTHER, by: Hash32 | None = None) -> None:
        """`by` is the waiting transaction that is in the way, in computed order, where the node says it."""
        self.refusal, self.by = refusal, by
        other = f" ({display_hash(by)})" if by is not None else ""
        words = reason[:NODE_REASON_CHARACTERS_MAX].strip() or "it says nothing more"
        super().__init__(f"not taken: {refusal}{other}; the node says: {words}")


_MEANINGS: tuple[tuple[str, Refusal], ...] = (
    ("txn-mempool-conflict", Refusal.CONFLICT),
    ("bip125-replacement-disallowed", Refusal.CONFLICT),
    ("rejecting replacement", Refusal.CONFLICT),
    ("missing inputs", Refusal.MISSING),
    ("missingorspent", Refusal.MISSING),
    ("bad-txns-inputs-spent", Refusal.MISSING),
    ("fee not met", Refusal.FEE),
    ("insufficient fee", Refusal.FEE),
    ("insufficient priority", Refusal.FEE),
    ("mempool full", Refusal.FEE),
    ("absurdly-high-fee", Refusal.FEE),
    ("fee exceeds maximum", Refusal.FEE),
    ("dust", Refusal.DUST),
    ("final", Refusal.NOT_FINAL),
    ("premature-spend", Refusal.NOT_FINAL),
    ("tx-size", Refusal.TOO_LARGE),
    ("oversize", Refusal.TOO_LARGE),
    ("scriptsig-size", Refusal.TOO_LARGE),
    ("script-verify", Refusal.INVALID),
    ("bad-txns", Refusal.INVALID),
)
"""What stands in the nodes' words, in small letters -> what it means; the first that is found counts."""


def read_refusal(code: int, reason: str) -> Refusal | BroadcastState:
    """Return what a node's error for `sendrawtransaction` means: why not, or that it has it already."""
    words = reason.lower()
    if code == ALREADY_MINED or "txn-already-known" in words:
        return BroadcastState.MINED
    if "already in mempool" in words or "already-in-mempool" in words:
        return BroadcastState.WAITING
    if code == NOT_A_TRANSACTION:
        return Refusal.INVALID
    return next((meaning for part, meaning in _MEANINGS if part in words), Refusal.OTHER)
