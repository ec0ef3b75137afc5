"""`zenp2p config`: what the daemon would run with, and where each value comes from."""

from typing import TYPE_CHECKING, Any

import click

from cli.options import json_option, load, place_options, setting_option
from cli.output import print_json

if TYPE_CHECKING:
    from zenp2p.config import Loaded


@click.group()
def config() -> None:
    """Check or print the configuration."""


@config.command()
@setting_option
@place_options
@json_option
@click.pass_context
def check(context: click.Context, as_json: bool) -> None:
    """Read the configuration as the daemon would; exit 78 and name the setting when it is wrong."""
    loaded = load(context)
    if as_json:
        print_json({"valid": True, "data_dir": loaded.config.data_dir})
    else:
        click.echo("the configuration is valid")


@config.command()
@setting_option
@place_options
@json_option
@click.pass_context
def dump(context: click.Context, as_json: bool) -> None:
    """Print every setting with its value, meaning and source, as a file that can be used again."""
    from zenp2p.config import dump_config

    loaded = load(context)
    if as_json:
        print_json(_settings(loaded))
    else:
        click.echo(dump_config(loaded), nl=False)


def _settings(loaded: "Loaded") -> dict[str, Any]:
    """Return `key -> {value, source}`."""
    settings = {}
    for key, source in loaded.sources.items():
        section, _, name = key.rpartition(".")
        value = getattr(getattr(loaded.config, section) if section else loaded.config, name)
        settings[key] = {"value": value, "source": source}
    return settings
