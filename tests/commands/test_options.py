"""What holds for each command and each option, found by walking through all of them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations

import click
import pytest

from bench.cli import bench
from bench.commands.lazy_group import HELP_NAMES, LazyGroup
from bench.errors import ExitCode
from tests import command_line


def walk(group: LazyGroup, path: str = "bench") -> Iterator[tuple[str, click.Command]]:
    """Yield each command below `group` with the words that start it."""
    context = click.Context(group, help_option_names=HELP_NAMES)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, LazyGroup):
            yield from walk(command, f"{path} {name}")


ALL = dict(walk(bench))
CLICKS_OWN = re.compile(r"\b(INTEGER|TEXT|FLOAT|RANGE|PATH|FILENAME|DIRECTORY)\b(?!\|)")
"""What click calls a value that was given no name."""
every_command = pytest.mark.parametrize("typed", ALL)


def options(typed: str) -> list[click.Option]:
    """Return the options of a command."""
    return [each for each in ALL[typed].params if isinstance(each, click.Option)]


def distance(one: str, other: str) -> int:
    """Return the number of letters to add, to take away or to change between two words (Levenshtein)."""
    row = list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        before, row[0] = row[0], i
        for j, second in enumerate(other, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != second))
    return row[-1]


@pytest.mark.parametrize(
    ("one", "other", "expected"), [("body", "bodies", 3), ("a", "a", 0), ("ab", "ac", 1)]
)
def test_the_distance_of_two_words(one: str, other: str, expected: int) -> None:
    assert distance(one, other) == expected


@every_command
def test_no_two_flags_differ_by_one_letter(typed: str) -> None:
    names = [name for each in options(typed) for name in (*each.opts, *each.secondary_opts) if len(name) > 2]
    assert [pair for pair in combinations(names, 2) if distance(*pair) < 2] == []


@every_command
def test_each_option_states_what_holds_without_it(typed: str) -> None:
    context = click.Context(ALL[typed], help_option_names=HELP_NAMES)
    for each in options(typed):
        record = each.get_help_record(context)
        assert record is not None
        assert each.is_flag or each.required or "[default: " in record[1], each.opts
        assert not re.search(r"\b(INTEGER|TEXT|FLOAT|RANGE|PATH|FILENAME|DIRECTORY)\b(?!\|)", record[0]), (
            record
        )


@every_command
def test_the_short_help_of_the_table_is_that_of_the_command(typed: str) -> None:
    *path, name = typed.split()[1:]
    group = ALL[f"bench {path[0]}"] if path else bench
    assert isinstance(group, LazyGroup)
    said = group.table[name]
    first_line = (ALL[typed].help or "").partition("\n\n")[0].replace("\n", " ")
    assert said == first_line


@every_command
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_each_command_has_help(typed: str, flag: str) -> None:
    done = command_line.run(*typed.split()[1:], flag)
    assert (done.exit_code, done.stderr) == (0, "")
    assert done.stdout.startswith(f"Usage: {typed} ")


def test_help_cuts_nothing_off_and_states_the_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    said = command_line.run("--help").stdout
    assert "..." not in said.partition("\n")[2]
    assert max(map(len, said.splitlines())) <= 80
    words = " ".join(said.split())
    assert all(short_help in words for short_help in bench.table.values())
    codes = re.findall(r"^ +(\d+) ", said.partition("Exit codes:")[2], re.MULTILINE)
    assert list(map(int, codes)) == list(ExitCode)


def test_help_imports_no_command() -> None:
    typed = """
import sys
from bench import cli
sys.argv = ["bench", "--help"]
cli.main()
print(sorted(name for name in sys.modules if name.startswith("bench.")))
"""
    done = subprocess.run([sys.executable, "-c", typed], capture_output=True, text=True, check=True)
    imported = done.stdout.splitlines()[-1]
    group = ["closed_output", "interruption", "lazy_group"]
    names = ["bench.cli", "bench.commands", *(f"bench.commands.{name}" for name in group), "bench.errors"]
    assert imported == str(names)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("bench ch", "check"), ("bench scenario i", "install"), ("bench run --pool-m", "--pool-max")],
)
def test_a_shell_completes(typed: str, offered: str) -> None:
    environment = {
        **os.environ,
        "_BENCH_COMPLETE": "bash_complete",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(len(typed.split()) - 1),
    }
    argv = [sys.executable, "-m", "bench"]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == f"plain,{offered}\n"
