"""Which verdict blocks a payout list uses, and when it may go without some.

Answers for: heads of one moment, which never go back; the challenges of a period; the blocks up to the heads
that belong into its list, those that came a period late included; and until when a voter waits
for a missing one. Who is paid by them is left to `claims`. Spec: `spec/payout_list.md`.
"""

from collections.abc import Iterable, Mapping, Sequence

from protocol.chain.view import ChainView
from protocol.errors import InvalidBlock, NotYetKnown
from protocol.genesis import Genesis, period_heights
from protocol.group.regions import uncovered
from protocol.group.void import Void
from protocol.payout.claims import VerdictRecord
from protocol.payout.list_header import Head

Reach = Mapping[str, Sequence[tuple[int, int]]]
"""By prefix, where a list reads a group's blocks: each time above one height, and up to another."""


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
    reach: Reach,
    records: Iterable[VerdictRecord],
    used_before: Iterable[bytes],
    chain: ChainView,
) -> list[VerdictRecord]:
    """Return the blocks that belong into a period's list, by (prefix, data height).

    They are within reach, judge a listable challenge whose anchor is still on the chain, and were
    not used by the list before.
    """
    used = frozenset(used_before)
    chosen = {
        record.block_hash: record
        for record in _on_chain(genesis, period, records, chain)
        if is_within(reach, record) and record.block_hash not in used
    }
    return sorted(chosen.values(), key=lambda record: (record.prefix, record.height))


def check_complete(
    genesis: Genesis,
    period: int,
    reach: Reach,
    records: Iterable[VerdictRecord],
    chain: ChainView,
) -> None:
    """Raise `NotYetKnown` while a challenge of the period is not wholly judged within reach and may yet be.

    From the deadline on a list may go without. A voter who holds a block out of reach that judges more of it,
    or of a challenge of the period before, waits one challenge longer, so that a proposer cannot leave it out
    at will; but no longer than that, so that voters who hold different blocks do not stop the network.
    """
    held = list(_on_chain(genesis, period, records, chain))
    challenges = listable_challenges(genesis, period)
    known = _missing(challenges, held)
    missing = _missing(challenges, [record for record in held if is_within(reach, record)])
    left_out = {seq for seq, regions in missing.items() if regions != known.get(seq)}
    own = period_challenges(genesis, period)
    awaited = {seq: regions for seq, regions in missing.items() if seq in own or seq in left_out}
    if not awaited:
        return
    deadline = lateness_deadline(genesis, period)
    if left_out:
        deadline += genesis.parameters.challenge_every
    if chain.tip()[0] < deadline:
        seq, regions = min(awaited.items())
        where = "" if regions == ("",) else f" of {', '.join(regions)}"
        raise NotYetKnown(
            f"challenge {seq} has no verdict{where} up to the stated heads, "
            f"and a list waits for it until height {deadline}"
        )


def check_heads(
    heads: Iterable[Head], reach: Reach, before: Iterable[Head], voids: Sequence[Void] = ()
) -> None:
    """Raise `InvalidBlock` unless these heads, which reach so far, are of one moment, and none `before` them.

    Heads are of two moments when one of them stands in a group that has ended behind another. What is void as
    of these heads nobody need have behind him.
    """
    for head in heads:
        prefixes = (head.prefix[:end] for end in range(len(head.prefix) + 1))
        behind = max(until for prefix in prefixes for _, until in reach.get(prefix, ((0, 0),)))
        if behind > head.height:
            raise InvalidBlock(f"the stated heads are of no one moment: group {head.prefix!r} went on since")
    for head in before:
        is_behind = any(above <= head.height <= until for above, until in reach.get(head.prefix, ()))
        if not is_behind and not any(void.covers(head.prefix, head.height) for void in voids):
            raise InvalidBlock(f"the stated heads are before those of the list before, in {head.prefix!r}")


def is_within(reach: Reach, record: VerdictRecord) -> bool:
    """Whether a block stands up to where its group is read."""
    return any(above < record.height <= until for above, until in reach.get(record.prefix, ()))


def _on_chain(
    genesis: Genesis, period: int, records: Iterable[VerdictRecord], chain: ChainView
) -> Iterable[VerdictRecord]:
    """Yield the blocks of listable challenges whose anchor is on the chain."""
    listable, every = listable_challenges(genesis, period), genesis.parameters.challenge_every
    for record in records:
        if record.seq in listable and chain.block_hash(record.seq * every) == record.anchor_hash:
            yield record


def _missing(challenges: range, records: Iterable[VerdictRecord]) -> dict[int, tuple[str, ...]]:
    """Return by challenge the regions, sorted, that no block among `records` judges."""
    judged: dict[int, list[str]] = {}
    for record in records:
        judged.setdefault(record.seq, []).extend(record.parts)
    left = {seq: uncovered("", judged.get(seq, ())) for seq in challenges}
    return {seq: regions for seq, regions in left.items() if regions}
