"""A click group that knows its commands by name and imports one only where it is run."""

import importlib
from typing import Any

import click
from click.shell_completion import CompletionItem

from bench.commands.closed_output import output_may_close
from bench.commands.interruption import ended_at_once

HELP_NAMES = ["-h", "--help"]
"""How each command and each group is called for help: click keeps the names of the first context."""
HELP = {"help_option_names": HELP_NAMES}


class LazyGroup(click.Group):
    """A group of `table`, name -> short help; a NAME is `NAME_command` of bench.commands.PREFIXNAME."""

    def __init__(self, *args: Any, table: dict[str, str], prefix: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table
        self.prefix = prefix

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Read the arguments; OutputClosed where nobody reads the help that they ask for."""
        with output_may_close():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; OutputClosed where nobody reads its output any more."""
        with output_may_close():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return a command; None where there is none of that name."""
        if cmd_name not in self.table:
            return None
        with ended_at_once():
            module = importlib.import_module(f"bench.commands.{self.prefix}{cmd_name}")
        command: click.Command = getattr(module, f"{cmd_name}_command")
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the name, the command and what is left; propose a name for one that is not here."""
        if args[0] not in self.table and not args[0].startswith("-"):
            raise click.exceptions.NoSuchCommand(args[0], possibilities=self.table, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a line about each command, whole, and without importing it."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.table.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return what a shell offers after `incomplete`, without importing a command."""
        fitting = [name for name in self.table if name.startswith(incomplete)]
        own = [CompletionItem(name, help=self.table[name]) for name in fitting]
        return own + click.Command.shell_complete(self, ctx, incomplete)
