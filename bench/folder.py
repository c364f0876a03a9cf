"""The folder of a run: JSON lines, a timeline and latencies, each trial flushed as it ends; and its reading.

Knows no kind of trial: what the lines mean is bench/results.py's and bench/scenarios/results.py's. The format
is told in results/README.md.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, TracebackType, UnionType
from typing import IO, Any, Generic, TypeVar

from bench import series
from bench.errors import ResultsError
from bench.record import FORMAT, Latencies, Moment

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
        self._timeline = self._open(series.TIMELINE_FILE)
        self._latency = self._open(series.LATENCY_FILE)
        _append(self._lines, _line({"format": FORMAT, **header}))
        _append(self._timeline, series.timeline_head())
        _append(self._latency, series.LATENCY_HEAD)

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
            _append(self._latency, series.latency_lines(latencies))
            _append(self._timeline, series.timeline_lines(moments))
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


def read(file: Path, keys: Mapping[str, type], trial: Callable[[dict[str, Any]], T]) -> Lines[T]:
    """Return the lines of `file`: a header with `keys` of these types, then what `trial` makes of each line.

    ResultsError where there is no file, its header is damaged, or its format is newer than ours.
    """
    numbered = series.numbered_lines(file)
    header = _header(file, next(numbered, (1, "")), keys)
    trials: list[T] = []
    damage: list[str] = []
    for number, text in numbered:
        try:
            trials.append(trial(_object(text)))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            damage.append(str(ResultsError(file, number, f"not a trial: {_why(error)}; left out")))
    return Lines(header, tuple(trials), tuple(damage))


def checked(value: Any, kind: Any, name: str) -> None:
    """Raise ValueError where `value` is not of the annotated `kind`, down to the last field."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return
    if origin is UnionType:
        kinds = [each for each in arguments if each is not NoneType]
        if value is not None or NoneType not in arguments:
            checked(value, float if set(kinds) == {int, float} else kinds[0], name)
    elif dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        for each in dataclasses.fields(kind):
            checked(getattr(value, each.name), hints[each.name], f"{name}.{each.name}")
    elif origin in (dict, tuple, list) and isinstance(value, origin):
        for key, item in value.items() if origin is dict else enumerate(value):
            checked(item, arguments[1] if origin is dict else arguments[0], f"{name}.{key}")
    else:
        wanted = (int, float) if kind is float else origin or kind
        if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"{name} is {value!r}, which is no {getattr(kind, '__name__', kind)}")
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} is {value!r}, which is no finite number")


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
