"""Laws of the verdict: a function of the set of observations, and liars below a third change nothing.

Some operators behave in a fixed way towards every honest judge; liars say whatever
Hypothesis makes up, with every response that could exist at hand; and of all judges any
final set is heard.
"""

from collections.abc import Sequence
from itertools import combinations
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from protocol.codec import replace
from protocol.group.quorum import Electorate
from protocol.tracking.observation import Observation, Sighting
from protocol.tracking.response import response_hash
from protocol.tracking.verdict import Reason
from tests.support.court import UNSEEN, Court
from tests.support.operators import Operator

JUDGES = 7
MANY = settings(max_examples=settings().max_examples * 4 // 5)
SOME = settings(max_examples=settings().max_examples * 2 // 5)


def truth() -> tuple[Court, dict[Operator, Reason]]:
    """A court in which each operator behaves in one way, and its true verdict."""
    court = Court(JUDGES)
    right, silent, late, wrong, unreachable, slow, badly_signed = court.members
    court.missed(silent)
    court.saw(late, court.right(late), height=court.challenge.closes)
    court.saw(wrong, court.wrong(wrong))
    court.saw(unreachable, court.right(unreachable), **UNSEEN)
    court.saw(slow, court.right(slow), fast=False)
    court.saw(badly_signed, court.badly_signed(badly_signed))
    return court, {
        right: Reason.VALID,
        silent: Reason.NO_RESPONSE,
        late: Reason.LATE,
        wrong: Reason.WRONG_ANSWER,
        unreachable: Reason.UNREACHABLE,
        slow: Reason.CHAIN_TOO_SLOW,
        badly_signed: Reason.BAD_SIGNATURE,
    }


COURT, TRUE = truth()
SILENT = COURT.members[1]


def possible_responses(one: Operator) -> list[bytes]:
    """All that could exist of an operator: the silent one never signed a response to this challenge."""
    forged = [COURT.badly_signed(one), COURT.old(one)]
    if one is SILENT:
        return forged
    if TRUE[one] in (Reason.WRONG_ANSWER, Reason.BAD_SIGNATURE):
        return [*forged, COURT.wrong(one)] if TRUE[one] is Reason.WRONG_ANSWER else forged
    return [*forged, COURT.right(one)]


RESPONSES = {one.key: possible_responses(one) for one in COURT.members}
for envelopes in RESPONSES.values():
    for envelope in envelopes:
        COURT.evidence[response_hash(envelope)] = envelope
ALL_HASHES = sorted(response_hash(envelope) for envelopes in RESPONSES.values() for envelope in envelopes)


@st.composite
def lies(draw: st.DrawFn, one: Operator) -> Sighting | None:
    """Whatever a judge may say of an operator."""
    reached = draw(st.booleans())
    named = draw(st.none() | st.sampled_from(ALL_HASHES))
    tls_valid = draw(st.booleans())
    if not (named or reached or tls_valid):
        return None
    return Sighting(
        operator_key=one.key,
        response_hash=named or b"",
        received_height=draw(st.integers(0, 40)) if named else 0,
        reached=reached,
        ip=draw(st.sampled_from([one.ip, SILENT.ip, b"\x7f\x09\x09\x09"])) if reached else b"",
        fast=reached and draw(st.booleans()),
        tls_valid=tls_valid,
    )


@st.composite
def lying_observation(draw: st.DrawFn, judge: Operator) -> Observation:
    sightings = [said for one in COURT.members if (said := draw(lies(one)))]
    return replace(COURT.observation(judge), sightings=tuple(sightings))


AGES = st.lists(st.integers(1, 9) | st.just(1), min_size=JUDGES, max_size=JUDGES)


def court_of(ages: Sequence[int]) -> Court:
    COURT.ages = ages
    return COURT


def electorate() -> Electorate:
    return Electorate.of(COURT.voters)


def is_below_a_third_of_both(liars: Sequence[Operator]) -> bool:
    """Liars that hold at most a third of the heads and of the age."""
    ages = {voter.operator_key: voter.age for voter in COURT.voters}
    held = sum(ages[liar.key] for liar in liars)
    return 3 * len(liars) <= JUDGES and 3 * held <= sum(ages.values())


@MANY
@given(AGES, st.data())
def test_liars_below_a_third_neither_invent_nor_hide(ages: list[int], data: st.DataObject) -> None:
    court = court_of(ages)
    liars = data.draw(st.lists(st.sampled_from(court.members), unique=True, max_size=2))
    assume(is_below_a_third_of_both(liars))
    heard = data.draw(st.sets(st.sampled_from(range(JUDGES)), min_size=5))
    judges = [court.members[number] for number in sorted(heard)]
    assume(electorate().is_final(judge.key for judge in judges))
    observations = [
        data.draw(lying_observation(judge)) if judge in liars else court.observation(judge)
        for judge in judges
    ]
    reasons = court.reasons(observations)
    assert reasons == {one.key: reason for one, reason in TRUE.items()}


@MANY
@given(AGES, st.data())
def test_liars_below_a_third_of_either_never_invent(ages: list[int], data: st.DataObject) -> None:
    """A third of the age in few hands (or of the hands with little age) may hide, but never make valid."""
    court = court_of(ages)
    liars = data.draw(st.lists(st.sampled_from(court.members), unique=True, max_size=JUDGES))
    assume(not electorate().is_third(liar.key for liar in liars))
    observations = [
        data.draw(lying_observation(judge)) if judge in liars else court.observation(judge)
        for judge in court.members
    ]
    reasons = court.reasons(observations)
    for one, reason in TRUE.items():
        if reason is not Reason.VALID:
            assert reasons[one.key] is not Reason.VALID


@SOME
@given(st.data(), st.randoms(use_true_random=False))
def test_the_order_of_observations_does_not_matter(data: st.DataObject, random: Random) -> None:
    court = court_of([1, 2, 3, 4, 5, 6, 7])
    observations = [
        data.draw(lying_observation(judge)) if number % 2 else court.observation(judge)
        for number, judge in enumerate(court.members)
    ]
    shuffled = list(observations)
    random.shuffle(shuffled)
    assert court.verdicts(observations) == court.verdicts(shuffled)


@SOME
@given(st.data())
def test_every_registered_operator_has_one_verdict_in_order(data: st.DataObject) -> None:
    court = court_of([1] * JUDGES)
    observations = [data.draw(lying_observation(judge)) for judge in court.members]
    keys = [verdict.operator_key for verdict in court.verdicts(observations)]
    assert keys == sorted(set(keys)) == sorted(court.registrations)


@SOME
@given(st.data())
def test_slots_of_valid_operators_are_distinct(data: st.DataObject) -> None:
    court = court_of([1] * JUDGES)
    observations = [data.draw(lying_observation(judge)) for judge in court.members]
    slots = [verdict.slot for verdict in court.verdicts(observations) if verdict.reason is Reason.VALID]
    assert len(set(slots)) == len(slots) and all(slots)


@pytest.mark.parametrize("judges", list(combinations(range(JUDGES), 5)))
def test_every_final_set_of_honest_judges_says_the_same(judges: tuple[int, ...]) -> None:
    court = court_of([1] * JUDGES)
    reasons = court.reasons([court.observation(court.members[number]) for number in judges])
    assert reasons == {one.key: reason for one, reason in TRUE.items()}


def test_a_third_and_more_could_invent() -> None:
    """The bound is sharp: three of seven liars attest a node that was not reached."""
    court = court_of([1] * JUDGES)
    unreachable = next(one for one, reason in TRUE.items() if reason is Reason.UNREACHABLE)
    seen = court.sighting(unreachable, court.right(unreachable))

    def heard(liars: int) -> Reason:
        observations = []
        for number, judge in enumerate(court.members):
            observation = court.observation(judge)
            if number < liars:
                others = [one for one in observation.sightings if one.operator_key != unreachable.key]
                sightings = tuple(sorted([*others, seen], key=lambda one: one.operator_key))
                observation = replace(observation, sightings=sightings)
            observations.append(observation)
        return court.reasons(observations)[unreachable.key]

    assert heard(2) is Reason.UNREACHABLE
    assert heard(3) is Reason.VALID
