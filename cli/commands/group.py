"""`zenp2p group`: the groups of the network as the running node holds them, who moves, who has stopped."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cli.client import connect
from cli.options import json_option, load, place_options
from cli.output import print_json, printable
from cli.stake_signing import (
    read_stake_key,
    stake_options,
    tell_built,
    tell_sent,
    transaction_text,
    write_draft,
)
from cli.tables import print_table

if TYPE_CHECKING:
    from zenp2p.marking import Marker

KEY_DIGITS = 16
"""Of an operator key: enough to find it in the other table; the whole stands in `--json`."""
MOVES = 10
MOVES_MAX = 1_024

Answer = Mapping[str, Any]


class Prefix(click.ParamType[str]):
    """A group's prefix bits."""

    name = "prefix"

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> str:
        """Return the bits."""
        text = str(value)
        if text.strip("01"):
            self.fail(f"{text!r} is no prefix: bits such as 01", parameter, context)
        return text


@click.group()
def group() -> None:
    """The groups that judge, vote and age: who is a member where, and who moves."""


@group.command()
@click.argument("prefix", type=Prefix(), required=False)
@click.option("--members", "with_members", is_flag=True, help="The members of every group.")
@click.option(
    "--moves",
    type=click.IntRange(0, MOVES_MAX),
    default=MOVES,
    show_default=True,
    help="How many of the last moves to show.",
)
@place_options
@json_option
@click.pass_context
def show(context: click.Context, prefix: str | None, with_members: bool, moves: int, as_json: bool) -> None:
    """Show all groups, or the one with PREFIX and its members.

    A group runs, waits for its sibling (it has ended, and goes on with the other half), or has stopped:
    then too few of its voters are there, and what it has not judged is listed. A member moves on when it has
    seen as many counted changes of the members as it has to stay for.
    """
    asked: dict[str, Any] = {"members": True, "moves": moves}
    if prefix is not None:
        asked["prefix"] = prefix
    answer: dict[str, Any] = connect(context).call("group.show", asked)
    if as_json:
        print_json(answer)
        return
    groups = answer["groups"]
    _print_groups(answer)
    for each in groups:
        _print_troubles(each)
    if prefix is not None or with_members or len(groups) == 1:
        for each in groups:
            _print_members(each, answer["operator"])
            _print_tickets(each)
    _print_moves(answer)


