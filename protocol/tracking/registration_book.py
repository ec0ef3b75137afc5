"""The book of registrations: which are in force at an anchor.

Answers for: the book is a function of the set of (entry, stamp), so that chains which learn of
each other's entries in different orders say the same in the end; a block that comes late has no
effect but that of its stamp. One stake's history is `stake_timeline`, the checks of an entry
`registration`, which blocks reach a book is the data chain's business. Spec: `spec/registration.md`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from protocol.crypto import sha3_256
from protocol.errors import StaleMessage
from protocol.parameters import Parameters
from protocol.tracking.registration import Entry, Registration, content_digest
from protocol.tracking.stake_timeline import (
    Timeline,
    Word,
    held,
    in_force,
    operators_of,
    pruned,
    void_at,
    with_word,
    words_of,
)
from protocol.units import Hash32, OperatorKey

_Timelines = Mapping[bytes, Timeline]
_Stakes = Mapping[bytes, tuple[bytes, ...]]
_DIGESTS = 1 << 256


@dataclass(frozen=True, slots=True)
class RegistrationBook:
    """Which registrations are in force, as a function of the set of (entry, stamp) applied.

    Frozen: `apply` returns another book. The order does not matter, of stamps neither; in rising order
    it is fastest.
    """

    period_blocks: int
    _timelines: _Timelines = field(default_factory=lambda: MappingProxyType({}))
    _stakes: _Stakes = field(default_factory=lambda: MappingProxyType({}), compare=False)
    """By operator, sorted: the stake addresses whose timelines name it."""
    _sum: int = field(default=0, compare=False)
    """Of the digests of all words."""

    @classmethod
    def empty(cls, parameters: Parameters) -> "RegistrationBook":
        """Return the book of a network in which nobody has registered."""
        return cls(parameters.period_blocks)

    @property
    def digest(self) -> Hash32:
        """What equal books have in common, and hardly two others by accident.

        It is a sum, so somebody who tries may find two books with one digest: compare them too.
        """
        return Hash32(self._sum.to_bytes(32, "big"))

    def apply(self, entry: Entry, stamp_height: int) -> "RegistrationBook":
        """Return the book after a checked entry that a data block stamped with this height."""
        return self.apply_all((entry,), stamp_height)

    def apply_all(self, entries: Iterable[Entry], stamp_height: int) -> "RegistrationBook":
        """Return the book after all entries of one data block, which may have a lower stamp than others."""
        return self._with_words(Word.of(entry, stamp_height) for entry in entries)

    def merge(self, other: "RegistrationBook") -> "RegistrationBook":
        """Return the book of what either book was made of."""
        if other.period_blocks != self.period_blocks:
            raise ValueError(f"periods of {self.period_blocks} and of {other.period_blocks} blocks")
        differ = [
            timeline for stake, timeline in other._timelines.items() if self._timelines.get(stake) != timeline
        ]
        return self._with_words(word for timeline in differ for word in words_of(timeline))

    def accepts(self, entry: Entry) -> None:
        """Raise `StaleMessage` when the entry would change nothing, now and for ever.

        That is under any stamp that is not below the last one of its stake: a stake's entries are
        stamped by one data chain, whose stamps do not go back.
        """
        timeline = self._timelines.get(entry.stake_address)
        if timeline is None or entry.stake_sequence > timeline[-1].sequence:
            return
        last = timeline[-1]
        if entry.stake_sequence < last.sequence:
            raise StaleMessage(f"stake sequence {entry.stake_sequence}, {last.sequence} was seen")
        if len(last.words) > 1 or content_digest(entry) == last.words[0].content:
            raise StaleMessage(f"stake sequence {entry.stake_sequence} was used already")

    def last_sequence(self, stake_address: bytes) -> int | None:
        """Return the highest sequence seen for a stake address: its owner's next one is above it."""
        timeline = self._timelines.get(stake_address)
        return timeline[-1].sequence if timeline else None

    def of(self, operator_key: bytes, anchor_height: int) -> Registration | None:
        """Return the registration of one operator that counts at an anchor, as `in_force` has it, or None."""
        chosen: tuple[int, Registration | None] = (-1, None)
        for stake in self._stakes.get(operator_key, ()):
            version = in_force(self._timelines[stake], anchor_height)
            entry = version.registration if version else None
            if version and entry and entry.operator_key == operator_key and chosen[0] < version.stamp:
                chosen = version.stamp, entry
        return chosen[1]

    def in_force(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """Return the registrations that count at an anchor, sorted by operator.

        An operator that several stakes name has the one that was stamped last; of equal stamps the
        lowest stake address.
        """
        chosen: dict[OperatorKey, tuple[int, Registration]] = {}
        for _, timeline in sorted(self._timelines.items()):
            version = in_force(timeline, anchor_height)
            if version is None or version.registration is None:
                continue
            key = version.registration.signer
            if chosen.get(key, (-1,))[0] < version.stamp:
                chosen[key] = version.stamp, version.registration
        return MappingProxyType({key: entry for key, (_, entry) in sorted(chosen.items())})

    def contested(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """Return the operators, sorted, that have only registrations that void each other at an anchor."""
        void: dict[OperatorKey, Registration] = {}
        for _, timeline in sorted(self._timelines.items()):
            for entry in void_at(timeline, anchor_height):
                if self.of(entry.operator_key, anchor_height) is None:
                    void.setdefault(entry.signer, entry)
        return MappingProxyType(dict(sorted(void.items())))

    def judged(self, anchor_height: int) -> Mapping[OperatorKey, Registration]:
        """Return everybody who gets a verdict at an anchor: in force or contested, sorted by operator."""
        both = {**self.contested(anchor_height), **self.in_force(anchor_height)}
        return MappingProxyType(dict(sorted(both.items())))

    def pruned(self, anchor_height: int) -> "RegistrationBook":
        """Return a book that says the same of this anchor and all above, without older history.

        Sequences are never forgotten. What is applied later must not be stamped below the anchor.
        """
        kept = {stake: pruned(timeline, anchor_height) for stake, timeline in self._timelines.items()}
        total = sum(_weigh(timeline) for timeline in kept.values())
        return replace(self, _timelines=kept, _sum=total % _DIGESTS)

    def _with_words(self, words: Iterable[Word]) -> "RegistrationBook":
        timelines, stakes, total = dict(self._timelines), dict(self._stakes), self._sum
        lowest: int | None = None
        changed: dict[bytes, None] = {}
        operators: dict[bytes, None] = {}
        for word in words:
            stake = word.entry.stake_address
            before = timelines.get(stake, ())
            after = with_word(before, word)
            if after is before:
                continue
            timelines[stake] = after
            changed[stake] = None
            lowest = word.stamp if lowest is None else min(lowest, word.stamp)
            is_last = not before or word.stamp > before[-1].stamp
            total += _digest(word) if is_last else _weigh(after) - _weigh(before)
            was, now = operators_of(before), operators_of(after)
            _index(stakes, stake, was, now)
            operators |= was | now
        if lowest is None:
            return self
        concerned = _concerned(timelines, stakes, changed, operators, lowest)
        _settle(timelines, stakes, self.period_blocks, concerned, lowest)
        return replace(self, _timelines=timelines, _stakes=stakes, _sum=total % _DIGESTS)


def _digest(word: Word) -> int:
    """Return the digest of one word: of its stamp, content and stake signature."""
    stamp = word.stamp.to_bytes(8, "big")
    return int.from_bytes(sha3_256(stamp, word.content, word.entry.stake_signature), "big")


def _weigh(timeline: Timeline) -> int:
    return sum(map(_digest, words_of(timeline)))


def _index(
    stakes: dict[bytes, tuple[bytes, ...]], stake: bytes, was: Iterable[bytes], now: Iterable[bytes]
) -> None:
    """Let the index say that a stake's timeline names the operators `now` and no longer those that it did."""
    for operator_key in was:
        if operator_key not in now:
            left = tuple(other for other in stakes[operator_key] if other != stake)
            stakes[operator_key] = left
    for operator_key in now:
        known = stakes.get(operator_key, ())
        if stake not in known:
            stakes[operator_key] = tuple(sorted((*known, stake)))


def _concerned(
    timelines: _Timelines,
    stakes: _Stakes,
    changed: Mapping[bytes, None],
    operators: Mapping[bytes, None],
    lowest: int,
) -> Iterable[bytes]:
    """Return the stakes with versions that may count from another height than before.

    Those that share an operator with a changed one; and so on, where any has later versions, because
    these follow from when the earlier ones count.
    """
    found = dict(changed)
    found |= dict.fromkeys(stake for key in operators for stake in stakes[key])
    if all(timelines[stake][-1].stamp <= lowest for stake in found):
        return found
    followed, waiting = dict(operators), list(found)
    while waiting:
        for key in operators_of(timelines[waiting.pop()]):
            if key not in followed:
                followed[key] = None
                waiting += [stake for stake in stakes[key] if stake not in found]
                found |= dict.fromkeys(stakes[key])
    return found


def _settle(
    timelines: dict[bytes, Timeline],
    stakes: _Stakes,
    period_blocks: int,
    concerned: Iterable[bytes],
    lowest: int,
) -> None:
    """Say of every version of these stakes, from the lowest stamp on, from when on it counts.

    What is of one stamp depends on lower stamps only, so they are gone through in rising order.
    """
    due: dict[int, dict[bytes, None]] = {}
    for stake in concerned:
        for version in reversed(timelines[stake]):
            if version.stamp < lowest:
                break
            due.setdefault(version.stamp, {})[stake] = None
    for stamp, here in sorted(due.items()):
        engaged: dict[bytes, bool] = {}
        for stake in here:
            for entry in _told_at(timelines[stake], stamp):
                key = entry.operator_key
                if key not in engaged:
                    engaged[key] = any(_holds(timelines[other], key, stamp) for other in stakes[key])
        next_period = (stamp // period_blocks + 1) * period_blocks
        for stake in here:
            timelines[stake] = _with_effects(timelines[stake], stamp, next_period, engaged)


def _told_at(timeline: Timeline, stamp: int) -> Iterable[Registration]:
    found = (version.registration for version in timeline if version.stamp == stamp)
    return [entry for entry in found if entry is not None]


def _holds(timeline: Timeline, operator_key: bytes, stamp: int) -> bool:
    """Whether a stake has a registration of an operator that counts, or is to count, at a stamp."""
    return any(entry.operator_key == operator_key for entry in held(timeline, stamp))


def _with_effects(
    timeline: Timeline, stamp: int, next_period: int, engaged: Mapping[bytes, bool]
) -> Timeline:
    """Return a timeline whose versions of this stamp say when they count.

    A first registration counts at once, a change of stake or operator from the next period.
    """
    versions = list(timeline)
    for at, version in enumerate(timeline):
        entry = version.registration
        if version.stamp != stamp or entry is None:
            continue
        is_change = engaged[entry.operator_key] or any(True for _ in held(timeline[:at], stamp))
        effective = next_period if is_change else stamp
        if version.effective != effective:
            versions[at] = version._replace(effective=effective)
    return tuple(versions)
