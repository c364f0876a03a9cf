"""Each command of a page in `docs/` can be typed, what it points at is there, and README names it."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import click
import pytest

from bench.cli import bench
from bench.probe.model import Ending, IdleTimeout, ProbeResult

ROOT = Path(__file__).parent.parent
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
HOW_TO = ("idle-timeout.md", "production-host.md")
MOST_WORDS = 900
"""A how-to is read by somebody whose host has a problem."""


def commands(text: str) -> list[str]:
    """Return the `bench` command lines in the blocks of a page, also those behind a pipe."""
    blocks = re.findall(r"^```\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line.partition("| ")[2] or line for line in lines if "bench " in line]


SHOWN = [(page, line) for page in PAGES for line in commands(PAGES[page]) if line.startswith("bench ")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the files that the commands name."""
    (tmp_path / "nginx.conf").write_text((ROOT / "nginx" / "conf" / "article.conf").read_text())
    idle = IdleTimeout(4.98, 5.02, (4.98, 5.02), Ending.FIN)
    found = ProbeResult("10.0.0.1:8080", "10.0.0.1", 8080, "/", idle=idle)
    (tmp_path / "probe.json").write_text(json.dumps(found.to_json()))
    for name in ("RUN", "before", "after"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("page", "line"), SHOWN, ids=[f"{page}: {line}" for page, line in SHOWN])
def test_each_command_can_be_typed(page: str, line: str, place: Path) -> None:
    command: click.Command = bench
    context = click.Context(bench, info_name="bench")
    arguments = shlex.split(line.partition(" > ")[0])[1:]
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
    with command.make_context(line, arguments, parent=context) as made:
        assert not made.args


@pytest.mark.parametrize("page", HOW_TO)
def test_a_how_to_is_short_and_shows_commands(page: str) -> None:
    assert len(PAGES[page].split()) <= MOST_WORDS
    assert commands(PAGES[page])


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_points_at_is_there(page: str) -> None:
    for file in re.findall(r"`((?:docs|results|tests|bench|nginx)/[\w./-]+\.\w+)`", PAGES[page]):
        assert (ROOT / file).exists(), file


@pytest.mark.parametrize("page", PAGES)
def test_readme_names_each_page(page: str) -> None:
    assert f"`docs/{page}`" in (ROOT / "README.md").read_text(encoding="utf-8")
