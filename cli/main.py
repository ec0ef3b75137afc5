"""`zenp2p`: the command line of a node, and of a wallet that has files alone.

Answers for: the list of commands and where each lies. Starts fast: nothing but click
is imported before a command is known. Spec: `spec/cli.md`.
"""

import sys

import click

from cli.lazy import Lazy, LazyGroup
from cli.output import run_command

COMMANDS = {
    "status": Lazy("cli.commands.status:status", "How the node is doing."),
    "challenge": Lazy(
        "cli.commands.challenge:challenge", "The challenge now, an earlier one, or one derived offline."
    ),
    "group": Lazy("cli.commands.group:group", "Groups: how each stands, its members, and who moves."),
    "why": Lazy("cli.commands.why:why", "Why this node was paid or not for a challenge."),
    "payout": Lazy("cli.commands.payout:payout", "Payout lists: show, export, verify."),
    "treasury": Lazy(
        "cli.commands.treasury:treasury", "Pay a certified list: build, inspect, sign, combine, broadcast."
    ),
    "announce": Lazy(
        "cli.commands.announce:announce", "Say on the chain where this node listens: build, send, show."
    ),
    "chain": Lazy("cli.commands.chain:chain", "Files of blocks, and the chain of the running node."),
    "keys": Lazy("cli.commands.keys:keys", "Make, back up and restore secret keys."),
    "genesis": Lazy("cli.commands.genesis:genesis", "Make or show a network's genesis file."),
    "config": Lazy("cli.commands.config:config", "Check or print the configuration."),
    "rpc": Lazy("cli.commands.rpc:rpc", "Call a method of the running daemon."),
    "devnet": Lazy("cli.commands.devnet:devnet", "Run a whole network on this machine."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data-dir", metavar="DIR", help="The node's data directory (default: ~/.zenp2p).")
@click.option(
    "--config", metavar="FILE", help="The configuration file (default: zenp2p.toml in the data directory)."
)
@click.pass_context
def cli(context: click.Context, data_dir: str | None, config: str | None) -> None:
    """Peers that challenge, judge and pay each other's nodes without a central server."""
    context.obj = {"data_dir": data_dir, "config": config}


def main() -> None:
    """Run `zenp2p` and exit."""
    sys.exit(run_command("zenp2p", lambda: cli.main(prog_name="zenp2p", standalone_mode=False)))
