"""The tables in the spec are the tables in the code: error codes, exit codes, methods, settings."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from cli.main import COMMANDS
from zenp2p.api.announcement_methods import AnnouncementMethods
from zenp2p.api.chain_node_methods import ChainNodeMethods
from zenp2p.api.challenge_methods import ChallengeMethods
from zenp2p.api.errors import ERROR_BY_CODE
from zenp2p.api.explorer_methods import ExplorerMethods
from zenp2p.api.group_methods import GroupMethods
from zenp2p.api.methods import Methods
from zenp2p.api.node_methods import NodeMethods
from zenp2p.api.payout_methods import PayoutMethods
from zenp2p.api.treasury_methods import TreasuryMethods
from zenp2p.exit_codes import ExitCode, exit_code
from zenp2p.settings import SETTINGS

SPEC = Path(__file__).resolve().parents[3] / "spec"


def _rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table behind a heading (a level-2 one, or the page's own)."""
    text = (SPEC / page).read_text()
    behind = text[text.index(heading) :]
    table = re.search(r"(?:^\|.*\n)+", behind, re.MULTILINE)
    assert table is not None
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[0].splitlines()]
    return rows[2:]


def test_error_codes() -> None:
    stated = {int(code): (name, int(exit_)) for code, name, _, exit_ in _rows("rpc.md", "## Error codes")}
    assert stated == {code: (kind.__name__, int(exit_code(kind("")))) for code, kind in ERROR_BY_CODE.items()}


def test_exit_codes() -> None:
    stated = {int(code): name for code, name, _ in _rows("cli.md", "## Exit codes")}
    assert stated == {code.value: code.name for code in ExitCode}


def test_methods() -> None:
    methods = Methods()
    parts = cast(Any, SimpleNamespace(node=None, chain=SimpleNamespace(index=None), network=None))
    NodeMethods(parts).register(methods)
    ChainNodeMethods(parts).register(methods)
    PayoutMethods(parts).register(methods)
    TreasuryMethods(parts).register(methods)
    ExplorerMethods(parts).register(methods)
    AnnouncementMethods(parts).register(methods)
    ChallengeMethods(parts).register(methods)
    GroupMethods(parts).register(methods)
    stated = {name: params for name, params, _ in _rows("rpc.md", "## Methods")}
    assert stated == {method.name: ", ".join(method.params.__struct_fields__) for method in methods}


def test_settings() -> None:
    assert [key for key, _, _ in _rows("config.md", "| key |")] == list(SETTINGS)


def test_commands() -> None:
    stated = {row[0].split()[0].strip(",") for row in _rows("cli.md", "| command |")} | {"why"}
    assert stated == set(COMMANDS)
