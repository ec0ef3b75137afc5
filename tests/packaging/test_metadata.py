"""setup.cfg, Makefile and the code say the same."""

import re
from configparser import ConfigParser

import pytest

from tests.architecture.imports import LIBRARIES
from tests.architecture.source import PACKAGES, ROOT, modules

CONFIG = ConfigParser()
CONFIG.read(ROOT / "setup.cfg")

DISTRIBUTION = {"nacl": "pynacl", "zmq": "pyzmq"}
"""Where a library is installed under another name than it is imported by."""
WITH_LIBP2P = {"multiaddr", "google"}
"""What libp2p's own interface is made of, in the versions that libp2p asks for."""


def lines(section: str, option: str) -> list[str]:
    return [line.strip() for line in CONFIG[section][option].splitlines() if line.strip()]


def required() -> dict[str, str]:
    """Return the distributions that are installed with zenp2p, each with its bounds."""
    pairs = (line.partition(" ") for line in lines("options", "install_requires"))
    return {name: bounds for name, _, bounds in pairs}


def imported() -> set[str]:
    """Return the libraries that the code imports, by the name of their distribution."""
    roots = {imported.root for module in modules(ROOT) for imported in module.imports}
    libraries = {library for allowed in LIBRARIES.values() for library in allowed}
    return {DISTRIBUTION.get(name, name) for name in roots & libraries - WITH_LIBP2P}


def test_every_library_is_required() -> None:
    assert imported() - set(required()) == set()


def test_every_requirement_is_in_the_import_table() -> None:
    libraries = {DISTRIBUTION.get(name, name) for allowed in LIBRARIES.values() for name in allowed}
    assert set(required()) - libraries == set()


def test_libp2p_is_pinned_and_everything_else_is_bounded() -> None:
    bounds = required()
    assert bounds.pop("libp2p") == "== 0.8.1"
    for name, bound in bounds.items():
        assert re.fullmatch(r">= [\d.]+, < [\d.]+", bound), name


@pytest.mark.parametrize("line", lines("options.entry_points", "console_scripts"))
def test_every_command_has_its_function(line: str) -> None:
    module, _, function = line.partition(" = ")[2].partition(":")
    path = ROOT / f"{module.replace('.', '/')}.py"
    assert re.search(rf"^def {function}\(|^{function}\b.*=", path.read_text(), re.MULTILINE)


def test_all_packages_are_included_and_typed() -> None:
    assert {line.rstrip("*") for line in lines("options.packages.find", "include")} == set(PACKAGES)
    for package in PACKAGES:
        assert (ROOT / package / "py.typed").exists()
        for folder in {module.path.parent for module in modules(ROOT, package)}:
            assert (folder / "__init__.py").exists(), folder


def test_every_test_folder_is_a_package() -> None:
    """Without `__init__.py` at every level, `tests/protocol` would shadow the real `protocol`."""
    for folder in {module.path.parent for module in modules(ROOT, "tests")}:
        for level in (folder, *folder.parents):
            if level == ROOT:
                break
            assert (level / "__init__.py").exists(), level


def test_ci_runs_make_test_and_nothing_else() -> None:
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    commands = [
        line for line in script.read_text().splitlines() if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["exec make test"]


def test_every_make_target_is_explained() -> None:
    text = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", text, re.MULTILINE)) - {"help"}
    assert targets == set(re.findall(r"@echo 'make ([a-z]+) ", text))
    assert targets <= set(text.partition(".PHONY:")[2].partition("\n")[0].split())
