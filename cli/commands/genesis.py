"""`zenp2p genesis`: make the file that founds a network, or say what one says."""

from pathlib import Path

import click

from cli.files import write_file
from cli.options import json_option
from cli.output import print_json, print_rows

FILE = click.Path(path_type=Path)


@click.group()
def genesis() -> None:
    """Make or show a network's genesis file."""


@genesis.command()
@click.argument("file", type=FILE)
@json_option
def show(file: Path, as_json: bool) -> None:
    """Show what FILE founds: its ids, parameters and members."""
    from zenp2p.genesis_description import describe_genesis, read_genesis

    _tell(describe_genesis(read_genesis(file)), as_json)


@genesis.command()
@click.argument("description", type=FILE)
@click.option(
    "--out", type=FILE, metavar="FILE", help="The genesis file to write (default: only show the ids)."
)
@json_option
def new(description: Path, out: Path | None, as_json: bool) -> None:
    """Make a genesis file from a DESCRIPTION (TOML; see spec/genesis.md).

    Members register under the founding id, which does not depend on their registrations: run it
    without --out first, hand the founding id round, put the registrations in, run it with --out.
    """
    from zenp2p.genesis_description import describe_genesis, finished_genesis, genesis_from_file

    made = genesis_from_file(description)
    if out is not None:
        write_file(out, finished_genesis(made))
    _tell({"file": str(out) if out else None, **describe_genesis(made)}, as_json)


def _tell(answer: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        print_rows({name.replace("_", " "): value for name, value in answer.items()})
