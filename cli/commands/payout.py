"""`zenp2p payout`: payout lists, from the running daemon or from files alone.

`verify` needs no daemon, no chain and no network: the genesis file, the list, and
nothing else. It is what a wallet does. `prove` makes the small file that a wallet of one address needs.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.client import connect
from cli.files import write_file
from cli.options import json_option, place_options
from cli.output import print_json, print_rows
from cli.verified_report import describe, print_verified, readable
from cli.wallet import FILE, Followed, folder_option, follow, keep_trust, read_trust, trust_option, whole_list
from protocol.units import format_amount

if TYPE_CHECKING:
    from zenp2p.wallet_chain import ChainRecord


@click.group()
def payout() -> None:
    """Payout lists: list, show, export, verify, prove."""


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
    print_rows(readable({name: value for name, value in result.items() if isinstance(value, int | str)}))
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
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="LIST...")
@trust_option(required=True)
@folder_option
@click.option(
    "--remember",
    type=FILE,
    metavar="FILE",
    help="Keep the trust point here: begin with it if it is there, and move it on to LIST.",
)
@click.option("--address", metavar="ADDR", help="Show what this address gets.")
@click.option(
    "--chain",
    "with_chain",
    is_flag=True,
    help="Also hold the lists against what the chain has paid, by our own node.",
)
@place_options
@json_option
@click.pass_context
def verify(
    context: click.Context,
    files: tuple[Path, ...],
    trust: Path,
    folder: Path | None,
    remember: Path | None,
    address: str | None,
    with_chain: bool,
    as_json: bool,
) -> None:
    """Verify a list from files alone.

    LIST is a list file or an address file. It comes next after the trust point, unless the lists between
    are found by --chain-of-lists; several are consecutive lists, oldest first, and the last one is shown.
    With --remember no list before it is accepted any more, and the file does as TRUST from then on. --chain
    needs a running daemon; nothing else does.
    """
    followed = follow(files, folder, read_trust(trust, remember))
    record = _record(context, followed) if with_chain else None
    result = describe(followed, address, record)
    if remember is not None:
        keep_trust(remember, followed.after)
    print_json(result) if as_json else print_verified(result)


def _record(context: click.Context, followed: Followed) -> "ChainRecord":
    """Return what our own node's chain has paid of the list, checked against all that were verified."""
    from zenp2p.wallet_chain import read_record

    return read_record(
        followed.trust.genesis,
        connect(context),
        followed.headers(),
        followed.last.lines,
        complete=followed.trust.last is None,
    )


@payout.command()
@click.argument("file", type=FILE, metavar="LIST")
@trust_option(required=True)
@folder_option
@click.option(
    "--address",
    "addresses",
    required=True,
    multiple=True,
    metavar="ADDR",
    help="Whose line, also when it has none; may be repeated.",
)
@click.option("-o", "--out", required=True, type=FILE, metavar="FILE", help="Where to write it.")
@json_option
def prove(
    file: Path, trust: Path, folder: Path | None, addresses: tuple[str, ...], out: Path, as_json: bool
) -> None:
    """Write an address file: what LIST gives to ADDR, for a wallet that needs no more of it.

    LIST is a list file; it is verified first, as by `verify`.
    """
    from protocol.payout.light import prove_address

    verified = whole_list(follow([file], folder, read_trust(trust)))
    data = prove_address(verified, *addresses)
    write_file(out, data)
    result = {"file": str(out), "period": verified.header.period, "bytes": len(data)}
    print_json(result) if as_json else click.echo(f"{out}")
