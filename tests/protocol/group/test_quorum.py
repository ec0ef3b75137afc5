"""Quorums against a second, naive implementation in fractions, and the laws that safety rests on."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.group.quorum import Electorate, JointElectorate, Quorum, Voter

KEYS = [bytes([number]) * 32 for number in range(12)]
AGES = st.lists(st.integers(1, 255), min_size=1, max_size=12)
FAIR = {
    Quorum.FINAL: (Fraction(2, 3), True),
    Quorum.THIRD: (Fraction(1, 3), True),
    Quorum.SEED: (Fraction(1, 2), False),
    Quorum.MAJORITY: (Fraction(1, 2), True),
}


def electorate_of(ages: list[int]) -> Electorate:
    return Electorate.of(Voter(operator_key=key, age=age) for key, age in zip(KEYS, ages, strict=False))


def naive(quorum: Quorum, ages: list[int], chosen: set[int]) -> bool:
    """The definition, word for word, with no integer arithmetic of its own."""
    share, strict = FAIR[quorum]
    heads = Fraction(len(chosen), len(ages))
    age = Fraction(sum(ages[number] for number in chosen), sum(ages))
    return (heads > share and age > share) if strict else (heads >= share and age >= share)


@given(AGES, st.sets(st.integers(0, 11)), st.sampled_from(Quorum))
def test_a_quorum_is_what_the_naive_count_says(ages: list[int], picked: set[int], quorum: Quorum) -> None:
    chosen = {number for number in picked if number < len(ages)}
    keys = [KEYS[number] for number in chosen]
    assert electorate_of(ages).is_quorum(quorum, keys) == naive(quorum, ages, chosen)


@given(AGES, st.sets(st.integers(0, 11)))
def test_final_and_third_are_the_named_quorums(ages: list[int], picked: set[int]) -> None:
    electorate, keys = electorate_of(ages), [KEYS[number] for number in picked]
    assert electorate.is_final(keys) == electorate.is_quorum(Quorum.FINAL, keys)
    assert electorate.is_third(keys) == electorate.is_quorum(Quorum.THIRD, keys)


@given(AGES, st.sets(st.integers(0, 11)), st.sets(st.integers(0, 11)))
def test_two_final_sets_share_a_third_of_both(ages: list[int], one: set[int], two: set[int]) -> None:
    """This is all that agreement needs: with less than a third dishonest, an honest voter is in both."""
    electorate = electorate_of(ages)
    first, second = ({KEYS[n] for n in picked if n < len(ages)} for picked in (one, two))
    if electorate.is_final(first) and electorate.is_final(second):
        assert electorate.is_third(first & second)


@given(AGES, st.sets(st.integers(0, 11)))
def test_what_final_leaves_is_no_third(ages: list[int], picked: set[int]) -> None:
    electorate = electorate_of(ages)
    chosen = {KEYS[number] for number in picked if number < len(ages)}
    if electorate.is_final(chosen):
        assert not electorate.is_third(set(KEYS[: len(ages)]) - chosen)
        assert electorate.is_quorum(Quorum.MAJORITY, chosen)
        assert electorate.is_quorum(Quorum.SEED, chosen)


@given(AGES, st.sets(st.integers(0, 11)), st.integers(0, 11), st.sampled_from(Quorum))
def test_one_more_voter_never_undoes_a_quorum(
    ages: list[int], picked: set[int], more: int, quorum: Quorum
) -> None:
    electorate, keys = electorate_of(ages), [KEYS[number] for number in picked]
    if electorate.is_quorum(quorum, keys):
        assert electorate.is_quorum(quorum, [*keys, KEYS[more]])


def test_strangers_and_repetitions_weigh_nothing() -> None:
    electorate = electorate_of([1, 1, 1, 1])
    assert not electorate.is_final([KEYS[0], KEYS[1], KEYS[1], KEYS[1], KEYS[7], KEYS[8]])
    assert electorate.is_final([KEYS[0], KEYS[1], KEYS[2]])


def test_both_measures_must_hold() -> None:
    electorate = electorate_of([100, 1, 1, 1])
    assert not electorate.is_final(KEYS[1:4]), "three of four heads, but 3 of 103 years"
    assert not electorate.is_final(KEYS[:1]), "nearly all the age, but one head"
    assert electorate.is_final(KEYS[:3])


def test_at_a_tie_both_halves_hold_the_seeds_quorum_and_neither_a_majority() -> None:
    electorate = electorate_of([3, 3, 3, 3])
    for half in (KEYS[:2], KEYS[2:4]):
        assert electorate.is_quorum(Quorum.SEED, half)
        assert not electorate.is_quorum(Quorum.MAJORITY, half)


def test_exactly_two_thirds_are_not_final() -> None:
    assert not electorate_of([1, 1, 1]).is_final(KEYS[:2])
    assert electorate_of([1, 1, 1]).is_final(KEYS[:3])


def test_nobody_is_no_quorum_of_nobody() -> None:
    empty = Electorate.of([])
    assert not any(empty.is_quorum(quorum, KEYS) for quorum in Quorum)
    assert (len(empty), empty.age_total) == (0, 0)


def test_an_electorate_has_one_spelling() -> None:
    voters = tuple(Voter(operator_key=key, age=1) for key in KEYS[:3])
    assert Electorate.of(reversed(voters)) == Electorate(voters)
    for wrong in (voters[::-1], (voters[0], voters[0]), (voters[0], voters[2], voters[1])):
        with pytest.raises(ValueError, match="sorted"):
            Electorate(wrong)
    with pytest.raises(ValueError, match="sorted"):
        Electorate.of([voters[0], Voter(operator_key=KEYS[0], age=9)])


def test_who_has_no_vote_has_no_age() -> None:
    electorate = electorate_of([4, 5])
    assert (electorate.age(KEYS[1]), electorate.age(KEYS[2])) == (5, 0)
    assert KEYS[1] in electorate and KEYS[2] not in electorate
    assert list(electorate.keys()) == KEYS[:2]


def test_a_member_of_age_0_is_no_voter() -> None:
    with pytest.raises(ValueError, match="starts at 1"):
        Voter(operator_key=KEYS[0], age=0)


def joint_of(zero: list[int], one: list[int]) -> JointElectorate:
    """Two groups of these ages, whose keys differ in the first byte."""
    others = (Voter(operator_key=b"\xff" + KEYS[number][1:], age=age) for number, age in enumerate(one))
    return JointElectorate.joining(electorate_of(zero), Electorate.of(others), 2)


@given(AGES, AGES, st.sets(st.integers(0, 23)))
def test_a_joint_electorate_decides_by_both_halves(zero: list[int], one: list[int], picked: set[int]) -> None:
    joint = joint_of(zero, one)
    keys = [joint.voters[number].operator_key for number in picked if number < len(joint)]
    halves = [half.is_final(keys) for half in joint.halves]
    assert joint.is_final(keys) == all(halves)
    assert joint.is_third(keys) == any(half.is_third(keys) for half in joint.halves)
    assert len(joint) == len(zero) + len(one) and joint.age_total == sum(zero) + sum(one)


def test_all_of_a_large_half_are_not_enough_for_both() -> None:
    joint = joint_of([1] * 12, [1])
    large = [voter.operator_key for voter in joint.halves[0].voters]
    assert Electorate(joint.voters).is_final(large) and not joint.is_final(large)
