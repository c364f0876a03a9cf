"""The page about commands, from click: every group, argument and option."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bench.cli import bench
from bench.commands.lazy_group import HELP_NAMES
from docs.site import markdown

_HEAD = """\
# Commands

Each command says the same itself, as in `bench run --help`. [Exit codes](exit-codes.md) are the same for all
of them.
"""


def build() -> str:
    """Return the page."""
    context = click.Context(bench, info_name="bench", help_option_names=HELP_NAMES)
    return _HEAD + "".join(_sections(bench, context))


def _sections(command: click.Command, context: click.Context) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _sections(below, click.Context(below, info_name=name, parent=context))
    else:
        yield f"\n## {context.command_path}\n\n{_format_usage(command, context)}"
        yield from _tables(command, context)


def _format_usage(command: click.Command, context: click.Context) -> str:
    pieces = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    paragraphs = [" ".join(each.split()) for each in (command.help or "").split("\n\n")]
    text = "\n\n".join(each.replace("\b", "").strip() for each in paragraphs)
    return f"```text\n{pieces}\n```\n\n{text}\n"


def _tables(command: click.Command, context: click.Context) -> Iterator[str]:
    rows: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        # The usage has the arguments.
        if record is not None and isinstance(parameter, click.Option) and "--help" not in parameter.opts:
            heading = str(getattr(parameter, "heading", "Output"))
            rows.setdefault(heading, []).append((f"`{record[0]}`", _format_help(record[1])))
    for heading, listed in rows.items():
        yield "\n" + markdown.format_table((heading, "meaning"), listed)


def _format_help(text: str) -> str:
    """Return the help of an option; names of files and values in angle brackets are no HTML."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("_", "\\_")
