"""`zenp2p treasury`: pay a certified list, by files that paymasters hand each other.

A secret key is read from a file of its own (mode 0600) and never stands on a command
line. Before anything is signed, everything is checked against this paymaster's own node.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.client import connect
from cli.files import read_file, write_file
from cli.options import json_option, load, place_options
from cli.output import print_json, print_rows
from cli.wallet import FILE, follow, read_trust, trust_option, whole_list
from protocol.units import format_amount

if TYPE_CHECKING:
    from protocol.payout.inspection import PaymentReport
    from protocol.payout.light import TrustPoint, VerifiedList


@click.group()
def treasury() -> None:
    """Pay a certified list: status, build, inspect, sign, combine, broadcast."""


list_option = click.option(
    "--list",
    "lists",
    multiple=True,
    type=FILE,
    metavar="LIST",
    help="The list file that is paid; given several times: consecutive lists, oldest first.",
)
fee_option = click.option(
    "--fee-rate",
    type=click.IntRange(min=0),
    default=1_000,
    show_default=True,
    help="Zatoshi for 1,000 bytes; what is above the paymasters' bound is not built.",
)
out_option = click.option("--out", type=FILE, required=True, help="The payment file to write.")


@treasury.command()
@click.argument("lists", nargs=-1, type=FILE, metavar="[LIST...]")
@trust_option(required=False)
@fee_option
@place_options
@json_option
@click.pass_context
def status(
    context: click.Context,
    lists: tuple[Path, ...],
    trust: Path | None,
    fee_rate: int,
    as_json: bool,
) -> None:
    """Show the treasury's balance and deposits, and what LIST still takes."""
    from cli.treasury_report import describe_status, print_status
    from zenp2p.treasury_status import read_status

    point = _trust(context, trust)
    found = read_status(point.terms.genesis, connect(context), _verified(lists, point), fee_rate)
    result = describe_status(found, fee_rate)
    print_json(result) if as_json else print_status(result)


@treasury.command()
@click.argument("lists", nargs=-1, required=True, type=FILE, metavar="LIST...")
@trust_option(required=False)
@fee_option
@out_option
@place_options
@json_option
@click.pass_context
def build(
    context: click.Context,
    lists: tuple[Path, ...],
    trust: Path | None,
    fee_rate: int,
    out: Path,
    as_json: bool,
) -> None:
    """Build the next payment of LIST, unsigned."""
    from zenp2p.paymaster import Paymaster

    point = _trust(context, trust)
    verified = whole_list(follow(lists, None, point))
    paymaster = Paymaster(verified.genesis, connect(context))
    file = paymaster.build(verified, fee_rate)
    report = paymaster.inspect(file, verified)
    write_file(out, file)
    _print_report(report, verified, as_json, file=str(out), signers=0)


@treasury.command()
@trust_option(required=False)
@fee_option
@out_option
@place_options
@json_option
@click.pass_context
def gather(
    context: click.Context,
    trust: Path | None,
    fee_rate: int,
    out: Path,
    as_json: bool,
) -> None:
    """Build a transaction that gathers the treasury's small outputs into one, unsigned."""
    from zenp2p.paymaster import Paymaster

    paymaster = Paymaster(_trust(context, trust).terms.genesis, connect(context))
    file = paymaster.gather(fee_rate)
    report = paymaster.inspect(file, None)
    write_file(out, file)
    _print_report(report, None, as_json, file=str(out), signers=0)


@treasury.command()
@click.argument("file", type=FILE)
@list_option
@trust_option(required=False)
@place_options
@json_option
@click.pass_context
def inspect(
    context: click.Context,
    file: Path,
    lists: tuple[Path, ...],
    trust: Path | None,
    as_json: bool,
) -> None:
    """Check a payment file against its list and this node, and say what it does."""
    from zenp2p.paymaster import Paymaster, count_signers

    point = _trust(context, trust)
    verified = _verified(lists, point)
    data = _read(file)
    report = Paymaster(point.terms.genesis, connect(context)).inspect(data, verified)
    signers = count_signers(data, point.terms.genesis)
    _print_report(report, verified, as_json, file=str(file), signers=signers)


