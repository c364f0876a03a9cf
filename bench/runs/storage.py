"""The folder of a run: JSON lines, a timeline and latencies, each trial flushed as it ends; and its reading.

Knows no kind of trial: what the lines mean is read.py's. The format
is told in results/README.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

from bench.errors import ResultsError
from bench.runs import from_dict, timeline
from bench.runs.record import FORMAT, Latencies, Moment

T = TypeVar("T")


class Folder:
    """A new folder of its own for one run; whatever is on disk is readable.

    A trial's line is written last: where it stands, its other rows are complete. A run that ends without a
    trial leaves no folder.
    """

    def __init__(self, directory: Path, lines: str, header: Mapping[str, Any]) -> None:
        """Open the files in `directory`, which holds none of them yet; `lines` names that of the trials."""
        self.directory = directory
        self._trials = 0
        self._files: list[IO[str]] = []
        self._lines = self._open(lines)
        self._timeline = self._open(timeline.TIMELINE_FILE)
        self._latency = self._open(timeline.LATENCY_FILE)
        _append(self._lines, _line({"format": FORMAT, **header}))
        _append(self._timeline, timeline.timeline_head())
        _append(self._latency, timeline.LATENCY_HEAD)

    @classmethod
    def create(cls, root: Path, label: str, begun: datetime, lines: str, header: Mapping[str, Any]) -> Folder:
        """Open a new folder under `root`, named after the moment and `label`; ResultsError if that fails."""
        try:
            directory = _new_directory(root, f"{begun.astimezone(UTC):%Y%m%dT%H%M%SZ}-{label}")
            return cls(directory, lines, header)
        except OSError as error:
            reason = f"cannot be written to: {error.strerror}; choose another folder with -o"
            raise ResultsError(root, None, reason) from error

    def __enter__(self) -> Folder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def is_empty(self) -> bool:
        """Return whether no trial was recorded."""
        return self._trials == 0

    def add(
        self, trial: Mapping[str, Any], moments: Iterable[Moment], latencies: Iterable[Latencies]
    ) -> None:
        """Append a trial that has ended, with its rows and histograms, and flush them."""
        try:
            _append(self._latency, timeline.latency_lines(latencies))
            _append(self._timeline, timeline.timeline_lines(moments))
            _append(self._lines, _line(trial))
            self._trials += 1
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


@dataclass(frozen=True, slots=True)
class Lines(Generic[T]):
    """What the file of a run holds: its header, its trials, and the lines that could not be read."""

    header: dict[str, Any]
    trials: tuple[T, ...]
    damage: tuple[str, ...]


def read(file: Path, keys: Mapping[str, type], trial: type[T]) -> Lines[T]:
    """Return the lines of `file`: a header with `keys` of these types, then a `trial` (a dataclass) each.

    ResultsError where there is no file, its header is damaged, or its format is newer than ours.
    """
    numbered = timeline.numbered_lines(file)
    header = _header(file, next(numbered, (1, "")), keys)
    trials: list[T] = []
    damage: list[str] = []
    for number, text in numbered:
        try:
            trials.append(from_dict.build(trial, _object(text), "trial"))
        except (ValueError, KeyError) as error:
            damage.append(str(ResultsError(file, number, f"not a trial: {_why(error)}; left out")))
    return Lines(header, tuple(trials), tuple(damage))


@dataclass(frozen=True, slots=True)
class Listed(Generic[T]):
    """A folder of a run, with the run or with the reason why it cannot be read."""

    directory: Path
    run: T | None
    problem: str | None = None


def listed(root: Path, file: str, read_run: Callable[[Path], T]) -> list[Listed[T]]:
    """Return each run under `root` whose trials are in `file`, by the names of their folders."""
    found: list[Listed[T]] = []
    for directory in sorted(each.parent for each in root.glob(f"*/{file}")):
        try:
            found.append(Listed(directory, read_run(directory)))
        except ResultsError as error:
            found.append(Listed(directory, None, str(error)))
    return found


def outline(listed: Listed[Any], tell: Callable[[Any], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the object that `bench list --json` prints for a run; `tell` adds what its kind has beside."""
    run = listed.run
    if run is None:
        return {"directory": str(listed.directory), "problem": listed.problem}
    return {
        "directory": str(listed.directory),
        "started": run.started,
        **tell(run),
        "trials": len(run.trials),
        "valid": sum(trial.valid for trial in run.trials),
        "interrupted": any(trial.interrupted for trial in run.trials),
    }


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


def _line(values: Mapping[str, Any]) -> str:
    return json.dumps(values, separators=(",", ":"), allow_nan=False) + "\n"


def _header(file: Path, numbered: tuple[int, str], keys: Mapping[str, type]) -> dict[str, Any]:
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
        wrong = [key for key, kind in keys.items() if not isinstance(header[key], kind)]
        if wrong:
            raise ValueError(f"{', '.join(wrong)} is of the wrong type")
    except (ValueError, KeyError) as error:
        raise ResultsError(file, number, f"not the header of a run: {_why(error)}") from error
    return header


def _object(text: str) -> dict[str, Any]:
    def refuse(name: str) -> float:
        raise ValueError(f"{name} is not a number")

    values = json.loads(text, parse_constant=refuse)
    if not isinstance(values, dict):
        raise ValueError("not a JSON object")
    return values


def _why(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON ({error.msg}, column {error.colno})" if error.doc.strip() else "it is empty"
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
