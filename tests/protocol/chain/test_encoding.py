"""Reading bounded bytes, compact sizes, and how hashes are shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.chain.encoding import Reader, compact_size, display_hash, parse_display_hash, var_bytes
from protocol.errors import InvalidChainData, RequestError

SIZES = ((0, 253), (2, 1 << 16), (4, 1 << 32), (8, 1 << 64))
"""How many bytes follow the first one, and the first value for which they do not do."""


@given(st.one_of(st.integers(0, 70_000), st.integers(0, 2**64 - 1)), st.binary(max_size=5))
def test_compact_size_has_one_spelling(value: int, rest: bytes) -> None:
    written = compact_size(value)
    reader = Reader(written + rest)
    assert reader.compact_size() == value
    assert reader.position == len(written)
    assert len(written) == next(1 + size for size, end in SIZES if value < end)


@pytest.mark.parametrize("spelling", ["fdfc00", "fd0000", "feffff0000", "ffffffffff00000000"])
def test_longer_spellings_are_refused(spelling: str) -> None:
    with pytest.raises(InvalidChainData, match="shortest"):
        Reader(bytes.fromhex(spelling)).compact_size()


@given(st.binary(max_size=12), st.integers(0, 14))
def test_nothing_is_read_past_the_end(data: bytes, size: int) -> None:
    reader = Reader(data)
    if size <= len(data):
        assert reader.take(size) == data[:size]
    else:
        with pytest.raises(InvalidChainData):
            reader.take(size)
        assert reader.position == 0


@pytest.mark.parametrize("offset", [-1, 4])
def test_an_offset_lies_within_the_data(offset: int) -> None:
    with pytest.raises(InvalidChainData):
        Reader(b"abc", offset)


def test_a_count_cannot_promise_more_than_there_is() -> None:
    assert Reader(compact_size(3) + bytes(12)).count(4) == 3
    for data in (compact_size(3) + bytes(11), compact_size(2**64 - 1) + bytes(100)):
        with pytest.raises(InvalidChainData, match="cannot stand"):
            Reader(data).count(4)


def test_byte_strings_and_the_end() -> None:
    reader = Reader(var_bytes(b"abc") + b"\x07")
    assert reader.var_bytes() == b"abc"
    with pytest.raises(InvalidChainData, match="1 bytes too many"):
        reader.finish()
    assert reader.uint(1) == 7
    reader.finish()


@given(st.binary(min_size=32, max_size=32))
def test_hashes_are_shown_reversed(computed: bytes) -> None:
    shown = display_hash(computed)
    assert bytes.fromhex(shown) == computed[::-1]
    assert parse_display_hash(shown) == computed


@pytest.mark.parametrize(
    "text", ["", "ab", "0" * 63, "0" * 65, "g" * 64, "0" * 63 + "\n", " " * 64, "é" * 64]
)
def test_other_texts_are_no_hashes(text: str) -> None:
    with pytest.raises(RequestError):
        parse_display_hash(text)
