"""`zenp2p status`: how the node is doing, in the daemon's own words."""

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
    print_rows({name.replace("_", " "): value for name, value in answer.items() if name != "problems"})
    for problem in answer.get("problems", ()):
        click.echo(f"! {printable(str(problem))}")
