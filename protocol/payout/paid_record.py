"""What the chain's own record of payments says of lists that a wallet verified from files.

Answers for: whether the payments along the baton are those of the verified lists, in their order and with
their outputs. Keys of old voters can be bought, a mined payment cannot be taken back: a record of other
lists shows that the files tell another history. Following the baton is `treasury`'s business, the
files are `light`'s. Spec: `spec/wallet.md`.
"""

from collections.abc import Iterable, Sequence

from protocol.chain.script import script_address
from protocol.errors import InvalidPayment
from protocol.payout.address_file import Line
from protocol.payout.list_header import ListHeader, list_hash
from protocol.payout.payment import ENTRIES_MAX, chunk_count
from protocol.payout.treasury import BatonTrail, PaidChunk, PaymentMark

OWN_OUTPUTS = 2
"""Outputs of a payment before those of the entries: its mark and its change."""


def check_record(lists: Sequence[ListHeader], trail: BatonTrail, *, complete: bool) -> tuple[PaidChunk, ...]:
    """Return the payments of the last of consecutive lists, in order; at least one list.

    `complete` says that the first of them is the network's first. Raises `InvalidPayment` when the record
    holds something else where a payment of them comes. Nothing is wrong with lists that are not paid yet.
    """
    hashes = [list_hash(header) for header in lists]
    wanted = [
        PaymentMark(hashed, number)
        for hashed, header in zip(hashes, lists, strict=True)
        for number in range(chunk_count(header))
    ]
    marks = [paid.mark for paid in trail.paid]
    own = (place for place, mark in enumerate(marks) if mark.list_hash in hashes)
    start = 0 if complete else next(own, len(marks))
    for place, mark in enumerate(marks[start:]):
        if place < len(wanted) and mark != wanted[place]:
            raise InvalidPayment(_contradiction(start + place, mark, wanted[place]))
        if place >= len(wanted) and mark.list_hash in hashes:
            raise InvalidPayment(f"payment {start + place} along the baton pays {_text(mark)} once more")
    return trail.chunks_of(hashes[-1])


def check_paid(header: ListHeader, lines: Iterable[Line], paid: PaidChunk) -> None:
    """Raise `InvalidPayment` unless a payment has an output for each of its entries, and pays these lines."""
    first = paid.mark.chunk * ENTRIES_MAX
    size = min(ENTRIES_MAX, header.entries_count - first)
    outputs = paid.transaction.outputs[OWN_OUTPUTS:]
    if len(outputs) != size:
        raise InvalidPayment(
            f"the payment of {_text(paid.mark)} has {len(outputs)} outputs for {size} entries"
        )
    for line in lines:
        if first <= line.index < first + size:
            output = outputs[line.index - first]
            if (script_address(output.script), output.amount) != (line.entry.address, line.entry.amount):
                raise InvalidPayment(f"the payment of {_text(paid.mark)} does not pay entry {line.index}")


def _contradiction(place: int, mark: PaymentMark, wanted: PaymentMark) -> str:
    return f"payment {place} along the baton pays {_text(mark)}, where {_text(wanted)} comes"


def _text(mark: PaymentMark) -> str:
    return f"chunk {mark.chunk} of list {mark.list_hash.hex()[:16]}"
