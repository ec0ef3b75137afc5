"""`zenp2p challenge derive`: what it prints for real blocks, and how it ends on wrong input."""

import json
from pathlib import Path

import pytest

from tests.support.chain_data import chain_data_path, read_text
from tests.support.command import Run, runner

CANOPY = "darkside/testnet-canopy_1028400-1028600.txt.gz"
OPERATOR = "ab" * 32


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


def arguments(path: Path | str, anchor: int = 1_028_500, *more: str, operator: str = OPERATOR) -> list[str]:
    """Return the command line."""
    fixed = ["challenge", "derive", "--blocks", str(path), "--anchor", str(anchor), "--seq", "3"]
    return [*fixed, "--operator", operator, *more]


def test_one_json_object_for_real_blocks(run: Run) -> None:
    """The figures of the canopy file: T and the samples are those of the blocks up to the anchor."""
    ended = run(*arguments(chain_data_path(CANOPY), 1_028_500, "--json"))
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    shown = json.loads(ended.out)
    assert {name: shown[name] for name in ("seq", "anchor_height", "chain", "first_height", "T")} == {
        "seq": 3,
        "anchor_height": 1_028_500,
        "chain": "zcash-testnet",
        "first_height": 1_028_400,
        "T": 137,
    }
    assert shown["anchor_hash"] == "01a4d7c6aada30c87762c1bf33fff5df7266b1fd7616bfdb5227fa59bd79e7a2"
    assert (shown["linked"], shown["merkle_roots_match"]) == (True, True)
    assert [sample["ordinal"] for sample in shown["samples"]] == [103, 94, 66, 55]
    assert shown["samples"][0] == {
        "ordinal": 103,
        "txid": "7cfe7f0b304dc8a0a0d1af9b6a33d96ab649614170298244db50648cb9c9b75f",
        "address": "tmF377oZywiwPKxrJF1aTi5tAymb4nPPRhZ",
        "address_hex": "003a64aae666fe135b6bacc0ba22d3a2f7200d71c1",
        "bytes": 142,
    }
    assert len(bytes.fromhex(shown["answer"])) == 12


def test_the_same_for_people(run: Run) -> None:
    ended = run(*arguments(chain_data_path(CANOPY)))
    assert ended.code == 0 and ended.err == ""
    assert "T                   137" in ended.out and "tmF377oZywiwPKxrJF1aTi5tAymb4nPPRhZ" in ended.out


def test_given_heights_count_from_there(run: Run) -> None:
    ended = run(*arguments(chain_data_path(CANOPY), 5, "--first-height", "0", "--json"))
    shown = json.loads(ended.out)
    assert (ended.code, shown["first_height"], shown["anchor_height"]) == (0, 0, 5)


def test_made_up_blocks_are_derived_with_a_warning(run: Run) -> None:
    ended = run(*arguments(chain_data_path("darkside/basic-reorg_before-reorg.txt"), 663_160, "--json"))
    shown = json.loads(ended.out)
    assert ended.code == 0 and (shown["linked"], shown["merkle_roots_match"]) == (False, False)
    assert ended.err.splitlines() == [
        "warning: the block at 663151 does not name the block before it",
        "warning: the block at 663151, and 9 more, does not have the Merkle root of its transactions",
    ]


def test_two_branches_give_two_answers(run: Run) -> None:
    """The two sets that fork at 663180: the same challenge before the fork, another one after it."""
    files = [
        chain_data_path(f"darkside/basic-reorg_{name}.txt") for name in ("before-reorg", "after-large-large")
    ]
    answers = {}
    for anchor in (663_179, 663_180):
        shown = [json.loads(run(*arguments(path, anchor, "--json")).out) for path in files]
        answers[anchor] = [each["anchor_hash"] for each in shown]
    assert answers[663_179][0] == answers[663_179][1]
    assert answers[663_180][0] != answers[663_180][1]


def test_a_chain_can_be_named(run: Run) -> None:
    ended = run(*arguments(chain_data_path(CANOPY), 1_028_500, "--chain", "zcash", "--json"))
    assert json.loads(ended.out)["samples"][0]["address"].startswith("t1")
    ended = run(*arguments(chain_data_path(CANOPY), 1_028_500, "--chain", "doge"))
    assert ended.code == 64 and "zcash-testnet" in ended.err


def test_more_samples_on_demand(run: Run) -> None:
    ended = run(*arguments(chain_data_path(CANOPY), 1_028_500, "--samples", "7", "--json"))
    ordinals = [sample["ordinal"] for sample in json.loads(ended.out)["samples"]]
    assert len(ordinals) == 7 and ordinals[:4] == [103, 94, 66, 55]


@pytest.mark.parametrize("change", ["missing", "anchor", "hex", "version 6", "cut", "gap", "empty"])
def test_wrong_input_is_one_line_and_the_right_code(run: Run, tmp_path: Path, change: str) -> None:
    path = tmp_path / "blocks.txt"
    lines = read_text(CANOPY).split()
    contents = {
        "anchor": lines,
        "hex": [*lines[:2], "not hexadecimal"],
        "version 6": [line.replace("0400008085202f89", "0600008085202f89") for line in lines[:2]],
        "cut": [*lines[:2], lines[2][:-2]],
        "gap": [lines[0], lines[2]],
        "empty": [],
    }
    if change in contents:
        path.write_text("\n".join(contents[change]))
    expected = {"missing": (66, "No such file"), "anchor": (64, "holds heights")}
    code, reason = expected.get(change, (65, ""))
    ended = run(*arguments(path, 5 if change == "anchor" else 1_028_400))
    assert (ended.code, ended.out, ended.err.count("\n")) == (code, "", 1)
    assert reason in ended.err and "Traceback" not in ended.err


@pytest.mark.parametrize("operator", ["", "abc", "zz" * 32, "ab" * 31, "ab" * 33])
def test_an_operator_key_is_32_bytes(run: Run, operator: str) -> None:
    ended = run(*arguments(chain_data_path(CANOPY), operator=operator))
    assert ended.code == 2 and "64 hexadecimal digits" in ended.err
