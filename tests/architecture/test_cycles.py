"""No two modules need each other."""

from pathlib import Path

import pytest

from tests.architecture.cycles import import_cycles, import_graph
from tests.architecture.planting import plant
from tests.architecture.source import ROOT, modules


def test_there_is_no_import_cycle() -> None:
    assert import_cycles(ROOT) == []


def test_the_graph_has_every_module_and_its_arrows() -> None:
    graph = import_graph(ROOT)
    assert set(graph) == {module.name for module in modules(ROOT)}
    assert {"protocol.errors", "protocol.units"} <= graph["protocol.crypto"]


@pytest.mark.parametrize(
    "files",
    [
        {"protocol/a.py": "import protocol.b", "protocol/b.py": "from protocol import a"},
        {"protocol/a.py": "from .b import x", "protocol/b.py": "def f():\n    from .a import y"},
        {"protocol/a.py": "import protocol.a"},
        {
            "zenp2p/a.py": "from zenp2p.b import f",
            "zenp2p/b.py": "from zenp2p.c import f",
            "zenp2p/c.py": "import importlib\nimportlib.import_module('zenp2p.a')",
        },
        {
            "protocol/chain/__init__.py": "from protocol.chain.a import f",
            "protocol/chain/a.py": "from protocol.chain import X",
        },
        {"zenp2p/a.py": "import cli.b", "cli/b.py": "import zenp2p.a"},
    ],
)
def test_a_planted_cycle_is_seen(tmp_path: Path, files: dict[str, str]) -> None:
    assert len(import_cycles(plant(tmp_path, files))) == 1


@pytest.mark.parametrize(
    "files",
    [
        {
            "protocol/a.py": "import protocol.b",
            "protocol/b.py": "if TYPE_CHECKING:\n    from protocol import a",
        },
        {
            "protocol/chain/__init__.py": "",
            "protocol/chain/a.py": "from protocol.chain import b",
            "protocol/chain/b.py": "",
        },
        {
            "protocol/a.py": "import protocol.b, protocol.c",
            "protocol/b.py": "import protocol.c",
            "protocol/c.py": "",
        },
    ],
)
def test_an_acyclic_tree_is_clean(tmp_path: Path, files: dict[str, str]) -> None:
    assert import_cycles(plant(tmp_path, files)) == []
