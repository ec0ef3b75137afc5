"""`zenp2p status`: how the node is doing, where its seat is, what needs somebody, in the daemon's words."""

from collections.abc import Iterator, Mapping
from typing import Any

import click

from cli.client import connect
from cli.options import json_option, place_options
from cli.output import print_json, print_rows, printable

LIMITS = {
    "events": "events_until_move",
    "votes_missed": "votes_missed_max",
    "silent_heights": "silent_heights_max",
    "failures": "failures_max",
}
"""What is shown of something."""


@click.command()
@place_options
@json_option
@click.pass_context
def status(context: click.Context, as_json: bool) -> None:
    """How the node is doing, where its seat in the groups is, and what is wrong.

    Each line that begins with ! needs somebody, and says what to do.
    """
    answer: dict[str, Any] = connect(context).call("node.status")
    if as_json:
        print_json(answer)
        return
    print_rows(dict(_rows(answer)))
    for problem in answer.get("problems", ()):
        click.echo(f"! {printable(str(problem))}")


def _rows(answer: Mapping[str, Any], of: str = "") -> Iterator[tuple[str, object]]:
    """Yield what is shown to people: parts of parts one by one, nothing that is empty; problems follow."""
    limits = set(LIMITS.values())
    for name, value in answer.items():
        label = f"{of} {name}".strip().replace("_", " ")
        if name in limits or (name, value) == ("is_next", False):
            continue
        if name in LIMITS:
            limit = answer[LIMITS[name]]
            yield label, f"{value}" if limit is None else f"{value} of {limit}"
        elif name == "last_verdict" and value is not None:
            yield label, f"{value['verdict']} in challenge {value['seq']}"
        elif isinstance(value, dict):
            yield from _rows(value, label)
        elif isinstance(value, list):
            if value and name != "problems":
                yield label, ", ".join(map(str, value))
        elif value != "" and name != "problem":
            yield label, value
