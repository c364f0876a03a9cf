"""Run <-> `results/<time>-<mode>-<subject>/`: run.jsonl, timeline.csv and latency.hlog, format 1.

The format is told in results/README.md. Files only: what the values mean is in bench.record, what
people read of them in bench.report.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import os
import re
import typing
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import NoneType, TracebackType, UnionType
from typing import IO, Any, TypeVar

from bench.errors import ResultsError
from bench.plan import Plan
from bench.record import FORMAT, Latencies, Moment, Run, Trial

RUN_FILE = "run.jsonl"
TIMELINE_FILE = "timeline.csv"
LATENCY_FILE = "latency.hlog"
_HIGHEST_US = 3_600_000_000  # an hour: no exchange outlives its total timeout by so much
_SIGNIFICANT_DIGITS = 3
_COLUMNS = tuple(f.name for f in dataclasses.fields(Moment))
_LOG_HEAD = (
    "#[bench: values in microseconds; start and length in seconds from the trial's first connect;"
    " tags are TRIAL.MODE.KIND]\n"
    "#[Histogram log format version 1.2]\n"
    '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
)
_LOG_LINE = re.compile(r"Tag=(\d+)\.(\w+)\.(\w+),([\d.]+),([\d.]+),[\d.]+,(\S+)")
Value = TypeVar("Value", bound=Moment | Latencies)


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured along the time of the trials: timeline.csv and latency.hlog."""

    moments: tuple[Moment, ...] = ()
    latencies: tuple[Latencies, ...] = ()
    damage: tuple[str, ...] = ()
    """Lines that could not be read, each with file, line number and reason."""


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
        self._timeline = self._open(TIMELINE_FILE)
        self._latency = self._open(LATENCY_FILE)
        header = {"format": FORMAT, "plan": run.plan, "machine": run.machine, "started": run.started}
        _append(self._run, _line(header))
        _append(self._timeline, _rows([_COLUMNS]))
        _append(self._latency, _LOG_HEAD)

    @classmethod
    def create(
        cls, root: Path, plan: Plan, machine: dict[str, Any], started: datetime | None = None
    ) -> Writer:
        """Open a new folder under `root`, named after the moment, the mode and the subject.

        ResultsError where that cannot be done. `started` defaults to now.
        """
        begun = (started or datetime.now(UTC)).astimezone(UTC)
        run = Run(plan.to_json(), machine, begun.isoformat(timespec="seconds"))
        try:
            return cls(_new_directory(root, f"{begun:%Y%m%dT%H%M%SZ}-{plan.mode}-{plan.subject.name}"), run)
        except OSError as error:
            reason = f"cannot be written to: {error.strerror}; choose another folder with -o"
            raise ResultsError(root, None, reason) from error

    @property
    def run(self) -> Run:
        """Return the run as far as it has been written."""
        return dataclasses.replace(self._header, trials=tuple(self._trials), directory=str(self.directory))

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def add(self, trial: Trial, moments: Iterable[Moment], latencies: Iterable[Latencies]) -> None:
        """Append a trial that has ended, with its rows and histograms, and flush them."""
        try:
            _append(self._latency, "".join(map(_log_line, latencies)))
            _append(self._timeline, _rows(map(_cells, moments)))
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
    lines = _lines(file)
    plan, machine, started = _header(file, next(lines, (1, "")))
    trials: list[Trial] = []
    damage: list[str] = []
    for number, text in lines:
        try:
            trials.append(_trial(text))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            damage.append(str(ResultsError(file, number, f"not a trial: {_why(error)}; left out")))
    return Run(plan, machine, started, tuple(trials), str(file.parent), tuple(damage))


def read_series(path: Path) -> Series:
    """Return the timeline and the latencies of the run at `path`; a file that is missing gives no rows."""
    folder = path if path.is_dir() else path.parent
    damage: list[str] = []
    timeline, latency = folder / TIMELINE_FILE, folder / LATENCY_FILE
    moments = tuple(_moments(timeline, damage)) if timeline.exists() else ()
    latencies = tuple(_latencies(latency, damage)) if latency.exists() else ()
    return Series(moments, latencies, tuple(damage))


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


