"""Tables and sentences as plain text: a run's result, a comparison, the list of runs. No printing."""

from __future__ import annotations

import math
import statistics
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import units
from bench.analysis import metrics
from bench.analysis.compare import Answer, Cell, Comparison
from bench.analysis.metrics import Metric
from bench.analysis.sides import Side, split
from bench.record import Run
from bench.report import finding
from bench.report.figures import number
from bench.results import Listed

if TYPE_CHECKING:
    from rich.table import Table

    from bench.analysis.ceiling import Ceiling, Remedy
    from bench.doctor import Check


_PROSE_WIDTH = 100
_WIDTH = 240  # no row is ever folded; a terminal that is narrower folds it
# (row of the result table, metric); rows that no trial has a figure for are left out
_ROWS = (
    ("requests/s", "requests_per_s"),
    ("  before half of the ports", "ports.rate_before"),
    ("  after it", "ports.rate_after"),
    ("latency p50, ms", "latency_ms.p50"),
    ("latency p99, ms", "latency_ms.p99"),
    ("latency p99.9, ms", "latency_ms.p99_9"),
    ("upstream connections", "upstream.connections_opened"),
    ("requests per connection", "upstream.requests_per_connection"),
    ("half of the ports used, s", "ports.half_range_passed_s"),
    ("ports exhausted, s", "ports.exhausted_s"),
    ("ports used, peak", "ports.used_peak"),
    ("TIME_WAIT client, peak", "time_wait.client.peak"),
    ("TIME_WAIT proxy, peak", "time_wait.proxy.peak"),
    ("TIME_WAIT backend, peak", "time_wait.backend.peak"),
    ("CPU client, us/request", "cpu_us_per_request.client"),
    ("CPU proxy, us/request", "cpu_us_per_request.proxy"),
    ("  before half of the ports", "cpu_us_per_request_before_cliff.proxy"),
    ("CPU backend, us/request", "cpu_us_per_request.backend"),
    ("memory proxy, MiB", "memory_mib.proxy"),
    ("errors", "errors"),
    ("late", "late"),
    ("never started", "never_started"),
)
_SILENT_AT_ZERO = frozenset({"late", "never_started", "time_wait.client.peak", "ports.used_peak"})
_ONLY_WITH_CLIFF = "cpu_us_per_request_before_cliff"


def result(run: Run, picture: Path | None = None) -> str:
    """Return what `bench run` and `bench show` print: table, doubts, sentence, the next command."""
    parts = [render(result_table(run)), *map(_noted, doubts(run)), "\n"]
    parts += [
        textwrap.fill(finding.sentence(run), _PROSE_WIDTH),
        "\n\n",
        *([] if run.directory is None else [f"results: {run.directory}\n"]),
        *([] if picture is None else [f"picture: {picture}\n"]),
        f"next:    {finding.next_command(run)}\n",
    ]
    return "".join(parts)


def result_table(run: Run) -> Table:
    """Return the medians of each mode over its counted trials, with the least and the greatest."""
    sides = split(run)
    table = _table("", *(f"{side.name} ({_counted(side)})" for side in sides))
    cliff = any(
        trial.ports.half_range_passed_s is not None for side in sides for trial in finding.shown(side)
    )
    for label, key in _ROWS:
        samples = [finding.figures(side, key) for side in sides]
        silent = key in _SILENT_AT_ZERO and not any(map(any, samples))
        if any(samples) and not silent and (cliff or not key.startswith(_ONLY_WITH_CLIFF)):
            table.add_row(label, *(_spread(sample, metrics.named(key)) for sample in samples))
    return table


def doubts(run: Run) -> list[str]:
    """Return the cautions of the trials, each once, with the trials that carry it."""
    carried: dict[str, list[int]] = {}
    for trial in run.trials:
        for caution in trial.cautions:
            advice = f"; {caution.advice}" if caution.advice else ""
            void = " (invalid)" if caution.voids else ""
            carried.setdefault(f"{trial.mode}{void}: {caution.message}{advice}", []).append(trial.trial)
        if trial.interrupted:
            carried.setdefault(f"{trial.mode}: interrupted; left out of comparisons", []).append(trial.trial)
    return [f"trial {', '.join(map(str, numbers))}, {said}" for said, numbers in carried.items()]


def comparison(compared: Comparison) -> str:
    """Return what `bench compare` prints: who the sides are, the table, the doubts."""
    head = [f"{side.name}: {side.run.directory}, {side.mode}, {_counted(side)}\n" for side in compared.sides]
    asked = _columns(compared)
    columns = [column for side in compared.sides[1:] for column in (side.name, *asked)]
    table = _table("metric", compared.sides[0].name, *columns)
    cliff = compared.row("ports.half_range_passed_s").tells
    for row in compared.rows:
        if not row.tells or (not cliff and row.metric.key.startswith(_ONLY_WITH_CLIFF)):
            continue
        unit = row.metric.unit
        cells = [_shown_as(column, cell, unit) for cell in row.cells[1:] for column in ("median", *asked)]
        table.add_row(_labelled(row.metric), _shown_as("median", row.cells[0], unit), *cells)
    notes = [*_footnotes(compared), *map(_noted, compared.warnings)]
    return "".join([*head, render(table), *notes])


