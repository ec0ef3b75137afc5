"""Residence and shares beside the closed forms: 2^A counted events at age A, and shares that double.

A newcomer every E counted events, nobody leaving: at age A stay 2^A events, so on the average 2^A / E members
have that age. With E = 37 no two newcomers are ripe at one event, so nobody waits.
"""

from functools import cache

import pytest

from simulations.residence import EVERY, Residence, reside

CHALLENGES = 1_500
OLDEST = 8
"""Of the ages whose stays are over, for many, within the run."""


@cache
def residence() -> Residence:
    """The run that all tests look at."""
    return reside(CHALLENGES)


@pytest.mark.parametrize("age", range(OLDEST + 1))
def test_a_member_stays_at_an_age_for_exactly_as_many_counted_events_as_two_to_its_age(age: int) -> None:
    stays = residence().stays[age]
    assert len(stays) > 20 and set(stays) == {2**age}


def test_every_challenge_is_one_counted_event() -> None:
    assert residence().events == CHALLENGES


@pytest.mark.parametrize("age", range(OLDEST))
def test_without_departures_the_share_of_an_age_grows_as_two_to_it(age: int) -> None:
    mean = residence().mean_members
    assert mean[age] * EVERY == pytest.approx(2**age, rel=0.001)
    assert mean[age + 1] == pytest.approx(2 * mean[age], rel=0.001)


def test_in_the_end_the_members_of_each_age_are_those_that_came_within_its_events() -> None:
    """At event T age A is held by those that came 2^A - 1 to 2^(A+1) - 2 events before."""
    last = CHALLENGES - 1
    for age in range(OLDEST + 1):
        first, end = last - (2 ** (age + 1) - 1), last - (2**age - 1)
        expected = sum(first < came <= end for came in range(0, CHALLENGES, EVERY))
        assert residence().members.get(age, 0) == pytest.approx(expected, abs=1)


def test_where_two_are_ripe_at_once_one_of_them_waits_and_nobody_moves_early() -> None:
    """One moves in each challenge, so too many newcomers make each other wait, the younger ones longer."""
    crowded = reside(300, every=4)
    assert all(min(stays) >= 2**age for age, stays in crowded.stays.items())
    longest = {age: max(stays) / 2**age for age, stays in crowded.stays.items()}
    assert longest[1] > longest[3] > 1
