"""Attendance: who is missed, and from when on."""

from dataclasses import replace

import pytest

from protocol.codec import replace as replace_fields
from protocol.group.data_chain import DataChain
from protocol.node.attendance import Attendance, blocks_missed
from protocol.parameters import MINIMAL, ZEN
from tests.support.group_world import Group
from tests.support.operators import operator

ME, OTHER = operator(0).key, operator(1).key
PARAMETERS = MINIMAL
SILENCE = PARAMETERS.silence


def state_at(height: int, *, prefix: str = "", events: int = 0) -> DataChain:
    return replace(Group().state, height=height, prefix=prefix, events={OTHER: events})


def listening(height: int = 10, tip: int = 100) -> Attendance:
    attendance = Attendance(ME, PARAMETERS)
    attendance.look(state_at(height), tip)
    return attendance


def test_half_a_group_of_blocks_are_many() -> None:
    assert (blocks_missed(PARAMETERS), blocks_missed(ZEN)) == (2, 10)


@pytest.mark.parametrize(
    ("blocks", "links", "heights", "silent"),
    [
        (2, 0, SILENCE, True),
        (1, 2, SILENCE, True),
        (1, 1, SILENCE, False),
        (2, 2, SILENCE - 1, False),
        (0, 0, 10 * SILENCE, False),
    ],
)
def test_blocks_or_links_and_heights_must_pass(blocks: int, links: int, heights: int, silent: bool) -> None:
    attendance = listening()
    assert attendance.is_silent(OTHER, state_at(10 + blocks, events=links), 100 + heights) is silent


def test_a_vote_begins_the_time_anew() -> None:
    attendance = listening()
    attendance.hear(OTHER, 21, state_at(20), 100 + SILENCE)
    assert attendance.missed(OTHER, state_at(21)) == 0, "it voted on that block"
    assert not attendance.is_silent(OTHER, state_at(22), 100 + 2 * SILENCE)
    assert not attendance.is_silent(OTHER, state_at(23), 99 + 2 * SILENCE)
    assert attendance.is_silent(OTHER, state_at(23), 100 + 2 * SILENCE)
    assert attendance.missed(OTHER, state_at(23)) == 2


def test_who_voted_on_the_last_block_before_a_long_rest_is_not_missed() -> None:
    """In a group that needs one block only, everybody would go with the first block after the rest."""
    attendance = Attendance(ME, replace_fields(PARAMETERS, group_size=2))
    attendance.look(state_at(10), 100)
    attendance.hear(OTHER, 11, state_at(10), 100)
    assert not attendance.is_silent(OTHER, state_at(11), 100 + 10 * SILENCE)
    attendance.hear(OTHER, 11, state_at(10), 100 + 10 * SILENCE)
    assert not attendance.is_silent(OTHER, state_at(12), 101 + 10 * SILENCE), "it went on saying so"


def test_nobody_votes_ahead_for_the_times_to_come() -> None:
    attendance = listening()
    attendance.hear(OTHER, 1_000, state_at(10), 100)
    assert attendance.is_silent(OTHER, state_at(13), 100 + SILENCE)


def test_a_late_vote_on_an_older_block_takes_nothing_back() -> None:
    attendance = listening()
    attendance.hear(OTHER, 12, state_at(11), 100)
    attendance.hear(OTHER, 11, state_at(11), 101)
    assert attendance.missed(OTHER, state_at(13)) == 1


def test_nobody_misses_itself_or_strangers() -> None:
    attendance = listening()
    late = state_at(50, events=9)
    assert not attendance.is_silent(ME, late, 1_000)
    assert not attendance.is_silent(operator(40).key, late, 1_000)
    assert ME not in attendance.silent(late, 1_000) and OTHER in attendance.silent(late, 1_000)


def test_another_group_is_another_beginning() -> None:
    attendance = listening()
    attendance.look(state_at(60, prefix="0"), 1_000)
    assert not attendance.is_silent(OTHER, state_at(60, prefix="0"), 1_000)
    assert not attendance.is_silent(
        OTHER, state_at(90), 9_000
    )  # of the group before nothing is known any more
    attendance.look(None, 1_000)
    assert attendance.missed(OTHER, state_at(99, prefix="0")) == 0


def test_a_vote_on_a_later_block_or_later_on_the_same_is_news() -> None:
    attendance, state = listening(), state_at(10)
    assert not attendance.is_news(OTHER, 10, state, 100)
    assert attendance.is_news(OTHER, 11, state, 100) and attendance.is_news(OTHER, 10, state, 101)


def test_nobody_without_a_vote_and_no_vote_far_ahead_costs_a_signature_check_each_time() -> None:
    attendance, state = listening(), state_at(10)
    assert not attendance.is_news(operator(40).key, 11, state, 101)
    attendance.hear(OTHER, 1 << 60, state, 100)
    assert not attendance.is_news(OTHER, 1 << 61, state, 100)
