"""What `payout verify` says of a list that it verified: for programs in zatoshi, for people in coins."""

from typing import TYPE_CHECKING, Any

from cli.output import print_rows
from protocol.units import format_amount

if TYPE_CHECKING:
    from cli.wallet import Followed
    from protocol.payout.address_file import Line
    from zenp2p.wallet_chain import ChainRecord, MinedChunk

AMOUNTS = ("pool", "paid_total", "carried", "per_response")


def describe(followed: "Followed", address: str | None, record: "ChainRecord | None") -> dict[str, Any]:
    """Return what the list says, what the chain has paid of it, and what it gives to an address, in zatoshi.

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
    if record is not None:
        result["chain"] = {
            "height": record.height,
            "stranded": record.stranded,
            "chunks": record.chunks,
            "mined": [_payment(chunk) for chunk in record.mined],
        }
    if address is not None:
        result["entry"] = _entry(address, followed.last.line_of(address), record)
    return result


def _entry(address: str, line: "Line | None", record: "ChainRecord | None") -> dict[str, Any]:
    """Return what an address gets, and by which mined transaction when the chain was asked."""
    entry: dict[str, Any] = {
        "address": address,
        "responses": line.entry.responses if line else 0,
        "amount": line.entry.amount if line else 0,
    }
    if record is not None:
        payment = record.payment_of(line) if line else None
        entry["payment"] = _payment(payment) if payment else None
    return entry


def _payment(chunk: "MinedChunk") -> dict[str, Any]:
    return {
        "chunk": chunk.number,
        "txid": chunk.txid,
        "height": chunk.height,
        "confirmations": chunk.depth,
    }


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
    rows = readable({name: value for name, value in result.items() if isinstance(value, int | str)})
    if "chain" in result:
        chain = result["chain"]
        rows |= {"chain_height": chain["height"], "stranded": chain["stranded"]}
        rows["payments"] = f"{len(chain['mined'])} of {chain['chunks']} mined"
    print_rows(rows)
    if "entry" in result:
        entry = result["entry"]
        amount = format_amount(entry["amount"]) if entry["amount"] else "nothing"
        rows = {"address": entry["address"], "amount": amount}
        if entry["amount"] and "payment" in entry:
            paid = entry["payment"]
            rows["paid_by"] = f"{paid['txid']} in block {paid['height']}" if paid else "no transaction yet"
        print_rows(rows)


def readable(result: dict[str, Any]) -> dict[str, Any]:
    """Return rows for people: amounts in coins."""
    return {name: format_amount(value) if name in AMOUNTS else value for name, value in result.items()}
