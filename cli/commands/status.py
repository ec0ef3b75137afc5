"""`zenp2p status`: how the node is doing, in the daemon's own words."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.client import connect
from cli.options import json_option, place_options
from cli.output import print_json, print_rows, printable


@click.command()
@place_options
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """How the node is doing, and what is wrong."""
    answer: dict[str, Any] = connect(context).call("node.status")
    if as_json:
        print_json(answer)
        return
    print_rows(dict(_rows(answer)))
    for problem in answer.get("problems", ()):
        click.echo(f"! {printable(str(problem))}")


def _rows(answer: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, object]]:
    """Yield what is shown to people: parts of parts one by one, nothing that is empty; problems follow."""
    for name, value in answer.items():
        label = f"{of} {name}".strip().replace("_", " ")
        if isinstance(value, dict):
            yield from _rows(value, label)
        elif value != "" and name not in ("problems", "problem"):
            yield label, value
