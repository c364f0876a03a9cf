"""Runs on disk that nobody wrote with bench: one line for each, and never in the way of the others."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.command_line import run
from tests.synthetic import KEEPALIVE, SHORT, write

HEADER = {
    "format": 2,
    "kind": "run",
    "plan": {"mode": "short", "subject": {"name": "nginx"}},
    "machine": {},
    "started": "",
}


def header(**changes: Any) -> bytes:
    return json.dumps({**HEADER, **changes}).encode() + b"\n"


def plan(**changes: Any) -> bytes:
    return header(plan={"subject": {}, **changes})


# What run.jsonl holds, and why it is no run.
TEXTS: dict[str, tuple[bytes, str]] = {
    "deep": (b'{"format": 2, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
    "deepish": (header(machine=json.loads('{"a":' * 50 + "1" + "}" * 50)), "is nested more than 32 deep"),
    "digits": (header(format=10**400), "format is a whole number of 1,329 bits"),
    "more-digits": (b'{"format": ' + b"9" * 5000 + b"}", "not the header of a run"),
    "load": (plan(load=None), "plan.load = None is not a table"),
    "rate": (plan(load={"rate": [5]}), "plan.load.rate = [5] is not a number or a text"),
    "close": (plan(backend={"close": 3}), "plan.backend.close = 3 is not a text"),
    "scenario": (header(kind="scenario", plan={"scenario": 3}), "plan.scenario = 3 is not a text"),
    "settings": (
        header(kind="scenario", plan={"scenario": "push", "settings": 3}),
        "plan.settings = 3 is not a table",
    ),
    "infinite": (header(machine={"load": float("inf")}), "Infinity is not a number"),
    "surrogate": (header(machine={"cpu": "\ud800"}), "is not valid Unicode"),
}
# What lies there instead of run.jsonl, and what is said of it.
THINGS: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "it is a named pipe (FIFO), not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "folder": (lambda path: path.mkdir(), "Is a directory"),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one good run and one of every bad kind."""
    tmp_path = tmp_path_factory.mktemp("results")
    write(tmp_path, {"short": SHORT, "keepalive": KEEPALIVE}, trials=1, duration_s=0.5)
    for name, (text, _) in TEXTS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.jsonl").write_bytes(text)
    for name, (make, _) in THINGS.items():
        (tmp_path / name).mkdir()
        make(tmp_path / name / "run.jsonl")
    return tmp_path


def test_bad_runs_are_listed_with_the_reason_and_good_ones_as_ever(results: Path) -> None:
    done = run("list", "-o", results)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "20260314T150926Z-both-asyncio" in done.stdout
    problems = [line for line in done.stdout.splitlines() if line.startswith("! ")]
    for name, (_, reason) in {**TEXTS, **THINGS}.items():
        (line,) = [line for line in problems if f"/{name}/run.jsonl" in line]
        assert reason in line
    listed = json.loads(run("list", "-o", results, "--json").stdout)
    assert sum("problem" in each for each in listed) == len(TEXTS) + len(THINGS) == len(listed) - 1


@pytest.mark.parametrize("name", [*TEXTS, *THINGS])
@pytest.mark.parametrize("command", ["show", "report", "compare"])
def test_a_bad_run_is_refused_in_one_line(command: str, name: str, results: Path) -> None:
    done = run(command, results / name)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"bench: {results / name / 'run.jsonl'}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("name", ["timeline.csv", "latency.hlog"])
def test_a_pipe_beside_a_run_is_damage(name: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"short": SHORT, "keepalive": KEEPALIVE}, trials=1, duration_s=0.5)
    (folder / name).unlink()
    os.mkfifo(folder / name)
    done = run("compare", folder, "--json")
    assert done.exit_code == 0
    (comparison,) = json.loads(done.stdout)["comparisons"]
    assert any(f"{name}: cannot be read: it is a named pipe" in each for each in comparison["warnings"])


EVIL = "\x1b[2J\x1b]0;owned\x07[/red]$\\frac{\u202egnp"


@pytest.mark.parametrize("command", ["show", "compare", "list", "report"])
def test_control_characters_of_a_run_are_shown_as_what_they_are(command: str, tmp_path: Path) -> None:
    folder = write(tmp_path, {"short": SHORT, "keepalive": KEEPALIVE}, trials=1, duration_s=0.5)
    first, *trials = (folder / "run.jsonl").read_text().splitlines()
    head, bodies = json.loads(first), [json.loads(line) for line in trials]
    head["machine"]["kernel"] = head["started"] = head["plan"]["subject"]["program"] = EVIL
    for each in bodies:
        each["subject"]["version"] = each["lab"] = EVIL
        each["warnings"] = [{"code": EVIL, "message": EVIL}]
    bodies.append(bodies[0] | {"mode": EVIL, "trial": 3})
    (folder / "run.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in (head, *bodies)))
    done = run(command, *(["-o", tmp_path] if command == "list" else [folder]))
    assert done.exit_code == 0, done.stderr
    shown = done.stdout + (
        (folder / "report.html").read_text(encoding="utf-8") if command == "report" else ""
    )
    assert r"\x1b[2J" in shown or command == "compare"
    assert not {"\x1b", "\x07", "\u202e"} & set(shown + done.stderr)
