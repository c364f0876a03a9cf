"""ScenarioRun <-> `results/<time>-scenario-<name>/`, format 1; the folder itself is bench/folder.py's."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import folder
from bench.errors import ResultsError
from bench.folder import Folder
from bench.record import Latencies, Moment
from bench.scenarios.plan import ScenarioPlan
from bench.scenarios.record import Refused, ScenarioRun, ScenarioTrial

RUN_FILE = "scenario.jsonl"


class Writer:
    """Writes one run, trial by trial, into a new folder of its own."""

    def __init__(self, opened: Folder, run: ScenarioRun) -> None:
        self._folder = opened
        self._header = run
        self._trials: list[ScenarioTrial] = []

    @classmethod
    def create(
        cls, root: Path, plan: ScenarioPlan, machine: dict[str, Any], refused: Sequence[Refused]
    ) -> Writer:
        """Open a new folder under `root`; ResultsError where that cannot be done."""
        begun = datetime.now(UTC)
        run = ScenarioRun(plan.to_json(), machine, begun.isoformat(timespec="seconds"), tuple(refused))
        header = {
            "plan": run.plan,
            "machine": machine,
            "started": run.started,
            "refused": [dataclasses.asdict(each) for each in refused],
        }
        return cls(Folder.create(root, f"scenario-{plan.scenario}", begun, RUN_FILE, header), run)

    @property
    def directory(self) -> Path:
        """Return where the run is written."""
        return self._folder.directory

    @property
    def run(self) -> ScenarioRun:
        """Return the run as far as it has been written."""
        directory = None if self._folder.is_empty else str(self.directory)
        return dataclasses.replace(self._header, trials=tuple(self._trials), directory=directory)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.close()

    def add(self, trial: ScenarioTrial, moments: Iterable[Moment], latencies: Iterable[Latencies]) -> None:
        """Append a trial that has ended, with its rows and histograms, and flush them."""
        self._folder.add(trial.to_json(), moments, latencies)
        self._trials.append(trial)


def read(path: Path) -> ScenarioRun:
    """Return the run at `path`, a folder or its scenario.jsonl; lines that cannot be read are in `damage`.

    ResultsError where there is no run, its header is damaged, or its format is newer than ours.
    """
    file = path / RUN_FILE if path.is_dir() else path
    lines = folder.read(file, {"plan": dict, "machine": dict, "started": str, "refused": list}, _trial)
    try:
        refused = tuple(Refused(**each) for each in lines.header["refused"])
        name = lines.header["plan"]["scenario"]
    except (KeyError, TypeError) as error:
        raise ResultsError(file, 1, f"not the header of a scenario's run: {error}") from error
    if not isinstance(name, str):
        raise ResultsError(file, 1, f"not the header of a scenario's run: plan.scenario is {name!r}")
    header = lines.header
    return ScenarioRun(
        header["plan"],
        header["machine"],
        header["started"],
        refused,
        lines.trials,
        str(file.parent),
        lines.damage,
    )


def is_run(path: Path) -> bool:
    """Return whether `path` is the folder, or the file, of a scenario's run."""
    return (path / RUN_FILE).is_file() or path.name == RUN_FILE


def listed(root: Path) -> list[tuple[Path, ScenarioRun | None, str | None]]:
    """Return each run under `root`, the oldest first, or the reason why it cannot be read."""
    found: list[tuple[Path, ScenarioRun | None, str | None]] = []
    for directory in directories(root):
        try:
            found.append((directory, read(directory), None))
        except ResultsError as error:
            found.append((directory, None, str(error)))
    return found


def directories(root: Path) -> list[Path]:
    """Return the folders of scenarios' runs under `root`, the oldest first."""
    return sorted(file.parent for file in root.glob(f"*/{RUN_FILE}"))


def _trial(values: dict[str, Any]) -> ScenarioTrial:
    trial = ScenarioTrial.from_json(values)
    folder.checked(trial, ScenarioTrial, "trial")
    return trial
