"""A comparison as text and as pictures: of runs of the load generator, and of scenarios case by case."""

import textwrap
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.answers import MOST_MORE, Answer, Cell
from bench.analysis.compare import Comparison, MetricRow
from bench.analysis.metrics import Metric
from bench.analysis.stats import Estimate
from bench.report import style
from bench.report.run import side_picture, tables
from bench.report.style import INK, PALETTE, QUIET
from bench.report.text_table import format_number, format_warnings
from nginx.printable import printable_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH = 80
_ACROSS = 3
_MOST_PANELS = 9
_WIDTH_INCHES, _BAR_INCHES, _PANEL_INCHES, _HEAD_INCHES = 14.0, 0.2, 1.3, 1.0


def text(compared: Sequence[Comparison], keys: Sequence[str] = ()) -> str:
    """Return what `bench compare` prints: the sides, the rows and the warnings of each comparison.

    Where there are `keys`, only the rows of those are printed, and neither sides nor warnings.

    A warning that an earlier comparison carries is not repeated.
    """
    seen: set[str] = set()
    parts = []
    for comparison in compared:
        if keys:
            rows = [row for row in _rows(comparison) if row.metric.key in keys]
            parts.append("".join([*_lines(comparison, rows), "\n", *_footnotes(comparison, rows)]))
            continue
        parts.append(_one(comparison, [line for line in comparison.warnings if line not in seen]))
        seen.update(comparison.warnings)
    return "\n".join(parts)


def save(compared: Sequence[Comparison], stem: Path) -> list[Path]:
    """Draw `compared` as `stem`.png and `stem`.svg, and return the PNGs.

    Runs have a picture for each comparison, named after its mode where there are several; the cases of
    scenarios share one. ResultsError where it cannot be written.
    """
    if compared[0].sides[0].subject is not None:
        return [style.save_figure(stem, draw, compared)[0]]
    if len(compared) == 1:
        return [style.save_figure(stem, side_picture.draw, compared[0].sides)[0]]
    stems = [stem.with_name(f"{stem.name}-{each.sides[0].mode}") for each in compared]
    pairs = zip(stems, compared, strict=True)
    return [style.save_figure(each_stem, side_picture.draw, each.sides)[0] for each_stem, each in pairs]


