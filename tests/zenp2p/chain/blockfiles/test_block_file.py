"""Block files of nodes: any magic, zeros, cut ends, wrong lengths, masks."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.block_files import MAGIC, chain_of, framed, masked, walk
from tests.support.vectors import load_vectors
from zenp2p.chain.blockfiles.block_file import BAD_LENGTH, BETWEEN, CUT_OFF, MASKED, NO_RECORD
from zenp2p.chain.blockfiles.tally import NO_BLOCK
from zenp2p.chain.blockfiles.walk import BlockFormat

FOUR = chain_of(4)
KEY = bytes(range(0xA1, 0xA9))
UNKNOWN = bytes.fromhex("c0c0c0c0")
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize(
    ("magic", "chain"),
    [
        (MAGIC, "bitcoin"),
        (b"cash", "zen"),
        (bytes.fromhex("24e92764"), "zcash"),
        (bytes.fromhex("fbc0b6db"), "litecoin"),
        (UNKNOWN, "bitcoin-family"),
    ],
)
@pytest.mark.parametrize("zeros", [0, 1, 8, 5_000])
def test_any_magic_and_zeros_everywhere(tmp_path: Path, magic: bytes, chain: str, zeros: int) -> None:
    gap = bytes(zeros)
    data = gap + framed(FOUR[:2], magic) + gap + framed(FOUR[2:], magic) + gap
    found = walk(tmp_path, data)
    assert (found["format"], found["magic"], found["chain"]) == ("blk", magic.hex(), chain)
    assert (found["blocks"], found["linked"], found["unsupported"]) == (4, 3, {})


def test_space_that_a_node_reserved_beyond_a_window(tmp_path: Path) -> None:
    found = walk(tmp_path, framed(FOUR) + bytes(9_000_000))
    assert (found["blocks"], found["unsupported"]) == (4, {})


def test_blocks_beyond_a_window_are_found(tmp_path: Path) -> None:
    many = chain_of(100) * 320
    found = walk(tmp_path, framed(many))
    assert found["sizes"]["file"] > 8 << 20
    assert (found["blocks"], found["merkle_ok"], found["linked"]) == (32_000, 32_000, 31_680)
    assert found["duplicates"] == 31_900


def test_a_last_record_that_is_cut_off_is_told_wherever_it_ends(tmp_path: Path) -> None:
    whole = framed(FOUR)
    before = len(framed(FOUR[:3]))
    for end in range(before + 1, len(whole)):
        found = walk(tmp_path, whole[:end])
        assert (found["blocks"], found["unsupported"]) == (3, {CUT_OFF: 1}), end


def test_bytes_between_records_are_walked_over(tmp_path: Path) -> None:
    data = framed(FOUR[:1]) + b"rubbish" + framed(FOUR[1:]) + b"more of it"
    found = walk(tmp_path, data)
    assert (found["blocks"], found["linked"], found["unsupported"]) == (4, 3, {BETWEEN: 2})


@pytest.mark.parametrize("length", [0, 80, 0xFFFF_FFFF, 33_000_000])
def test_an_impossible_length_costs_its_own_record(tmp_path: Path, length: int) -> None:
    data = framed(FOUR[:1]) + MAGIC + length.to_bytes(4, "little") + FOUR[1] + framed(FOUR[2:])
    found = walk(tmp_path, data)
    assert (found["blocks"], found["unsupported"]) == (3, {BAD_LENGTH: 1})


@pytest.mark.parametrize("change", [-100, -1, 1, 50, 400, 20_000_000])
def test_a_wrong_length_costs_at_most_its_own_record(tmp_path: Path, change: int) -> None:
    length = (len(FOUR[1]) + change).to_bytes(4, "little")
    found = walk(tmp_path, framed(FOUR[:1]) + MAGIC + length + FOUR[1] + framed(FOUR[2:]))
    assert found["merkle_ok"] >= 3


def test_a_lost_beginning(tmp_path: Path) -> None:
    found = walk(tmp_path, framed(FOUR)[100:])
    assert (found["blocks"], found["linked"], found["unsupported"]) == (3, 2, {BETWEEN: 1})


def test_a_lone_block_without_a_frame(tmp_path: Path) -> None:
    found = walk(tmp_path, FOUR[0])
    assert (found["blocks"], found["merkle_ok"], found["magic"]) == (1, 1, None)


def test_masked_files_are_read_with_the_key_beside_them(tmp_path: Path) -> None:
    reserved = bytes(3_000_000)  # a node masks what it writes, not the space that it reserves
    data = masked(framed(FOUR), KEY) + reserved
    without = walk(tmp_path, data, BlockFormat.BLK)
    assert without["blocks"] == 0 and set(without["unsupported"]) <= {NO_BLOCK, NO_RECORD}
    assert MASKED in without["remarks"][0]
    (tmp_path / "xor.dat").write_bytes(KEY)
    found = walk(tmp_path, data)
    assert (found["blocks"], found["linked"], found["unsupported"]) == (4, 3, {})
    assert found["chain"] == "bitcoin"


@pytest.mark.parametrize("key", [bytes(8), b"", KEY, KEY + b"\x01"])
def test_a_key_beside_a_file_that_is_not_masked_does_no_harm(tmp_path: Path, key: bytes) -> None:
    (tmp_path / "xor.dat").write_bytes(key)
    assert walk(tmp_path, framed(FOUR))["blocks"] == 4


@FUZZ
@given(st.binary(min_size=8, max_size=8).filter(any), st.lists(st.integers(0, 40), min_size=5, max_size=5))
def test_masks_and_gaps_change_nothing(tmp_path: Path, key: bytes, gaps: list[int]) -> None:
    parts = [bytes(gap) + framed([raw]) for gap, raw in zip(gaps, FOUR, strict=False)]
    (tmp_path / "xor.dat").write_bytes(key)
    found = walk(tmp_path, masked(b"".join(parts), key), BlockFormat.BLK)
    assert (found["blocks"], found["merkle_ok"], found["unsupported"]) == (4, 4, {})


@FUZZ
@given(
    st.lists(
        st.sampled_from([MAGIC, b"\xf9", bytes(3), b"\xff\xff\x00\x00", FOUR[0], framed(FOUR[:1])]),
        max_size=12,
    )
)
def test_any_mix_of_pieces_is_walked(tmp_path: Path, pieces: list[bytes]) -> None:
    found = walk(tmp_path, b"".join(pieces), BlockFormat.BLK)
    assert found["blocks"] <= len(pieces)


def test_a_file_full_of_magics_ends(tmp_path: Path) -> None:
    """Each of them promises a long record; none is looked through more than once."""
    for size in (100, 30_000_000):
        walk(tmp_path, (MAGIC + size.to_bytes(4, "little")) * 40_000, BlockFormat.BLK)


def test_a_block_with_witnesses(tmp_path: Path) -> None:
    shown = load_vectors("chain", "witness_block")
    found = walk(tmp_path, framed([bytes.fromhex(shown["raw"])], bytes.fromhex("fabfb5da")))
    assert (found["chain"], found["merkle_ok"], found["first_height"]) == ("regtest", 1, shown["height"])
    assert (found["transactions"], found["outputs"], found["addresses"], found["no_address"]) == (3, 8, 2, 0)
