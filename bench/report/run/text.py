"""Format what the commands print of runs: a result, a comparison, the list, remedies, checks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.compare import Answer, Cell, Comparison
from bench.analysis.metrics import Metric
from bench.analysis.sides import split
from bench.report.html import Table
from bench.report.run import finding, tables
from bench.report.text_table import format_number, format_table, format_warnings, wrap
from bench.runs.read import Listed
from bench.runs.record import Run, Trial

if TYPE_CHECKING:
    from bench.analysis.ceiling import Ceiling, Remedy
    from bench.doctor import Check


_INTERRUPTED = "interrupted; left out of comparisons"


def format_run(run: Run, picture: Path | None = None) -> str:
    """Return what `bench run` and `bench show` print: table, warnings, sentence, the next command."""
    parts = [format_table(tables.build_result_table(run)), format_warnings(summarize_warnings(run)), "\n"]
    parts += [
        wrap(finding.summarize(run)),
        "\n\n",
        *([] if run.directory is None else [f"results: {run.directory}\n"]),
        *([] if picture is None else [f"picture: {picture}\n"]),
        f"next:    {finding.suggest_command(run)}\n",
    ]
    return "".join(parts)


def summarize_warnings(run: Run) -> list[str]:
    """Return the warnings, each once with the trials that carry it; those with one remedy together."""
    kinds: dict[tuple[str, str, str], dict[str, list[Trial]]] = {}
    for trial in run.trials:
        for warning in trial.warnings:
            mode = f"{trial.mode} (invalid)" if warning.voids else trial.mode
            shared = (warning.code, mode, warning.advice) if warning.advice else (warning.message, "", "")
            kinds.setdefault(shared, {}).setdefault(warning.message, []).append(trial)
        if trial.interrupted:
            kinds.setdefault((_INTERRUPTED, "", ""), {}).setdefault(_INTERRUPTED, []).append(trial)
    return [_format_warning(run, mode, advice, messages) for (_, mode, advice), messages in kinds.items()]


def _format_warning(run: Run, mode: str, advice: str, messages: dict[str, list[Trial]]) -> str:
    parts = [f"{_name_trials(run, trials, mode)}: {message}" for message, trials in messages.items()]
    return "; ".join([*parts, advice] if advice else parts)


def _name_trials(run: Run, trials: Sequence[Trial], mode: str) -> str:
    """Name trials by their numbers and their mode, where that is one."""
    if len(trials) == len(run.trials) > 1 and not mode:
        return "every trial"
    mode = mode or " and ".join(dict.fromkeys(trial.mode for trial in trials))
    return f"trial {', '.join(str(trial.trial) for trial in trials)}, {mode}"


def comparison(compared: Comparison) -> str:
    """Return what `bench compare` prints: who the sides are, the table, the warnings."""
    head = [
        f"{side.name}: {side.run.directory}, {side.mode}, {tables.format_trial_count(side)}\n"
        for side in compared.sides
    ]
    asked = _columns(compared)
    columns = [column for side in compared.sides[1:] for column in (side.name, *asked)]
    rows = []
    cliff = compared.row("ports.half_range_passed_s").tells
    tools = tables.name_tools(trial for side in compared.sides for trial in side.trials)
    for row in compared.rows:
        if not row.tells or (not cliff and row.metric.key.startswith(tables.ONLY_WITH_CLIFF)):
            continue
        unit = row.metric.unit
        cells = [_shown_as(column, cell, unit) for cell in row.cells[1:] for column in ("median", *asked)]
        rows.append((_labelled(row.metric, tools), _shown_as("median", row.cells[0], unit), *cells))
    drawn = format_table(Table(("metric", compared.sides[0].name, *columns), rows))
    return "".join([*head, drawn, *_footnotes(compared), format_warnings(compared.warnings)])


def format_list(found: Sequence[Listed], root: Path) -> str:
    """Return what `bench list` prints: a row for each run, and what cannot be read."""
    if not found:
        return f"{root} holds no run; `bench run` makes one\n"
    rows = []
    for each in found:
        if each.run is not None:
            rates = ", ".join(f"{side.mode} {finding.format_rate(side)}" for side in split(each.run))
            if len(each.run.subjects) > 1:
                rates = f"{len(each.run.subjects)} subjects"
            rows.append((str(each.directory), each.run.started, str(len(each.run.trials)), rates or "-"))
    return format_table(Table(("run", "started", "trials", "requests/s"), rows)) + "".join(
        f"! {each.problem}\n" for each in found if each.problem
    )


def _columns(compared: Comparison) -> tuple[str, ...]:
    """Return the columns for each side after the first: a test where one was made, room permitting more."""
    tested = any(cell.answer is not Answer.UNMEASURED for row in compared.rows for cell in row.cells)
    return ("ratio", *(("difference",) if len(compared.sides) == 2 else ()), *(("test",) if tested else ()))


def _labelled(metric: Metric, tools: str) -> str:
    if metric.key.startswith("second_opinion."):
        return f"{metric.key} ({tools})"
    told = metric.unit in ("", "1/s", "s") or f"_{metric.unit}" in metric.key
    return metric.key if told else f"{metric.key} ({metric.unit})"


def _shown_as(column: str, cell: Cell, unit: str) -> str:
    if column == "median":
        return "-" if cell.estimate is None else format_number(cell.estimate.center, unit)
    if column == "difference":
        return "-" if cell.difference is None else _signed(cell.difference, unit)
    return _ratio(cell) if column == "ratio" else _tested(cell)


def _signed(value: float, unit: str) -> str:
    return ("+" if value > 0 else "") + format_number(value, unit)


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


def format_ceiling(here: Ceiling, rate: float, found: Sequence[Remedy]) -> str:
    """Return what `bench ceiling` prints: when the ports slow down and run out, and what moves that."""
    slow_s, out_s = here.slows_after_s(rate), here.exhausted_after_s(rate)
    clauses = [
        f"{here.tuples:,} ports bear {units.rate(here.connections_per_s)} where the proxy closes first",
        f"at {units.rate(rate)} it slows down after {slow_s:.1f} s"
        if slow_s is not None
        else "connect() stays fast",
        f"and the ports run out after {out_s:.1f} s" if out_s is not None else "and the ports never run out",
    ]
    rows = []
    for remedy in found:
        limit = "no bound" if math.isinf(remedy.requests_per_s) else f"{remedy.requests_per_s:,.0f}"
        rows.append((remedy.name, limit, "yes" if remedy.holds else "no", remedy.change))
    columns = ("remedy", "bears, requests/s", "enough", "change")
    return wrap(", ".join(clauses) + ".") + "\n" + format_table(Table(columns, rows))


def format_checks(found: Sequence[Check]) -> str:
    """Return what `bench doctor` prints: each check with its state, and below it what to change."""
    signs = {"ok": "ok", "warn": "! ", "fail": "NO", "missing": "- "}
    lines = []
    for check in found:
        lines.append(f"{signs[check.status]}  {check.name:<22} {check.value}")
        if check.remedy:
            lines.append(f"{'':<26}-> {check.remedy}")
    return "\n".join(lines) + "\n"
