"""Receipts as their operator shows them to its judges at the close: many in one message.

Answers for: how many go into a message, and what one holds, none of it checked. What a receipt is worth
is `judge`'s business, that only what judges gave is shown `responder`'s. Spec: `spec/response.md`.
"""

from collections.abc import Iterator, Sequence

from protocol.crypto import SIGNATURE_SIZE
from protocol.errors import MalformedMessage
from protocol.node.messages import RECEIPTS_MAX, Receipts
from protocol.tracking.challenge import Challenge
from protocol.tracking.response import Receipt, decode_receipt


def show_receipts(network: bytes, challenge: Challenge, envelopes: Sequence[bytes]) -> Iterator[Receipts]:
    """Yield the messages that show receipts of one challenge: none where there are none."""
    for first in range(0, len(envelopes), RECEIPTS_MAX):
        yield Receipts(
            network=network,
            seq=challenge.seq,
            anchor_hash=challenge.anchor_hash,
            envelopes=tuple(envelopes[first : first + RECEIPTS_MAX]),
        )


def read_receipts(shown: Receipts) -> tuple[Receipt | None, ...]:
    """Return for each envelope its receipt, unchecked, or None where it holds none of that challenge."""
    return tuple(_read(shown, envelope) for envelope in shown.envelopes)


def _read(shown: Receipts, envelope: bytes) -> Receipt | None:
    try:
        receipt = decode_receipt(envelope[SIGNATURE_SIZE:])
    except MalformedMessage:
        return None
    is_of_it = (receipt.seq, receipt.anchor_hash) == (shown.seq, shown.anchor_hash)
    return receipt if is_of_it else None
