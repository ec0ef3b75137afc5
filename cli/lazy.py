"""A click group whose commands are imported when they are used.

Answers for: help and start-up cost what one command costs, not what all cost. Each
command is named with its module and its one-line help, so that even the list of
commands imports none of them.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import click


@dataclass(frozen=True, slots=True)
class Lazy:
    """Where a command lies (`module:name`), and its line in the list of commands."""

    place: str
    help: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, name = self.place.partition(":")
        command = getattr(importlib.import_module(module), name)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.place} is no command")
        return command


class LazyGroup(click.Group):
    """A group over a table of `Lazy` commands, beside those added in the usual way."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lazy = lazy

    def list_commands(self, context: click.Context) -> list[str]:
        """Return all names, those of the table first and in its order."""
        return [*self.lazy, *super().list_commands(context)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return the command called `name`, if there is one."""
        if name in self.lazy:
            return self.lazy[name].load()
        return super().get_command(context, name)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        rows = [(name, lazy.help) for name, lazy in self.lazy.items()]
        for name in super().list_commands(context):
            command = self.commands[name]
            rows.append((name, command.get_short_help_str()))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
