"""A Click group that imports a command only when it is called: `--help` is fast, and a host needs no Django."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """Knows its commands by a table: name → (module:attribute, one line of help)."""

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:  # noqa: ANN401 Click's
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the table's names and those of commands that were added directly, sorted."""
        return sorted({*super().list_commands(ctx), *self._table})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command. `group:command` is `group command`: so it stands in people's scripts and crontabs."""
        if ":" in cmd_name:
            group, _, rest = cmd_name.partition(":")
            found = self.get_command(ctx, group)
            return found.get_command(ctx, rest) if isinstance(found, click.Group) else None
        if cmd_name not in self._table:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._table[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list from the table, without importing anything."""
        rows = []
        for name in self.list_commands(ctx):
            if name in self._table:
                rows.append((name, self._table[name][1]))
            elif (command := super().get_command(ctx, name)) is not None:
                rows.append((name, command.get_short_help_str(limit=80)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)
