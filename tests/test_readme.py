"""Each command in README.md can be typed; tests/docs holds its figures and links.

What is cheap is run, in a folder with the files that the commands name; of the rest the command line is read.
"""

from __future__ import annotations

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
from docs.site import markdown
from proxy.flags import read_flags

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = markdown.find_command_lines(README)
COMMANDS = [line for line in LINES if line.startswith("bench ")]
RUNS = [line for line in COMMANDS if line.startswith("bench run")]
CHEAP = ("plan", "compare", "report", "check", "fix", "size", "doctor")
STANDS_FOR = {
    "RUN": "reference",
    "OLD": "reference",
    "NEW": "reference",
    "/etc/nginx/nginx.conf": "nginx.conf",
}


def words(line: str) -> list[str]:
    """Return what is typed after `bench`, with the names of things put in for what stands for them."""
    return [STANDS_FOR.get(word, word) for word in shlex.split(line)[1:]]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with a run and a configuration in it; the nginx in PATH reuses nothing unasked."""
    (tmp_path / "reference").mkdir()
    for file in (ROOT / "results" / "reference").iterdir():
        (tmp_path / "reference" / file.name).write_bytes(file.read_bytes())
    (tmp_path / "nginx.conf").write_text((ROOT / "nginx" / "conf" / "article.conf").read_text())
    old = tmp_path / "bin" / "nginx"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'nginx version: nginx/1.22.1' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{old.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_tour_shows_every_command() -> None:
    shown = {line.split()[1] for line in COMMANDS}
    assert set(bench.table) - {"list", "show"} <= shown
    assert shown <= set(bench.table)


@pytest.mark.parametrize("line", RUNS)
def test_a_run_is_a_plan_that_makes_sense(line: str) -> None:
    done = CliRunner().invoke(bench, ["plan", *words(line)[1:]])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.split()[1] in CHEAP])
def test_what_is_cheap_does_what_it_says(
    line: str, place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed, _, file = line.partition(" > ")
    monkeypatch.setattr(sys, "argv", ["bench", *words(typed)])
    try:
        cli.main()
        code: object = 0
    except SystemExit as exited:
        code = exited.code or 0
    out, err = capsys.readouterr()
    # 1: a configuration that reuses nothing is a finding; 4: a busy machine cannot tell.
    assert (code in (0, 1, 4), "bench: " in err, bool(out)) == (True, False, True), (code, err)
    if file:
        Path(file).write_text(out)
        assert CliRunner().invoke(bench, ["plan", file]).output == out


@pytest.mark.parametrize("line", [line for line in COMMANDS if line.split()[1] not in ("run", *CHEAP)])
def test_what_takes_long_can_be_typed(line: str) -> None:
    command: click.Command = bench
    context = click.Context(bench, info_name="bench")
    arguments = words(line)
    while isinstance(command, click.Group):
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command = found
    assert command.make_context(line, arguments, parent=context).params


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("python -m ")])
def test_the_parts_take_the_flags_that_are_shown(line: str) -> None:
    _, _, package, *flags = shlex.split(line)
    if package == "backends":
        assert parse_options(flags).listen == (("127.0.0.1", 9000),)
    else:
        assert read_flags(flags)[0].upstreams == (("127.0.0.1", 9000),)


@pytest.mark.parametrize("target", [line.split()[1] for line in LINES if line.startswith("make ")])
def test_make_knows_what_is_shown(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("file", sorted(set(re.findall(r"`((?:docs|results|tests)/[\w./-]+)`", README))))
def test_what_is_pointed_at_is_there(file: str) -> None:
    assert (ROOT / file).exists()
