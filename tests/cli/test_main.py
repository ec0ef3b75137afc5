"""The list of commands: complete, quick to show, and every entry there."""

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from cli.commands.challenge import OFFLINE
from cli.lazy import Lazy, LazyGroup
from cli.main import COMMANDS
from tests.support.command import Run, runner

ROOT = Path(__file__).resolve().parents[2]
HEAVY = {
    "trio",
    "libp2p",
    "nacl",
    "coincurve",
    "plyvel",
    "h11",
    "httpx",
    "msgspec",
    "rich",
}
SHOW_MODULES = """
import json, sys
sys.argv = ["zenp2p", *sys.argv[1:]]
from {module} import main
try:
    main()
except SystemExit as end:
    roots = sorted({{name.partition(".")[0] for name in sys.modules}})
    print(json.dumps([end.code, roots]), file=sys.stderr)
"""


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    return runner(capsys)


@pytest.mark.parametrize("words", [(), ("chain",), ("treasury",), ("zenp2pd",)])
def test_a_group_without_its_command_shows_its_help(run: Run, words: tuple[str, ...]) -> None:
    ended = run(*words)
    assert (ended.code, ended.out) == (2, "") and "\n\nCommands:\n  " in ended.err


@pytest.mark.parametrize(
    ("module", "arguments"), [("cli.main", []), ("cli.main", ["challenge"]), ("cli.daemon", [])]
)
def test_help_imports_nothing_heavy(module: str, arguments: list[str]) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", SHOW_MODULES.format(module=module), *arguments, "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    code, roots = json.loads(ended.stderr.splitlines()[-1])
    assert code == 0 and ended.stdout.startswith("Usage:")
    assert not HEAVY & set(roots)


def test_help_names_every_command(run: Run) -> None:
    ended = run("--help")
    assert ended.code == 0 and all(f"  {name} " in ended.out for name in COMMANDS)
    assert "derive" in run("challenge", "--help").out


@pytest.mark.parametrize("lazy", [*COMMANDS.values(), *OFFLINE.values()], ids=lambda lazy: lazy.place)
def test_every_entry_of_the_tables_is_a_command_with_help(lazy: Lazy) -> None:
    command = lazy.load()
    assert command.name in (lazy.place.rpartition(":")[2], lazy.place.rpartition(".")[2].partition(":")[0])
    assert command.help and lazy.help.endswith(".")


def test_place_that_is_no_command_is_our_own_bug() -> None:
    with pytest.raises(TypeError, match="is no command"):
        Lazy("cli.main:COMMANDS", "").load()


def test_group_takes_commands_of_both_kinds() -> None:
    group = LazyGroup("both", lazy={"derive": OFFLINE["derive"]})
    group.add_command(click.Command("usual", help="The usual way."))
    context = click.Context(group)
    assert group.list_commands(context) == ["derive", "usual"]
    assert group.get_command(context, "usual") is not None and group.get_command(context, "none") is None
    assert "The usual way." in group.get_help(context)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["status", "--nothing"],
        ["why"],
        ["why", "-1"],
        ["why", "x"],
        ["rpc"],
        ["rpc", "a.b", "{"],
        ["rpc", "a.b", "1"],
        ["keys", "new"],
        ["keys", "new", "name", "--operator"],
        ["config", "check", "--set", "x"],
        ["zenp2pd", "start"],
    ],
)
def test_usage_errors_are_one_line_and_exit_2(run: Run, arguments: list[str]) -> None:
    ended = run(*arguments)
    assert ended.code == 2 and ended.out == ""
    assert ended.err.count("\n") == 1 and "--help" in ended.err
