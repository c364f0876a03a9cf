"""What every command prints, held against tests/golden/outputs: read those first.

The commands are in commands.toml, which says what each row may ask for. To accept what has changed:
`pytest tests/golden --update-golden`, and review the difference.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from bench import cli
from tests import needs
from tests.golden.place import ROOT, files, furnish
from tests.golden.reading import Page, flat, json_lines, kinds, paths, picture

OUTPUTS = Path(__file__).parent / "outputs"
ENVIRONMENT = {
    "COLUMNS": "110",
    "LINES": "40",
    "TZ": "UTC",
    "NO_COLOR": "1",
    "TERM": "dumb",
    "LC_ALL": "C.UTF-8",
}
MASKS = (
    (re.compile(r"\b\d{8}T\d{6}Z"), "<moment>"),
    (re.compile(r"(?<=, version )\d+\.\d+\.\d+\S*"), "<version>"),
    (re.compile(r"^nginx \d+\.\d+\.\d+ \(/\S+\)$", re.MULTILINE), "nginx <version> (<path>)"),
    (re.compile(r"^nginx \d+\.\d+\.\d+(?=: .* proven;)", re.MULTILINE), "nginx <version>"),
    (
        re.compile(r"^  ! loopback: (?:.+\n)+", re.MULTILINE),
        "  ! <what this machine's loopback cannot show>\n",
    ),
)
"""What differs from one day, release or machine to the next; the folders of this run are masked as well."""
TIMEOUT_S = 120
HERE = {None, *filter(lambda name: shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin"), ("nginx",))}


@dataclass(frozen=True, slots=True)
class Row:
    """A command, and how what it leaves is written down."""

    name: str
    argv: str
    runs: tuple[str, ...] = ()
    """Kept runs that lie in results/; RUN+CHANGE is one with a change of place.py."""
    stdin: str | None = None
    """A file of the folder, read as standard input."""
    json: str | None = None
    """How JSON on stdout is written down: flat, kinds (and a trial flat), or paths (of live runs)."""
    opaque: tuple[str, ...] = ()
    """Paths below which a live run's JSON differs from machine to machine."""
    pages: tuple[str, ...] = ()
    """HTML files that are read."""
    texts: tuple[str, ...] = ()
    """Text files that are read."""
    pictures: bool = False
    """Whether the data of what is drawn is written down."""
    process: bool = False
    """Whether it needs a process of its own: it starts others."""
    codes: tuple[int, ...] = ()
    """The exit codes that a live run may have: a busy machine makes it invalid."""
    needs: str | None = None
    """A program without which the command cannot be tried."""


@dataclass(frozen=True, slots=True)
class Done:
    """What a command left."""

    code: int
    out: str
    err: str
    drawn: tuple[Figure, ...] = ()


def rows() -> Iterator[Row]:
    """Yield the rows of commands.toml."""
    table = tomllib.loads((Path(__file__).parent / "commands.toml").read_text(encoding="utf-8"))
    for values in table["command"]:
        row: dict[str, Any] = {
            key: tuple(each) if isinstance(each, list) else each for key, each in values.items()
        }
        yield Row(**row)


ROWS = tuple(rows())


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current folder, on a machine of one width, time zone and language, without proxies."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    time.tzset()
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_a_command_prints_what_it_printed(
    row: Row,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    if row.needs is not None and row.needs not in HERE:
        needs.skip(row.needs)
    furnish(place, row.runs)
    before = files(place)
    done = in_process(row) if row.process else here(row, monkeypatch, capsys)
    written = [name for name, state in files(place).items() if before.get(name) != state]
    said = masked("\n".join(told(row, done, written, place)) + "\n", place)
    golden = OUTPUTS / f"{row.name}.txt"
    if request.config.getoption("update_golden", default=False):
        golden.write_text(said, encoding="utf-8")
    expected = golden.read_text(encoding="utf-8").splitlines()
    difference = unified_diff(expected, said.splitlines(), str(golden), "now", lineterm="", n=1)
    if different := "\n".join(difference):
        pytest.fail(different, pytrace=False)


def test_each_output_belongs_to_a_command_and_each_command_is_there_once() -> None:
    names = [row.name for row in ROWS]
    assert sorted(names) == sorted(path.stem for path in OUTPUTS.iterdir())
    assert len({(row.argv, row.stdin) for row in ROWS}) == len(ROWS)


def here(row: Row, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Done:
    """Run the command in this process; keep the figures that it draws instead of rendering them."""
    drawn: dict[int, Figure] = {}

    def saved(figure: Figure, target: io.StringIO | io.BytesIO, **_: Any) -> None:
        drawn[id(figure)] = figure
        if isinstance(target, io.StringIO):
            target.write("<svg/>")

    typed = Path(row.stdin).read_bytes() if row.stdin else b""
    monkeypatch.setattr(Figure, "savefig", saved)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8"))
    monkeypatch.setattr(sys, "argv", shlex.split(row.argv))
    code: Any = 0
    try:
        cli.main()
    except SystemExit as exited:
        code = exited.code or 0
    out, err = capsys.readouterr()
    return Done(code, out, err, tuple(drawn.values()))


def in_process(row: Row) -> Done:
    """Run the command in a process of its own: it starts others."""
    argv = [sys.executable, "-m", *shlex.split(row.argv)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    return Done(done.returncode, done.stdout, done.stderr)


def told(row: Row, done: Done, written: list[str], place: Path) -> Iterator[str]:
    """Yield the lines of the golden file: a part for each thing that the command left."""
    yield f"$ {row.argv}{f' < {row.stdin}' if row.stdin else ''}"
    code = " or ".join(map(str, row.codes)) if done.code in row.codes else done.code
    yield f"exit code: {code}"
    try:
        yield from answer(row, done.out) if row.json else part("stdout", done.out)
    except ValueError:
        yield from part("stdout (no JSON)", done.out)
    yield from part("stderr", done.err)
    yield from part("files written", "\n".join(written))
    for name in row.texts:
        yield from part(name, (place / name).read_text(encoding="utf-8"))
    for name in row.pages:
        yield from part(f"page {name}", "\n".join(Page((place / name).read_text(encoding="utf-8")).lines))
    if row.pictures:
        for index, figure in enumerate(done.drawn, 1):
            yield from part(f"picture {index}", "\n".join(picture(figure)))


def part(name: str, text: str) -> Iterator[str]:
    """Yield a part of a golden file, unless it is empty."""
    if text.strip():
        yield f"--- {name}"
        yield from (line.rstrip() for line in text.rstrip("\n").split("\n"))


def answer(row: Row, out: str) -> Iterator[str]:
    """Yield the parts that stand for JSON on stdout."""
    lines = json_lines(out)
    value = lines[0] if lines is not None and len(lines) == 1 else json.loads(out)
    if row.json == "flat":
        yield from part("json", "\n".join(flat(value)))
    elif row.json == "paths":
        yield from part("json paths", "\n".join(paths(value, row.opaque)))
    else:
        yield from part("json kinds", "\n".join(kinds(value)))
        yield from part("json trials[0]", "\n".join(flat(value["trials"][0]) if "trials" in value else ()))


def masked(text: str, place: Path) -> str:
    """Return `text` without what differs from one machine, day or release to the next."""
    text = text.replace(str(place), "<place>").replace(str(ROOT), "<root>")
    for pattern, mask in MASKS:
        text = pattern.sub(mask, text)
    return text
