"""What was measured along the time of the trials: `timeline.csv` and `latency.hlog`, to text and back.

The format is described in results/README.md. A line that cannot be read is named, and the rest is read.
"""

import csv
import dataclasses
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bench.errors import ResultsError
from bench.plan.convert import convert
from bench.runs.record import Latencies, Moment
from nginx import files

TIMELINE_FILE = "timeline.csv"
LATENCY_FILE = "latency.hlog"
_HIGHEST_US = 3_600_000_000  # an hour: no exchange outlives its total timeout by so much
_SIGNIFICANT_DIGITS = 3
COLUMNS = tuple(f.name for f in dataclasses.fields(Moment))
LATENCY_HEAD = (
    "#[bench: values in microseconds; start and length in seconds from the trial's first connect;"
    " tags are TRIAL.MODE.KIND]\n"
    "#[Histogram log format version 1.2]\n"
    '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
)
_NUMBER = r"\d{1,15}(?:\.\d{1,15})?"
_LOG_LINE = re.compile(rf"Tag=(\d{{1,9}})\.([\w-]+)\.(\w+),({_NUMBER}),({_NUMBER}),{_NUMBER},(\S+)", re.ASCII)
_LONGEST_LINE = 1 << 26
"""Characters. The longest lines are those of trials with curves, of a few MiB."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Series:
    """What was measured along the time of the trials: timeline.csv and latency.hlog."""

    moments: tuple[Moment, ...] = ()
    latencies: tuple[Latencies, ...] = ()
    damage: tuple[str, ...] = ()
    """Lines that could not be read, each with file, line number and reason."""


def read(path: Path) -> Series:
    """Return the timeline and the latencies of the run at `path`; a file that is missing gives no rows."""
    folder = path if path.is_dir() else path.parent
    damage: list[str] = []
    moments = tuple(_read_rows(folder / TIMELINE_FILE, _moments, damage))
    latencies = tuple(_read_rows(folder / LATENCY_FILE, _latencies, damage))
    return Series(moments, latencies, tuple(damage))


def numbered_lines(file: Path) -> Iterator[tuple[int, str]]:
    """Yield the numbered lines of `file` that hold anything, whatever bytes they are made of.

    ResultsError where it cannot be read, is no file, or has a line that is too long to be one of ours.
    """
    try:
        with io.TextIOWrapper(files.open_file(file), encoding="utf-8", errors="replace", newline="") as lines:
            number = 0
            while line := lines.readline(_LONGEST_LINE + 1):
                number += 1
                if len(line) > _LONGEST_LINE:
                    raise ResultsError(file, number, "the line is longer than any that bench writes")
                if line.strip():
                    yield number, line
    except FileNotFoundError as error:
        raise ResultsError(
            file, None, "there is no such result; `bench list` names those there are"
        ) from error
    except OSError as error:
        raise ResultsError(file, None, f"cannot be read: {error.strerror}") from error


def to_cells(moment: Moment) -> list[Any]:
    """Return the cells of a line of timeline.csv."""
    values = (getattr(moment, name) for name in COLUMNS)
    return [round(value, 6) if isinstance(value, float) else value for value in values]


def to_log_line(latencies: Latencies) -> str:
    """Return a line of latency.hlog, as HistogramLogWriter writes it, which knows no tags, with ours."""
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415  (kept out of the start-up of the command)

    histogram = HdrHistogram(1, _HIGHEST_US, _SIGNIFICANT_DIGITS)
    for value_us, count in latencies.counts.items():
        histogram.record_value(min(value_us, _HIGHEST_US), count)
    tag = f"{latencies.trial}.{latencies.mode}.{latencies.kind}"
    highest_us = max(latencies.counts, default=0)
    span = f"{latencies.t_s:.3f},{latencies.duration_s:.3f},{highest_us:.3f}"
    return f"Tag={tag},{span},{histogram.encode().decode('ascii')}\n"


def _read_rows(file: Path, rows: Callable[[Path, list[str]], Iterator[T]], damage: list[str]) -> Iterator[T]:
    """Yield the rows of a file: none where it is missing; what follows where it cannot be read is damage."""
    if not os.path.lexists(file):
        return
    try:
        yield from rows(file, damage)
    except ResultsError as error:
        damage.append(str(error))


def _moments(file: Path, damage: list[str]) -> Iterator[Moment]:
    lines = numbered_lines(file)
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
            values = {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
            yield convert(values, Moment, "", from_text=True)
        except (ValueError, csv.Error) as error:
            damage.append(str(ResultsError(file, number, f"not a moment: {error}; left out")))


def _latencies(file: Path, damage: list[str]) -> Iterator[Latencies]:
    for number, line in numbered_lines(file):
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
    import struct  # noqa: PLC0415
    import zlib  # noqa: PLC0415

    from hdrh.codec import HdrCookieException, HdrLengthException  # noqa: PLC0415
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415

    try:
        histogram = HdrHistogram.decode(payload)
        numbered = enumerate(histogram.counts)
        return {histogram.get_value_from_index(index): count for index, count in numbered if count}
    except (
        HdrCookieException,
        HdrLengthException,
        IndexError,
        OverflowError,
        TypeError,
        ValueError,
        struct.error,
        zlib.error,
    ) as error:
        raise ValueError(f"a histogram that cannot be decoded: {error}") from error
