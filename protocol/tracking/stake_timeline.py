"""What the owner of one stake address has said, in the order in which it takes effect.

Answers for: a timeline is a function of the set of words (entries with their stamps), whatever
the order in which they arrive; a word that a higher sequence preceded, or the same content, is
none of it. From when on a change counts depends on other stakes too and is decided by
`registration_book`. Spec: `spec/registration.md`.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import NamedTuple

from protocol.tracking.registration import Entry, Registration, content_digest
from protocol.units import Hash32


class Word(NamedTuple):
    """One entry and the height with which a data block stamped it."""

    stamp: int
    sequence: int
    content: Hash32
    entry: Entry

    @classmethod
    def of(cls, entry: Entry, stamp: int) -> "Word":
        """Return the word that an entry is under a stamp."""
        return cls(stamp, entry.stake_sequence, content_digest(entry), entry)


class Version(NamedTuple):
    """What the owner had said last, up to one stamp and sequence."""

    stamp: int
    sequence: int
    words: tuple[Word, ...]
    """The different contents with that sequence, sorted; more than one void each other."""
    registration: Registration | None
    """The one registration, or None for a tombstone or entries that void each other."""
    effective: int
    """Height from which the registration counts."""

    @classmethod
    def of(cls, words: tuple[Word, ...], stamp: int) -> "Version":
        """Return the version that words of one sequence make, with no word on when it counts yet."""
        entry = words[0].entry if len(words) == 1 else None
        registration = entry if isinstance(entry, Registration) else None
        return cls(stamp, words[0].sequence, words, registration, stamp)

    def named(self) -> Iterator[Registration]:
        """Yield the registrations of this version, also those that void each other."""
        for word in self.words:
            if isinstance(word.entry, Registration):
                yield word.entry


Timeline = tuple[Version, ...]
"""Versions in the order of (stamp, sequence); a void repeats its sequence."""


def with_word(timeline: Timeline, word: Word) -> Timeline:
    """Return the timeline with a word in its place: the same object when the word changes nothing.

    The versions from its stamp on have yet to learn when they count.
    """
    if not timeline:
        return (Version.of((word,), word.stamp),)
    last = timeline[-1]
    if word.stamp > last.stamp:
        version = _after(last, (word,))
        return timeline if version is None else (*timeline, version)
    before = tuple(version for version in timeline if version.stamp < word.stamp)
    told = [*words_of(timeline[len(before) :]), word]
    rewritten = _with_words(before, told)
    return timeline if _without_effects(rewritten) == _without_effects(timeline) else rewritten


def words_of(timeline: Timeline) -> Iterable[Word]:
    """Return every word that a timeline holds, once."""
    return {word.content: word for version in timeline for word in version.words}.values()


def operators_of(timeline: Timeline) -> dict[bytes, None]:
    """Return the operators that a timeline names, in its order."""
    return {entry.operator_key: None for version in timeline for entry in version.named()}


def _with_words(before: Timeline, words: Iterable[Word]) -> Timeline:
    """Return the timeline that goes on from `before` with words of its last stamp's successors."""
    versions = list(before)
    ordered = sorted(words, key=lambda word: (*word[:3], word.entry.stake_signature))
    for _, group in groupby(ordered, key=lambda word: word[:2]):
        version = _after(versions[-1] if versions else None, tuple(group))
        if version is not None:
            versions.append(version)
    return tuple(versions)


def _after(last: Version | None, words: tuple[Word, ...]) -> Version | None:
    """Return what words of one stamp and sequence make of the last version, None when nothing.

    Of a content that is signed twice the first signature stays, of one stamp the lowest.
    """
    stamp, sequence = words[0][:2]
    if last is not None and sequence < last.sequence:
        return None
    known = last.words if last is not None and sequence == last.sequence else ()
    contents = {word.content: word for word in known}
    for word in words:
        contents.setdefault(word.content, word)
    if len(contents) == len(known):
        return None
    return Version.of(tuple(word for _, word in sorted(contents.items())), stamp)


def _without_effects(timeline: Timeline) -> list[tuple[int, int, tuple[Word, ...]]]:
    return [version[:3] for version in timeline]


def held(timeline: Timeline, stamp: int) -> Iterator[Registration]:
    """Yield the registrations of lower stamps that count at a stamp, or are to count.

    Unless something ended them: a tombstone or a void of that stamp or a lower one.
    """
    for version in reversed(timeline):
        if version.stamp > stamp:
            continue
        if version.registration is None:
            return
        if version.stamp < stamp:
            yield version.registration
            if version.effective <= stamp:
                return


def in_force(timeline: Timeline, anchor_height: int) -> Version | None:
    """Return the version that counts at an anchor; a tombstone or a void ends what was before it."""
    for version in reversed(timeline):
        counts_from = version.effective if version.registration else version.stamp
        if counts_from <= anchor_height:
            return version
    return None


def void_at(timeline: Timeline, anchor_height: int) -> Iterable[Registration]:
    """Return the registrations that void each other, or with a deregistration, at an anchor."""
    for version in reversed(timeline):
        if version.stamp <= anchor_height:
            return tuple(version.named()) if len(version.words) > 1 else ()
    return ()


def pruned(timeline: Timeline, anchor_height: int) -> Timeline:
    """Return the versions that matter at an anchor and above."""
    first = in_force(timeline, anchor_height)
    return timeline[timeline.index(first) :] if first else timeline