def draw(compared: Sequence[Comparison]) -> "Figure":
    """Return the picture of scenarios: a panel for each metric, and in it a group of bars for each case."""
    from matplotlib.figure import Figure  # noqa: PLC0415

    keys = list(dict.fromkeys(row.metric for each in compared for row in each.rows if row.is_telling))
    panels = keys[:_MOST_PANELS]
    lines = max(1, -(-len(panels) // _ACROSS))
    bars = sum(len(each.sides) + 1 for each in compared)
    height = _HEAD_INCHES + lines * (_PANEL_INCHES + _BAR_INCHES * bars)
    figure = Figure(figsize=(_WIDTH_INCHES, height))
    place = (0, 0, 1, 1 - _HEAD_INCHES / height)
    figure.set_layout_engine("constrained", h_pad=0.2, w_pad=0.2, rect=place)
    first = compared[0].sides[0]
    title = f"{first.run.scenario}: {' against '.join(_names(compared))}"
    figure.text(0.012, 1 - 0.3 / height, title, size=16, weight="bold", color=INK, va="center")
    sides = "  ·  ".join(f"{side.name}: {side.run.directory}" for side in compared[0].sides)
    figure.text(0.012, 1 - 0.55 / height, textwrap.fill(sides, 160), size=9.5, color=QUIET, va="top")
    axes = figure.subplots(lines, _ACROSS, squeeze=False).flatten()
    for each, metric in zip(axes, panels, strict=False):
        _panel(each, metric, compared)
    for each in axes[len(panels) :]:
        each.set_axis_off()
    return figure


def _one(compared: Comparison, warnings: Sequence[str]) -> str:
    head = [
        _fold(f"{side.name}: {side.run.directory}, {side.case}, {tables.format_trial_count(side)}") + "\n"
        for side in compared.sides
    ]
    rows = list(_rows(compared))
    notes = (*_footnotes(compared, rows), format_warnings(warnings))
    return "".join([*head, "\n", *_lines(compared, rows), "\n", *notes])


def _fold(text: str) -> str:
    return textwrap.fill(printable_line(text), _WIDTH, subsequent_indent="  ", break_on_hyphens=False)


def _rows(compared: Comparison) -> Iterator[MetricRow]:
    """Yield the rows that are worth reading."""
    before = tables.ONLY_WITH_CLIFF
    has_cliff = any(row.metric.key == "ports.half_range_passed_s" and row.is_telling for row in compared.rows)
    for row in compared.rows:
        if row.is_telling and (has_cliff or not row.metric.key.startswith(before)):
            yield row


def _lines(compared: Comparison, rows: Sequence[MetricRow]) -> Iterator[str]:
    """Yield a line for each metric, and below it one for each side: median, ratio and answer."""
    names = [printable_line(side.name) for side in compared.sides]
    figures = [[_shown(cell, row.metric.unit) for cell in row.cells] for row in rows]
    wide = max(map(len, names), default=0)
    median, ratio = (max((len(cell[at]) for cells in figures for cell in cells), default=0) for at in (0, 1))
    for row, cells in zip(rows, figures, strict=True):
        yield f"{_labelled(row.metric, compared)}\n"
        for name, (middle, factor), cell in zip(names, cells, row.cells, strict=True):
            answer = "" if cell.answer is Answer.BASELINE else answer_words(cell, row.metric.unit)
            line = f"  {name:<{wide}}  {middle:>{median}}  {factor:>{ratio}}"
            hanging = textwrap.wrap(answer, max(20, _WIDTH - len(line) - 2)) or [""]
            yield f"{line}  {hanging[0]}".rstrip() + "\n"
            yield from (" " * (len(line) + 2) + more + "\n" for more in hanging[1:])


def answer_words(cell: Cell, unit: str) -> str:
    """Return the answer that a cell gives, in words."""
    if cell.answer is Answer.NO_DIFFERENCE:
        if not cell.no_more_than:
            return "equal in every trial"
        return f"no difference larger than {_size(cell, unit)} shown"
    if cell.answer is Answer.CANNOT_TELL:
        return f"cannot tell; {_more(cell)} would"
    if cell.answer is Answer.REFUSED:
        return f"refused: take {cell.instead}"
    return cell.answer.value


def _size(cell: Cell, unit: str) -> str:
    assert cell.no_more_than is not None, "an interval gives a size"
    if cell.ratio is None:
        return f"{format_number(cell.no_more_than, unit)} {unit}".rstrip()
    return f"{100 * cell.no_more_than:.2g} %"


def _more(cell: Cell) -> str:
    more = cell.more_trials or 1
    if more >= MOST_MORE:
        return f"not even {MOST_MORE:,} more trials"
    about = "about " if cell.no_more_than is not None else ""
    return f"{about}{more:,} more trial{'' if more == 1 else 's'}"


def _shown(cell: Cell, unit: str) -> tuple[str, str]:
    """Return the median and the ratio with its interval, or the difference with it."""
    median = "-" if cell.estimate is None else format_number(cell.estimate.center, unit)
    if cell.ratio is not None:
        return median, _with_interval(cell.ratio, units.ratio)
    if cell.difference is not None:
        return median, _with_interval(cell.difference, lambda value: _signed(value, unit))
    return median, ""


def _with_interval(estimate: Estimate, shown: Callable[[float], str]) -> str:
    if estimate.low is None or estimate.high is None:
        return shown(estimate.center)
    return f"{shown(estimate.center)} [{shown(estimate.low)}, {shown(estimate.high)}]"


def _labelled(metric: Metric, compared: Comparison) -> str:
    if metric.key.startswith("second_opinion."):
        tools = tables.name_tools(trial for side in compared.sides for trial in side.trials)
        return f"{metric.key} ({tools})"
    is_in_key = metric.unit in ("", "1/s", "s", "ratio") or f"_{metric.unit}" in metric.key
    return metric.key if is_in_key else f"{metric.key} ({metric.unit})"


def _signed(value: float, unit: str) -> str:
    return ("+" if value > 0 else "") + format_number(value, unit)


def _footnotes(compared: Comparison, rows: Sequence[MetricRow]) -> Iterator[str]:
    cells = [cell for row in rows for cell in row.cells[1:]]
    notes = []
    if any(cell.ratio and cell.ratio.low is not None for cell in cells):
        pairs = [cell.pairs for cell in cells if cell.pairs]
        over = f", over {max(pairs)} pairs of trials" if pairs else ""
        notes.append(
            f"[low, high]: {100 * (1 - compared.alpha):.3g} % interval of the ratio to"
            f" {printable_line(compared.sides[0].name)} (Hodges-Lehmann{over})."
        )
    if any(cell.p is not None for cell in cells):
        test = "Wilcoxon signed-rank" if any(cell.pairs for cell in cells) else "Mann-Whitney"
        notes.append(
            f"better, worse: {test} test, p at most {compared.alpha:.2g}, corrected for"
            f" {compared.tests} tests (Benjamini-Hochberg)."
        )
    if any(cell.answer is Answer.REFUSED for cell in cells):
        notes.append(
            "refused: half of the ports were passed, and a mean over both sides of that means nothing."
        )
    yield from (_fold(note) + "\n" for note in notes)


def _names(compared: Sequence[Comparison]) -> list[str]:
    return [side.name for side in compared[0].sides]


def _panel(axes: "Axes", metric: Metric, compared: Sequence[Comparison]) -> None:
    """Draw the medians of `metric`, case under case, with the interval where the trials give one."""
    style.draw_title(axes, metric.key, metric.unit or "count")
    names = _names(compared)
    place, ticks = 0.0, []
    for each in compared:
        ticks.append(place + (len(names) - 1) / 2)
        for index, cell in enumerate(each.row(metric.key).cells):
            if cell.estimate is not None:
                _bar(axes, place + index, cell, PALETTE[index % len(PALETTE)], metric.unit)
        place += len(names) + 1
    axes.set_yticks(ticks, [_group(each) for each in compared], fontsize=8.5)
    axes.set_ylim(place - 1.4, -0.6)
    axes.margins(x=0.2)
    axes.set_xlim(left=0)
    for index, name in enumerate(names):
        at = (1.0, 1.0)
        look = {"color": PALETTE[index % len(PALETTE)], "weight": "bold", "ha": "right", "size": 8.5}
        offset = (0.0, 9.0 + 11.0 * (len(names) - 1 - index))
        style.annotate(axes, name, at, offset, xycoords="axes fraction", **look)


def _bar(axes: "Axes", place: float, cell: Cell, colour: str, unit: str) -> None:
    assert cell.estimate is not None, "cells without an estimate have no bar"
    center, low, high = cell.estimate.center, cell.estimate.low, cell.estimate.high
    axes.barh(place, center, 0.86, color=colour)
    if low is not None and high is not None:
        axes.plot([low, high], [place, place], color=INK, linewidth=1)
    ratio = "" if cell.ratio is None else f"  ({units.ratio(cell.ratio.center)})"
    end = center if high is None else high
    axes.text(end, place, f"  {format_number(center, unit)}{ratio}", va="center", fontsize=8, color=QUIET)


def _group(compared: Comparison) -> str:
    """Return the case that a group of bars is of: what its sides have in common."""
    cases = list(dict.fromkeys(side.case for side in compared.sides))
    subjects = list(dict.fromkeys(str(side.subject) for side in compared.sides))
    modes = list(dict.fromkeys(side.mode for side in compared.sides))
    common = [names for names in (cases, modes, subjects) if len(names) == 1]
    return (common[0][0] if common else " | ".join(cases)).removesuffix("@direct")
