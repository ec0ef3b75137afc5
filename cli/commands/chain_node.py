"""`zenp2p chain notify|compare`: the node beside the daemon, from which it reads its chain.

`notify` is what that node calls at each new block (its `-blocknotify`), so it prints one line and starts
fast; `compare` is the operator's check that node and index are of one mind.
"""

from typing import Any

import click

from cli.client import connect
from cli.options import json_option, place_options
from cli.output import print_json, print_rows, printable
from protocol.units import format_amount


@click.command()
@place_options
@json_option
@click.pass_context
def notify(context: click.Context, as_json: bool) -> None:
    """Have the daemon look at its chain node at once; harmless however often it is called."""
    answer = connect(context).call("chain.notify")
    print_json(answer) if as_json else print_rows(answer)


@click.command()
@click.argument("address")
@place_options
@json_option
@click.pass_context
def compare(context: click.Context, address: str, as_json: bool) -> None:
    """Hold what our index has unspent at ADDRESS against what the chain node itself says.

    Exit code 65 when they differ.
    """
    answer = connect(context).call("chain.compare", {"address": address})
    if as_json:
        print_json(answer)
    else:
        _show(answer)
    if not answer["equal"]:
        context.exit(_differ())


def _show(answer: dict[str, Any]) -> None:
    """Print both sides, and what only one of them has."""
    amounts = {name: format_amount(answer[name]) for name in ("balance", "node_balance")}
    rows = {name: value for name, value in {**answer, **amounts}.items() if not isinstance(value, list)}
    print_rows({name.replace("_", " "): value for name, value in rows.items()})
    for side in ("only_ours", "only_node"):
        for output in answer[side]:
            where = printable(f"{output['txid']}:{output['index']}")
            click.echo(f"{side.replace('_', ' ')}  {where}  {format_amount(output['amount'])}")


def _differ() -> int:
    from zenp2p.exit_codes import ExitCode

    return int(ExitCode.BAD_DATA)
