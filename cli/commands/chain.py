"""`zenp2p chain`: looking at chains. Each command lies in a module of its own."""

import click

from cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "check": Lazy("cli.commands.chain_check:check", "Walk a file of raw blocks and say what is in it."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def chain() -> None:
    """Files of blocks, and the chain of the running node."""