@treasury.command()
@click.argument("file", type=FILE)
@list_option
@click.option(
    "--key",
    required=True,
    type=FILE,
    metavar="KEYFILE",
    help="The file (mode 0600) with the secret key.",
)
@trust_option(required=False)
@out_option
@place_options
@json_option
@click.pass_context
def sign(
    context: click.Context,
    file: Path,
    lists: tuple[Path, ...],
    key: Path,
    trust: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Check a payment file as `inspect` does, sign it with one key, and write the signed file."""
    from zenp2p.identity import read_secret
    from zenp2p.paymaster import Paymaster, count_signers

    point = _trust(context, trust)
    verified = _verified(lists, point)
    paymaster = Paymaster(point.terms.genesis, connect(context))
    data = _read(file)
    report = paymaster.inspect(data, verified)
    signed = paymaster.sign(data, verified, read_secret(key))
    write_file(out, signed)
    signers = count_signers(signed, point.terms.genesis)
    _print_report(report, verified, as_json, file=str(out), signers=signers)


@treasury.command()
@click.argument("files", nargs=-1, required=True, type=FILE, metavar="FILE...")
@trust_option(required=False)
@out_option
@place_options
@json_option
@click.pass_context
def combine(
    context: click.Context,
    files: tuple[Path, ...],
    trust: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Put the signatures of several paymasters' FILEs into one; asks no node."""
    from zenp2p.paymaster import combine_files, count_signers

    genesis = _trust(context, trust).terms.genesis
    combined = combine_files([_read(path) for path in files], genesis)
    write_file(out, combined)
    signers = count_signers(combined, genesis)
    rows = {"file": str(out), "signers": signers, "required": genesis.treasury.required}
    print_json(rows) if as_json else print_rows(rows)


@treasury.command()
@click.argument("file", type=FILE)
@list_option
@trust_option(required=False)
@place_options
@json_option
@click.pass_context
def broadcast(
    context: click.Context,
    file: Path,
    lists: tuple[Path, ...],
    trust: Path | None,
    as_json: bool,
) -> None:
    """Check a signed payment file once more and send it; safe to repeat at any time."""
    from zenp2p.paymaster import Paymaster

    point = _trust(context, trust)
    verified = _verified(lists, point)
    sent = Paymaster(point.terms.genesis, connect(context)).broadcast(_read(file), verified)
    rows: dict[str, Any] = {"txid": sent.txid, "state": sent.state}
    if sent.height is not None:
        rows["height"] = sent.height
    print_json(rows) if as_json else print_rows(rows)


def _read(path: Path) -> bytes:
    """Return the bytes of a payment file."""
    from protocol.payout.payment_file import PAYMENT_FILE_SIZE_MAX

    return read_file(path, PAYMENT_FILE_SIZE_MAX)


def _trust(context: click.Context, trust: Path | None) -> "TrustPoint":
    """Return the trust point of the files named, by default that of the node's own genesis file."""
    if trust is None:
        trust = Path(load(context).config.genesis)
    return read_trust(trust)


def _verified(lists: tuple[Path, ...], point: "TrustPoint") -> "VerifiedList | None":
    """Return the list that is paid; none is needed for a gathering."""
    return whole_list(follow(lists, None, point)) if lists else None


def _print_report(
    report: "PaymentReport", verified: "VerifiedList | None", as_json: bool, *, file: str, signers: int
) -> None:
    """Print what a payment does, for programs in zatoshi, for people in coins."""
    amounts = {
        "paid": report.paid,
        "inputs_total": report.inputs_total,
        "change": report.change,
        "fee": report.fee,
    }
    rows: dict[str, Any] = {
        "file": file,
        "period": verified.header.period if verified else None,
        "list_hash": verified.list_hash.hex() if verified else None,
        "chunk": report.chunk,
        "chunks": report.chunks,
        "entries": report.entries,
        "inputs": report.inputs,
        "size": report.size,
        "signers": signers,
    }
    if as_json:
        print_json({**rows, **amounts})
        return
    print_rows({**rows, **{name: format_amount(value) for name, value in amounts.items()}})
