"""`zenp2p devnet`: a whole network on this machine, until it has paid its nodes.

Starts real daemons, shows how they are, and ends with what was paid and how a wallet
verifies it. Progress goes to standard error, so that a report on standard output stays whole.
"""

import json
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from cli.output import INTERRUPTED
from protocol.errors import RequestError, ZenError
from protocol.units import format_amount

if TYPE_CHECKING:
    from rich.table import Table

    from zenp2p.devnet.ground import Ground
    from zenp2p.devnet.launcher import Launcher

LOOK_SECONDS = 1.0
START_DELAY_SECONDS = 10
NODES_MIN, NODES_MAX = 8, 64
GROUP_SIZE = 4


@click.command()
@click.option("--until-paid", is_flag=True, help="Exit after the first payment is mined.")
@click.option("--report", type=click.Path(path_type=Path), metavar="FILE", help="Write a JSON report.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="A new folder for the network (default: a temporary one; it stays).",
)
@click.option(
    "--seconds-max", type=click.IntRange(1), default=600, show_default=True, help="Give up paying after this."
)
@click.option(
    "--start-delay",
    type=click.IntRange(0, 600),
    default=START_DELAY_SECONDS,
    show_default=True,
    help="Seconds until the chain begins: time for all nodes to start.",
)
@click.option(
    "--chain",
    type=click.Choice(["embedded", "litecoind"]),
    default="embedded",
    show_default=True,
    help="The chain that the network runs on: its own, or that of a real node beside it.",
)
@click.option(
    "--nodes",
    type=click.IntRange(NODES_MIN, NODES_MAX),
    help="A network of many groups: so many honest nodes, of whom three of four are founders.",
)
@click.option(
    "--group-size",
    type=click.IntRange(2, NODES_MAX),
    default=None,
    help="The least size that a group keeps, with --nodes (default: 4).",
)
def devnet(
    until_paid: bool,
    report: Path | None,
    folder: Path | None,
    seconds_max: int,
    start_delay: int,
    chain: str,
    nodes: int | None,
    group_size: int | None,
) -> None:
    """Run a whole network on this machine until it has paid its nodes.

    Without --nodes: four founders and four that cheat or lack something, until the first list is paid.
    With it: nodes join groups, move between them, one crashes and comes back, until the second list is paid.
    """
    if nodes is None and group_size is not None:
        raise RequestError("--group-size belongs to --nodes")
    folder = folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="zenp2p-devnet-")) / "network"
    if folder.exists():
        raise RequestError(f"{folder} is there already; name a new folder")
    if report is not None and not report.absolute().parent.is_dir():
        raise RequestError(f"{report}: its folder is not there")
    _on_signals(_interrupt)
    written: dict[str, Any] | None = None
    ground = _ground(chain, folder, start_delay)
    launcher: Launcher | None = None
    try:
        launcher = _launcher(folder, ground, nodes, group_size or GROUP_SIZE)
        launcher.start()
        _watch(launcher, seconds_max)
        written = launcher.report()
        if report is not None:
            report.write_text(json.dumps(written) + "\n")
        _summarise(launcher, written)
        if not until_paid:
            _go_on(launcher)
    except KeyboardInterrupt:
        click.echo("stopping", err=True)
        if written is None:
            raise click.exceptions.Exit(INTERRUPTED) from None  # nothing was paid: that is no success
    except ZenError:
        ground.check()  # what makes the chain may be the reason
        raise
    finally:
        try:
            _on_signals(_ignore)
        finally:  # a signal in between interrupts once, and only there
            if launcher is not None:
                launcher.stop()
            ground.stop()


def _launcher(folder: Path, ground: "Ground", nodes: int | None, group_size: int) -> "Launcher":
    """Found a network in a new folder, and return what runs it."""
    from zenp2p.devnet.foundry import found_network, many_posts, plan_of_groups, standard_posts
    from zenp2p.devnet.launcher import Launcher
    from zenp2p.devnet.many_groups import ManyGroups

    if nodes is None:
        return Launcher(found_network(folder, standard_posts(announced=ground.announces), ground), ground)
    founded = found_network(folder, many_posts(nodes), ground, plan_of_groups(group_size))
    return ManyGroups(founded, ground)