def _rows(rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _cells(moment: Moment) -> list[Any]:
    values = (getattr(moment, name) for name in _COLUMNS)
    return [round(value, 6) if isinstance(value, float) else value for value in values]


def _log_line(latencies: Latencies) -> str:
    """Return one interval of the log, as HistogramLogWriter writes it, which knows no tags, with ours."""
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415  (kept out of the start-up of the command)

    histogram = HdrHistogram(1, _HIGHEST_US, _SIGNIFICANT_DIGITS)
    for value_us, count in latencies.counts.items():
        histogram.record_value(min(value_us, _HIGHEST_US), count)
    tag = f"{latencies.trial}.{latencies.mode}.{latencies.kind}"
    highest_us = max(latencies.counts, default=0)
    span = f"{latencies.t_s:.3f},{latencies.duration_s:.3f},{highest_us:.3f}"
    return f"Tag={tag},{span},{histogram.encode().decode('ascii')}\n"


def _lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of `file` that hold anything, whatever bytes they are made of."""
    try:
        with file.open(encoding="utf-8", errors="replace", newline="") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise ResultsError(
            file, None, "there is no such result; `bench list` names those there are"
        ) from error
    except OSError as error:
        raise ResultsError(file, None, f"cannot be read: {error.strerror}") from error


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


def _moments(file: Path, damage: list[str]) -> Iterator[Moment]:
    lines = _lines(file)
    number, head = next(lines, (1, ""))
    columns = head.strip().split(",")
    if not {"trial", "mode", "host", "t_s"} <= set(columns):
        damage.append(str(ResultsError(file, number, "not the header of a timeline; nothing of it is read")))
        return
    for number, line in lines:
        try:
            cells = next(csv.reader([line], strict=True))
            if len(cells) != len(columns) or not line.endswith("\n"):
                raise ValueError(f"{len(cells)} of {len(columns)} cells, or cut off")
            yield _moment(dict(zip(columns, cells, strict=True)))
        except (ValueError, csv.Error) as error:
            damage.append(str(ResultsError(file, number, f"not a moment: {error}; left out")))


def _moment(cells: dict[str, str]) -> Moment:
    values: dict[str, Any] = {}
    for each in dataclasses.fields(Moment):
        text, kind = cells.get(each.name, ""), str(each.type)
        if text == "" and kind.endswith("None"):
            continue
        convert = str if kind == "str" else _finite if kind.startswith("float") else int
        values[each.name] = convert(text)
    return Moment(**values)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _latencies(file: Path, damage: list[str]) -> Iterator[Latencies]:
    for number, line in _lines(file):
        if line.startswith(("#", '"')):
            continue
        match = _LOG_LINE.fullmatch(line.rstrip("\n"))
        try:
            if match is None or not line.endswith("\n"):
                raise ValueError("no tag, span and histogram, or cut off")
            trial, mode, kind, start, length, payload = match.groups()
            yield Latencies(int(trial), mode, kind, float(start), float(length), _counts(payload))
        except ValueError as error:
            damage.append(str(ResultsError(file, number, f"not an interval: {error}; left out")))


def _counts(payload: str) -> dict[int, int]:
    import zlib  # noqa: PLC0415

    from hdrh.codec import HdrCookieException, HdrLengthException  # noqa: PLC0415
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415

    try:
        histogram = HdrHistogram.decode(payload)
        numbered = enumerate(histogram.counts)
        return {histogram.get_value_from_index(index): count for index, count in numbered if count}
    except (HdrCookieException, HdrLengthException, zlib.error, ValueError, IndexError, TypeError) as error:
        raise ValueError(f"a histogram that cannot be decoded: {error}") from error
