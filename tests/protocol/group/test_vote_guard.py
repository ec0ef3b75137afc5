"""The guard: forward only, one thing a slot, and silence where something may be forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.group.vote import Phase, Slot
from protocol.group.vote_guard import VoteGuard
from protocol.units import Hash32

NETWORK = b"\x07" * 32
ONE, TWO = Hash32(b"\x11" * 32), Hash32(b"\x22" * 32)

SLOTS = st.builds(
    Slot,
    st.just(NETWORK),
    st.sampled_from(("group:", "list")),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from(Phase),
)
HASHES = st.sampled_from((ONE, TWO))


def slot(height: int = 1, round_: int = 0, phase: Phase = Phase.PREVOTE, electorate: str = "group:") -> Slot:
    return Slot(NETWORK, electorate, height, round_, phase)


@given(st.lists(st.tuples(SLOTS, HASHES)), st.sets(st.integers(0, 40)))
def test_whatever_comes_and_wherever_it_restarts_no_slot_is_used_twice(
    wishes: list[tuple[Slot, Hash32]], restarts: set[int]
) -> None:
    file: list[tuple[Slot, Hash32]] = []
    guard = VoteGuard(file)
    for number, (place, content) in enumerate(wishes):
        if number in restarts:
            guard = VoteGuard(file)
        if guard.may_sign(place, content):
            guard.record(place, content)
            file.append((place, content))
        else:
            with pytest.raises(ValueError, match="used, passed or silenced"):
                guard.record(place, content)
    for place in {place for place, _ in file}:
        assert len({content for other, content in file if other == place}) == 1
    for electorate in ("group:", "list"):
        first_times = list(dict.fromkeys(s for s, _ in file if s.electorate == electorate))
        assert first_times == sorted(first_times), "forward only"


def test_the_same_statement_may_be_signed_again() -> None:
    guard = VoteGuard()
    guard.record(slot(), ONE)
    guard.record(slot(round_=4), ONE)
    assert guard.may_sign(slot(), ONE)
    assert not guard.may_sign(slot(), TWO)
    assert not guard.may_sign(slot(round_=2), ONE), "passed, though never used"


def test_electorates_do_not_hinder_each_other() -> None:
    guard = VoteGuard([(slot(height=9), ONE)])
    assert guard.may_sign(slot(height=1, electorate="list"), ONE)
    assert not guard.may_sign(slot(height=8), ONE)


def test_an_incomplete_file_silences_until_it_is_known_how_far() -> None:
    guard = VoteGuard([(slot(height=4), ONE)], complete=False)
    assert guard.is_silent(NETWORK, "group:", 10)
    assert not guard.may_sign(slot(height=10), ONE)
    assert not guard.may_sign(slot(height=4), ONE), "not even what it remembers"
    guard.listen_through(NETWORK, "group:", 6)
    assert guard.is_silent(NETWORK, "group:", 6) and not guard.is_silent(NETWORK, "group:", 7)
    assert not guard.may_sign(slot(height=6), ONE)
    assert guard.may_sign(slot(height=7), ONE)
    assert not guard.may_sign(slot(height=7, electorate="list"), ONE), "of the list nothing is known yet"


def test_listening_is_never_shortened() -> None:
    guard = VoteGuard()
    guard.listen_through(NETWORK, "group:", 6)
    guard.listen_through(NETWORK, "group:", 3)
    assert guard.is_silent(NETWORK, "group:", 6)


def test_a_strange_statement_of_our_own_silences_its_height() -> None:
    guard = VoteGuard([(slot(height=5), ONE)])
    assert guard.witness(slot(height=5), ONE), "an echo"
    assert guard.may_sign(slot(height=5, round_=1), ONE)
    assert not guard.witness(slot(height=5, round_=3), TWO), "the file lost it, or somebody has our key"
    assert not guard.may_sign(slot(height=5, round_=4), ONE)
    assert guard.may_sign(slot(height=6), ONE)


def test_forgetting_what_is_decided_opens_nothing() -> None:
    guard = VoteGuard([(slot(height=h, round_=r), ONE) for h in (1, 2) for r in (0, 1)])
    guard.forget_below(NETWORK, "group:", 3)
    assert list(guard.records()) == [slot(height=2, round_=1)]
    assert not guard.may_sign(slot(height=1), TWO)
    assert not guard.may_sign(slot(height=2, round_=1), TWO)
    assert guard.may_sign(slot(height=3), TWO)


def test_forgetting_leaves_other_electorates_alone() -> None:
    guard = VoteGuard([(slot(height=1), ONE), (slot(height=1, electorate="list"), ONE)])
    guard.forget_below(NETWORK, "group:", 9)
    assert slot(height=1, electorate="list") in guard.records()
