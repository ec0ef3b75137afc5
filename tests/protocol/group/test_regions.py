"""What of a region a set of regions leaves uncovered."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from protocol.group.regions import is_partition, overlap, uncovered

DEPTH = 4
regions = st.text(alphabet="01", max_size=DEPTH)


def names(region: str) -> set[str]:
    """The names of `DEPTH` bits in a region."""
    return {region + "".join(rest) for rest in product("01", repeat=DEPTH - len(region))}


@given(regions, st.lists(regions, max_size=12))
def test_what_is_left_is_what_nobody_covers(region: str, covered: list[str]) -> None:
    left = uncovered(region, iter(covered))
    assert list(left) == sorted(left)
    expected = names(region).difference(*map(names, covered))
    assert [one for part in left for one in sorted(names(part))] == sorted(expected)


@given(regions, st.lists(regions, max_size=12))
def test_it_is_named_by_the_fewest_regions(region: str, covered: list[str]) -> None:
    left = uncovered(region, covered)
    parents = [one[:-1] for one in left if len(one) > len(region)]
    assert len(set(parents)) == len(parents)


@given(regions, st.lists(regions, max_size=12))
def test_together_they_are_a_partition(region: str, covered: list[str]) -> None:
    left = uncovered("", [region, *covered])
    apart = [
        one
        for one in {region, *covered}
        if not any(one != o and one.startswith(o) for o in {region, *covered})
    ]
    assert is_partition([*left, *apart])
    assert not any(overlap(one, other) for one in left for other in apart)
