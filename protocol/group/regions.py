"""Regions of the name space: what a group covers, and what of it is left.

Answers for: a region is a prefix; a set of regions is written as its fewest prefixes,
sorted. Spec: `spec/group.md`.
"""

from bisect import bisect_left
from collections.abc import Iterable

from protocol.group.name import matches


def covers(region: str, other: str) -> bool:
    """Whether `region` holds the whole of `other`."""
    return other.startswith(region)


def overlap(one: str, other: str) -> bool:
    """Whether one of two regions holds the whole of the other."""
    return covers(one, other) or covers(other, one)


def falls(regions: Iterable[str], name: bytes) -> bool:
    """Whether a 32-byte name (or any 32-byte hash) falls into one of these regions."""
    return any(matches(region, name) for region in regions)


def uncovered(region: str, covered: Iterable[str]) -> tuple[str, ...]:
    """Return what of `region` none of `covered` covers, as the fewest prefixes, sorted."""
    inside = []
    for one in covered:
        if region.startswith(one):
            return ()
        if one.startswith(region):
            inside.append(one)
    return _left(region, sorted(inside))


def _left(region: str, inside: list[str]) -> tuple[str, ...]:
    """Return what of `region` none of the sorted regions `inside` it covers."""
    if not inside:
        return (region,)
    if inside[0] == region:
        return ()
    middle = bisect_left(inside, region + "1")
    return _left(region + "0", inside[:middle]) + _left(region + "1", inside[middle:])


def is_partition(prefixes: Iterable[str]) -> bool:
    """Whether these prefixes cover the whole name space, each part once."""
    ordered = sorted(prefixes)
    overlap = any(covers(one, other) for one, other in zip(ordered, ordered[1:], strict=False))
    return bool(ordered) and not overlap and not uncovered("", ordered)
