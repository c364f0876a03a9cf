"""Run <-> `results/<time>-<mode>-<subject>/`, format 1: the header and the trials of one run.

The folder and its files are bench/folder.py's, timeline.csv and latency.hlog bench/series.py's; what the
values mean is in bench.record, what people read of them in bench.report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from bench import folder
from bench.errors import ResultsError
from bench.folder import Folder
from bench.plan import Plan
from bench.record import Latencies, Moment, Run, Trial

RUN_FILE = "run.jsonl"


@dataclass(frozen=True, slots=True)
class Listed:
    """A folder of a run, with the run or with the reason why it cannot be read."""

    directory: Path
    run: Run | None
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the object that `bench list --json` prints for it."""
        if self.run is None:
            return {"directory": str(self.directory), "problem": self.problem}
        return {
            "directory": str(self.directory),
            "started": self.run.started,
            "mode": self.run.plan.get("mode"),
            "subject": self.run.plan["subject"].get("name"),
            "trials": len(self.run.trials),
            "valid": sum(trial.valid for trial in self.run.trials),
            "interrupted": any(trial.interrupted for trial in self.run.trials),
        }


class Writer:
    """Writes one run, trial by trial, into a new folder of its own."""

    def __init__(self, folder: Folder, run: Run) -> None:
        self._folder = folder
        self._header = run
        self._trials: list[Trial] = []

    @classmethod
    def create(
        cls,
        root: Path,
        plan: Plan,
        machine: dict[str, Any],
        started: datetime | None = None,
        label: str | None = None,
    ) -> Writer:
        """Open a new folder under `root`, named after the moment and `label`, else the mode and the subject.

        ResultsError where that cannot be done. `started` defaults to now.
        """
        begun = (started or datetime.now(UTC)).astimezone(UTC)
        run = Run(plan.to_json(), machine, begun.isoformat(timespec="seconds"))
        header = {"plan": run.plan, "machine": run.machine, "started": run.started}
        return cls(
            Folder.create(root, label or f"{plan.mode}-{plan.subject.name}", begun, RUN_FILE, header), run
        )

    @property
    def directory(self) -> Path:
        """Return where the run is written."""
        return self._folder.directory

    @property
    def run(self) -> Run:
        """Return the run as far as it has been written."""
        directory = None if self._folder.is_empty else str(self.directory)
        return dataclasses.replace(self._header, trials=tuple(self._trials), directory=directory)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, trial: Trial, moments: Iterable[Moment], latencies: Iterable[Latencies]) -> None:
        """Append a trial that has ended, with its rows and histograms, and flush them."""
        self._folder.add(trial.to_json(), moments, latencies)
        self._trials.append(trial)

    def close(self) -> None:
        """Close the folder; nothing is left of one where no trial was recorded."""
        self._folder.close()


def read(path: Path) -> Run:
    """Return the run at `path`, a folder or its run.jsonl; lines that cannot be read are in `damage`.

    ResultsError where there is no run, its header is damaged, or its format is newer than ours.
    """
    file = path / RUN_FILE if path.is_dir() else path
    lines = folder.read(file, {"plan": dict, "machine": dict, "started": str}, _trial)
    plan, machine, started = (lines.header[key] for key in ("plan", "machine", "started"))
    if not isinstance(plan.get("subject"), dict):
        raise ResultsError(file, 1, "not the header of a run: plan.subject is no table")
    return Run(plan, machine, started, lines.trials, str(file.parent), lines.damage)


def runs(root: Path) -> list[Listed]:
    """Return each run under `root`, unreadable ones first, then the oldest."""
    if not root.is_dir():
        return []
    found: list[Listed] = []
    for directory in sorted(file.parent for file in root.glob(f"*/{RUN_FILE}")):
        try:
            found.append(Listed(directory, read(directory)))
        except ResultsError as error:
            found.append(Listed(directory, None, str(error)))
    return sorted(found, key=lambda each: each.run.started if each.run else "")


def latest(root: Path) -> Path:
    """Return the folder of the newest readable run under `root`; ResultsError where there is none."""
    readable = [each.directory for each in runs(root) if each.run is not None]
    if not readable:
        raise ResultsError(root, None, "holds no run; `bench run` makes one")
    return readable[-1]


def _trial(values: dict[str, Any]) -> Trial:
    trial = Trial.from_json(values)
    folder.checked(trial, Trial, "trial")
    return trial
