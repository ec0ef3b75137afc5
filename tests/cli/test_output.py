"""How commands end: one line, the right code, a traceback for bugs only and not on the screen."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.output import INTERRUPTED, describe, print_json, print_rows, printable, run_command
from protocol.errors import InvalidProof, RequestError
from zenp2p.data_directory import WrongMode

ROOT = Path(__file__).resolve().parents[2]


def _raising(error: BaseException) -> int:
    def command() -> None:
        raise error

    return run_command("zenp2p", command)


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (RequestError("cannot be"), 64, "cannot be"),
        (InvalidProof("leads nowhere"), 65, "leads nowhere"),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "a/b"), 66, "a/b: No such file"),
        (WrongMode("is open"), 77, "is open"),
        (OSError(errno.EIO, "Input/output error"), 74, "Input/output error"),
        (click.ClickException("by click"), 1, "by click"),
        (ExceptionGroup("", [ExceptionGroup("", [RequestError("inner")])]), 64, "inner"),
        (RequestError("two\nlines\x1b[31m and red \u202e"), 64, "two\\nlines\\x1b[31m and red \\u202e"),
    ],
)
def test_error_is_one_line(
    error: Exception, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _raising(error) == code
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith(f"zenp2p: {said}")
    assert captured.err.endswith("\n") and captured.err[:-1].isprintable()


@pytest.mark.parametrize(
    "error", [KeyError("a bug"), ExceptionGroup("", [RequestError(""), KeyError("a bug")])]
)
def test_bug_leaves_its_traceback_in_a_file(
    error: Exception, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert _raising(error) == 1
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and "a bug of ours" in line
    [kept] = tmp_path.iterdir()
    assert str(kept) in line and "a bug" in kept.read_text() and "Traceback" in kept.read_text()


def test_bug_without_a_place_for_its_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    assert _raising(KeyError("a bug")) == 1
    assert "could not be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), click.Abort(), BaseExceptionGroup("", [KeyboardInterrupt()])]
)
def test_interrupt_is_quiet(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert _raising(error) == INTERRUPTED
    assert capsys.readouterr().err == ""


def test_codes_of_commands_are_kept() -> None:
    assert _raising(click.exceptions.Exit(3)) == 3
    assert run_command("zenp2p", lambda: 5) == 5
    assert run_command("zenp2p", lambda: None) == 0


def test_reader_that_goes_away_is_no_error() -> None:
    command = "from cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", command, "config", "dump"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait() == 0
    process.stderr.close()


@given(st.text())
def test_nothing_reaches_the_terminal_unescaped(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


def test_rows_are_aligned_and_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows({"a": 1, "long": "x\x1b", "none": None, "true": True})
    assert capsys.readouterr().out == "a     1\nlong  x\\x1b\ntrue  yes\n"
    print_rows({})
    assert capsys.readouterr().out == ""


def test_json_is_one_ascii_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "é\n\x1b", "list": [1, None]})
    out = capsys.readouterr().out
    assert out.isascii() and out.count("\n") == 1
    assert json.loads(out) == {"text": "é\n\x1b", "list": [1, None]}


def test_description_of_a_bug_names_its_kind() -> None:
    assert describe(ValueError("x")) == "ValueError: x"
