"""The folder of a run on disk: `run.jsonl`, a timeline and latencies, each trial flushed as it ends.

The format is described in results/README.md.
"""

import contextlib
import csv
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from bench.errors import WriteError, write_error
from bench.runs import timeline
from bench.runs.machine_record import MachineRecord
from bench.runs.record import Latencies, Moment, Refused, RunRecord, TrialRecord
from bench.runs.target_record import TargetRecord

RUN_FILE = "run.jsonl"
_BLOCK = 1 << 16


def create(
    root: Path,
    plan: Mapping[str, Any],
    machine: Mapping[str, Any],
    *,
    label: str | None = None,
    started: datetime | None = None,
    refused: Sequence[Refused] = (),
    target: TargetRecord | None = None,
    interleaved: str | None = None,
    grid: Mapping[str, Sequence[Any]] | None = None,
    objective: Mapping[str, Any] | None = None,
    most_blocks: int | None = None,
    machines: Sequence[MachineRecord] = (),
) -> "Writer":
    """Open a new folder under `root` for a run of `plan`, as plain values, and return its writer.

    It is named after the moment, `started` or now, and `label`, by default what the plan is of.
    WriteError where that cannot be done.
    """
    begun = (started or datetime.now(UTC)).astimezone(UTC)
    run: RunRecord[Any] = RunRecord(
        dict(plan),
        dict(machine),
        begun.isoformat(timespec="seconds"),
        refused=tuple(refused),
        interleaved=interleaved,
        most_blocks=most_blocks,
        target=target,
        grid={key: list(values) for key, values in (grid or {}).items()},
        objective=dict(objective or {}),
        machines=tuple(machines),
    )
    return Writer(make_folder(root, begun, label or _label(run)), run)


def make_folder(root: Path, begun: datetime, label: str) -> Path:
    """Make a new folder under `root`, named after a moment (UTC) and `label`; WriteError where that fails."""
    try:
        return _new_directory(root, f"{begun:%Y%m%dT%H%M%SZ}-{label}")
    except OSError as error:
        raise write_error(root, error, "choose another folder with -o", "cannot be written to") from error


def create_at(directory: Path, plan: Mapping[str, Any], machine: Mapping[str, Any]) -> "Writer":
    """Open `directory`, which is new or empty, for a run of `plan` that begins now, and return its writer.

    WriteError where it cannot be written, or holds anything.
    """
    run: RunRecord[Any] = RunRecord(
        dict(plan), dict(machine), datetime.now(UTC).isoformat(timespec="seconds")
    )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise WriteError(directory, None, "is not empty; name a new folder")
        return Writer(directory, run)
    except OSError as error:
        raise write_error(directory, error, "choose another folder", "cannot be written to") from error


def reopen(run: RunRecord[Any]) -> "Writer":
    """Open the folder of a `run` that was read, to add trials to it; WriteError where that cannot be done."""
    directory = Path(str(run.directory))
    try:
        for name in (RUN_FILE, timeline.TIMELINE_FILE, timeline.LATENCY_FILE):
            _cut_off_last_line(directory / name)
        return Writer(directory, run)
    except OSError as error:
        raise write_error(directory, error, "make it writable", "cannot be written to") from error


class Writer:
    """A run that is being written, trial by trial, into a folder of its own. States: open, closed.

    A trial's line is written last: where it stands, its other rows are complete. A run that ends without a
    trial leaves no folder. A trial that the disk has no room for is part of the run, but not of its files.
    """

    def __init__(self, directory: Path, header: RunRecord[Any]) -> None:
        """Open the files in `directory`, which holds none of them yet, or those of the trials of `header`."""
        self.directory = directory
        self._header = header
        self.problem: str | None = None
        """Why the run ended early, where something failed."""
        self._trials: list[TrialRecord] = list(header.trials)
        self._unwritten: list[TrialRecord] = []
        self._files: list[IO[str]] = []
        try:
            self._lines = self._open(RUN_FILE)
            self._timeline = self._open(timeline.TIMELINE_FILE)
            self._latency = self._open(timeline.LATENCY_FILE)
            self._rows = csv.writer(self._timeline, lineterminator="\n")
            if not header.trials:
                _append(self._lines, _line(dataclasses.asdict(header.header())))
                self._rows.writerow(timeline.COLUMNS)
                self._timeline.flush()
                _append(self._latency, timeline.LATENCY_HEAD)
        except OSError:
            self.close()
            raise

    def __enter__(self) -> "Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def run(self) -> RunRecord[Any]:
        """Return the run as far as it has been measured."""
        directory = str(self.directory) if self._trials else None
        trials = (*self._trials, *self._unwritten)
        return dataclasses.replace(self._header, trials=trials, directory=directory, problem=self.problem)

    def add(self, trial: TrialRecord, moments: Iterable[Moment], latencies: Iterable[Latencies]) -> None:
        """Append a trial that has ended, with its rows and histograms, and flush; WriteError on failure."""
        try:
            _append(self._latency, "".join(map(timeline.to_log_line, latencies)))
            self._rows.writerows(map(timeline.to_cells, moments))
            self._timeline.flush()
            _append(self._lines, _line(trial.to_json()))
            self._trials.append(trial)
        except OSError as error:
            self._unwritten.append(trial)
            remedy = f"trial {trial.trial} is not in it; make room and run again"
            raise write_error(self.directory, error, remedy, "cannot be written to") from error

    def close(self) -> None:
        """Close the files; remove them, and their folder, where no trial was recorded."""
        files, self._files = self._files, []
        for file in files:
            # What could not be written when it was flushed cannot be now, and was told then.
            with contextlib.suppress(OSError):
                file.close()
            if not self._trials:
                os.unlink(file.name)
        if files and not self._trials:
            self.directory.rmdir()

    def _open(self, name: str) -> IO[str]:
        mode = "a" if self._trials else "x"
        file = open(self.directory / name, mode, encoding="utf-8", newline="")  # noqa: SIM115
        self._files.append(file)
        return file


def _label(run: RunRecord[Any]) -> str:
    if run.kind == "sweep":
        return f"sweep-{'-'.join(key.rpartition('.')[2].replace('_', '-') for key in run.grid)}"
    if run.kind == "scenario":
        return f"scenario-{run.scenario}"
    if run.kind == "watch":
        return "watch"
    subject = run.plan["subject"]
    return f"{run.plan['mode']}-{'target' if subject.get('target') else subject['name']}"


def _new_directory(root: Path, stem: str) -> Path:
    """Create a folder that no other run has: runs may start within the same second."""
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


def _cut_off_last_line(path: Path) -> None:
    """Cut off what stands behind the last line's end: a line that was being written when its process died."""
    with open(path, "r+b") as file:
        size = end = file.seek(0, os.SEEK_END)
        while end:
            begin = max(0, end - _BLOCK)
            file.seek(begin)
            found = file.read(end - begin).rfind(b"\n")
            if found >= 0:
                end = begin + found + 1
                break
            end = begin
        if end < size:
            file.truncate(end)


def _append(file: IO[str], text: str) -> None:
    file.write(text)
    file.flush()


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n"
