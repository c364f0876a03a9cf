"""A scenario's run on disk: what was written is read again, and damage is told by file and line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.errors import ResultsError
from bench.plan import scenario_plan as plans
from bench.runs import read_scenario
from bench.runs.scenario_record import Refused, ScenarioRun
from scenarios.made_up import SCENARIO, trial


def written(root: Path, *trials: int) -> ScenarioRun:
    """Write a run with so many trials, and return it."""
    refused = [Refused("bag", "nginx", "has no kettle")]
    with read_scenario.create(root, plans.build(SCENARIO, {}), {"cores": 2}, refused) as writer:
        for number in trials:
            writer.add(trial(number, "bag"), [], [])
        return writer.run


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    run = written(tmp_path, 1, 2)
    (listed,) = read_scenario.runs(tmp_path)
    directory = listed.directory
    assert directory.name.endswith("-scenario-tea")
    read = read_scenario.read(directory)
    assert json.dumps(read.to_json()) == json.dumps(run.to_json())
    assert read.trials == run.trials
    assert (read.scenario, read.refused, read.damage) == ("tea", run.refused, ())


def test_a_run_without_a_trial_leaves_nothing(tmp_path: Path) -> None:
    assert written(tmp_path).directory is None
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_line_is_named_and_the_rest_is_read(tmp_path: Path) -> None:
    directory = Path(str(written(tmp_path, 1, 2, 3).directory))
    file = directory / read_scenario.RUN_FILE
    lines = file.read_text().splitlines()
    lines[2] = lines[2].replace('"units":10', '"units":"ten"')
    file.write_text("\n".join([*lines, '{"half of a li']))
    read = read_scenario.read(directory)
    assert [each.trial for each in read.trials] == [1, 3]
    assert [line.removeprefix(f"{file}:").partition(":")[0] for line in read.damage] == ["3", "5"]
    assert "trial.units is 'ten'" in read.damage[0]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 3}, "format 3, and this bench reads up to 2"),
        ({"plan": {}}, "not the header of a scenario's run: 'scenario'"),
        ({"plan": {"scenario": 7}}, "plan.scenario is 7"),
        ({"refused": [{"variant": "bag"}]}, "not the header of a scenario's run"),
        ({"machine": None}, "machine is of the wrong type"),
    ],
)
def test_a_header_that_is_none_stops_the_reading(
    tmp_path: Path, change: dict[str, object], says: str
) -> None:
    file = Path(str(written(tmp_path, 1).directory)) / read_scenario.RUN_FILE
    header, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(header), **change}), *rest]))
    with pytest.raises(ResultsError) as refused:
        read_scenario.read(file)
    assert says in str(refused.value)


def test_every_field_of_a_trial_survives(tmp_path: Path) -> None:
    whole = replace(trial(1, "bag"), overhead_s=0.5, interrupted=True, valid=False)
    with read_scenario.create(tmp_path, plans.build(SCENARIO, {}), {}, []) as writer:
        writer.add(whole, [], [])
    (listed,) = read_scenario.runs(tmp_path)
    directory = listed.directory
    assert read_scenario.read(directory).trials == (whole,)
