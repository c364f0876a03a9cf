"""The committed schema is that of the types, and every kept run is valid by it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest

from bench.runs import read, schema

RESULTS = Path(schema.__file__).parents[2] / "results"
KEPT = sorted(RESULTS.glob("*/run.jsonl"))
# Rooms that can start a process, and libraries that are slow to import.
KEPT_OUT = ("lab", "load", "subjects", "experiment", "scenarios", "observe", "machine")
SLOW = ("numpy", "scipy", "matplotlib", "aiohttp", "uvloop")


def test_the_committed_schema_is_current() -> None:
    assert (RESULTS / "schema.json").read_text(encoding="utf-8") == schema.text(), "make schema writes it"


def test_there_are_kept_runs_of_every_kind() -> None:
    assert {read.read(file).kind for file in KEPT} == {"run", "scenario", "sweep", "watch"}


@pytest.mark.parametrize("file", KEPT, ids=[file.parent.name for file in KEPT])
def test_a_kept_run_is_valid_and_can_be_read(file: Path) -> None:
    whole = schema.schema()
    header, *trials = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    trials_of = {
        "run": "Trial",
        "scenario": "ScenarioTrial",
        "sweep": "SweepTrial",
        "watch": "WatchTrial",
    }
    kind = trials_of[header["kind"]]
    for name, lines in (("RunHeader", [header]), (kind, trials)):
        validator = jsonschema.Draft202012Validator({**whole, "anyOf": [{"$ref": f"#/$defs/{name}"}]})
        assert [error.message for line in lines for error in validator.iter_errors(line)] == []
    run = read.read(file)
    assert (run.damage, len(run.trials)) == ((), len(trials))


def test_a_value_of_the_wrong_type_is_not_valid() -> None:
    validator = jsonschema.Draft202012Validator(schema.schema())
    header = {"format": 2, "kind": "run", "plan": {}, "machine": {}, "started": ""}
    assert validator.is_valid(header)
    assert not validator.is_valid({**header, "kind": "incident"})
    assert not validator.is_valid({**header, "plan": None})


def test_reading_and_comparing_runs_imports_nothing_that_starts_a_process() -> None:
    code = (
        "import sys, pathlib; from bench.runs import read, timeline\n"
        "from bench.analysis import ceiling, compare, conditions, sides\n"
        "for file in sys.argv[1:]:\n"
        "    assert read.read(pathlib.Path(file)).trials\n"
        "    assert timeline.read(pathlib.Path(file))\n"
        "print(*sys.modules)"
    )
    kinds = {read.read(file).kind: str(file) for file in KEPT}
    loaded = subprocess.run(
        [sys.executable, "-c", code, *kinds.values()], capture_output=True, text=True, check=True
    ).stdout.split()
    rooms = {name.removeprefix("bench.").partition(".")[0] for name in loaded if name.startswith("bench.")}
    assert rooms <= {"errors", "units", "plan", "runs", "analysis"}
    assert rooms.isdisjoint(KEPT_OUT)
    assert [name for name in SLOW if name in loaded] == []
