"""No machine's paths and no word of how it was written in anything that is tracked."""

import subprocess
from pathlib import Path

import pytest

from tests.architecture.planting import plant
from tests.architecture.source import ROOT
from tests.architecture.tracked import strange_words, tracked_files


def test_the_repository_speaks_of_zenp2p_alone() -> None:
    assert strange_words(ROOT) == []


def test_the_tracked_files_are_found() -> None:
    assert {ROOT / "setup.cfg", ROOT / "protocol" / "errors.py", Path(__file__)} <= set(tracked_files(ROOT))


def repository(root: Path, files: dict[str, str]) -> Path:
    plant(root, files)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    subprocess.run(["git", "add", "."], cwd=root, check=True)
    return root


@pytest.mark.parametrize(
    "text",
    [
        "open('/tm" + "p/report')",
        "see /wor" + "k/notes",
        "/hom" + "e/somebody/zenp2p",
        '"/roo' + 't"',
        "a sub" + "agent wrote it",
        "Co-Author" + "ed-By: x",
        "Clau" + "de",
        "see DEVELOP" + "ERS.md",
        "../shared/rese" + "arch/style.md",
        "(`00" + "1_…`)",
        "00" + "0_64d77e73bb24bed2.txt",
        "as issu" + "e #2 says",
        "issu" + "e 12",
    ],
)
def test_a_planted_word_is_seen(tmp_path: Path, text: str) -> None:
    repository(tmp_path, {"notes.md": f"fine\n{text}\n", "protocol/a.py": "x = 1"})
    assert [line.rpartition(": ")[0] for line in strange_words(tmp_path)] == ["notes.md:2"]


def test_a_planted_file_name_is_seen(tmp_path: Path) -> None:
    assert strange_words(repository(tmp_path, {"DEVELOP" + "ERS.md": ""})) != []


@pytest.mark.parametrize(
    "text",
    [
        "https://example.org/home/page",
        "the workers' homes",
        "a/tmp",
        "$HOME/.zenp2p",
        "signed sessions",
        "../shared/chain-data",
        "google/leveldb#251",
        "this issue was found",
        "1000_000",
        "/workers/7",
    ],
)
def test_ordinary_text_is_no_finding(tmp_path: Path, text: str) -> None:
    assert strange_words(repository(tmp_path, {"notes.md": text})) == []


def test_untracked_files_are_nobodys_business(tmp_path: Path) -> None:
    repository(tmp_path, {"a.md": "fine"})
    plant(tmp_path, {"b.md": "/tm" + "p/x"})
    assert strange_words(tmp_path) == []
