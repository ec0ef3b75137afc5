"""Modules have names and docstrings that say what they are for, and nobody else owns our four names."""

from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.architecture.names import drawer_names, foreign_owners, undescribed_modules
from tests.architecture.planting import plant
from tests.architecture.source import PACKAGES, ROOT


def test_there_is_no_drawer() -> None:
    assert drawer_names(ROOT) == []


@pytest.mark.parametrize(
    "path",
    ["protocol/utils.py", "zenp2p/core/a.py", "cli/helpers.py", "tests/common.py", "simulations/manager.py"],
)
def test_a_planted_drawer_is_seen(tmp_path: Path, path: str) -> None:
    assert drawer_names(plant(tmp_path, {path: "", "protocol/scores.py": ""})) == [f"{path}:1"]


def test_every_module_says_what_it_is_for() -> None:
    assert undescribed_modules(ROOT) == []


def test_a_planted_undescribed_module_is_seen(tmp_path: Path) -> None:
    plant(tmp_path, {"protocol/a.py": "x = 1", "protocol/b.py": '"""What."""', "protocol/__init__.py": ""})
    assert undescribed_modules(tmp_path) == ["protocol/a.py:1"]


def test_nobody_else_owns_our_names() -> None:
    assert foreign_owners(distributions()) == []


def distribution(folder: Path, name: str, files: dict[str, str]) -> None:
    plant(
        folder / f"{name}-1.dist-info",
        {"METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n", **files},
    )


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("how", ["top_level.txt", "RECORD"])
def test_a_planted_foreign_owner_is_seen(tmp_path: Path, package: str, how: str) -> None:
    text = f"{package}\n" if how == "top_level.txt" else f"{package}/__init__.py,,\n"
    distribution(tmp_path, "stranger", {how: text})
    distribution(tmp_path, "zenp2p", {how: text})
    distribution(tmp_path, "harmless", {how: text.replace(package, f"my_{package}")})
    assert foreign_owners(distributions(path=[str(tmp_path)])) == [f"stranger owns {package}"]
