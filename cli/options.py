"""Options that many commands share, and what they lead to.

Answers for: `--data-dir` and `--config` mean the same before and after the command's
name, and every command finds its configuration in the same way.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from zenp2p.config import Loaded

Command = Callable[..., Any]


def _remember(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Keep an option's value for `load`, over one given before the command's name."""
    if value is not None:
        context.obj = {**(context.obj or {}), parameter.name: value}
    return value


def place_options(command: Command) -> Command:
    """Add `--data-dir` and `--config` to a command; read them with `load`, or `cli.client.connect`."""
    for name, metavar, text in (
        ("--config", "FILE", "The configuration file."),
        ("--data-dir", "DIR", "The node's data directory."),
    ):
        option = click.option(name, metavar=metavar, help=text, expose_value=False, callback=_remember)
        command = option(command)
    return command


def _collect(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> None:
    """Keep `--set KEY=VALUE` for `load`."""
    settings: dict[str, str] = {}
    for value in values:
        key, equals, text = value.partition("=")
        if not equals or key in settings:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE, each key once", context, parameter)
        settings[key] = text
    if settings:
        context.obj = {**(context.obj or {}), "settings": settings}


setting_option = click.option(
    "--set",
    multiple=True,
    metavar="KEY=VALUE",
    expose_value=False,
    callback=_collect,
    help="A setting over environment and file, such as rpc.port=0; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on one line.")


def load(context: click.Context) -> "Loaded":
    """Return the configuration for a command; raises `ConfigError`, `MissingFile`."""
    from zenp2p.config import load_config

    given = context.obj or {}
    overrides = dict(given.get("settings", {}))
    if given.get("data_dir"):
        overrides["data_dir"] = given["data_dir"]
    return load_config(Path(given["config"]) if given.get("config") else None, None, overrides)
