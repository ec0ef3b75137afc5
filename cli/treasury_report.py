"""What `zenp2p treasury status` prints: one object for programs, a page of lines for people.

Answers for: amounts are integers of zatoshi for programs and coins for people, under the same
names. What they are is `zenp2p.treasury_status`'s. Spec: `spec/payment.md`.
"""

from typing import TYPE_CHECKING, Any

import click

from cli.output import print_rows, printable
from protocol.units import format_amount

if TYPE_CHECKING:
    from zenp2p.treasury_status import ChunkState, ListStatus, TreasuryStatus

AMOUNTS = frozenset(
    {"amount", "total", "spendable", "waiting", "paid", "to_pay", "fees", "reserve", "needed", "shortfall"}
)
"""Names of what is written in coins for people."""


def describe_status(status: "TreasuryStatus", fee_rate: int) -> dict[str, Any]:
    """Return the treasury's status as one object, amounts in zatoshi."""
    baton, balance = status.baton, status.balance
    return {
        "chain": {"state": status.chain.state, "problem": status.chain.problem},
        "address": status.address,
        "height": status.height,
        "baton": {
            "txid": baton.outpoint.txid[::-1].hex(),
            "index": baton.outpoint.index,
            "amount": baton.amount,
            "height": baton.height,
        },
        "balance": {
            "total": balance.spendable + balance.waiting,
            "spendable": balance.spendable,
            "waiting": balance.waiting,
            "outputs": balance.outputs,
        },
        "deposits": list(status.deposits),
        "list": _describe_list(status.list, fee_rate) if status.list is not None else None,
    }


def _describe_list(paying: "ListStatus", fee_rate: int) -> dict[str, Any]:
    need = paying.need
    return {
        "period": paying.verified.header.period,
        "list_hash": paying.verified.list_hash.hex(),
        "chunks": [_describe_chunk(chunk) for chunk in paying.chunks],
        "paid": sum(chunk.amount for chunk in paying.chunks if chunk.state == "mined"),
        "to_pay": need.to_pay,
        "fee_rate": fee_rate,
        "fees": need.fees,
        "reserve": need.reserve,
        "needed": need.total,
        "shortfall": need.shortfall,
        "covered_when_buried": paying.covered_when_buried,
        "gather_first": need.gather,
        "payable": paying.payable,
        "below_dust": paying.below_dust,
        "problem": paying.problem,
    }


def _describe_chunk(chunk: "ChunkState") -> dict[str, Any]:
    result: dict[str, Any] = {
        "chunk": chunk.number,
        "entries": chunk.entries,
        "amount": chunk.amount,
        "state": chunk.state,
    }
    if chunk.txid is not None:
        result |= {"txid": chunk.txid, "height": chunk.height, "depth": chunk.depth}
    return result


def print_status(result: dict[str, Any]) -> None:
    """Print the same for people."""
    baton, balance, paying = result["baton"], result["balance"], result["list"]
    print_rows(
        {
            "chain": result["chain"]["state"],
            "address": result["address"],
            "height": result["height"],
            "baton": f"{baton['txid']}:{baton['index']}",
            **_readable(balance),
        }
    )
    for deposit in result["deposits"]:
        state = "spent" if deposit["spent_by"] else "buried" if deposit["buried"] else "not buried yet"
        click.echo(
            f"deposit  {format_amount(deposit['amount'])}  height {deposit['height']}  {state}  "
            f"{printable(deposit['txid'])}:{deposit['index']}"
        )
    if paying is not None:
        _print_list(paying)
    if result["chain"]["problem"]:
        click.echo(f"! {printable(result['chain']['problem'])}: all of this may be old")


def _print_list(paying: dict[str, Any]) -> None:
    for chunk in paying["chunks"]:
        where = (
            f"  height {chunk['height']}  depth {chunk['depth']}  {chunk['txid']}" if "txid" in chunk else ""
        )
        click.echo(
            f"chunk {chunk['chunk']}  {chunk['entries']} entries  {format_amount(chunk['amount'])}  "
            f"{chunk['state']}{where}"
        )
    rows = _readable({name: value for name, value in paying.items() if name != "chunks"})
    print_rows({name: value for name, value in rows.items() if value != ""})


def _readable(rows: dict[str, Any]) -> dict[str, Any]:
    return {name: format_amount(value) if name in AMOUNTS else value for name, value in rows.items()}
