"""Format a sweep as text: a row for each cell, and for each axis a sentence that says where it bends."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.analysis import claims, exhaustion, sweep
from bench.analysis.claims import RunVerdict
from bench.analysis.knee import Knee
from bench.analysis.sweep import Curve, Point, SweepCell, SweepFigure
from bench.plan.grid import Axis
from bench.report.html import Table
from bench.report.run import finding, machines
from bench.report.sweep import search_text
from bench.report.text_table import (
    format_number,
    format_paths,
    format_spread,
    format_table,
    format_warnings,
    wrap,
)
from bench.runs.record import TrialWarning
from bench.runs.sweep_trial import SweepRun

_MOST_CURVES = 4
"""Of an axis, that get a sentence each: beyond them there is one for the first and the last."""


def format_run(run: SweepRun, drawn: Path | None = None) -> str:
    """Return what `bench sweep` and `bench show` print: the table, warnings, and what each axis does.

    `drawn` is the first of the pictures, where they could be drawn.
    """
    parts = [format_table(build_table(run)), machines.format_machines(run)]
    parts += [format_warnings(summarize_warnings(run))]
    parts += [f"\n{wrap(sentence)}\n" for sentence in conclude(run)]
    parts += ["\n", format_paths(run.directory, None)]
    if drawn is not None:
        parts += [f"picture: {drawn.with_name(f'{name}.png')}\n" for name in list_pictures(run)]
    return "".join([*parts, f"next:    {suggest_command(run)}\n"])


def build_table(run: SweepRun) -> Table:
    """Return a row for each cell: its values, then its figures."""
    figures = sweep.figures(run)
    found = sweep.cells(run)
    axes = sweep.grid_of(run).axes
    has_modes = len({cell.mode for cell in found}) > 1 and "mode" not in run.grid
    keys = [*(axis.name for axis in axes), *(["mode"] if has_modes else [])]
    rows = [
        [
            *(axis.format(cell.values[axis.key]) for axis in axes),
            *([cell.mode] if has_modes else []),
            *(format_point(cell.point(figure), figure) for figure in figures),
        ]
        for cell in found
    ]
    return Table([*keys, *(each.column for each in figures)], rows)


def format_point(point: Point, figure: SweepFigure) -> str:
    """Return a figure of a cell, with the least and the greatest; what does not count is told."""
    if point.center is None:
        return "past half" if point.is_cut else "void" if point.void else "-"
    mark = " <" if point.is_cut and figure is sweep.RATE else ""
    return format_spread(point.center, min(point.values), max(point.values), figure.unit) + mark


def summarize_warnings(run: SweepRun) -> list[str]:
    """Return what is wrong with cells: trials that do not count, and ports that ran out, with their cells."""
    warnings = list(_group_warnings(run))
    crossed = [cell.side.case for cell in sweep.cells(run) if cell.point(sweep.RATE).is_cut]
    if crossed:
        warnings.append(
            f"{_name_cells(crossed)}: half of the ports were used; the rate (<) is the one before, and there"
            " is no latency, since it would be of both"
        )
    for cell in sweep.cells(run):
        if (spent := exhaustion.find(cell.side)) is not None:
            warnings.append(f"{cell.side.case}: {finding.format_end(spent)}")
    if (missing := _count_missing(run)) and not run.objective:
        cells = "1 cell has" if missing == 1 else f"{missing} cells have"
        warnings.append(f"{cells} no trial yet; `bench sweep --resume {run.directory}` goes on")
    return warnings


def _count_missing(run: SweepRun) -> int:
    """Return how many cells of the grid have no trial."""
    return len(sweep.grid_of(run)) - len({tuple(cell.values.items()) for cell in sweep.cells(run)})


def _group_warnings(run: SweepRun) -> Iterator[str]:
    """Yield each kind of warning once, with the number of its trials and the first message."""
    kinds: dict[tuple[str, bool], list[TrialWarning]] = {}
    for trial in run.trials:
        for warning in trial.warnings:
            kinds.setdefault((warning.code, warning.voids), []).append(warning)
    for found in kinds.values():
        first = found[0]
        void = " (void)" if first.voids else ""
        others = (
            "" if len(found) == 1 else f", and alike in {len(found) - 1} more of {len(run.trials)} trials"
        )
        yield f"{first.message}{void}{others}" + (f"; {first.advice}" if first.advice else "")
    if stopped := sum(trial.interrupted for trial in run.trials):
        yield f"trials that were interrupted, and are left out: {stopped}"


def _name_cells(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) < 4 else f"{names[0]} and {len(names) - 1} other cells"


def conclude(run: SweepRun) -> list[str]:
    """Return what was found, a sentence for each finding: of a search its answer first."""
    if not run.trials:
        return ["No trial was finished."]
    answer = [search_text.summarize(run)] if run.objective else []
    return [*answer, *summarize(run)]


def summarize(run: SweepRun) -> Iterator[str]:
    """Yield a sentence for each axis: how the leading figure moves along it, and where it bends."""
    for axis in sweep.grid_of(run).axes:
        yield from summarize_axis(run, axis)


def summarize_axis(run: SweepRun, axis: Axis) -> Iterator[str]:
    """Yield how the leading figure moves along an axis: a sentence for each curve, or for the outer two."""
    figure = sweep.leading(run)
    found = [curve for curve in sweep.curves(run, axis, figure) if len(curve.values) > 1]
    shown = found if len(found) <= _MOST_CURVES else [found[0], found[-1]]
    for curve in shown:
        yield describe(axis, figure, curve)


def list_pictures(run: SweepRun) -> dict[str, Axis | None]:
    """Return what is drawn of a sweep by the names of the files: an axis, or None for the heat maps."""
    axes = sweep.grid_of(run).axes
    heat_maps = {"heat-map": None} if len(axes) == 2 else {}
    return {**{f"axis-{axis.name}": axis for axis in axes}, **heat_maps}


def describe(axis: Axis, figure: SweepFigure, curve: Curve) -> str:
    """Return how a figure moves along an axis, and where it bends."""
    where = f" ({curve.label})" if curve.label else ""
    known = [
        (value, point.center)
        for value, point in zip(curve.values, curve.points, strict=True)
        if point.center is not None
    ]
    if len(known) < 2:
        return f"{axis.name}{where}: too few cells have a trial that counts for {figure.title}."
    (first, least), (last, most) = known[0], known[-1]
    title = figure.title.removesuffix(f", {figure.unit}")
    unit = "" if title == figure.title else f" {figure.unit}"
    before, behind = format_number(least, figure.unit), format_number(most, figure.unit)
    change = f"is {before} at both ends" if before == behind else f"goes from {before} to {behind}{unit}"
    moved = f"{axis.name} {axis.format(first)} to {axis.format(last)}{where}: {title} {change}"
    bend = curve.bend()
    if bend.knee is None:
        return f"{moved}; no knee is named: {bend.reason}."
    return f"{moved}; {_format_knee(axis, bend.knee)}."


def _format_knee(axis: Axis, knee: Knee) -> str:
    at = axis.format(knee.at if knee.at != int(knee.at) else int(knee.at))
    if knee.low is None or knee.high is None:
        interval = "one trial a cell gives no interval"
    elif knee.low == knee.high:
        interval = "the same in 95 % of the resampled trials"
    else:
        low, high = (axis.format(int(each) if each == int(each) else each) for each in (knee.low, knee.high))
        interval = f"{low} to {high} in 95 % of the resampled trials"
    return f"it {knee.kind} at {axis.name} {at} ({interval}; Kneedle)"


def format_title(run: SweepRun) -> str:
    """Return what the sweep is of."""
    if run.objective:
        return "A search for the highest rate"
    axes = " and ".join(axis.name for axis in sweep.grid_of(run).axes)
    return f"A sweep of {axes}: {len(sweep.grid_of(run))} cells"


def suggest_command(run: SweepRun) -> str:
    """Return the command to type next.

    A machine that was too busy is looked at first; then a sweep is completed, then its ends are compared.
    """
    found: list[SweepCell] = sweep.cells(run)
    if claims.judge(run) in (RunVerdict.EMPTY, RunVerdict.TOO_BUSY):
        return "bench doctor"
    if run.objective:
        return f"bench report {run.directory}"
    is_cut = run.interrupted or any(trial.interrupted for trial in run.trials)
    if is_cut or _count_missing(run) or len(found) < 2:
        return f"bench sweep --resume {run.directory}"
    return f"bench compare {run.directory}:{found[0].side.case} {run.directory}:{found[-1].side.case}"
