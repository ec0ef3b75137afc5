"""Counting different values beyond what memory holds."""

from hypothesis import given, settings
from hypothesis import strategies as st

from zenp2p.chain.blockfiles.distinct import DistinctCounter


@settings(max_examples=50)
@given(st.lists(st.lists(st.integers(0, 300), max_size=40)), st.integers(0, 20))
def test_the_count_is_exact_whatever_fits_into_memory(batches: list[list[int]], limit: int) -> None:
    with DistinctCounter(3, limit) as counter:
        for batch in batches:
            counter.add(number.to_bytes(3, "big") for number in batch)
            assert len(counter._values) <= limit
        expected = len({number for batch in batches for number in batch})
        assert counter.count() == expected == counter.count()


def test_its_folder_goes_with_it() -> None:
    with DistinctCounter(1, 1) as counter:
        counter.add([b"a", b"b", b"c"])
        folder = counter._folder
        assert folder is not None and folder.is_dir()
    assert not folder.exists()
