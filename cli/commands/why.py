"""`zenp2p why`: the verdict on this node in one challenge, its reason, and the judges' receipts."""

from typing import Any

import click

from cli.client import connect
from cli.options import json_option, place_options
from cli.output import print_json, print_rows


@click.command()
@click.argument("seq", type=click.IntRange(min=0))
@place_options
@json_option
@click.pass_context
def why(context: click.Context, seq: int, as_json: bool) -> None:
    """Why this node was paid or not for challenge SEQ."""
    answer: dict[str, Any] = connect(context).call("challenge.why", {"seq": seq})
    if as_json:
        print_json(answer)
        return
    receipts = answer.pop("receipts", [])
    print_rows({**answer, "verdict": answer.get("verdict") or "none yet", "receipts": len(receipts)})
    print_rows({f"  judge {each['judge'][:16]}": f"received at height {each['height']}" for each in receipts})