def listing(found: Sequence[Listed], root: Path) -> str:
    """Return what `bench list` prints: a row for each run, and what cannot be read."""
    if not found:
        return f"{root} holds no run; `bench run` makes one\n"
    table = _table("run", "started", "trials", "requests/s")
    for each in found:
        if each.run is not None:
            rates = ", ".join(f"{side.mode} {finding.rate(side)}" for side in split(each.run))
            table.add_row(str(each.directory), each.run.started, str(len(each.run.trials)), rates or "-")
    return render(table) + "".join(f"! {each.problem}\n" for each in found if each.problem)


def render(table: Table) -> str:
    """Return `table` as text without colours, as wide as it needs to be."""
    import io  # noqa: PLC0415

    from rich.console import Console  # noqa: PLC0415

    console = Console(file=io.StringIO(), width=_WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _table(first: str, *columns: str) -> Table:
    from rich import box  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _counted(side: Side) -> str:
    counted, all_ = len(side.counted), len(side.trials)
    trials = f"{all_} trial{'' if all_ == 1 else 's'}"
    return trials if counted == all_ else f"{counted} of {trials}"


def _spread(values: Sequence[float], metric: Metric) -> str:
    if not values:
        return "-"
    bounds = (statistics.median(values), min(values), max(values))
    center, low, high = (number(value, metric.unit) for value in bounds)
    return center if low == high else f"{center} ({low} to {high})"


def _columns(compared: Comparison) -> tuple[str, ...]:
    """Return the columns for each side after the first: a test where one was made, room permitting more."""
    tested = any(cell.answer is not Answer.UNMEASURED for row in compared.rows for cell in row.cells)
    return ("ratio", *(("difference",) if len(compared.sides) == 2 else ()), *(("test",) if tested else ()))


def _noted(doubt: str) -> str:
    folded = textwrap.wrap(doubt, _PROSE_WIDTH, break_on_hyphens=False)
    return "! " + "\n  ".join(folded) + "\n"


def _labelled(metric: Metric) -> str:
    told = metric.unit in ("", "1/s", "s") or f"_{metric.unit}" in metric.key
    return metric.key if told else f"{metric.key} ({metric.unit})"


def _shown_as(column: str, cell: Cell, unit: str) -> str:
    if column == "median":
        return "-" if cell.estimate is None else number(cell.estimate.center, unit)
    if column == "difference":
        return "-" if cell.difference is None else _signed(cell.difference, unit)
    return _ratio(cell) if column == "ratio" else _tested(cell)


def _signed(value: float, unit: str) -> str:
    return ("+" if value > 0 else "") + number(value, unit)


def _ratio(cell: Cell) -> str:
    if cell.ratio is None:
        return "-"
    said = units.ratio(cell.ratio.center)
    if cell.ratio.low is None or cell.ratio.high is None:
        return said
    return f"{said} [{units.ratio(cell.ratio.low)}, {units.ratio(cell.ratio.high)}]"


def _tested(cell: Cell) -> str:
    if cell.p is None:
        return str(cell.answer)
    p = f"p={cell.p:.3f}" if cell.p >= 0.001 else "p<0.001"
    return f"~ ({p})" if cell.answer is Answer.SAME else p


def _footnotes(compared: Comparison) -> Iterator[str]:
    answers = {cell.answer for row in compared.rows for cell in row.cells}
    if Answer.TOO_FEW in answers:
        counts = " and ".join(str(len(side.counted)) for side in compared.sides)
        yield f"too few: {counts} trials cannot show a difference at p < 0.05; four a side can (--trials 4)\n"
    if Answer.SAME in answers:
        yield "~: no difference shows (Mann-Whitney U, p above 0.05)\n"
    if any(cell.ratio and cell.ratio.low is not None for row in compared.rows for cell in row.cells):
        yield "[low, high]: 95 % interval of the ratio (Hodges-Lehmann)\n"


def remedies(here: Ceiling, rate: float, found: Sequence[Remedy]) -> str:
    """Return what `bench ceiling` prints: when the ports slow down and run out, and what moves that."""
    slow_s, out_s = here.slows_after_s(rate), here.exhausted_after_s(rate)
    said = [f"{here.tuples:,} ports bear {units.rate(here.connections_per_s)} where the proxy closes first"]
    said.append(
        "connect() stays fast"
        if slow_s is None
        else f"at {units.rate(rate)} it slows down after {slow_s:.1f} s"
    )
    said.append(
        "and the ports never run out" if out_s is None else f"and the ports run out after {out_s:.1f} s"
    )
    table = _table("remedy", "bears, requests/s", "enough", "change")
    for remedy in found:
        bears = "no bound" if math.isinf(remedy.requests_per_s) else f"{remedy.requests_per_s:,.0f}"
        table.add_row(remedy.name, bears, "yes" if remedy.holds else "no", remedy.change)
    return textwrap.fill(", ".join(said) + ".", _PROSE_WIDTH) + "\n" + render(table)


def checks(found: Sequence[Check]) -> str:
    """Return what `bench doctor` prints: each check with its state, and below it what to change."""
    signs = {"ok": "ok", "warn": "! ", "fail": "NO", "missing": "- "}
    lines = []
    for check in found:
        lines.append(f"{signs[check.status]}  {check.name:<20} {check.value}")
        if check.remedy:
            lines.append(f"{'':<24}-> {check.remedy}")
    return "\n".join(lines) + "\n"
