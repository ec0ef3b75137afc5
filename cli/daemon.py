"""`zenp2pd`: make a data directory, and run the daemon on it.

Answers for: what the daemon needs of its process (umask, log, exit code) and nothing of
what it does (`zenp2p.daemon`). Spec: `spec/cli.md`.
"""

import logging
import os
import sys
from pathlib import Path

import click

from cli.options import json_option, load, place_options, setting_option
from cli.output import print_json, print_rows, run_command

log = logging.getLogger("zenp2pd")

PRIVATE_UMASK = 0o077


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def daemon() -> None:
    """The zenp2p daemon. It is asked with `zenp2p`."""


@daemon.command()
@click.option(
    "--genesis", metavar="FILE", type=click.Path(path_type=Path), help="The network's genesis file."
)
@setting_option
@place_options
@json_option
@click.pass_context
def init(context: click.Context, genesis: Path | None, as_json: bool) -> None:
    """Make a data directory with a new operator key; what is there already is kept."""
    from zenp2p.initialise import initialise

    made = initialise(load(context), genesis)
    answer = {
        "data_dir": str(made.directory.path),
        "operator": made.operator_key.hex(),
        "made": list(made.made),
    }
    if as_json:
        print_json(answer)
        return
    print_rows({**answer, "made": ", ".join(made.made) or "nothing, all was there"})
    for line in made.next_steps:
        click.echo(f"- {line}")


@daemon.command()
@setting_option
@place_options
@click.pass_context
def run(context: click.Context) -> None:
    """Run until SIGTERM or Ctrl-C."""
    from zenp2p.logs import configure_logging

    config = load(context).config
    configure_logging(config.log.level, Path(config.log.file) if config.log.file else None)
    from zenp2p.daemon import run_daemon

    run_daemon(config)


def main() -> None:
    """Run `zenp2pd` and exit."""
    os.umask(PRIVATE_UMASK)
    code = run_command("zenp2pd", lambda: daemon.main(prog_name="zenp2pd", standalone_mode=False), _log_bug)
    sys.exit(code)


def _log_bug(error: BaseException) -> str:
    """Put the traceback where the operator looks."""
    if not logging.getLogger().handlers:
        logging.basicConfig()
    log.critical("stopped by a bug of ours", exc_info=error)
    return "the traceback is in the log"