def _ground(chain: str, folder: Path, start_delay: int) -> "Ground":
    """Return the chain to stand on; a real node is started in the network's folder."""
    from zenp2p.devnet.ground import EmbeddedGround
    from zenp2p.devnet.litecoin_ground import LitecoinGround

    return (
        EmbeddedGround(start_delay) if chain == "embedded" else LitecoinGround(folder / "chain", start_delay)
    )


def _on_signals(handler: Callable[[int, FrameType | None], None]) -> None:
    """Take SIGINT, SIGTERM and SIGHUP (the terminal was closed) alike."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Interrupt once: a second Ctrl-C must not leave daemons behind."""
    _on_signals(_ignore)
    raise KeyboardInterrupt


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing; unlike SIG_IGN also for a signal that has already come and waits for its handler."""


def _watch(launcher: "Launcher", seconds_max: int) -> None:
    """Show progress until the first payment is mined; raises `RequestError` when it takes too long."""
    deadline = time.monotonic() + seconds_max
    with _progress(launcher) as show:
        while not launcher.step():
            show()
            if time.monotonic() > deadline:
                raise RequestError(f"nothing was paid within {seconds_max} s; see {launcher.network.folder}")
            time.sleep(LOOK_SECONDS)
        show()


def _go_on(launcher: "Launcher") -> None:
    """Keep the network running and the table fresh until Ctrl-C."""
    click.echo("The network goes on; Ctrl-C stops it.", err=True)
    with _progress(launcher) as show:
        while True:
            launcher.look()
            show()
            time.sleep(LOOK_SECONDS)


@contextmanager
def _progress(launcher: "Launcher") -> Iterator[Callable[[], None]]:
    """Keep a live table on a terminal; elsewhere say each change of stage, and print the table at the end."""
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    if console.is_terminal:
        with Live(_table(launcher), console=console, auto_refresh=False) as live:
            yield lambda: live.update(_table(launcher), refresh=True)
        return
    said: set[str] = set()

    def say() -> None:
        headline = _headline(launcher)
        if headline not in said:
            said.add(headline)
            click.echo(headline, err=True)

    try:
        yield say
    finally:
        console.print(_table(launcher))


def _headline(launcher: "Launcher") -> str:
    progress = launcher.progress
    judged = "none yet" if progress.challenge is None else str(progress.challenge)
    return f"{progress.stage}; last judged challenge: {judged}"


def _table(launcher: "Launcher") -> "Table":
    from rich.table import Table

    progress = launcher.progress
    table = Table(
        title=_headline(launcher),
        caption=f"transactions: {', '.join(progress.txids)}" if progress.txids else None,
        title_justify="left",
        caption_justify="left",
    )
    for name in ("node", "address", "RPC port", "height", "peers", "seat", "verdict"):
        table.add_column(name, no_wrap=True)
    for line in progress.lines:
        table.add_row(
            line.name,
            line.ip,
            line.rpc.rpartition(":")[2],
            "" if line.height is None else str(line.height),
            str(line.peers),
            line.seat,
            line.verdict,
        )
    return table


def _summarise(launcher: "Launcher", report: dict[str, Any]) -> None:
    """Say what was paid, and how anybody can check it."""
    payout = report["payout"]
    click.echo(f"Period {payout['period']} is paid after {report['seconds']} s.")
    click.echo(f"List {payout['list_hash']}, certified by {payout['certificate']['signers']} voters.")
    for entry in payout["entries"]:
        click.echo(f"  {entry['address']}  {entry['responses']} responses  {format_amount(entry['amount'])}")
    click.echo(f"Pool {format_amount(payout['pool'])}, carried on {format_amount(payout['carried'])}.")
    click.echo(f"Transactions: {', '.join(report['payment']['txids'])}")
    click.echo("RPC of the nodes:")
    for node in report["nodes"]:
        click.echo(f"  {node['name']:<12} http://{node['rpc']}")
    click.echo(f"Verify it from files alone (exit code now: {report['verify']['exit_code']}):")
    click.echo(f"  {report['verify']['command']}")
