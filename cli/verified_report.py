"""What `payout verify` says of a list that it verified: for programs in zatoshi, for people in coins."""

from typing import TYPE_CHECKING, Any

from cli.output import print_rows
from protocol.units import format_amount

if TYPE_CHECKING:
    from cli.wallet import Followed

AMOUNTS = ("pool", "paid_total", "carried", "per_response")


def describe(followed: "Followed", address: str | None) -> dict[str, Any]:
    """Return what the list says, and what it gives to an address, amounts in zatoshi.

    Of a list that was verified before nobody asks again who signed it. Raises `RequestError` when the file
    does not show what the address gets.
    """
    header = followed.last.header
    result: dict[str, Any] = {
        "valid": True,
        "network_id": header.network.hex(),
        "period": header.period,
        "first_height": header.first_height,
        "last_height": header.last_height,
        "list_hash": followed.last.list_hash.hex(),
        "pool": header.rewards + header.carried_in,
        "paid_total": header.paid_total,
        "carried": header.carried_out,
        "responses": header.responses,
        "per_response": header.per_response,
        "addresses": header.entries_count,
        **_signers(followed),
    }
    if address is not None:
        line = followed.last.line_of(address)
        result["entry"] = {
            "address": address,
            "responses": line.entry.responses if line else 0,
            "amount": line.entry.amount if line else 0,
        }
    return result


def _signers(followed: "Followed") -> dict[str, int | None]:
    """Return how many of the voters, and how much of their age, certified the list."""
    from protocol.payout.light import KnownList

    if isinstance(followed.last, KnownList):
        return dict.fromkeys(("signers", "voters", "age_signed", "age_total"))
    electorate, signers = followed.last.trust.electorate, followed.last.certificate.signers()
    return {
        "signers": len(signers),
        "voters": len(electorate),
        "age_signed": sum(electorate.age(signer) for signer in signers),
        "age_total": electorate.age_total,
    }


def print_verified(result: dict[str, Any]) -> None:
    """Print what `describe` returned, for people."""
    print_rows(readable({name: value for name, value in result.items() if isinstance(value, int | str)}))
    if "entry" in result:
        amount = result["entry"]["amount"]
        print_rows(
            {"address": result["entry"]["address"], "amount": format_amount(amount) if amount else "nothing"}
        )


def readable(result: dict[str, Any]) -> dict[str, Any]:
    """Return rows for people: amounts in coins."""
    return {name: format_amount(value) if name in AMOUNTS else value for name, value in result.items()}
