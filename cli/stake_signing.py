"""Building a transaction that a stake's owner signs: the options, and what is told of it.

The stake's key never touches the node: what is told is the line that its owner runs in a wallet.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cli.files import read_file, write_file
from cli.output import print_json, print_rows, printable
from protocol.units import format_amount

if TYPE_CHECKING:
    from zenp2p.stake_spending import Draft, StakeSpender

FILE = click.Path(path_type=Path)
Command = TypeVar("Command", bound=Callable[..., Any])


def stake_options(command: Command) -> Command:
    """Give a command the options of whose coin is spent, at what fee, who signs, and where it goes."""
    for option in (
        click.option("--out", type=FILE, required=True, help="The new file for the transaction, in hex."),
        click.option(
            "--stake-key",
            type=FILE,
            metavar="FILE",
            help="Sign with the stake's key file (mode 0600) at once.",
        ),
        click.option(
            "--fee-rate",
            type=click.IntRange(min=0),
            default=1_000,
            show_default=True,
            help="Zatoshi for 1,000 bytes.",
        ),
        click.option("--stake-address", required=True, metavar="ADDRESS", help="Whose coin is spent."),
    ):
        command = option(command)
    return command


def read_stake_key(stake_key: Path | None) -> bytes | None:
    """Return the secret in a stake's key file, None when none is named."""
    from zenp2p.identity import read_secret

    return read_secret(stake_key) if stake_key else None


def write_draft(
    draft: "Draft", spender: "StakeSpender", secret: bytes | None, stake_address: str, out: Path
) -> dict[str, Any]:
    """Sign a draft if there is a secret, write it into a new file, and return what to tell of it."""
    from zenp2p.stake_spending import sign_draft

    transaction = sign_draft(draft, secret) if secret else draft.transaction
    write_file(out, f"{transaction.raw.hex()}\n".encode())
    return {
        "file": str(out),
        "stake_address": stake_address,
        "fee": draft.fee,
        "change": transaction.outputs[1].amount,
        "signed": secret is not None,
        "transaction": transaction.raw.hex(),
        "sign_with": [] if secret else spender.sign_lines(transaction),
    }


def tell_built(answer: dict[str, Any], send: str, *, as_json: bool) -> None:
    """Show what was built, and what is to be done with it; `send` is the command that relays it."""
    if as_json:
        print_json(answer)
        return
    lines = answer.pop("sign_with")
    amounts = {name: format_amount(answer[name]) for name in ("fee", "change")}
    print_rows({name.replace("_", " "): value for name, value in {**answer, **amounts}.items()})
    if lines:
        click.echo("the owner of the stake address signs it in a wallet:")
        click.echo("\nor, in older wallets:\n".join(lines))
        click.echo(f"then: {send} WHAT-THE-WALLET-ANSWERS")
    else:
        click.echo(f"then: {send} {printable(answer['file'])}")


def transaction_text(given: str) -> str:
    """Return what was typed when it is hex itself, else what the file of that name holds."""
    from zenp2p.stake_spending import TRANSACTION_TEXT_MAX

    if len(given) > 100 and all(digit in "0123456789abcdefABCDEF" for digit in given):
        return given
    return read_file(Path(given), TRANSACTION_TEXT_MAX).decode("utf-8", "replace")


def tell_sent(answer: dict[str, Any], *, as_json: bool) -> None:
    """Show what became of a transaction that was sent."""
    if as_json:
        print_json(answer)
        return
    rows = {
        name: ", ".join(value) or None if isinstance(value, list) else value for name, value in answer.items()
    }
    print_rows(rows)
