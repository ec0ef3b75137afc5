"""Names: no drawer modules, a docstring in every module, and four top-level names that are ours alone."""

import ast
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

from tests.architecture.source import PACKAGES, modules

DRAWERS = frozenset({"util", "utils", "common", "helper", "helpers", "core", "manager", "managers", "misc"})


def drawer_names(root: Path) -> list[str]:
    """Return the modules and folders whose name says nothing about what is in them."""
    found = modules(root, *PACKAGES, "tests")
    return [module.at(1) for module in found if DRAWERS & set(module.name.split("."))]


def undescribed_modules(root: Path) -> list[str]:
    """Return the modules that hold code and do not open with a docstring."""
    return [
        module.at(1) for module in modules(root) if module.tree.body and not ast.get_docstring(module.tree)
    ]


def foreign_owners(distributions: Iterable[Distribution]) -> list[str]:
    """Return the installed distributions, zenp2p left out, that own one of our top-level names.

    Such a wheel installs over our folder without a word, and `zenp2p` then runs its code.
    """
    found: list[str] = []
    for distribution in distributions:
        if distribution.name != "zenp2p":
            ours = sorted(_top_level(distribution) & set(PACKAGES))
            found.extend(f"{distribution.name} owns {name}" for name in ours)
    return found


def _top_level(distribution: Distribution) -> set[str]:
    """Return what a distribution installs at the top, by its record and by its own word."""
    declared = (distribution.read_text("top_level.txt") or "").split()
    recorded = {file.parts[0].removesuffix(".py") for file in distribution.files or ()}
    return recorded | set(declared)