@group.command()
@click.argument("prefix", type=Prefix(), required=False)
@stake_options
@place_options
@json_option
@click.pass_context
def absorb(
    context: click.Context,
    prefix: str | None,
    stake_address: str,
    fee_rate: int,
    stake_key: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Put on the chain that the sibling of a group has stopped, and is summoned.

    The voters beside it have decided so (`zenp2p group show`); one of them, by his stake, has it mined. If
    nobody of the stopped group answers within the term, its sibling goes on without it. PREFIX names the
    stopped group, where there are several.
    """
    marker = _marker(context)
    secret = read_stake_key(stake_key)
    found, draft = marker.build_summons(stake_address, prefix, fee_rate)
    written = write_draft(draft, marker.spender, secret, stake_address, out)
    said = {"group": found["prefix"], "by": found["by"], "data_height": found["data_height"]}
    tell_built({"file": written.pop("file"), **said, **written}, "zenp2p group send", as_json=as_json)


@group.command()
@click.argument("prefix", type=Prefix(), required=False)
@stake_options
@place_options
@json_option
@click.pass_context
def cancel(
    context: click.Context,
    prefix: str | None,
    stake_address: str,
    fee_rate: int,
    stake_key: Path | None,
    out: Path,
    as_json: bool,
) -> None:
    """Answer a summons on the chain: the group lives, and is not absorbed.

    It takes a stake of one of the group's voters, and has to be mined within the term. PREFIX names the
    group, where there are several.
    """
    marker = _marker(context)
    secret = read_stake_key(stake_key)
    found, draft = marker.build_life(stake_address, prefix, fee_rate)
    written = write_draft(draft, marker.spender, secret, stake_address, out)
    said = {"group": found["prefix"], "data_height": found["data_height"], "due": found["due"]}
    tell_built({"file": written.pop("file"), **said, **written}, "zenp2p group send", as_json=as_json)


@group.command()
@click.argument("transaction", metavar="FILE|HEX")
@place_options
@json_option
@click.pass_context
def send(context: click.Context, transaction: str, as_json: bool) -> None:
    """Check a signed summons or answer and hand it to the chain; sending it again is no error.

    FILE holds the transaction in hex, or what the wallet answered when it signed.
    """
    tell_sent(_marker(context).send(transaction_text(transaction)), as_json=as_json)


def _marker(context: click.Context) -> "Marker":
    from zenp2p.genesis_description import read_genesis
    from zenp2p.marking import Marker

    return Marker(read_genesis(Path(load(context).config.genesis)), connect(context))


def group_name(prefix: str) -> str:
    """Return a group's prefix as people see it; the only group has none."""
    return prefix or "(whole network)"


def short(key: str) -> str:
    """Return the beginning of an operator key."""
    return key[:KEY_DIGITS]


def _print_groups(answer: Answer) -> None:
    names = ("group", "state", "members", "voters", "age:members", "link", "quiet", "arriving")
    rows = (
        (
            group_name(each["prefix"]),
            each["condition"],
            each["members_count"],
            each["voters"],
            _ages(each["ages"]),
            each["link"],
            each["quiet"],
            len(each["tickets"]) or None,
        )
        for each in answer["groups"]
    )
    print_table(names, rows, numbers=("members", "voters", "link", "quiet", "arriving"))


def _ages(ages: Mapping[str, int]) -> str:
    """Return how many members have each age: `0:1 2:3`."""
    return " ".join(f"{age}:{count}" for age, count in ages.items())


def _print_troubles(each: Answer) -> None:
    """Say what a group has still to certify."""
    name = printable(f"group {each['prefix']}".strip())
    if each["condition"] == "stopped":
        click.echo(f"! {name} has stopped: nothing for {each['quiet']} chain blocks, though it was due")
    for one in each["unjudged"]:
        parts = ", ".join(map(group_name, one["parts"]))
        due = f"due since chain block {one['judged_at']}"
        click.echo(f"! {name}: challenge {one['seq']} is not judged for {printable(parts)}, {due}")
    if each["link_due"]:
        click.echo(f"! {name}: the link after its last change of members is due")


def _print_members(each: Answer, operator: str) -> None:
    names = ("operator", "age", "vote", "events", "joined at link", "missed", "")
    rows = (
        (
            short(member["operator"]),
            member["age"],
            member["voter"],
            _stay(member),
            member["joined"],
            member["votes_missed"] or None,
            ", ".join(_notes(member, operator)),
        )
        for member in each["members"]
    )
    click.echo(f"\nmembers of {printable(group_name(each['prefix']))}")
    print_table(names, rows, numbers=("age", "joined at link", "missed"))


def _stay(member: Answer) -> str:
    """Return how many of the events that a member stays for it has seen."""
    until = member["events_until_move"]
    return f"{member['events']}" if until is None else f"{member['events']}/{until}"


def _notes(member: Answer, operator: str) -> Iterator[str]:
    if member["operator"] == operator:
        yield "this node"
    if member["is_next"]:
        yield "may move next"
    if member["returning_age"] is not None:
        yield f"comes back, had age {member['returning_age']}"


def _print_tickets(each: Answer) -> None:
    if not each["tickets"]:
        return
    click.echo(f"\non the way to {printable(group_name(each['prefix']))}")
    rows = (
        (short(one["operator"]), one["kind"], group_name(one["from"]), one["age"], one["expires"])
        for one in each["tickets"]
    )
    print_table(("operator", "kind", "from", "age", "until stamp"), rows, numbers=("age", "until stamp"))


def _print_moves(answer: Answer) -> None:
    if answer["moves"]:
        click.echo("\nlast moves")
        rows = (
            (
                short(move["operator"]),
                move["kind"],
                group_name(move["from"]),
                "" if move["outcome"] == "under way" else group_name(move["to"]),
                move["age"],
                move["outcome"],
            )
            for move in answer["moves"]
        )
        print_table(("operator", "kind", "from", "to", "age", "outcome"), rows, numbers=("age",))
    if answer["departures"]:
        click.echo("\nremoved")
        gone = (
            (short(one["operator"]), group_name(one["from"]), one["stamp_height"], one["cause"])
            for one in answer["departures"]
        )
        print_table(("operator", "from", "stamp", "cause"), gone, numbers=("stamp",))
