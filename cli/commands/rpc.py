"""`zenp2p rpc`: any method of the running daemon, its result as one line of JSON."""

import json
from typing import Any

import click

from cli.client import connect
from cli.options import place_options


@click.command()
@click.argument("method")
@click.argument("params", required=False, default="{}", metavar="[JSON]")
@place_options
@click.pass_context
def rpc(context: click.Context, method: str, params: str) -> None:
    """Call METHOD with parameters given as a JSON object or array; rpc.methods lists all."""
    result = connect(context).call(method, _parameters(params))
    click.echo(json.dumps(result))


def _parameters(text: str) -> Any:
    try:
        parameters = json.loads(text)
    except (ValueError, RecursionError):
        raise click.BadParameter(f"{text!r:.80} is no JSON", param_hint="JSON") from None
    if not isinstance(parameters, dict | list):
        raise click.BadParameter("parameters are a JSON object or array", param_hint="JSON")
    return parameters
