"""`zenp2p chain`: looking at chains. Each command lies in a module of its own."""

import click

from cli.lazy import Lazy, LazyGroup

COMMANDS = {
    "check": Lazy("cli.commands.chain_check:check", "Walk a file of raw blocks and say what is in it."),
    "tip": Lazy("cli.commands.chain_explorer:tip", "The last block that the node knows."),
    "block": Lazy("cli.commands.chain_explorer:block", "A block, by its height or its hash."),
    "transaction": Lazy("cli.commands.chain_explorer:transaction", "A mined transaction."),
    "address": Lazy("cli.commands.chain_explorer:address", "What an address holds, and is to the network."),
    "history": Lazy("cli.commands.chain_explorer:history", "What touched an address."),
    "unspent": Lazy("cli.commands.chain_explorer:unspent", "The unspent outputs of an address."),
    "notify": Lazy("cli.commands.chain_node:notify", "Have the daemon look at its chain node at once."),
    "compare": Lazy("cli.commands.chain_node:compare", "Our index beside the chain node's own answer."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def chain() -> None:
    """Files of blocks, and the chain of the running node."""
