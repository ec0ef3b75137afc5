"""`zenp2p keys`: make, back up and restore the secret keys of a data directory.

Secrets and passphrases never stand on a command line: a passphrase is typed, or read
from a file of mode 0600.
"""

import sys
from pathlib import Path

import click

from cli.files import read_file, write_file
from cli.lazy import Lazy, LazyGroup
from cli.options import json_option, load, place_options
from cli.output import print_json, print_rows

FILE = click.Path(path_type=Path)
PASSPHRASE_BYTES_MAX = 4_096

passphrase_option = click.option(
    "--passphrase-file", type=FILE, metavar="FILE", help="Read the passphrase from a file (mode 0600)."
)


REGISTER = {"register": Lazy("cli.commands.register:register", "Make this node's registration.")}


@click.group(cls=LazyGroup, lazy=REGISTER)
def keys() -> None:
    """Make, back up and restore secret keys; register with them."""


@keys.command()
@click.argument("name", required=False)
@click.option("--operator", is_flag=True, help="The operator's key of this node (Ed25519); takes no name.")
@click.option(
    "--chain", metavar="CHAIN", help="Whose addresses: devnet, zen, … (default: the genesis file's)."
)
@place_options
@json_option
@click.pass_context
def new(context: click.Context, name: str | None, operator: bool, chain: str | None, as_json: bool) -> None:
    """Make a new chain key called NAME (for a stake, or a paymaster), or the operator's key."""
    if operator == (name is not None):
        raise click.UsageError("give a NAME for a chain key, or --operator", context)
    from zenp2p.data_directory import DataDirectory
    from zenp2p.key_folder import known_rules, make_chain_key, make_operator_key

    config = load(context).config
    directory = DataDirectory(Path(config.data_dir))
    directory.create()
    if name is None:
        made = make_operator_key(directory)
    else:
        made = make_chain_key(directory, name, known_rules(chain, Path(config.genesis)))
    _tell(made, as_json)


@keys.command()
@click.argument("file", type=FILE)
@passphrase_option
@place_options
@json_option
@click.pass_context
def backup(context: click.Context, file: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Write all keys of the data directory, encrypted, to the new FILE."""
    from zenp2p.data_directory import DataDirectory
    from zenp2p.key_backup import BACKUP_BYTES_MAX, collect_keys, open_keys, seal_keys

    found = collect_keys(DataDirectory(Path(load(context).config.data_dir)))
    passphrase = _passphrase(passphrase_file, confirm=True)
    write_file(file, seal_keys(found, passphrase))
    # A backup that cannot be opened is worse than none: read it back as a restore would.
    if open_keys(read_file(file, BACKUP_BYTES_MAX), passphrase) != found:
        raise AssertionError("the backup does not hold what was written to it")
    _tell({"file": str(file), "keys": [key.name for key in found.keys]}, as_json)


@keys.command()
@click.argument("file", type=FILE)
@passphrase_option
@place_options
@json_option
@click.pass_context
def restore(context: click.Context, file: Path, passphrase_file: Path | None, as_json: bool) -> None:
    """Put the keys of a backup into the data directory; no key is written over."""
    from zenp2p.data_directory import DataDirectory
    from zenp2p.key_backup import BACKUP_BYTES_MAX, open_keys, restore_keys

    data = read_file(file, BACKUP_BYTES_MAX)
    found = open_keys(data, _passphrase(passphrase_file, confirm=False))
    directory = DataDirectory(Path(load(context).config.data_dir))
    names = restore_keys(found, directory)
    _tell({"data_dir": str(directory.path), "keys": list(names)}, as_json)


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is None:
        if not sys.stdin.isatty():
            raise click.UsageError("there is no terminal to type a passphrase at; use --passphrase-file")
        typed: str = click.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm, err=True)
        return typed
    from zenp2p.data_directory import check_private

    check_private(file)
    try:
        return read_file(file, PASSPHRASE_BYTES_MAX).decode().splitlines()[0]
    except (UnicodeDecodeError, IndexError):
        raise click.UsageError(f"{file} does not begin with a line of text") from None


def _tell(answer: dict[str, object], as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    rows = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in answer.items()
    }
    print_rows({name.replace("_", " "): value for name, value in rows.items()})
