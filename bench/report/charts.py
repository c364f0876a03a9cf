"""What a page draws: interactive charts of lines, bars from zero, dots on a logarithmic axis, heat maps.

Values for the template and its script; nothing is drawn here. A void figure is one that nothing may be
concluded from: it is hatched, and bears no figure.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from nginx.printable import printable

MOST_POINTS = 400
"""Points of a line: more than the pixels of a phone are wide."""
MOST_TRIALS = 12
"""Trials of a side that are drawn one by one; the median is over all of them."""
_DIGITS = 4
_DECADES = 30
Points = Sequence[tuple[float, float]]
_DASH_WORDS = ("solid", "dashed", "dotted", "dash-dotted", "long dashes", "short dashes")
"""What the dashes of a line are called, by their rank."""


@dataclass(frozen=True, slots=True)
class ChartSide:
    """One side of a chart, or one case: its name and the rank of its colour in the palette."""

    name: str
    colour: int
    is_void: bool = False
    dashes: int = 0
    """The rank of its dashes, where a colour is there several times."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line: of one trial of a side, or of the side as a whole (`trial` is None), which is bold."""

    side: int
    points: Points
    trial: int | None = None
    is_void: bool = False
    dashes: int = 0
    """The rank of the line's dashes, where one side has several lines."""
    label: str = ""
    """What tells this line of its side from the others."""
    ranges: Sequence[tuple[float, float, float]] = ()
    """Of points: x, the least and the greatest value that y is the median of."""
    rings: Points = ()
    """Points that say something else than the rest of the line, and stand out on paper."""

    @property
    def is_dotted(self) -> bool:
        """Return whether it is dotted since it does not count: where its dashes tell nothing else."""
        return self.is_void and not self.label

    @property
    def is_pale(self) -> bool:
        """Return whether it is pale since it does not count: its dashes tell it from the others."""
        return self.is_void and bool(self.label)


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment (`x`) or a level (`y`) that is marked; its label stands below the chart."""

    label: str
    at: str = ""
    """The moment in words: what is marked is of `side`, and came after so long."""
    x: float | None = None
    y: float | None = None
    side: int | None = None

    def describe(self, sides: Sequence[ChartSide]) -> str:
        """Return what the mark is, of which side, and when."""
        whose = "" if self.side is None else f"{sides[self.side].name}: "
        return f"{whose}{self.label}{f' after {self.at}' if self.at else ''}"


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over one x axis. Lines of more than MOST_POINTS points are thinned by `merge`."""

    title: str
    unit: str
    lines: Sequence[Line]
    x: Literal["seconds", "percentile", "linear", "log"] = "seconds"
    x_label: str = ""
    y: Literal["linear", "log"] = "linear"
    marks: Sequence[Mark] = ()
    merge: Literal["mean", "max"] = "mean"
    is_step: bool = False
    ticks: Sequence[tuple[float, str]] = ()
    """The places on the x axis that have a label; none: as many as fit."""
    is_sparse: bool = False
    """Whether each point is worth a dot, and a gap in a line means that nothing is known there."""
    is_scattered: bool = False
    """Whether no line joins the points."""
    shaded_until: float = 0.0
    """Until when nothing counts yet: the warm-up."""

    def select_points(self, line: Line) -> Points:
        """Return the points of `line` that the axes have a place for: a logarithmic one has none for zero."""
        least_x, least_y = (
            0.0 if scale in ("log", "percentile") else -math.inf for scale in (self.x, self.y)
        )
        return [(x, y) for x, y in line.points if x > least_x and (y > least_y or math.isnan(y))]

    def describe_lines(self) -> list[str]:
        """Return what dashes, dots and pale lines mean in this chart; nothing where no line has any."""
        words = {line.label: _DASH_WORDS[line.dashes % len(_DASH_WORDS)] for line in self.lines if line.label}
        found = [f"{word}: {label}" for label, word in words.items()]
        which = (
            "trials that do not count" if any(not line.is_void for line in self.lines) else "no trial counts"
        )
        found += [f"dotted: {which}"] if any(line.is_dotted for line in self.lines) else []
        return found + ([f"pale: {which}"] if any(line.is_pale for line in self.lines) else [])

    def to_json(self) -> dict[str, Any]:
        """Return what the script draws: one list of x, and of each line a y for each x or null."""
        kept = [self.select_points(line) for line in self.lines]
        width = _find_bin(kept) if self.x in ("seconds", "linear") else 0.0
        columns = [_thin(points, width, self.merge) for points in kept]
        xs = sorted({x for column in columns for x in column})
        lines = [
            {
                "side": line.side,
                "trial": line.trial,
                "void": line.is_void,
                "dotted": line.is_dotted,
                "dashes": line.dashes,
                "label": printable(line.label),
                "y": [_shorten(column[x]) if x in column and math.isfinite(column[x]) else None for x in xs],
            }
            for line, column in zip(self.lines, columns, strict=True)
        ]
        marks = [{"x": mark.x, "y": mark.y, "side": mark.side} for mark in self.marks]
        scales: dict[str, Any] = {
            "x": self.x,
            "y": self.y,
            "step": self.is_step,
            "xLabel": printable(self.x_label),
        }
        scales |= {"shaded": self.shaded_until, "sparse": self.is_sparse, "scattered": self.is_scattered}
        scales["ticks"] = [[at, printable(label)] for at, label in self.ticks]
        return {**scales, "unit": printable(self.unit), "xs": xs, "lines": lines, "marks": marks}


