"""Files of blocks walked to their end: real ones with their known figures, and anything else."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from protocol.chain.rules import HeaderLayout
from tests.support.block_files import MAGIC, as_json, chain_of, checked, framed, hex_text, walk
from tests.support.chain_data import chain_data_path, read_hex_lines
from tests.support.vectors import load_vectors
from zenp2p.chain.blockfiles import tally
from zenp2p.chain.blockfiles.block_file import BETWEEN
from zenp2p.chain.blockfiles.hex_lines import NO_HEX
from zenp2p.chain.blockfiles.survey import MALFORMED, STATED
from zenp2p.chain.blockfiles.tally import NO_BLOCK, OTHER_REASONS
from zenp2p.chain.blockfiles.walk import CANNOT_UNPACK, BlockFormat, walk_file

FIGURES = ("chain", "blocks", "linked", "merkle_ok", "transactions", "outputs", "addresses", "no_address")
REAL: dict[str, tuple[object, ...]] = {
    "darkside/testnet-canopy_1028400-1028600.txt.gz": ("zcash-testnet", 201, 200, 201, 237, 673, 49, 0),
    "darkside/basic-reorg_663150.txt": ("zcash", 1, 0, 1, 2, 4, 4, 0),
    "darkside/basic-reorg_before-reorg.txt": ("zcash", 51, 49, 1, 52, 104, 6, 0),
    "darkside/basic-reorg_after-small-reorg.txt": ("zcash", 56, 55, 0, 57, 114, 4, 0),
    "darkside/basic-reorg_after-large-reorg.txt": ("zcash", 71, 70, 0, 72, 144, 4, 0),
    "darkside/basic-reorg_after-large-large.txt": ("zcash", 100, 99, 0, 101, 202, 4, 0),
    "electrumx-blocks/zcash_mainnet_1000.json": ("zcash", 1, 0, 1, 2, 3, 3, 0),
    "electrumx-blocks/zcash_testnet_242100.json": ("zcash-testnet", 1, 0, 1, 3, 6, 5, 0),
    "electrumx-blocks/zclassic_mainnet_1001.json": ("zcash", 1, 0, 1, 5, 33, 33, 2),
    "horizen/block_with_v0_and_v1_certificates.hex": ("zen-testnet", 1, 0, 1, 4, 7, 4, 0),
    "horizen/block-with-certificates.json": (None, 1, 0, 1, 4, 0, 0, 0),
    "horizen/block-with-certificates-expanded.json": (None, 1, 0, 1, 4, 12, 8, 0),
}
FOUR = chain_of(4)
SAMPLES = [
    hex_text(FOUR),
    framed(FOUR),
    bytes(9) + framed(FOUR) + bytes(100),
    as_json(FOUR, "list"),
    as_json(FOUR, "lines"),
    hex_text(chain_of(2, HeaderLayout.EQUIHASH)),
    gzip.compress(hex_text(FOUR), mtime=0),
    framed([bytes.fromhex(load_vectors("chain", "witness_block")["raw"])]),
]
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("name", REAL)
def test_real_files_have_their_known_figures(name: str) -> None:
    walked = walk_file(chain_data_path(name))
    summary = checked(walked.summary)
    assert tuple(summary[figure] for figure in FIGURES) == REAL[name]
    decoded = name.startswith("horizen/block-with")
    assert summary["unsupported"] == ({STATED: 1} if decoded else {})
    assert walked.flawless == (summary["merkle_ok"] == summary["blocks"] and not decoded)


def test_every_file_of_the_chain_data_is_walked() -> None:
    """What holds no block says so; nothing of it raises."""
    folder = chain_data_path("horizen/forks.json").parents[1]
    blocks = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        blocks[str(path.relative_to(folder))] = checked(walk_file(path).summary)["blocks"]
    assert {name for name, count in blocks.items() if count} == set(REAL)


def test_versions_heights_and_sizes_of_the_canopy_file() -> None:
    summary = walk_file(chain_data_path("darkside/testnet-canopy_1028400-1028600.txt.gz")).summary
    assert summary["versions"] == {"4": 237}
    assert (summary["first_height"], summary["last_height"]) == (1_028_400, 1_028_600)
    raws = read_hex_lines("darkside/testnet-canopy_1028400-1028600.txt.gz")
    assert summary["sizes"]["blocks"] == sum(map(len, raws))
    assert summary["sizes"]["largest"] == max(map(len, raws))


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("hexlines", hex_text(FOUR)),
        ("hexlines", b"\r\n".join(raw.hex().upper().encode() for raw in FOUR)),
        ("blk", framed(FOUR)),
        *[("json", as_json(FOUR, shape)) for shape in ("list", "strings", "lines", "answers")],
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_every_format_shows_the_same_blocks(tmp_path: Path, kind: str, data: bytes, packed: bool) -> None:
    found = walk(tmp_path, data, packed=packed)
    assert found["format"] == kind
    expected = {
        "blocks": 4,
        "linked": 3,
        "in_order": 3,
        "merkle_ok": 4,
        "transactions": 8,
        "outputs": 12,
        "addresses": 2,
        "no_address": 0,
        "unsupported": {},
        "chain": "bitcoin" if kind == "blk" else "bitcoin-family",
        "remarks": [],
    }
    assert {name: found[name] for name in expected} == expected
    assert walk(tmp_path, data, BlockFormat(kind), packed=packed) == found


def test_links_are_looked_for_in_the_whole_file(tmp_path: Path) -> None:
    first, second, third, fourth = FOUR
    found = walk(tmp_path, hex_text([third, first, fourth, second]))
    assert (found["linked"], found["in_order"], found["unlinked"]) == (3, 0, 1)
    gap = walk(tmp_path, hex_text([first, second, fourth]))
    assert (gap["linked"], gap["unlinked"]) == (1, 2)
    assert "line 3: the block before it is not in the file" in gap["remarks"]
    twice = walk(tmp_path, hex_text([first, second, second]))
    assert (twice["blocks"], twice["linked"], twice["duplicates"]) == (3, 2, 1)


def test_what_is_no_block_is_counted_and_walked_over(tmp_path: Path) -> None:
    lines = [
        FOUR[0].hex(),
        "no hexadecimal",
        FOUR[1].hex()[:-1],
        "",
        FOUR[1].hex()[:-2],
        "abcd",
        FOUR[2].hex(),
    ]
    found = walk(tmp_path, "\n".join(lines).encode())
    assert found["unsupported"] == {NO_HEX: 2, MALFORMED: 1, NO_BLOCK: 1}
    assert (found["blocks"], found["linked"], found["merkle_ok"], found["merkle_unchecked"]) == (3, 2, 2, 1)
    assert (found["transactions"], found["skipped"]) == (5, 1)


def test_reasons_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each undefined version of Zcash has its own reason; there are never too many of them."""
    zcash = chain_of(1, HeaderLayout.EQUIHASH)[0]
    at = zcash.index((1).to_bytes(4, "little") + b"\x01" + bytes(32))
    raws = []
    for version in range(6, 16):
        raws.append(zcash[:at] + (version | 1 << 31).to_bytes(4, "little") + zcash[at + 4 :])
    found = walk(tmp_path, hex_text(raws))
    assert len(found["unsupported"]) == 10 and found["blocks"] == 10
    assert OTHER_REASONS not in found["unsupported"]
    monkeypatch.setattr(tally, "REASONS_MAX", 3)
    found = walk(tmp_path, hex_text(raws))
    assert len(found["unsupported"]) == 4 and found["unsupported"][OTHER_REASONS] == 7


