"""Samples are uniform over all transactions: chi-square tests that a biased draw does not pass.

Keys are fixed, so the statistic is always the same number; the bound is five standard
deviations of the chi-square distribution on either side.
"""

import hashlib
from collections.abc import Iterable

import pytest

from protocol.crypto import sha3_256
from protocol.tracking.challenge import sample_ordinals

DRAWS = 1_000_000
EACH = 1_000
WORDS = 1 << 64


def deviation(ordinals: Iterable[int], total: int, bins: int) -> float:
    """How many standard deviations the chi-square statistic lies from its mean."""
    counts = [0] * bins
    drawn = 0
    for ordinal in ordinals:
        counts[ordinal * bins // total] += 1
        drawn += 1
    expected = drawn / bins
    statistic = sum((seen - expected) ** 2 for seen in counts) / expected
    return float((statistic - (bins - 1)) / (2 * (bins - 1)) ** 0.5)


def drawn(total: int, draws: int, each: int) -> Iterable[int]:
    """Ordinals of `draws` // `each` operators, `each` of them."""
    anchor = sha3_256(b"uniformity", total.to_bytes(9, "big"))
    for number in range(draws // each):
        yield from sample_ordinals(anchor, sha3_256(number.to_bytes(4, "big")), total, each)


@pytest.mark.parametrize(
    ("total", "bins"), [(2, 2), (7, 7), (1_000, 1_000), (65_537, 65_537), (3 << 62, 3), ((1 << 63) - 1, 512)]
)
def test_a_million_draws_are_uniform(total: int, bins: int) -> None:
    assert abs(deviation(drawn(total, DRAWS, EACH), total, bins)) < 5


@pytest.mark.parametrize(("total", "bins"), [(11, 11), (100_003, 1_000)])
def test_the_four_samples_of_many_operators_are_uniform(total: int, bins: int) -> None:
    assert abs(deviation(drawn(total, 100_000, 4), total, bins)) < 5


@pytest.mark.parametrize("place", range(4))
def test_each_of_the_four_places_is_uniform(place: int) -> None:
    ordinals = list(drawn(1_000, 100_000, 4))[place::4]
    assert abs(deviation(ordinals, 1_000, 1_000)) < 5


def test_folding_without_rejection_would_not_pass() -> None:
    """At T = 3·2**62 the plain remainder draws the lowest third twice as often."""
    total = 3 << 62
    biased = [
        int.from_bytes(hashlib.blake2b(number.to_bytes(4, "big"), digest_size=8).digest(), "big") % total
        for number in range(10_000)
    ]
    assert deviation(biased, total, 3) > 5


def test_a_draw_that_favours_early_transactions_a_little_would_not_pass() -> None:
    ordinals = list(drawn(1_000, DRAWS, EACH))
    ordinals[: DRAWS // 500] = [0] * (DRAWS // 500)
    assert deviation(ordinals, 1_000, 1_000) > 5
