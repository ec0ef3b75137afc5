"""`zenp2p challenge`: the challenge now, an earlier one, or one derived from a file of blocks.

`derive` needs no daemon and lies in a module of its own (`cli.commands.challenge_derive`).
"""

from typing import Any

import click

from cli.client import connect
from cli.lazy import Lazy, LazyGroup
from cli.options import json_option, place_options
from cli.output import print_json, print_rows

OFFLINE = {
    "derive": Lazy(
        "cli.commands.challenge_derive:derive", "Derive samples and answer from a file of raw blocks."
    )
}


@click.group(cls=LazyGroup, lazy=OFFLINE)
def challenge() -> None:
    """The challenge now, an earlier one, or one derived offline."""


@challenge.command()
@place_options
@json_option
@click.pass_context
def current(context: click.Context, as_json: bool) -> None:
    """Show the newest challenge and what this node is asked for."""
    _show(connect(context).call("challenge.current"), as_json)


@challenge.command()
@click.argument("seq", type=click.IntRange(min=0))
@place_options
@json_option
@click.pass_context
def show(context: click.Context, seq: int, as_json: bool) -> None:
    """Show challenge SEQ."""
    _show(connect(context).call("challenge.show", {"seq": seq}), as_json)


def _show(result: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(result)
        return
    if result.get("unjudged") is not None:
        result = {**result, "unjudged": _words(result["unjudged"]) or None}
    lists = {name: value for name, value in result.items() if isinstance(value, list | dict)}
    print_rows({name: value for name, value in result.items() if name not in lists})
    for name, value in lists.items():
        click.echo(f"{name}:")
        items = value.items() if isinstance(value, dict) else enumerate(value)
        print_rows({f"  {key}": _words(item) for key, item in items})


def _words(item: Any) -> Any:
    """Return a part of a part in words."""
    if isinstance(item, dict):
        return ", ".join(f"{name} {_words(value)}" for name, value in item.items())
    return " ".join(map(str, item)) if isinstance(item, list) else item
