"""`zenp2p why`: the verdict on this node in one challenge, its reason, its judges, and their receipts."""

from typing import Any

import click

from cli.client import connect
from cli.options import json_option, place_options
from cli.output import print_json, print_rows
from cli.tables import print_table


@click.command()
@click.argument("seq", type=click.IntRange(min=0))
@place_options
@json_option
@click.pass_context
def why(context: click.Context, seq: int, as_json: bool) -> None:
    """Why this node was paid or not for challenge SEQ.

    Tells the group that judges it, the list that pays it, and of each judge whether it said that the response
    came and that it reached the node. A receipt is a judge's signed word that this node holds itself.
    """
    answer: dict[str, Any] = connect(context).call("challenge.why", {"seq": seq})
    if as_json:
        print_json(answer)
        return
    block, listed = answer.get("block"), answer.get("list")
    print_rows(
        {
            "seq": answer["seq"],
            "operator": answer["operator"],
            "verdict": answer["verdict"] or "none yet",
            "reason": answer["reason"],
            "judged by group": answer.get("group") or None,
            "data block": f"{block['height']} {block['hash']}" if block else None,
            "list": _list(listed) if listed else None,
            "receipts": len(answer["receipts"]),
        }
    )
    _print_judges(answer)


def _list(listed: dict[str, Any]) -> str:
    period = listed["period"]
    return str(listed["state"]) if period is None else f"of period {period}: {listed['state']}"


def _print_judges(answer: dict[str, Any]) -> None:
    """Show what each judge said; before that is known, whose receipts are here."""
    receipts = {each["judge"]: each["height"] for each in answer["receipts"]}
    if not answer.get("judges"):
        rows = {f"  judge {judge[:16]}": f"received at height {at}" for judge, at in receipts.items()}
        print_rows(rows)
        return
    judges = (
        (
            each["judge"][:16],
            each["age"],
            each["observed"],
            each["response"],
            each["reached"],
            each["fast"],
            receipts.get(each["judge"]),
        )
        for each in answer["judges"]
    )
    names = ("judge", "age", "heard", "response at", "reached", "fast", "receipt at")
    print_table(names, judges, numbers=("age", "response at", "receipt at"))