def test_two_families_in_one_file(tmp_path: Path) -> None:
    raws = [*FOUR[:1], *chain_of(1, HeaderLayout.EQUIHASH), *FOUR[1:]]
    found = walk(tmp_path, hex_text(raws))
    assert (found["chain"], found["blocks"], found["merkle_ok"]) == ("mixed", 5, 5)


@pytest.mark.parametrize(
    "data", [b"", b"\n\n", b"{}", b"[]", b"null", b"[[[[[[", b"\x00" * 99, b"hello", MAGIC]
)
def test_files_without_any_block(tmp_path: Path, data: bytes) -> None:
    assert walk(tmp_path, data)["blocks"] == 0
    for kind in BlockFormat:
        assert walk(tmp_path, data, kind)["blocks"] == 0


def test_a_gzipped_file_that_breaks_off(tmp_path: Path) -> None:
    packed = gzip.compress(hex_text(FOUR * 50), mtime=0)
    found = walk(tmp_path, packed[: len(packed) // 2])
    assert found["unsupported"][CANNOT_UNPACK] == 1
    assert walk(tmp_path, b"\x1f\x8bgarbage")["unsupported"] == {CANNOT_UNPACK: 1}


def test_a_missing_file_and_a_folder_are_errors_of_the_system(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(OSError):
            walk_file(path)


@FUZZ
@given(st.binary(max_size=400), st.sampled_from([None, *BlockFormat]))
@example(b"\x1f\x8b", None)
@example(b"[1e999, -, {", None)
@example(b"[" * 5_000, BlockFormat.JSON)
@example(b"9" * 5_000, BlockFormat.JSON)
def test_any_bytes_are_walked(tmp_path: Path, data: bytes, kind: BlockFormat | None) -> None:
    walk(tmp_path, data, kind)


@FUZZ
@given(st.sampled_from(SAMPLES), st.data(), st.sampled_from([None, *BlockFormat]))
def test_changed_files_are_walked(
    tmp_path: Path, sample: bytes, data: st.DataObject, kind: BlockFormat | None
) -> None:
    changed = bytearray(sample)
    for _ in range(data.draw(st.integers(0, 4))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(changed)))
    walk(tmp_path, bytes(changed[:cut] if data.draw(st.booleans()) else changed), kind)


@FUZZ
@given(st.integers(0, 3), st.data())
def test_one_changed_block_costs_no_other(tmp_path: Path, which: int, data: st.DataObject) -> None:
    """Whatever happens to one line, the others are read."""
    lines = [bytearray(line) for line in hex_text(FOUR).split()]
    at = data.draw(st.integers(0, len(lines[which]) - 1))
    lines[which][at] = data.draw(st.integers(33, 126))
    found = walk(tmp_path, b"\n".join(lines), BlockFormat.HEXLINES)
    assert found["merkle_ok"] >= 3


def test_the_chain_data_in_json_agrees_with_its_own_node() -> None:
    name = "electrumx-blocks/zclassic_mainnet_1001.json"
    shown: dict[str, Any] = json.loads(chain_data_path(name).read_text())
    summary = walk_file(chain_data_path(name)).summary
    assert (summary["transactions"], summary["first_height"]) == (len(shown["tx"]), shown["height"])
    assert BETWEEN not in summary["unsupported"]
