"""The links between batches: any that is missing, foreign or behind the head file is noticed."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zenp2p.ports import StoreError
from zenp2p.store_head import EMPTY, RING_SIZE, Head, HeadFile, Link, next_link, verify_links

values = st.none() | st.binary(max_size=4)
batch_lists = st.lists(st.tuples(st.binary(max_size=4), values), max_size=4)


def _ring(batches: int) -> tuple[dict[int, Link], list[Head]]:
    """The ring and all heads after so many small batches."""
    ring: dict[int, Link] = {}
    heads = [EMPTY]
    for number in range(batches):
        link = next_link(heads[-1], [(number.to_bytes(4, "big"), b"value")])
        ring[link.slot] = link
        heads.append(link.head)
    return ring, heads


SHORT = _ring(20)
WRAPPED = _ring(RING_SIZE + 700)


@pytest.mark.parametrize(("ring", "heads"), [SHORT, WRAPPED], ids=["short", "wrapped"])
def test_log_may_be_ahead_of_the_head_file_and_never_behind(ring: dict[int, Link], heads: list[Head]) -> None:
    links = list(ring.values())
    for lag in (0, 1, 19):
        assert verify_links(links, heads[-1 - lag]) == heads[-1]
    ahead = next_link(heads[-1], []).head
    with pytest.raises(StoreError, match=f"{len(heads) - 1} batches are left of {len(heads)}"):
        verify_links(links, ahead)


def test_empty_store_has_the_empty_head() -> None:
    assert verify_links([], EMPTY) == EMPTY
    with pytest.raises(StoreError, match="0 batches are left of 3"):
        verify_links([], Head(3, bytes(16)))


@given(st.data())
def test_missing_link_is_noticed(data: st.DataObject) -> None:
    ring, heads = data.draw(st.sampled_from([SHORT, WRAPPED]))
    gone = data.draw(st.sampled_from(sorted(ring)))
    with pytest.raises(StoreError):
        verify_links([link for slot, link in ring.items() if slot != gone], heads[-1])


@given(st.data())
def test_link_of_another_history_is_noticed(data: st.DataObject) -> None:
    ring, heads = SHORT
    place = data.draw(st.sampled_from(sorted(ring)))
    link = ring[place]
    foreign = data.draw(
        st.sampled_from(
            [
                Link(link.count, bytes(16), link.running),
                Link(link.count, link.digest, bytes(16)),
                Link(link.count - 1, link.digest, link.running),
            ]
        )
    )
    with pytest.raises(StoreError):
        verify_links(list((ring | {place: foreign}).values()), heads[-1])


@given(batch_lists, batch_lists)
def test_different_batches_have_different_links(
    one: Sequence[tuple[bytes, bytes | None]], other: Sequence[tuple[bytes, bytes | None]]
) -> None:
    assert (next_link(EMPTY, one) == next_link(EMPTY, other)) == (list(one) == list(other))


def test_link_of_another_size_is_refused() -> None:
    link = next_link(EMPTY, [])
    assert Link.decode(link.encode()) == link
    with pytest.raises(StoreError, match="39 bytes"):
        Link.decode(link.encode()[:-1])


def test_head_file_keeps_the_older_head_when_a_write_is_torn(tmp_path: Path) -> None:
    heads = SHORT[1]
    file = HeadFile(tmp_path / "head")
    for head in heads:
        file.write(head)
    file.close()
    whole = (tmp_path / "head").read_bytes()
    assert HeadFile(tmp_path / "head").head == heads[-1]
    newest = whole.index(heads[-1].count.to_bytes(8, "big"))
    torn = whole[: newest + 4] + bytes(30) + whole[newest + 34 :]
    (tmp_path / "head").write_bytes(torn)
    reopened = HeadFile(tmp_path / "head")
    assert reopened.head == heads[-2]
    reopened.write(heads[-1])
    reopened.close()
    assert HeadFile(tmp_path / "head").head == heads[-1]
