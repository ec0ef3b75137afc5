"""`zenp2p chain tip|block|transaction|address|history|unspent`: what the running node knows of its chain.

Every answer is the node's own, from its index; a page ends with how to ask for the next one.
Amounts are zatoshi for programs and coins for people.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from cli.client import connect
from cli.options import json_option, place_options
from cli.output import print_folded, print_json, print_rows, printable
from protocol.units import format_amount

Command = Callable[..., Any]
LIMIT = 1_000
"""Entries in one page, at most."""
PAGE = 20
SHOWN = 50
"""Inputs and outputs of a transaction that are shown to people."""

limit_option = click.option(
    "--limit", type=click.IntRange(1, LIMIT), default=PAGE, show_default=True, help="Entries in this page."
)
height_range = click.IntRange(min=0)


def node_command(command: Command) -> click.Command:
    """Make a command that asks the node, with what every one here takes."""
    return click.command()(place_options(json_option(click.pass_context(command))))


@node_command
def tip(context: click.Context, as_json: bool) -> None:
    """Show the last block that the node knows."""
    _print(connect(context).call("chain.tip"), as_json)


@node_command
@click.argument("which", metavar="HEIGHT|HASH")
@click.option("--first", type=height_range, default=0, help="Position of the first transaction listed.")
@limit_option
def block(context: click.Context, which: str, first: int, limit: int, as_json: bool) -> None:
    """Show a block: its header, what it means for the network, and a page of its transactions."""
    named: dict[str, Any] = {"height": int(which)} if _is_height(which) else {"hash": which}
    block = connect(context).call("chain.block", {**named, "first": first, "limit": limit})
    if as_json:
        print_json(block)
        return
    rows = {name: value for name, value in block.items() if isinstance(value, int | str)}
    print_rows({**rows, **_filled(block.get("challenges", {}))})
    for kind in ("payments", "announcements"):
        _print_links(kind.removesuffix("s"), block.get(kind, ()))
    _print_list("txid", block["txids"])
    _more(first + limit < block["transactions"], f"--first {first + limit}")


@node_command
@click.argument("txid")
def transaction(context: click.Context, txid: str, as_json: bool) -> None:
    """Show a mined transaction: where it stands, whose coins it spends, whom it pays."""
    found = connect(context).call("chain.transaction", {"txid": txid, "decode": True})
    if as_json:
        print_json(found)
        return
    rows = {
        name: value
        for name, value in found.items()
        if isinstance(value, int | str) and name not in ("transaction", "fee")
    }
    asked_by = ", ".join(map(str, found.get("asked_by", ())))
    print_rows({**rows, "fee": _coins(found["fee"]), "asked by": asked_by or None})
    for kind in ("payment", "announcement"):
        _print_links(kind, [found[kind]] if found.get(kind) else ())
    for spent in found["inputs"][:SHOWN]:
        _print_input(spent)
    for output in found["outputs"][:SHOWN]:
        _print_output(output)
    _more(max(len(found["inputs"]), len(found["outputs"])) > SHOWN, "--json")


@node_command
@click.argument("address")
@click.option("--height", type=height_range, help="Also what it held at the end of this block.")
def address(context: click.Context, address: str, height: int | None, as_json: bool) -> None:
    """Show what an address holds, and what it is to the network."""
    asked = {"address": address} if height is None else {"address": address, "height": height}
    found = connect(context).call("chain.address", asked)
    if as_json:
        print_json(found)
        return
    rows = {name: found[name] for name in ("address", "height", "changes", "unspent")}
    rows |= {name: _coins(found[name]) for name in ("balance", "received", "spent")}
    rows |= {name.replace("_", " "): found[name] for name in ("first_height", "last_height")}
    if "at" in found:
        rows[f"balance at {found['at']['height']}"] = _coins(found["at"]["balance"])
    print_rows({**rows, "treasury": found.get("treasury")})
    _print_links("stake", [found["stake"]] if found.get("stake") else ())
    _print_links("payout", [{**each, "amount": _coins(each["amount"])} for each in found.get("payouts", ())])


@node_command
@click.argument("address")
@click.option("--first", type=height_range, help="Oldest first, from the change with this number on.")
@click.option("--before", type=height_range, help="Newest first, below the change with this number.")
@limit_option
def history(
    context: click.Context, address: str, first: int | None, before: int | None, limit: int, as_json: bool
) -> None:
    """List what touched an address, newest first unless --first says where to begin."""
    page = {name: value for name, value in (("first", first), ("before", before)) if value is not None}
    found = connect(context).call("chain.history", {"address": address, "limit": limit, **page})
    if as_json:
        print_json(found)
        return
    for entry in found["entries"]:
        amount, balance = _coins(entry["amount"]), _coins(entry["balance"])
        paid = "  payment" if entry.get("payment") else ""
        line = f"{entry['number']:>6}  height {entry['height']:>7}  {amount:>18}  {balance:>18}"
        print_folded(f"{line}  {entry['txid']}{paid}", line + paid, entry["txid"])
    numbers = [entry["number"] for entry in found["entries"]]
    if first is not None:
        _more(bool(numbers) and numbers[-1] + 1 < found["changes"], f"--first {max(numbers, default=0) + 1}")
    else:
        _more(bool(numbers) and numbers[-1] > 0, f"--before {min(numbers, default=0)}")


@node_command
@click.argument("address")
@click.option("--after", default="", metavar="TXID:INDEX", help="Go on behind this output.")
@limit_option
def unspent(context: click.Context, address: str, after: str, limit: int, as_json: bool) -> None:
    """List the unspent outputs of an address."""
    found = connect(context).call("chain.unspent", {"address": address, "after": after, "limit": limit})
    if as_json:
        print_json({"unspent": found})
        return
    for coin in found:
        ripe = "  coinbase" if coin["coinbase"] else ""
        line, outpoint = f"{_coins(coin['amount']):>18}  height {coin['height']:>7}", _outpoint(coin)
        print_folded(f"{line}  {outpoint}{ripe}", line + ripe, outpoint)
    _more(len(found) == limit, f"--after {found[-1]['txid']}:{found[-1]['index']}" if found else "")


def _is_height(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11


def _coins(amount: int | None) -> str | None:
    """Return an amount in coins, with its sign."""
    if amount is None:
        return None
    return format_amount(amount) if amount >= 0 else f"-{format_amount(-amount)}"


def _filled(links: Mapping[str, Any]) -> dict[str, str]:
    return {name: f"challenge {seq}" for name, seq in links.items() if seq is not None}


def _outpoint(coin: Mapping[str, Any]) -> str:
    return f"{coin['txid']}:{coin['index']}"


def _print_input(spent: Mapping[str, Any]) -> None:
    if "coinbase" in spent:
        click.echo("in   new coins")
        return
    owner = printable(spent["address"] or "nobody known")
    line = f"in   {_coins(spent['amount']) or 'unknown':>18}  {owner}"
    print_folded(f"{line}  {_outpoint(spent)}", line, _outpoint(spent))


def _print_output(output: Mapping[str, Any]) -> None:
    line = f"out  {_coins(output['amount']):>18}  {printable(output['address'] or output['template'])}"
    spent = (f"spent by {output['spent_by']}",) if output["spent_by"] else ()
    print_folded("  ".join((line, *spent)), line, *spent)


def _print(found: Mapping[str, Any], as_json: bool) -> None:
    print_json(found) if as_json else print_rows(found)


def _print_links(name: str, links: Sequence[Mapping[str, Any]]) -> None:
    """Print each link in one line, where there is room for it."""
    for link in links:
        words = [printable(f"{key} {value}") for key, value in link.items() if value is not None]
        print_folded(f"{name}: {' '.join(words)}", f"{name}:", *words)


def _print_list(name: str, values: Sequence[str]) -> None:
    for value in values:
        click.echo(f"{name}  {printable(value)}")


def _more(there_is: bool, option: str) -> None:
    """Say how to go on, where somebody reads it who has no use for it in a program."""
    if there_is:
        click.echo(f"more: {option}", err=True)
