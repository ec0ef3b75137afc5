"""Running commands in this process, as a shell would: exit code, standard output, standard error."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from cli.daemon import daemon
from cli.main import cli
from cli.output import run_command


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Run = Callable[..., Ended]


def runner(capsys: pytest.CaptureFixture[str]) -> Run:
    """Return what runs `zenp2p` (or `zenp2pd`, when that is the first word) with the arguments given."""

    def run(*arguments: object) -> Ended:
        words = [str(argument) for argument in arguments]
        name, group = ("zenp2pd", daemon) if words[:1] == ["zenp2pd"] else ("zenp2p", cli)
        words = words[1:] if name == "zenp2pd" else words
        capsys.readouterr()
        code = run_command(name, lambda: group.main(words, prog_name=name, standalone_mode=False))
        captured = capsys.readouterr()
        return Ended(code, captured.out, captured.err)

    return run
