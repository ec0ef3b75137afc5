"""Which verdict blocks a payout list uses, and when it may go without some.

Answers for: the challenges of a period; the blocks up to the stated heads that belong
into its list, those that came a period late included; and until when a voter waits
for a missing one. Who is paid by them is left to `claims`. Spec: `spec/payout_list.md`.
"""

from collections.abc import Iterable, Sequence

from protocol.chain.view import ChainView
from protocol.errors import NotYetKnown
from protocol.genesis import Genesis, period_heights
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head


def period_challenges(genesis: Genesis, period: int) -> range:
    """Return the numbers of the challenges whose anchors lie in a period."""
    first, last = period_heights(genesis, period)
    every = genesis.parameters.challenge_every
    lowest = max(first, genesis.first_challenge_height)
    return range(-(-lowest // every), last // every + 1)


def listable_challenges(genesis: Genesis, period: int) -> range:
    """Return the challenges that the list of a period may pay: its own, and late ones of the one before."""
    own = period_challenges(genesis, period)
    return range(period_challenges(genesis, period - 1).start, own.stop) if period else own


def lateness_deadline(genesis: Genesis, period: int) -> int:
    """Return the chain height from which on a list may go without challenges that have no block yet."""
    last = period_heights(genesis, period)[1]
    return last + genesis.parameters.burial + genesis.parameters.challenge_every


def select_records(
    genesis: Genesis,
    period: int,
    heads: Sequence[Head],
    records: Iterable[VerdictRecord],
    used_before: Iterable[bytes],
    chain: ChainView,
) -> list[VerdictRecord]:
    """Return the blocks that belong into a period's list, by (prefix, data height).

    They stand up to the heads, judge a listable challenge whose anchor is still on the chain, and were
    not used by the list before.
    """
    reach = {head.prefix: head.height for head in heads}
    used = frozenset(used_before)
    chosen = {
        record.block_hash: record
        for record in _on_chain(genesis, period, records, chain)
        if record.height <= reach.get(record.prefix, -1) and record.block_hash not in used
    }
    return sorted(chosen.values(), key=lambda record: (record.prefix, record.height))


def check_complete(
    genesis: Genesis,
    period: int,
    heads: Sequence[Head],
    records: Iterable[VerdictRecord],
    chain: ChainView,
) -> None:
    """Raise `NotYetKnown` while a challenge of the period has no block up to the heads and one may come.

    From the deadline on a list may go without it. A voter who holds a block of it above the heads
    waits one challenge longer, so that a proposer cannot leave it out at will; but no longer
    than that, so that voters who hold different blocks do not stop the network for ever.
    """
    held = list(_on_chain(genesis, period, records, chain))
    reach = {head.prefix: head.height for head in heads}
    missing = _missing(genesis, period, heads, [r for r in held if r.height <= reach.get(r.prefix, -1)])
    if not missing:
        return
    deadline = lateness_deadline(genesis, period)
    if len(_missing(genesis, period, heads, held)) < len(missing):
        deadline += genesis.parameters.challenge_every
    if chain.tip()[0] < deadline:
        raise NotYetKnown(
            f"challenge {missing[0]} has no verdict up to the stated heads, "
            f"and a list waits for it until height {deadline}"
        )


def _on_chain(
    genesis: Genesis, period: int, records: Iterable[VerdictRecord], chain: ChainView
) -> Iterable[VerdictRecord]:
    """Yield the blocks of listable challenges whose anchor is on the chain."""
    listable, every = listable_challenges(genesis, period), genesis.parameters.challenge_every
    for record in records:
        if record.seq in listable and chain.block_hash(record.seq * every) == record.anchor_hash:
            yield record


def _missing(
    genesis: Genesis, period: int, heads: Sequence[Head], records: Iterable[VerdictRecord]
) -> list[int]:
    """Return the period's challenges for which some group has no block among `records`."""
    judged = {(record.prefix, record.seq) for record in records}
    return [
        seq
        for seq in period_challenges(genesis, period)
        if any((head.prefix, seq) not in judged for head in heads)
    ]
