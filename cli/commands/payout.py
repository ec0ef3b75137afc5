"""`zenp2p payout`: payout lists, from the running daemon or from files alone.

`verify` needs no daemon, no chain and no network: the genesis file, the list, and
nothing else. It is what a wallet does.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.client import connect
from cli.files import read_file, write_file
from cli.options import json_option, place_options
from cli.output import print_json, print_rows
from protocol.units import format_amount

if TYPE_CHECKING:
    from protocol.payout.light import TrustPoint, VerifiedList

FILE = click.Path(path_type=Path)


@click.group()
def payout() -> None:
    """Payout lists: list, show, export, verify."""


@payout.command("list")
@place_options
@json_option
@click.pass_context
def list_lists(context: click.Context, as_json: bool) -> None:
    """List the certified payout lists that this node holds."""
    lists = connect(context).call("payout.list")
    if as_json:
        print_json({"lists": lists})
        return
    for one in lists:
        click.echo(
            f"period {one['period']}  paid {format_amount(one['paid_total'])}  carried "
            f"{format_amount(one['carried'])}  addresses {one['addresses']}  signers {one['signers']}  "
            f"{one['list_hash']}"
        )


@payout.command()
@click.argument("period", type=click.IntRange(min=0))
@place_options
@json_option
@click.pass_context
def show(context: click.Context, period: int, as_json: bool) -> None:
    """Show the list of PERIOD with every address that it pays."""
    result = connect(context).call("payout.show", {"period": period})
    if as_json:
        print_json(result)
        return
    print_rows(_readable({name: value for name, value in result.items() if isinstance(value, int | str)}))
    for entry in result["entries"]:
        click.echo(f"{entry['address']}  {entry['responses']:>4}  {format_amount(entry['amount'])}")


@payout.command()
@click.argument("period", type=click.IntRange(min=0))
@click.option("--out", type=FILE, help="Where to write it (default: list-PERIOD).")
@place_options
@json_option
@click.pass_context
def export(context: click.Context, period: int, out: Path | None, as_json: bool) -> None:
    """Write the list of PERIOD as the one file that wallets verify."""
    result = connect(context).call("payout.export", {"period": period})
    path = out or Path(f"list-{period}")
    write_file(path, bytes.fromhex(result["file"]))
    if as_json:
        print_json({"period": period, "file": str(path)})
    else:
        click.echo(f"{path}")


@payout.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@click.option("--trust", required=True, type=FILE, metavar="GENESIS", help="The network's genesis file.")
@click.option(
    "--after", type=FILE, metavar="LIST", help="Go on from this list, which was verified earlier and kept."
)
@click.option("--address", metavar="ADDR", help="Show what this address gets.")
@json_option
def verify(
    files: tuple[Path, ...], trust: Path, after: Path | None, address: str | None, as_json: bool
) -> None:
    """Verify list files from the files alone.

    FILE is the list right after the genesis, or after the list that --after names; several files are
    consecutive lists, oldest first, and the last one is shown.
    """
    verified = load_verified(files, load_trust(trust, after))
    result = _describe(verified)
    entry = verified.entry_of(address) if address is not None else None
    if address is not None:
        result["entry"] = {
            "address": address,
            "responses": entry.responses if entry else 0,
            "amount": entry.amount if entry else 0,
        }
    if as_json:
        print_json(result)
        return
    print_rows(_readable({name: value for name, value in result.items() if isinstance(value, int | str)}))
    if address is not None:
        print_rows({"address": address, "amount": format_amount(entry.amount) if entry else "nothing"})


def load_trust(genesis: Path, after: Path | None) -> "TrustPoint":
    """Return the trust point that a genesis file, and a list kept from earlier, give."""
    from protocol.genesis import GENESIS_SIZE_MAX
    from protocol.payout.light import trust_after, trust_from_genesis
    from protocol.payout.list_file import LIST_FILE_SIZE_MAX

    trust = trust_from_genesis(read_file(genesis, GENESIS_SIZE_MAX))
    return trust if after is None else trust_after(read_file(after, LIST_FILE_SIZE_MAX), trust)


def load_verified(files: tuple[Path, ...], trust: "TrustPoint") -> "VerifiedList":
    """Return the last of consecutive list files, all of them verified; raises a `ProtocolError`."""
    from protocol.payout.light import verify_lists
    from protocol.payout.list_file import LIST_FILE_SIZE_MAX

    return verify_lists([read_file(path, LIST_FILE_SIZE_MAX) for path in files], trust)


def _describe(verified: "VerifiedList") -> dict[str, Any]:
    """Return what a verified list says, amounts in zatoshi."""
    header, electorate = verified.header, verified.trust.electorate
    signers = verified.certificate.signers()
    return {
        "valid": True,
        "network_id": header.network.hex(),
        "period": header.period,
        "first_height": header.first_height,
        "last_height": header.last_height,
        "list_hash": verified.list_hash.hex(),
        "pool": header.rewards + header.carried_in,
        "paid_total": header.paid_total,
        "carried": header.carried_out,
        "responses": header.responses,
        "per_response": header.per_response,
        "addresses": header.entries_count,
        "signers": len(signers),
        "voters": len(electorate),
        "age_signed": sum(electorate.age(signer) for signer in signers),
        "age_total": electorate.age_total,
    }


AMOUNTS = ("pool", "paid_total", "carried", "per_response")


def _readable(result: dict[str, Any]) -> dict[str, Any]:
    """Return rows for people: amounts in coins."""
    return {name: format_amount(value) if name in AMOUNTS else value for name, value in result.items()}
