"""Tables for people: as wide as the terminal, and whole in a file or a pipe.

Answers for: columns that line up, and that nothing that a peer sent drives the terminal. Spec: `spec/cli.md`.
"""

from collections.abc import Iterable, Sequence
from io import StringIO

import click

from cli.output import printable, terminal_columns

WIDTH_MAX = 1_000
"""Of a table in a file or a pipe: a row is a line."""
GAP = 2


def print_table(
    names: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()
) -> None:
    """Print rows under the names of their columns; those in `numbers` stand to the right.

    In a terminal that is too narrow texts go on below; None is nothing, truth is yes or nothing.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="")
    for name in names:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(_shown(value)) for value in row))
    console = Console(file=StringIO(), width=terminal_columns() or WIDTH_MAX)
    with console.capture() as shown:
        console.print(table)
    for line in shown.get().splitlines():
        click.echo(line.rstrip())


def _shown(value: object) -> str:
    if value is None or value is False:
        return ""
    return "yes" if value is True else printable(str(value))
