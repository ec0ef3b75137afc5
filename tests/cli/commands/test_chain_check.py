"""`zenp2p chain check`: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest

from cli.commands import chain_check
from tests.support.block_files import as_json, chain_of, framed, hex_text
from tests.support.chain_data import chain_data_path
from tests.support.command import Run, runner

CANOPY = "darkside/testnet-canopy_1028400-1028600.txt.gz"
FOUR = chain_of(4)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "blocks"
    path.write_bytes(hex_text(FOUR))
    return path


def test_one_json_object_for_real_blocks(run: Run) -> None:
    path = chain_data_path(CANOPY)
    ended = run("chain", "check", "--blocks", path, "--format", "hexlines", "--json")
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    assert json.loads(ended.out) == {
        "format": "hexlines",
        "chain": "zcash-testnet",
        "magic": None,
        "blocks": 201,
        "linked": 200,
        "unlinked": 1,
        "in_order": 200,
        "duplicates": 0,
        "merkle_ok": 201,
        "mismatched": 0,
        "merkle_unchecked": 0,
        "transactions": 237,
        "certificates": 0,
        "skipped": 0,
        "versions": {"4": 237},
        "outputs": 673,
        "addresses": 49,
        "no_address": 0,
        "unsupported": {},
        "first_height": 1_028_400,
        "last_height": 1_028_600,
        "sizes": {"file": path.stat().st_size, "blocks": 352_013, "largest": 4_611},
        "remarks": [],
    }


def test_the_same_for_people(run: Run, file: Path) -> None:
    ended = run("chain", "check", "--blocks", file)
    assert (ended.code, ended.err) == (0, "")
    assert "merkle_ok         4\n" in ended.out and "  largest" in ended.out


@pytest.mark.parametrize("kind", ["hexlines", "blk", "json"])
def test_formats_can_be_named_and_are_recognised(run: Run, file: Path, kind: str) -> None:
    contents = {"hexlines": hex_text(FOUR), "blk": framed(FOUR), "json": as_json(FOUR, "list")}
    file.write_bytes(contents[kind])
    shown = [
        json.loads(run("chain", "check", "--blocks", file, *more, "--json").out)
        for more in ((), ("--format", kind))
    ]
    assert shown[0] == shown[1] and (shown[0]["format"], shown[0]["blocks"]) == (kind, 4)


def test_flaws_are_reported_and_an_error_only_when_strict(run: Run, file: Path) -> None:
    plain = run("chain", "check", "--blocks", file, "--strict", "--json")
    assert (plain.code, plain.err) == (0, "")
    for flawed in (
        hex_text(FOUR) + b"zz\n",
        hex_text(FOUR).replace(FOUR[0].hex()[72:80].encode(), b"00000000"),
    ):
        file.write_bytes(flawed)
        lenient, strict = (
            run("chain", "check", "--blocks", file, "--json", *more) for more in ((), ("--strict",))
        )
        assert (lenient.code, lenient.err, strict.code, strict.err.count("\n")) == (0, "", 65, 1)
        assert strict.out == lenient.out and json.loads(strict.out)["blocks"] == 4


def test_remarks_stand_below(run: Run, file: Path) -> None:
    file.write_bytes(hex_text(FOUR[:2]) + b"zz\n")
    assert "line 3: a line is not hexadecimal" in run("chain", "check", "--blocks", file).out


@pytest.mark.parametrize("contents", [b"", b"hello", b"{}", b"\x00\xff" * 99])
def test_a_file_without_a_block_is_bad_data(run: Run, file: Path, contents: bytes) -> None:
    file.write_bytes(contents)
    ended = run("chain", "check", "--blocks", file, "--json")
    assert (ended.code, ended.err.count("\n")) == (65, 1) and "holds no block" in ended.err
    assert json.loads(ended.out)["blocks"] == 0


def test_a_missing_file_is_one(run: Run, tmp_path: Path) -> None:
    ended = run("chain", "check", "--blocks", tmp_path / "nothing", "--json")
    assert (ended.code, ended.out, ended.err.count("\n")) == (66, "", 1)


def test_an_unknown_format_is_a_mistake_in_the_command(run: Run, file: Path) -> None:
    assert run("chain", "check", "--blocks", file, "--format", "csv").code == 2


def test_a_big_file_tells_how_far_it_is(run: Run, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_check, "BIG_FILE", 100)
    file.write_bytes(hex_text(chain_of(400)))
    ended = run("chain", "check", "--blocks", file, "--json")
    assert ended.out.count("\n") == 1 and json.loads(ended.out)["blocks"] == 400
    assert ended.err.endswith("400 blocks\n") and ended.err.count("\n") <= chain_check.STEPS
