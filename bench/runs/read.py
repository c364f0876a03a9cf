"""Run <-> `results/<time>-<mode>-<subject>/`, format 2: the header and the trials of one run.

The folder and its files are storage.py's, timeline.csv and latency.hlog timeline.py's.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.errors import ResultsError
from bench.plan.run_plan import Plan
from bench.runs import storage
from bench.runs.record import Run, Trial
from bench.runs.storage import Listed
from bench.runs.writer import Writer

RUN_FILE = "run.jsonl"


def create(
    root: Path,
    plan: Plan,
    machine: dict[str, Any],
    started: datetime | None = None,
    label: str | None = None,
) -> Writer[Run]:
    """Open a new folder under `root`, named after the moment and `label`, else the mode and the subject.

    ResultsError where that cannot be done. `started` defaults to now.
    """
    begun = (started or datetime.now(UTC)).astimezone(UTC)
    run = Run(plan.to_json(), machine, begun.isoformat(timespec="seconds"))
    return Writer(root, label or f"{plan.mode}-{plan.subject.name}", begun, RUN_FILE, run)


def read(path: Path) -> Run:
    """Return the run at `path`, a folder or its run.jsonl; lines that cannot be read are in `damage`.

    ResultsError where there is no run, its header is damaged, or its format is newer than ours.
    """
    file = path / RUN_FILE if path.is_dir() else path
    lines = storage.read(file, {"plan": dict, "machine": dict, "started": str}, Trial)
    plan, machine, started = (lines.header[key] for key in ("plan", "machine", "started"))
    if not isinstance(plan.get("subject"), dict):
        raise ResultsError(file, 1, "not the header of a run: plan.subject is no table")
    return Run(plan, machine, started, lines.trials, str(file.parent), lines.damage)


def runs(root: Path) -> list[Listed[Run]]:
    """Return each run under `root`, unreadable ones first, then the oldest."""
    found = storage.listed(root, RUN_FILE, read)
    return sorted(found, key=lambda each: each.run.started if each.run else "")


def latest(root: Path) -> Path:
    """Return the folder of the newest readable run under `root`; ResultsError where there is none."""
    readable = [each.directory for each in runs(root) if each.run is not None]
    if not readable:
        raise ResultsError(root, None, "holds no run; `bench run` makes one")
    return readable[-1]


def outline(listed: Listed[Run]) -> dict[str, Any]:
    """Return the object that `bench list --json` prints for a run."""
    return storage.outline(
        listed, lambda run: {"mode": run.plan.get("mode"), "subject": run.plan["subject"].get("name")}
    )
