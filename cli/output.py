"""What commands print: one JSON object, or lines for people; and how they end.

Answers for: `--json` is exactly one object on one line, an error is exactly one line
on standard error, and nothing that a peer sent can drive the user's terminal. Spec:
`spec/cli.md`.
"""

import json
import os
import shutil
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping

import click

from zenp2p.exit_codes import ExitCode, exit_code, is_expected, leaves

INTERRUPTED = 130
"""Ctrl-C, by the shells' custom."""


def print_json(value: Mapping[str, object]) -> None:
    """Print one object on one line of ASCII."""
    click.echo(json.dumps(value, separators=(", ", ": ")))


def print_rows(rows: Mapping[str, object]) -> None:
    """Print `name  value` lines, aligned; values of None are left out, truth is yes or no."""
    words = {True: "yes", False: "no"}
    shown = {
        name: words[value] if isinstance(value, bool) else value
        for name, value in rows.items()
        if value is not None
    }
    width = max(map(len, shown), default=0)
    for name, value in shown.items():
        click.echo(f"{name.ljust(width)}  {printable(str(value))}")


def print_folded(line: str, *parts: str) -> None:
    """Print a line; on a terminal too narrow for it, its parts one below the other: a hash stays whole."""
    columns = terminal_columns()
    click.echo(line if columns is None or len(line) <= columns else "\n  ".join(parts))


def terminal_columns() -> int | None:
    """Return how wide the terminal is that we print to; None for a file or a pipe, where a line is a line."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def printable(text: str) -> str:
    """Escape what is not printable: control characters, line ends, direction marks."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def run_command(
    name: str, command: Callable[[], object], keep_traceback: Callable[[BaseException], str] | None = None
) -> int:
    """Run a command and return its exit code; every failure becomes one line on standard error.

    `keep_traceback` puts the traceback of a bug somewhere and says where (a file by default).
    """
    try:
        result = command()
        sys.stdout.flush()
    except click.exceptions.Exit as error:
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED
    except (BrokenPipeError, SystemExit):  # click raises the latter when nobody reads us any more
        _forget_stdout()
        return ExitCode.OK
    except click.exceptions.NoArgsIsHelpError as error:  # its message is the help, of many lines
        click.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else name
        return _fail(where, f"{error.format_message()} (see {where} --help)", ExitCode.USAGE)
    except click.ClickException as error:
        return _fail(name, error.format_message(), ExitCode(error.exit_code))
    except (Exception, BaseExceptionGroup) as error:  # the outermost edge of the process
        if all(isinstance(leaf, KeyboardInterrupt) for leaf in leaves(error)):
            return INTERRUPTED
        if is_expected(error):
            return _fail(name, describe(error), exit_code(error))
        kept = (keep_traceback or _keep_traceback)(error)
        return _fail(name, f"a bug of ours: {describe(error)}; {kept}", ExitCode.BUG)
    return result if isinstance(result, int) else ExitCode.OK


def describe(error: BaseException) -> str:
    """Return what an error says, in one line."""
    first = leaves(error)[0]
    if isinstance(first, OSError) and first.strerror:
        return first.strerror if first.filename is None else f"{first.filename}: {first.strerror}"
    return str(first) if is_expected(first) else f"{type(first).__name__}: {first}"


def _fail(name: str, message: str, code: ExitCode) -> int:
    click.echo(f"{name}: {printable(message)}", err=True)
    return int(code)


def _keep_traceback(error: BaseException) -> str:
    """Write the traceback to a file of its own and say where it is."""
    text = "".join(traceback.format_exception(error))
    try:
        descriptor, path = tempfile.mkstemp(prefix="zenp2p-", suffix=".log")
        with open(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as problem:
        return f"its traceback could not be written ({problem.strerror})"
    return f"the traceback is in {path}"


def _forget_stdout() -> None:
    """Nobody reads us any more: keep Python from complaining at exit."""
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
