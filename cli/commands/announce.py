"""`zenp2p announce`: say on the chain where this node listens, and see who said so.

The stake's key never touches the node: `build` shows the line that its owner runs in a wallet.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.client import connect
from cli.options import json_option, load, place_options
from cli.output import print_json
from cli.stake_signing import (
    read_stake_key,
    stake_options,
    tell_built,
    tell_sent,
    transaction_text,
    write_draft,
)
from protocol.units import format_amount

if TYPE_CHECKING:
    from zenp2p.announcing import Announcer


@click.group()
def announce() -> None:
    """Say on the chain where this node listens: build, send, show."""


@announce.command()
@click.option("--ip", default="", metavar="IP", help="Where others reach the node (default: as configured).")
@click.option("--fqdn", default="", metavar="NAME", help="A host name in place of the IP address.")
@click.option("--port", type=click.IntRange(1, 0xFFFF), help="The port there (default: as configured).")
@stake_options
@place_options
@json_option
@click.pass_context
def build(
    context: click.Context,
    stake_address: str,
    ip: str,
    fqdn: str,
    port: int | None,
    fee_rate: int,
    stake_key: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Build the transaction that announces this node, unsigned.

    It spends one coin of the stake address and pays all but the fee back to it. Its owner signs it in a
    wallet; then `zenp2p announce send` relays it.
    """
    if ip and fqdn:
        raise click.UsageError("give --ip or --fqdn, not both", context)
    from zenp2p.announcing import describe_place, show_endpoint
    from zenp2p.data_directory import DataDirectory
    from zenp2p.identity import load_operator

    config = load(context).config
    network = config.network
    operator = load_operator(DataDirectory(Path(config.data_dir)).operator_seed).operator_key
    place = ip or ("" if fqdn else network.announce_ip or network.ip)
    announcement = describe_place(operator, port or network.announce_port or network.port, place, fqdn)
    announcer = _announcer(context)
    secret = read_stake_key(stake_key)
    draft = announcer.build(announcement, stake_address, fee_rate)
    written = write_draft(draft, announcer.spender, secret, stake_address, out)
    said = {"operator": operator.hex(), "endpoint": show_endpoint(announcement)}
    tell_built({"file": written.pop("file"), **said, **written}, "zenp2p announce send", as_json=as_json)


@announce.command()
@click.argument("transaction", metavar="FILE|HEX")
@place_options
@json_option
@click.pass_context
def send(context: click.Context, transaction: str, as_json: bool) -> None:
    """Check a signed announcement and hand it to the chain; sending it again is no error.

    FILE holds the transaction in hex, or what the wallet answered when it signed.
    """
    tell_sent(_announcer(context).send(transaction_text(transaction)), as_json=as_json)


@announce.command()
@click.option("--stake-address", default="", metavar="ADDRESS", help="Only what speaks for this address.")
@click.option("--operator", default="", metavar="KEY", help="Only what names this operator.")
@click.option("--first", type=click.IntRange(0), default=0, help="Begin with this transaction's number.")
@click.option("--limit", type=click.IntRange(1, 1_000), default=100, show_default=True)
@place_options
@json_option
@click.pass_context
def show(
    context: click.Context, stake_address: str, operator: str, first: int, limit: int, as_json: bool
) -> None:
    """What the chain holds, and which announcements count."""
    asked = {"first": first, "limit": limit, "stake_address": stake_address, "operator": operator}
    found: list[dict[str, Any]] = connect(context).call("chain.announcements", asked)
    if as_json:
        print_json({"announcements": found})
        return
    for each in found:
        host = each["fqdn"] or each["ip"]
        click.echo(f"{each['number']}  height {each['height']}  {each['operator']}  {host} {each['port']}")
        for tie in each["stakes"]:
            counts = "counts" if tie["counts"] else "does not count"
            click.echo(f"    {tie['tie']} {tie['address']}  {format_amount(tie['balance'])}  {counts}")


def _announcer(context: click.Context) -> "Announcer":
    from zenp2p.announcing import Announcer
    from zenp2p.genesis_description import read_genesis

    return Announcer(read_genesis(Path(load(context).config.genesis)), connect(context))
