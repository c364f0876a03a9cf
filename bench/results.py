"""Run <-> `results/<time>-<mode>-<subject>/`, format 1: the folder, its header and its trials.

The format is told in results/README.md. timeline.csv and latency.hlog are bench/series.py's, what the
values mean is in bench.record, what people read of them in bench.report.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import typing
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, TracebackType, UnionType
from typing import IO, Any

from bench import series
from bench.errors import ResultsError
from bench.plan import Plan
from bench.record import FORMAT, Latencies, Moment, Run, Trial

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
    """Writes one run, trial by trial, into a new folder of its own; whatever is on disk is readable.

    A trial's line in run.jsonl is written last: where it stands, its other rows are complete. A run that
    ends without a trial leaves no folder.
    """

    def __init__(self, directory: Path, run: Run) -> None:
        """Open the files of `run` in `directory`, which holds none of them yet, and write the headers."""
        self.directory = directory
        self._header = run
        self._trials: list[Trial] = []
        self._files: list[IO[str]] = []
        self._run = self._open(RUN_FILE)
        self._timeline = self._open(series.TIMELINE_FILE)
        self._latency = self._open(series.LATENCY_FILE)
        header = {"format": FORMAT, "plan": run.plan, "machine": run.machine, "started": run.started}
        _append(self._run, _line(header))
        _append(self._timeline, series.timeline_head())
        _append(self._latency, series.LATENCY_HEAD)

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
        name = label or f"{plan.mode}-{plan.subject.name}"
        begun = (started or datetime.now(UTC)).astimezone(UTC)
        run = Run(plan.to_json(), machine, begun.isoformat(timespec="seconds"))
        try:
            return cls(_new_directory(root, f"{begun:%Y%m%dT%H%M%SZ}-{name}"), run)
        except OSError as error:
            reason = f"cannot be written to: {error.strerror}; choose another folder with -o"
            raise ResultsError(root, None, reason) from error

    @property
    def run(self) -> Run:
        """Return the run as far as it has been written."""
        directory = str(self.directory) if self._trials else None
        return dataclasses.replace(self._header, trials=tuple(self._trials), directory=directory)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, trial: Trial, moments: Iterable[Moment], latencies: Iterable[Latencies]) -> None:
        """Append a trial that has ended, with its rows and histograms, and flush them."""
        try:
            _append(self._latency, series.latency_lines(latencies))
            _append(self._timeline, series.timeline_lines(moments))
            _append(self._run, _line(trial.to_json()))
            self._trials.append(trial)
        except OSError as error:
            raise ResultsError(
                self.directory, None, f"cannot be written to: {error.strerror}; make room and run again"
            ) from error

    def close(self) -> None:
        """Close the files; remove them, and their folder, where no trial was recorded."""
        files, self._files = self._files, []
        for file in files:
            file.close()
            if not self._trials:
                os.unlink(file.name)
        if files and not self._trials:
            self.directory.rmdir()

    def _open(self, name: str) -> IO[str]:
        file = open(self.directory / name, "x", encoding="utf-8", newline="")  # noqa: SIM115
        self._files.append(file)
        return file


def read(path: Path) -> Run:
    """Return the run at `path`, a folder or its run.jsonl; lines that cannot be read are in `damage`.

    ResultsError where there is no run, its header is damaged, or its format is newer than ours.
    """
    file = path / RUN_FILE if path.is_dir() else path
    lines = series.numbered_lines(file)
    plan, machine, started = _header(file, next(lines, (1, "")))
    trials: list[Trial] = []
    damage: list[str] = []
    for number, text in lines:
        try:
            trials.append(_trial(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            damage.append(str(ResultsError(file, number, f"not a trial: {_why(error)}; left out")))
    return Run(plan, machine, started, tuple(trials), str(file.parent), tuple(damage))


def runs(root: Path) -> list[Listed]:
    """Return each run under `root`, unreadable ones first, then the oldest."""
    if not root.is_dir():
        return []
    found: list[Listed] = []
    for folder in sorted(file.parent for file in root.glob(f"*/{RUN_FILE}")):
        try:
            found.append(Listed(folder, read(folder)))
        except ResultsError as error:
            found.append(Listed(folder, None, str(error)))
    return sorted(found, key=lambda each: each.run.started if each.run else "")


def latest(root: Path) -> Path:
    """Return the folder of the newest readable run under `root`; ResultsError where there is none."""
    readable = [each.directory for each in runs(root) if each.run is not None]
    if not readable:
        raise ResultsError(root, None, "holds no run; `bench run` makes one")
    return readable[-1]


def _new_directory(root: Path, stem: str) -> Path:
    """Create a folder that nobody else has: runs may start within the same second."""
    root.mkdir(parents=True, exist_ok=True)
    attempt = 1
    while True:
        directory = root / (stem if attempt == 1 else f"{stem}-{attempt}")
        try:
            directory.mkdir()
        except FileExistsError:
            attempt += 1
        else:
            return directory


def _append(file: IO[str], text: str) -> None:
    file.write(text)
    file.flush()


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n"


def _header(file: Path, numbered: tuple[int, str]) -> tuple[dict[str, Any], dict[str, Any], str]:
    number, text = numbered
    try:
        header = _object(text)
        known = header["format"]
        if not isinstance(known, int) or known < 1:
            raise ValueError(f"format is {known!r}, not a number from 1")
        if known > FORMAT:
            raise ResultsError(
                file, number, f"is in format {known}, and this bench reads up to {FORMAT}; use a newer bench"
            )
        plan, machine, started = header["plan"], header["machine"], header["started"]
        if not (isinstance(plan, dict) and isinstance(machine, dict) and isinstance(started, str)):
            raise ValueError("plan, machine or started is of the wrong type")
        _checked(plan.get("subject"), dict[str, Any], "plan.subject")
    except (ValueError, KeyError) as error:
        raise ResultsError(file, number, f"not the header of a run: {_why(error)}") from error
    return plan, machine, started


def _trial(text: str) -> Trial:
    trial = Trial.from_json(_object(text))
    _checked(trial, Trial, "trial")
    return trial


def _object(text: str) -> dict[str, Any]:
    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not a number")

    values = json.loads(text, parse_constant=refuse)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return values


def _checked(value: Any, kind: Any, name: str) -> None:
    """Raise ValueError where `value` is not of the annotated `kind`, down to the last field."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return
    if origin is UnionType:
        if value is not None or NoneType not in arguments:
            _checked(value, next(each for each in arguments if each is not NoneType), name)
    elif dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        for each in dataclasses.fields(kind):
            _checked(getattr(value, each.name), hints[each.name], f"{name}.{each.name}")
    elif origin in (dict, tuple) and isinstance(value, origin):
        for key, item in value.items() if origin is dict else enumerate(value):
            _checked(item, arguments[1] if origin is dict else arguments[0], f"{name}.{key}")
    else:
        wanted = (int, float) if kind is float else origin or kind
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name} is {value!r}, which is no {getattr(kind, '__name__', kind)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}, which is no finite number")


def _why(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
