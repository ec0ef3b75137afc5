"""Tables for people: aligned, whole in a pipe, folded in a narrow terminal, and never in charge of it."""

import pytest

from cli import tables
from cli.tables import print_table


def printed(capsys: pytest.CaptureFixture[str], *rows: tuple[object, ...]) -> list[str]:
    print_table(("name", "count", "well"), rows, numbers=("count",))
    return capsys.readouterr().out.splitlines()


def test_columns_line_up_and_nothing_stands_behind_the_last(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ("a", 1, True), ("long name", 12, False), ("b", None, True)) == [
        "name       count  well",
        "a              1  yes",
        "long name     12",
        "b                 yes",
    ]


def test_in_a_pipe_a_row_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, ("x" * 500, 1, True))[1].startswith("x" * 500 + "      1")


def test_in_a_narrow_terminal_a_text_goes_on_below(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "terminal_columns", lambda: 30)
    lines = printed(capsys, ("x" * 40, 1, True))
    assert max(map(len, lines)) <= 30 and "".join(lines).count("x") == 40


def test_what_a_peer_said_neither_marks_up_nor_drives_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    (_, row) = printed(capsys, ("[red]a[/red]\x1b[31m\n", 1, True))
    assert row.startswith("[red]a[/red]\\x1b[31m\\n") and row.isprintable()
