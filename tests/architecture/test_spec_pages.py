"""Every name on a spec page stands for something, and every vector folder has a page."""

from pathlib import Path

import pytest

from tests.architecture.planting import plant
from tests.architecture.source import ROOT
from tests.architecture.spec_pages import (
    broken_links,
    missing_pages,
    missing_vector_folders,
    rule_pages,
    unknown_code_names,
    unlisted_pages,
)

CODE = {
    "protocol/__init__.py": "",
    "protocol/chain/__init__.py": "",
    "protocol/chain/script.py": """
        LIMIT = 3
        Pair = tuple[int, int]
        height: int = 1
        def parse(): ...
        async def fetch(): ...
        class Script:
            size: int
            def read(self): ...
    """,
}


def test_every_code_name_stands_for_something() -> None:
    assert unknown_code_names(ROOT) == []


def test_every_vector_folder_has_its_page_and_its_vectors() -> None:
    assert missing_vector_folders(ROOT) == []


def test_every_page_that_is_pointed_at_exists() -> None:
    assert missing_pages(ROOT) == []


def test_every_link_leads_somewhere() -> None:
    assert broken_links(ROOT) == []


def test_the_overview_leads_to_every_page() -> None:
    assert unlisted_pages(ROOT) == []


def test_the_pages_name_code_at_all() -> None:
    assert sum("`protocol." in page.read_text() for page in rule_pages(ROOT)) >= 3


@pytest.mark.parametrize(
    "name",
    [
        "protocol.chain.script.parse_all",
        "protocol.chain.scripts.parse",
        "protocol.chain.script.Script.write",
        "protocol.chain.script.parse.inner",
        "zenp2p.store.open_store",
        "protocol.chain.script.parsed()",
    ],
)
def test_a_planted_unknown_name_is_seen(tmp_path: Path, name: str) -> None:
    plant(tmp_path, CODE | {"spec/page.md": f"Carried out by `{name}`, `protocol.chain.script.parse`."})
    assert unknown_code_names(tmp_path) == [f"spec/page.md: there is no {name.removesuffix('()')}"]


@pytest.mark.parametrize(
    "name",
    [
        "protocol.chain",
        "protocol.chain.script",
        "protocol.chain.script.parse(data)",
        "protocol.chain.script.fetch",
        "protocol.chain.script.Script.read",
        "protocol.chain.script.Script.size",
        "protocol.chain.script.LIMIT",
        "protocol.chain.script.Pair",
        "protocol.chain.script.height",
        "zenp2p devnet",
        "zenp2p.toml",
    ],
)
def test_a_known_name_is_no_finding(tmp_path: Path, name: str) -> None:
    assert unknown_code_names(plant(tmp_path, CODE | {"spec/page.md": f"See `{name}`."})) == []


def test_decision_records_may_speak_of_the_past(tmp_path: Path) -> None:
    plant(
        tmp_path,
        CODE | {"spec/decisions/0001-x.md": "`protocol.gone`, `spec/gone.md`, `tests/vectors/gone/`"},
    )
    assert unknown_code_names(tmp_path) + missing_pages(tmp_path) + missing_vector_folders(tmp_path) == []


def test_planted_vectors_without_page_or_files_are_seen(tmp_path: Path) -> None:
    plant(
        tmp_path, {"spec/page.md": "`tests/vectors/full/`, `tests/vectors/empty/`, `tests/vectors/absent/`"}
    )
    plant(
        tmp_path,
        {"tests/vectors/full/a.json": "", "tests/vectors/empty/x.md": "", "tests/vectors/lost/a.json": ""},
    )
    assert [
        line.rpartition("tests/vectors/")[2].partition(":")[0] for line in missing_vector_folders(tmp_path)
    ] == [
        "absent",
        "empty",
        "lost",
    ]


def test_a_planted_pointer_to_no_page_is_seen(tmp_path: Path) -> None:
    plant(
        tmp_path, {"protocol/a.py": '"""Spec: `spec/a.md`, `spec/b.md`."""', "spec/a.md": "See `spec/c.md`."}
    )
    assert missing_pages(tmp_path) == [
        "protocol/a.py: there is no spec/b.md",
        "spec/a.md: there is no spec/c.md",
    ]


def test_a_planted_broken_link_is_seen(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"README.md": "[a](spec/a.md) [b](spec/b.md#part) [c](https://example.org)", "spec/a.md": ""},
    )
    plant(tmp_path, {"spec/decisions/0001-x.md": "[up](../a.md) [away](../gone.md)"})
    assert broken_links(tmp_path) == ["README.md: spec/b.md", "spec/decisions/0001-x.md: ../gone.md"]


def test_a_planted_lost_page_is_seen(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {"spec/overview.md": "[a](a.md)", "spec/a.md": "", "spec/b.md": "", "spec/decisions/0001-x.md": ""},
    )
    assert unlisted_pages(tmp_path) == ["spec/b.md"]