@dataclass(frozen=True, slots=True)
class Charts:
    """Charts of the same sides and trials, which are switched on and off together."""

    kind: ClassVar = "charts"
    sides: Sequence[ChartSide]
    charts: Sequence[Chart]
    hint: str = "Bold: the median over the trials that count; thin: single trials."

    def to_json(self) -> dict[str, Any]:
        """Return what the script needs of the group."""
        sides = [
            {
                "name": printable(side.name),
                "colour": side.colour,
                "void": side.is_void,
                "dashes": side.dashes,
            }
            for side in self.sides
        ]
        return {"sides": sides, "charts": [chart.to_json() for chart in self.charts]}


@dataclass(frozen=True, slots=True)
class Bar:
    """One magnitude with its least and greatest value or its interval."""

    label: str
    value: float | None
    """None: not measured."""
    text: str
    """The figure as the table has it."""
    low: float | None = None
    high: float | None = None
    colour: int = 0
    is_light: bool = False
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class DrawnBar:
    """A bar's place on its axis, in percent of the axis' length."""

    bar: Bar
    end: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class BarChart:
    """Magnitudes side by side: bars from zero, or dots on a logarithmic axis."""

    kind: ClassVar = "bars"
    title: str
    unit: str
    rows: Sequence[Bar]
    is_log: bool = False

    @property
    def drawn(self) -> Iterator[DrawnBar]:
        """Yield each bar with its place."""
        for bar in self.rows:
            ends = (self._place(each) for each in (bar.value, bar.low, bar.high))
            yield DrawnBar(bar, *ends)

    @property
    def ticks(self) -> Sequence[tuple[float, str]]:
        """Return the places and labels of the powers of ten on a logarithmic axis."""
        if not self._is_logarithmic:
            return ()
        first, last = self._decades
        step = max(1, math.ceil((last - first) / 5))
        exponents = range(first, last + 1, step)
        return [(100 * (each - first) / (last - first), f"{10.0**each:,g}") for each in exponents]

    @property
    def _values(self) -> list[float]:
        values = (each for bar in self.rows for each in (bar.value, bar.low, bar.high))
        return [each for each in values if each is not None and math.isfinite(each)]

    @property
    def _is_logarithmic(self) -> bool:
        return self.is_log and min(self._values, default=0) > 0

    @property
    def _decades(self) -> tuple[int, int]:
        first = math.floor(math.log10(min(self._values)))
        last = math.ceil(math.log10(max(self._values)))
        return first, min(max(last, first + 1), first + _DECADES)

    def _place(self, value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        if self._is_logarithmic:
            first, last = self._decades
            return round(100 * (math.log10(value) - first) / (last - first), 2)
        return round(100 * max(0.0, value) / (max(self._values, default=0) or 1), 2)


@dataclass(frozen=True, slots=True)
class HeatCell:
    """One cell of a heat map."""

    text: str
    value: float | None
    is_void: bool = False


@dataclass(frozen=True, slots=True)
class HeatMap:
    """A figure over two axes; the darker, the more."""

    kind: ClassVar = "heat"
    title: str
    unit: str
    x_name: str
    y_name: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[HeatCell]]]
    heats: Mapping[float, float] = field(init=False)
    """Of each value its share of the span between the least and the greatest, 0 to 1."""

    def __post_init__(self) -> None:
        values = [cell.value for _, cells in self.rows for cell in cells if cell.value is not None]
        least, span = min(values, default=0.0), (max(values, default=0.0) - min(values, default=0.0)) or 1.0
        object.__setattr__(self, "heats", {each: round((each - least) / span, 3) for each in values})


def _find_bin(lines: Sequence[Points]) -> float:
    """Return the width of a bin on the x axis for lines of too many points; 0 where none has."""
    longest = max(map(len, lines), default=0)
    if longest <= MOST_POINTS:
        return 0.0
    ends = [points[index][0] for points in lines if points for index in (0, -1)]
    return (max(ends) - min(ends)) / MOST_POINTS


def _thin(points: Points, width: float, merge: str) -> dict[float, float]:
    """Return y by x; bins of `width` are merged where it is not 0, and stand at their ends."""
    if not width:
        return {_shorten(x, 6): y for x, y in points}
    bins: dict[int, list[float]] = {}
    for x, y in points:
        bins.setdefault(math.ceil(x / width), []).append(y)
    joined = max if merge == "max" else _mean
    return {_shorten(index * width, 6): joined(ys) for index, ys in bins.items()}


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _shorten(value: float, digits: int = _DIGITS) -> float:
    """Return a number with so many significant digits: a page needs no more."""
    short = float(f"{value:.{digits}g}")
    return int(short) if short == int(short) else short
