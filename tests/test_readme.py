"""Each command in README.md and the how-to pages does what it says; tests/docs holds figures and links.

What is cheap is run, in a folder with the files that the commands name; of the rest the command line is read
here (README.md) or in tests/docs/test_commands.py (every page).
"""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from backends.http.options import parse_options
from bench import cli
from bench.cli import bench
from bench.commands.lazy_group import HELP_NAMES
from docs.site import figures, markdown
from proxy.flags import read_flags

ROOT = Path(__file__).parent.parent
PAGES = {
    file.relative_to(ROOT).as_posix(): file.read_text(encoding="utf-8")
    for file in (ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md")))
}
README = PAGES["README.md"]
CHEAP = ("plan", "compare", "report", "export", "show", "list", "schema", "check", "fix", "size", "doctor")
BEYOND = ("--probe", "--scheduler", "--settings")
"""Options whose commands look at machines or servers that are not here."""
STANDS_FOR = {
    "RUN": "reference",
    "OLD": "reference",
    "NEW": "reference",
    "OLD:keepalive": "reference:keepalive",
    "NEW:keepalive": "reference:keepalive",
    "/etc/nginx/nginx.conf": "nginx.conf",
}


def lines(page: str) -> list[str]:
    """Return the command lines of a page; not what they print."""
    return markdown.find_command_lines(figures.remove(PAGES[page]))


LINES = [(page, line) for page in PAGES for line in lines(page)]
COMMANDS = [(page, line) for page, line in LINES if line.startswith("bench ")]
RUNS = [
    line
    for _, line in COMMANDS
    if line.startswith("bench run") and not re.search("plan.toml|--require", line)
]
RUN_HERE = sorted(
    {
        line
        for _, line in COMMANDS
        if line.split()[1] in CHEAP and not any(option in line for option in BEYOND) and "before" not in line
    }
)


def words(line: str) -> list[str]:
    """Return what is typed after `bench`, with the names of things put in for what stands for them."""
    return [STANDS_FOR.get(word, word) for word in shlex.split(line)[1:]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a run and a configuration in it; the nginx in PATH reuses nothing unasked."""
    (tmp_path / "reference").mkdir()
    for file in (ROOT / "results" / "reference").iterdir():
        (tmp_path / "reference" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "reference").symlink_to(tmp_path / "reference")
    (tmp_path / "nginx.conf").write_text((ROOT / "nginx" / "conf" / "article.conf").read_text())
    accepted = {"format": "bench check baseline 2", "findings": [], "locations": []}
    (tmp_path / "accepted.json").write_text(json.dumps(accepted))
    old = tmp_path / "bin" / "nginx"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'nginx version: nginx/1.22.1' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_command_is_shown() -> None:
    assert {line.split()[1] for _, line in COMMANDS if not line.split()[1].startswith("-")} == set(
        bench.table
    )


def test_the_readme_shows_what_the_popular_half_fix_does() -> None:
    (command,) = re.findall(r"<!-- output (bench check .+) -->", README)
    assert "not reused" in figures.run_command(command)


@pytest.mark.parametrize("line", sorted(set(RUNS)))
def test_a_run_is_a_plan_that_makes_sense(line: str, place: Path) -> None:
    (place / "ca.pem").touch()
    done = CliRunner().invoke(bench, ["plan", *words(line)[1:]])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("line", RUN_HERE)
def test_what_is_cheap_does_what_it_says(
    line: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, _, file = (part.strip() for part in line.replace(">>", " > ").partition(" > "))
    monkeypatch.setattr(sys, "argv", ["bench", *words(typed)])
    try:
        cli.main()
        code: object = 0
    except SystemExit as exited:
        code = exited.code or 0
    out, err = capsys.readouterr()
    # 1: a configuration that reuses nothing is a finding; 4: a busy machine cannot tell.
    assert (code in (0, 1, 4), "bench: " in err, bool(out or err)) == (True, False, True), (code, err)
    if file.endswith(".toml"):
        Path(file).write_text(out)
        assert CliRunner().invoke(bench, ["plan", file]).output == out


@pytest.mark.parametrize("line", [line for page, line in COMMANDS if page == "README.md"])
def test_a_command_of_the_readme_can_be_typed(line: str) -> None:
    command: click.Command = bench
    context = click.Context(bench, info_name="bench", help_option_names=HELP_NAMES)
    arguments = words(line)
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
    assert command.make_context(line, arguments, parent=context).params


@pytest.mark.parametrize("line", [line for _, line in LINES if line.startswith("python -m ")])
def test_the_parts_take_the_flags_that_are_shown(line: str) -> None:
    _, _, package, *flags = shlex.split(line)
    if package == "backends":
        assert parse_options(flags).listen == (("127.0.0.1", 9000),)
    else:
        assert read_flags(flags)[0].upstreams == (("127.0.0.1", 9000),)


@pytest.mark.parametrize("target", sorted({line.split()[1] for _, line in LINES if line.startswith("make ")}))
def test_make_knows_what_is_shown(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
