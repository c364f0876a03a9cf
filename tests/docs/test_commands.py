"""Each command of README.md and the pages in `docs/` can be typed, and what their sentences name is there."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bench.cli import bench
from bench.commands.lazy_group import HELP_NAMES
from bench.probe.model import Ending, IdleTimeout, ProbeResult
from docs.site import markdown
from docs.site.pages import ROOT
from tests.docs.reader.pages import COMMANDS, TEXTS

HOW_TO = [page for page in TEXTS if page.startswith("how-to/")]
OTHER_PROGRAMS = (
    "how-to/run-on-kubernetes-or-slurm.md",
    "how-to/run-on-several-machines.md",
    "reference/idle-times.md",
    "reference/pipes.md",
)
"""Pages that name options of servers, of Dask, and of the processes that `bench` starts."""


SHOWN = sorted(
    {(each.page, part.strip()) for each in COMMANDS for part in each.line.split(" | ") if part.strip()}
)
"""What is typed, behind a pipe too."""
OF_BENCH = [(page, line) for page, line in SHOWN if line.startswith("bench ")]


def read_prose(page: str) -> list[str]:
    """Return what stands in backticks in the sentences of a page."""
    return re.findall(r"`([^`\n]+)`", markdown.remove_blocks(TEXTS[page]))


def walk_options(command: click.Command, context: click.Context) -> Iterator[str]:
    """Yield the options of a command, and of all below it."""
    for parameter in command.get_params(context):
        yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from walk_options(below, context)


@pytest.fixture(scope="module")
def options() -> frozenset[str]:
    """All options of all commands."""
    return frozenset(walk_options(bench, click.Context(bench, help_option_names=HELP_NAMES)))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the commands name."""
    (tmp_path / "nginx.conf").write_text((ROOT / "nginx" / "conf" / "article.conf").read_text())
    idle = IdleTimeout(4.98, 5.02, (4.98, 5.02), Ending.FIN)
    found = ProbeResult("10.0.0.1:8080", "10.0.0.1", 8080, "/", idle=idle)
    (tmp_path / "probe.json").write_text(json.dumps(found.to_json()))
    accepted = {"format": "bench check baseline 2", "findings": [], "locations": []}
    (tmp_path / "accepted.json").write_text(json.dumps(accepted))
    for name in ("RUN", "OLD", "NEW", "before", "after"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line"), OF_BENCH, ids=[f"{page}: {line}" for page, line in OF_BENCH])
def test_each_command_can_be_typed(page: str, line: str, place: Path) -> None:
    command: click.Command = bench
    context = click.Context(bench, info_name="bench", help_option_names=HELP_NAMES)
    arguments = shlex.split(re.split(" >>? ", line)[0])[1:]
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
    with command.make_context(line, arguments, parent=context) as made:
        assert not made.args


@pytest.mark.parametrize("page", HOW_TO)
def test_a_how_to_shows_commands(page: str) -> None:
    assert page in {shown for shown, _ in OF_BENCH}


@pytest.mark.parametrize("page", sorted(set(TEXTS) - set(OTHER_PROGRAMS)))
def test_options_and_commands_in_sentences_are_there(page: str, options: frozenset[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for code in read_prose(page):
        assert set(re.findall(r"(?<!\S)--[a-z][\w-]*", code)) <= options, code
        program, *words = code.split()
        if program == "bench" and words:
            assert words[0] in bench.table or words[0].startswith("-"), code
        if program == "make" and words:
            assert re.search(rf"^{words[0]}:", makefile, flags=re.MULTILINE), code
        if code.startswith("python -m "):
            assert importlib.util.find_spec(words[1]) is not None, code


DEVELOPED_WITH = [ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs" / "development").glob("*.md"))]
_OF_VENV = re.compile(r"(?:pytest|ruff|mypy|lint-imports|sphinx-build|python3? -m)\b")


def list_typed(text: str) -> list[str]:
    """Return the lines of code blocks, and what stands in backticks and begins with a program of tests."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [line for line in lines if line.startswith("bench ")] + [
        each for each in (*lines, *spans) if _OF_VENV.match(each)
    ]


@pytest.mark.parametrize("page", DEVELOPED_WITH, ids=lambda page: page.name)
def test_a_command_for_contributors_runs_without_an_activated_venv(page: Path) -> None:
    assert list_typed(page.read_text(encoding="utf-8")) == [], "put .venv/bin/ before it"
