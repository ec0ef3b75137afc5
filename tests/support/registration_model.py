"""The rules of the registration book, said once more as plainly as they can be.

Works from the whole set of (stamp, entry) at every question; nothing is kept, nothing
is clever. The book is compared with it.
"""

from collections.abc import Iterable, Iterator

from protocol.tracking.registration import Entry, Registration, content_digest
from protocol.units import OperatorKey

Stamped = tuple[int, Entry]


class BookModel:
    """The book of all (stamp, entry), for one length of period."""

    def __init__(self, period_blocks: int, entries: Iterable[Stamped]) -> None:
        self.period = period_blocks
        self.entries = tuple(entries)
        self.stakes = sorted({entry.stake_address for _, entry in self.entries})

    def top(self, stake: bytes, height: int) -> tuple[int, tuple[Entry, ...]] | None:
        """(sequence, different entries) of the highest sequence stamped at or below `height`."""
        known = [entry for stamp, entry in self.entries if entry.stake_address == stake and stamp <= height]
        if not known:
            return None
        sequence = max(entry.stake_sequence for entry in known)
        different = {content_digest(one): one for one in known if one.stake_sequence == sequence}
        return sequence, tuple(different[digest] for digest in sorted(different))

    def tops(self, stake: bytes, height: int) -> Iterator[tuple[int, Registration | None]]:
        """(stamp at which it became the top, registration that counts) from the last top back."""
        stamps = sorted({stamp for stamp, entry in self.entries if stamp <= height})
        for stamp in reversed(stamps):
            here, before = self.top(stake, stamp), self.top(stake, stamp - 1)
            if here and (before is None or digests(here[1]) != digests(before[1])):
                one = here[1][0] if len(here[1]) == 1 else None
                yield stamp, one if isinstance(one, Registration) else None

    def effective(self, stake: bytes, stamp: int, entry: Registration) -> int:
        """A change counts from the next period, a first registration at once."""
        engaged = any(True for _ in self.held(stake, stamp - 1, stamp))
        for other in self.stakes:
            engaged |= any(
                held.operator_key == entry.operator_key for held in self.held(other, stamp - 1, stamp)
            )
        return (stamp // self.period + 1) * self.period if engaged else stamp

    def held(self, stake: bytes, known: int, height: int) -> Iterator[Registration]:
        """What, as known at one height, counts at another or will count later."""
        for stamp, entry in self.tops(stake, known):
            if entry is None:
                return
            yield entry
            if self.effective(stake, stamp, entry) <= height:
                return

    def in_force(self, anchor: int) -> dict[OperatorKey, Registration]:
        best: dict[OperatorKey, tuple[int, Registration]] = {}
        for stake in self.stakes:
            for stamp, entry in self.tops(stake, anchor):
                if entry is None:
                    break
                if self.effective(stake, stamp, entry) <= anchor:
                    if entry.signer not in best or best[entry.signer][0] < stamp:
                        best[entry.signer] = stamp, entry
                    break
        return {key: best[key][1] for key in sorted(best)}

    def contested(self, anchor: int) -> set[OperatorKey]:
        void = [top[1] for stake in self.stakes if (top := self.top(stake, anchor)) and len(top[1]) > 1]
        named = {entry.signer for entries in void for entry in entries if isinstance(entry, Registration)}
        return named - set(self.in_force(anchor))


def digests(entries: Iterable[Entry]) -> list[bytes]:
    return [content_digest(entry) for entry in entries]
