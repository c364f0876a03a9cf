"""A scenario's run on disk: what was written is read again, and damage is reported by file and line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import ResultsError
from bench.runs import read, storage
from bench.runs.record import Refused, ScenarioRun
from tests.scenarios.sample_scenario import SCENARIO, trial


def written(root: Path, *trials: int) -> ScenarioRun:
    """Write a run with so many trials, and return it."""
    refused = [Refused("bag", "nginx", "has no kettle")]
    with storage.create(root, SCENARIO.plan({}).to_json(), {"cores": 2}, refused=refused) as writer:
        for number in trials:
            writer.add(trial(number, "bag"), [], [])
        return writer.run


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    run = written(tmp_path, 1, 2)
    (listed,) = read.runs(tmp_path)
    directory = listed.directory
    assert directory.name.endswith("-scenario-tea")
    again = read.read(directory)
    assert again.trials == run.trials
    assert json.dumps(again.plan) == json.dumps(run.plan)
    assert (again.machine, again.started) == (run.machine, run.started)
    assert (again.scenario, again.refused, again.damage) == ("tea", run.refused, ())


def test_a_run_without_a_trial_leaves_nothing(tmp_path: Path) -> None:
    assert written(tmp_path).directory is None
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_line_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    directory = Path(str(written(tmp_path, 1, 2, 3).directory))
    file = directory / storage.RUN_FILE
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace('"units":10', '"units":"ten"')
    file.write_text("\n".join([*lines, '{"half of a li']))
    run = read.read(directory)
    assert [each.trial for each in run.trials] == [1, 3]
    assert [line.removeprefix(f"{file}:").partition(":")[0] for line in run.damage] == ["3", "5"]
    assert "trial.units = 'ten' is not a whole number" in run.damage[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 3}, "format 3, and this bench reads format 2"),
        ({"plan": {}}, "plan.scenario is missing"),
        ({"plan": {"scenario": 7}}, "plan.scenario = 7 is not a text"),
        ({"refused": [{"variant": "bag"}]}, "refused.0.subject is missing"),
        ({"machine": None}, "machine = None is not a table"),
    ],
)
def test_a_header_that_is_none_stops_the_reading(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    file = Path(str(written(tmp_path, 1).directory)) / storage.RUN_FILE
    header, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(header), **change}), *rest]))
    with pytest.raises(ResultsError) as refused:
        read.read(file)
    assert message in str(refused.value)


def test_every_field_of_a_trial_survives(tmp_path: Path) -> None:
    whole = replace(trial(1, "bag"), overhead_s=0.5, interrupted=True, valid=False)
    with storage.create(tmp_path, SCENARIO.plan({}).to_json(), {}) as writer:
        writer.add(whole, [], [])
    (listed,) = read.runs(tmp_path)
    directory = listed.directory
    assert read.read(directory).trials == (whole,)
