"""That each reference run of results/ has the plan of the command that makes it anew."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.cli import bench
from tests.perf.references import COMMANDS, RESULTS

ROOT = Path(__file__).parents[2]
OTHERWISE = {"reference-watch-before", "reference-watch-after"}
OF_THE_COMMAND = {name: command for name, command in COMMANDS.items() if name != "reference-incident"}


def header(name: str) -> dict[str, Any]:
    with (ROOT / RESULTS / name / "run.jsonl").open(encoding="utf-8") as file:
        known: dict[str, Any] = json.loads(file.readline())
    return known


def plan(*words: str) -> dict[str, Any]:
    done = CliRunner().invoke(bench, list(words))
    assert done.exit_code == 0, done.output
    return tomllib.loads(done.stdout)


def test_every_reference_run_has_its_command() -> None:
    made = {run.parent.name for run in (ROOT / RESULTS).glob("reference*/run.jsonl")}
    incidents = {"reference-incident-at-once", "reference-incident-linger"}
    assert made - OTHERWISE - incidents == set(OF_THE_COMMAND)


@pytest.mark.parametrize(
    "name", [name for name, command in COMMANDS.items() if command.startswith("scenario ")]
)
def test_the_run_of_a_scenario_has_the_plan_of_its_command(name: str) -> None:
    kept, made = header(name)["plan"], plan(*shlex.split(COMMANDS[name]), "--dry-run")
    for key in ("scenario", "trials", "variants", "subjects"):
        assert kept[key] == made[key], key
    assert kept["settings"] == {key: made["settings"][key] for key in kept["settings"]}


@pytest.mark.parametrize("name", ["reference", "reference-sweep"])
def test_a_run_has_the_plan_of_its_command(name: str) -> None:
    # The plan of a sweep is that of its first cell.
    first = re.sub(r"--vary ([a-z-]+)=(\d+)\S*", r"--\1 \2", COMMANDS[name])
    kept, made = header(name)["plan"], plan("plan", *shlex.split(first)[1:])
    assert kept["trials"] == made["trials"]
    for part in ("subject", "load", "backend"):
        assert {key: kept[part][key] for key in made[part]} == made[part]
