"""The sums over all blocks of a file, whatever their order.

Answers for: links being looked for in the whole file (nodes write blocks as they come), at
some two hundred bytes of memory a block; what was not read being counted by its reason; the
chain's name as far as the blocks show it. One block is `survey`'s. Spec: `spec/cli.md`.
"""

from collections import Counter
from typing import Any

from protocol.chain.rules import ChainFamily
from zenp2p.chain.blockfiles.block_file import KNOWN_MAGICS
from zenp2p.chain.blockfiles.distinct import DistinctCounter
from zenp2p.chain.blockfiles.record import Record
from zenp2p.chain.blockfiles.survey import Layout, Root, Survey
from zenp2p.chain.known_chains import ZCASH, ZCASH_TESTNET, is_easy

REASONS_MAX = 50
"""Different reasons that are told apart."""
REMARKS_MAX = 5
"""Sentences about single blocks, of each kind."""
OTHER_REASONS = "other reasons"
WRONG_HASH = "the hash beside a block is not that of its bytes"
NO_BLOCK = "bytes that are no block"


class Tally:
    """Counts records. `addresses` is the counter of addresses, which outlives it."""

    def __init__(self, addresses: DistinctCounter) -> None:
        self._addresses = addresses
        self._hashes: set[bytes] = set()
        self._awaited: dict[bytes, list[str]] = {}
        self._layouts: set[Layout | None] = set()
        self._easy = self._overwintered = False
        self._heights: tuple[int, int] | None = None
        self._last = self.magic = b""
        self._roots: Counter[Root] = Counter()
        self._remarked: Counter[str] = Counter()
        self._versions: Counter[int] = Counter()
        self.blocks = self.linked = self.in_order = self.duplicates = 0
        self.transactions = self.certificates = self.skipped = self.outputs = self.no_address = 0
        self.bytes = self.largest = 0
        self.unsupported: Counter[str] = Counter()
        self.remarks: list[str] = []

    def add(self, record: Record, survey: Survey) -> None:
        """Count a block."""
        self.blocks += 1
        self.magic = self.magic or record.magic
        self._link(record.place, survey)
        self._roots[survey.root] += 1
        self._layouts.add(survey.layout)
        self._easy |= survey.layout is not None and is_easy(survey.bits)
        self._overwintered |= survey.overwintered
        self._count(survey)
        size = len(record.raw or b"")
        self.bytes += size
        self.largest = max(self.largest, size)
        if survey.root is Root.WRONG:
            self._remark("the Merkle root is not that of the block's transactions", record.place)
        if record.said_hash not in (None, survey.block_hash):
            self.refuse(record, WRONG_HASH)
        if survey.reason:
            self.refuse(record, survey.reason, survey.detail)

    def refuse(self, record: Record, reason: str, detail: str = "") -> None:
        """Count something that was not read, or not all of it."""
        known = reason in self.unsupported or len(self.unsupported) < REASONS_MAX
        self.unsupported[reason if known else OTHER_REASONS] += 1
        self._remark(reason, record.place, detail)

    @property
    def mismatched(self) -> int:
        """Blocks whose header does not commit to their transactions."""
        return self._roots[Root.WRONG]

    def result(self) -> dict[str, Any]:
        """Return the sums as JSON shows them; raises `OSError`."""
        low, high = self._heights or (None, None)
        if self.blocks - self.linked > 1:  # of the first block everybody knows it
            for places in self._awaited.values():
                if places[0]:
                    self._remark("the block before it is not in the file", places[0])
        return {
            "blocks": self.blocks,
            "linked": self.linked,
            "unlinked": self.blocks - self.linked,
            "in_order": self.in_order,
            "duplicates": self.duplicates,
            "merkle_ok": self._roots[Root.RIGHT],
            "mismatched": self.mismatched,
            "merkle_unchecked": self._roots[Root.UNCHECKED],
            "transactions": self.transactions,
            "certificates": self.certificates,
            "skipped": self.skipped,
            "versions": {str(version): count for version, count in sorted(self._versions.items())},
            "outputs": self.outputs,
            "addresses": self._addresses.count(),
            "no_address": self.no_address,
            "unsupported": dict(self.unsupported.most_common()),
            "first_height": low,
            "last_height": high,
        }

    def chain(self) -> str | None:
        """Return the name of the chain, as far as magic or blocks tell it; None without any."""
        if self.magic in KNOWN_MAGICS:
            return KNOWN_MAGICS[self.magic]
        families = {layout.family for layout in self._layouts if layout is not None}
        if families == {ChainFamily.ZCASH}:
            return (ZCASH_TESTNET if self._easy else ZCASH).name
        if families == {ChainFamily.ZEN} or (len(families) == 2 and ChainFamily.BITCOIN not in families):
            if self._overwintered:
                return "mixed"
            return "zen-testnet" if self._easy else "zen"
        if families == {ChainFamily.BITCOIN}:
            return "bitcoin-family"
        return "mixed" if families else None

    def _link(self, place: str, survey: Survey) -> None:
        """Count the link to the block before, and those of blocks that came earlier and name this one."""
        self.in_order += survey.previous == self._last
        self._last = survey.block_hash
        if survey.previous in self._hashes:
            self.linked += 1
        else:
            self._awaited.setdefault(survey.previous, []).append(place if self._few() else "")
        if survey.block_hash in self._hashes:
            self.duplicates += 1
            return
        self._hashes.add(survey.block_hash)
        self.linked += len(self._awaited.pop(survey.block_hash, ()))

    def _few(self) -> bool:
        """Whether a place is still worth to be remembered."""
        return len(self._awaited) <= 10 * REMARKS_MAX

    def _count(self, survey: Survey) -> None:
        self.transactions += survey.transactions
        self.certificates += survey.certificates
        self.skipped += survey.skipped
        self.outputs += survey.outputs
        self.no_address += survey.no_address
        self._versions.update(survey.versions)
        self._addresses.add(survey.addresses)
        if survey.height is not None:
            low, high = self._heights or (survey.height, survey.height)
            self._heights = min(low, survey.height), max(high, survey.height)

    def _remark(self, kind: str, place: str, detail: str = "") -> None:
        self._remarked[kind] += 1
        if self._remarked[kind] <= REMARKS_MAX and len(self._remarked) <= REASONS_MAX:
            self.remarks.append(f"{place}: {kind}" + (f" ({detail})" if detail else ""))
