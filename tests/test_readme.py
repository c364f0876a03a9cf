"""What README.md and the how-to pages show makes sense; that it runs is tests/docs/test_typed_commands.py."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from backends.http.options import parse_options
from bench.cli import bench
from docs.site import figures
from docs.site.pages import ROOT
from proxy.flags import read_flags
from tests.docs.reader.pages import COMMANDS, TEXTS

LINES = sorted({each.line for each in COMMANDS if each.page.startswith(("README", "how-to/"))})
RUNS = [line for line in LINES if line.startswith("bench run") and not re.search("plan.toml|--require", line)]


def test_every_command_is_shown() -> None:
    shown = {line.split()[1] for line in LINES if line.startswith("bench ")}
    assert {name for name in shown if not name.startswith("-")} == set(bench.table)


def test_the_readme_shows_what_the_popular_half_fix_does() -> None:
    (command,) = re.findall(r"<!-- output (bench check .+) -->", TEXTS["README.md"])
    assert "not reused" in figures.run_command(command)


@pytest.mark.parametrize("line", RUNS)
def test_a_run_is_a_plan_that_makes_sense(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ca.pem", "cluster.json"):
        Path(name).touch()
    done = CliRunner().invoke(bench, ["plan", *shlex.split(line)[2:]])
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("python -m ")])
def test_the_parts_take_the_flags_that_are_shown(line: str) -> None:
    _, _, package, *flags = shlex.split(line)
    if package == "backends":
        assert parse_options(flags).listen == (("127.0.0.1", 9000),)
    else:
        assert read_flags(flags)[0].upstreams == (("127.0.0.1", 9000),)


@pytest.mark.parametrize("target", sorted({line.split()[1] for line in LINES if line.startswith("make ")}))
def test_make_knows_what_is_shown(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
