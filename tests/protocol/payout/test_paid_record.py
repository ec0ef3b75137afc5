"""The chain's record of payments beside lists that were verified from files."""

from dataclasses import replace

import pytest

from protocol.errors import InvalidPayment
from protocol.payout.paid_record import check_paid, check_record
from protocol.payout.payment import Chunk
from tests.support.paid_story import PaidStory

HEADERS = [one.header for one in PaidStory().lists]


@pytest.fixture
def story() -> PaidStory:
    return PaidStory()


def mined(story: PaidStory, since: int = 0, until: int = 4) -> list[int]:
    """Return which chunks of the last of these lists are mined; the lists before `since` are not known."""
    paid = check_record(HEADERS[since:until], story.ledger.trail(), complete=since == 0)
    return [one.mark.chunk for one in paid]


def test_a_list_is_paid_chunk_by_chunk(story: PaidStory) -> None:
    assert mined(story, until=1) == []
    for number, chunk in enumerate(story.chunks(0)):
        story.pay(chunk)
        assert mined(story, until=1) == [0, 1][: number + 1]
    assert mined(story, until=2) == []
    story.pay_all(1)
    assert mined(story, until=2) == [0] and mined(story, until=3) == []
    story.pay_all(3)
    assert mined(story) == [0]


@pytest.mark.parametrize("since", range(4))
def test_the_lists_before_the_trust_point_need_not_be_known(story: PaidStory, since: int) -> None:
    for place in range(4):
        story.pay_all(place)
        assert mined(story, since=since) == ([0] if place == 3 else [])


def test_lists_that_come_later_are_no_contradiction(story: PaidStory) -> None:
    story.pay_all(0, 1, 2, 3)
    story.pay(story.foreign_chunk())
    for until in range(1, 5):
        assert mined(story, until=until) == [[0, 1], [0], [], [0]][until - 1]


def test_another_list_in_the_place_of_ours_is_a_contradiction(story: PaidStory) -> None:
    story.pay(story.foreign_chunk())
    for until in range(1, 5):
        with pytest.raises(InvalidPayment, match="payment 0 along the baton pays chunk 0 of list .*, where"):
            mined(story, until=until)
    assert mined(story, since=1) == []  # what was paid before the trust point is not ours to say


def test_a_list_left_out_is_a_contradiction(story: PaidStory) -> None:
    story.pay_all(0, 3)
    assert mined(story, until=1) == [0, 1]
    for since, until in ((0, 2), (0, 4), (1, 4)):
        with pytest.raises(InvalidPayment, match="where chunk 0 of list .* comes"):
            mined(story, since=since, until=until)
    assert mined(story, since=2) == [0]  # the list between pays nobody


def test_chunks_out_of_order_are_a_contradiction(story: PaidStory) -> None:
    story.pay(story.chunks(0)[1])
    with pytest.raises(InvalidPayment, match="pays chunk 1 of list .*, where chunk 0 of list"):
        mined(story, until=1)


def test_a_payment_once_more_is_a_contradiction(story: PaidStory) -> None:
    story.pay_all(0, 1)
    story.pay(story.chunks(1)[0])
    with pytest.raises(InvalidPayment, match="pays chunk 0 of list .* once more"):
        mined(story, until=2)


def test_a_payment_pays_its_lines(story: PaidStory) -> None:
    whole = story.lists[0]
    story.pay_all(0)
    for paid in story.ledger.trail().paid:
        check_paid(whole.header, whole.lines, paid)
        check_paid(whole.header, whole.lines[997:999], paid)
        check_paid(whole.header, (), paid)


@pytest.mark.parametrize("place", [0, 101])
def test_a_payment_that_pays_less_is_seen(story: PaidStory, place: int) -> None:
    whole = story.lists[0]
    first, second = story.chunks(0)
    entries = list(second.entries)
    entries[place] = type(entries[0])(
        address=entries[place].address, responses=1, amount=entries[place].amount - 1
    )
    story.pay(first)
    story.pay(Chunk(second.mark, tuple(entries)))
    paid = story.ledger.trail().paid[1]
    line = whole.lines[998 + place]
    for lines in (whole.lines, (line,)):
        with pytest.raises(InvalidPayment, match=f"does not pay entry {998 + place}"):
            check_paid(whole.header, lines, paid)
    check_paid(whole.header, whole.lines[:998], paid)


def test_a_payment_with_an_output_more_or_less_is_seen(story: PaidStory) -> None:
    header, (chunk,) = story.lists[1].header, story.chunks(1)
    story.pay_all(0)
    for entries in (chunk.entries[:-1], (*chunk.entries, chunk.entries[0])):
        story.pay(Chunk(chunk.mark, entries))
        paid = story.ledger.trail().paid[-1]
        with pytest.raises(InvalidPayment, match=f"{len(entries)} outputs for 3 entries"):
            check_paid(header, (), paid)
        story.ledger.take_off()


def test_a_chunk_beyond_the_list_is_seen(story: PaidStory) -> None:
    story.pay_all(0, 1)
    chunk = story.chunks(1)[0]
    story.pay(replace(chunk, mark=replace(chunk.mark, chunk=1)))
    with pytest.raises(InvalidPayment, match="pays chunk 1 of list .* once more"):
        mined(story, until=2)
