"""Every option of every command with values that make no sense: one line, a known code, no traceback."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bench.cli import bench
from bench.commands.lazy_group import HELP_NAMES
from tests import command_line

VALUES = ("", "-1", "0", "nan", "inf", "x", "1e400", "9" * 30, "--", "=", "a=b", "/nowhere/x", "1..0", "é")
# These start trials where nothing else is wrong.
NOT_TRIED = {"incident", "tour", "doctor", "install"}
# What stands before the option, so that nothing starts whatever it says.
BASES = {
    "run": ("--target", "http://127.0.0.1:1/"),
    "sweep": ("--target", "http://127.0.0.1:1/"),
    "search": ("--target", "http://127.0.0.1:1/"),
    "ab": ("nowhere.toml", "nowhere.toml"),
}


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the path of every command that is tried."""
    context = click.Context(group, help_option_names=HELP_NAMES)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        elif name not in NOT_TRIED:
            yield (*path, name)


def options(path: tuple[str, ...]) -> Iterator[str]:
    """Yield the options of a command that take a value."""
    command: click.Command | None = bench
    for name in path:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command, help_option_names=HELP_NAMES), name)
    assert command is not None
    for param in command.params:
        if isinstance(param, click.Option) and not param.is_flag:
            yield param.opts[0]


@pytest.mark.long
@pytest.mark.parametrize("path", list(commands(bench)), ids=" ".join)
def test_no_value_of_an_option_ends_in_a_traceback(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    base = BASES.get(path[-1], ("nowhere",)) if len(path) == 1 else ("nowhere",)
    for option in options(path):
        for value in VALUES:
            done = command_line.run(*path, *base, option, value)
            typed = (*path, option, value)
            assert done.exit_code in (0, 2, 3), (typed, done)
            assert done.exit_code == 0 or done.stderr.count("\n") == 1, (typed, done)
