"""ScenarioRun <-> `results/<time>-scenario-<name>/`, format 2."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import ResultsError
from bench.plan.scenario_plan import ScenarioPlan
from bench.runs import from_dict, storage
from bench.runs.scenario_record import Refused, ScenarioRun, ScenarioTrial
from bench.runs.storage import Listed
from bench.runs.writer import Writer

RUN_FILE = "scenario.jsonl"


def create(
    root: Path, plan: ScenarioPlan, machine: dict[str, Any], refused: Sequence[Refused]
) -> Writer[ScenarioRun]:
    """Open a new folder under `root`; ResultsError where that cannot be done."""
    begun = datetime.now(UTC)
    started = begun.isoformat(timespec="seconds")
    run = ScenarioRun(plan.to_json(), machine, started, refused=tuple(refused))
    return Writer(root, f"scenario-{plan.scenario}", begun, RUN_FILE, run)


def read(path: Path) -> ScenarioRun:
    """Return the run at `path`, a folder or its scenario.jsonl; lines that cannot be read are in `damage`.

    ResultsError where there is no run, its header is damaged, or its format is newer than ours.
    """
    file = path / RUN_FILE if path.is_dir() else path
    keys = {"plan": dict, "machine": dict, "started": str, "refused": list}
    lines = storage.read(file, keys, ScenarioTrial)
    plan, machine, started, told = (lines.header[key] for key in keys)
    try:
        refused = tuple(from_dict.build(Refused, each, "refused") for each in told)
        name = plan["scenario"]
    except (KeyError, ValueError) as error:
        raise ResultsError(file, 1, f"not the header of a scenario's run: {error}") from error
    if not isinstance(name, str):
        raise ResultsError(file, 1, f"not the header of a scenario's run: plan.scenario is {name!r}")
    return ScenarioRun(
        plan, machine, started, lines.trials, str(file.parent), damage=lines.damage, refused=refused
    )


def is_run(path: Path) -> bool:
    """Return whether `path` is the folder, or the file, of a scenario's run."""
    return (path / RUN_FILE).is_file() or path.name == RUN_FILE


def runs(root: Path) -> list[Listed[ScenarioRun]]:
    """Return each run of a scenario under `root`, the oldest first."""
    return storage.listed(root, RUN_FILE, read)


def outline(listed: Listed[ScenarioRun]) -> dict[str, Any]:
    """Return the object that `bench list --json` prints for a scenario's run."""
    return storage.outline(listed, lambda run: {"scenario": run.scenario})
