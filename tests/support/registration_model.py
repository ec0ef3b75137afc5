"""The rules of the registration book, said once more as plainly as they can be.

Works from the whole set of (stamp, entry) at every question; nothing is kept, nothing
is clever. The book is compared with it.
"""

from collections.abc import Iterable, Iterator

from protocol.tracking.registration import Entry, Registration, content_digest
from protocol.units import OperatorKey

Stamped = tuple[int, Entry]


Point = tuple[int, int]
"""(stamp, sequence): the order in which the words of a stake's owner take effect."""


class BookModel:
    """The book of all (stamp, entry), for one length of period."""

    def __init__(self, period_blocks: int, entries: Iterable[Stamped]) -> None:
        self.period = period_blocks
        self.entries = tuple(entries)
        self.stakes = sorted({entry.stake_address for _, entry in self.entries})

    def top(self, stake: bytes, point: Point) -> tuple[Entry, ...]:
        """The different entries of the highest sequence known at a point."""
        known = [
            entry
            for stamp, entry in self.entries
            if entry.stake_address == stake
            and (stamp, entry.stake_sequence if stamp == point[0] else 0) <= point
        ]
        sequence = max((entry.stake_sequence for entry in known), default=0)
        different = {content_digest(one): one for one in known if one.stake_sequence == sequence}
        return tuple(different[digest] for digest in sorted(different))

    def tops(self, stake: bytes, until: Point) -> Iterator[tuple[Point, Registration | None]]:
        """(point at which it became the top, registration that counts) from the last top back."""
        own = {(stamp, entry.stake_sequence) for stamp, entry in self.entries if entry.stake_address == stake}
        points = [(-1, 0), *sorted(point for point in own if point <= until)]
        for before, point in reversed(list(zip(points, points[1:], strict=False))):
            top = self.top(stake, point)
            if digests(top) != digests(self.top(stake, before)):
                one = top[0] if len(top) == 1 else None
                yield point, one if isinstance(one, Registration) else None

    def effective(self, stake: bytes, point: Point, entry: Registration) -> int:
        """A change counts from the next period, a first registration at once."""
        stamp, sequence = point
        engaged = any(True for _ in self.held(stake, (stamp, sequence - 1), stamp)) or any(
            held.operator_key == entry.operator_key
            for other in self.stakes
            if other != stake
            for held in self.held(other, (stamp, LAST), stamp)
        )
        return (stamp // self.period + 1) * self.period if engaged else stamp

    def held(self, stake: bytes, until: Point, stamp: int) -> Iterator[Registration]:
        """What was stamped before `stamp` and counts then or later, unless it was ended until a point."""
        for point, entry in self.tops(stake, until):
            if entry is None:
                return
            if point[0] < stamp:
                yield entry
                if self.effective(stake, point, entry) <= stamp:
                    return

    def in_force(self, anchor: int) -> dict[OperatorKey, Registration]:
        best: dict[OperatorKey, tuple[int, Registration]] = {}
        for stake in self.stakes:
            for point, entry in self.tops(stake, (anchor, LAST)):
                if entry is None:
                    break
                if self.effective(stake, point, entry) <= anchor:
                    if entry.signer not in best or best[entry.signer][0] < point[0]:
                        best[entry.signer] = point[0], entry
                    break
        return {key: best[key][1] for key in sorted(best)}

    def contested(self, anchor: int) -> set[OperatorKey]:
        void = [top for stake in self.stakes if len(top := self.top(stake, (anchor, LAST))) > 1]
        named = {entry.signer for entries in void for entry in entries if isinstance(entry, Registration)}
        return named - set(self.in_force(anchor))


LAST = 1 << 32
"""Above every sequence."""


def digests(entries: Iterable[Entry]) -> list[bytes]:
    return [content_digest(entry) for entry in entries]
