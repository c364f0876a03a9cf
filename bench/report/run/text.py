"""Tables and sentences as plain text: a run's result, a comparison, the list of runs. No printing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.compare import Answer, Cell, Comparison
from bench.analysis.metrics import Metric
from bench.analysis.sides import split
from bench.report import grid, text_table
from bench.report.figures import number
from bench.report.html import Table
from bench.report.run import finding
from bench.runs.read import Listed
from bench.runs.record import Run, Trial

if TYPE_CHECKING:
    from bench.analysis.ceiling import Ceiling, Remedy
    from bench.doctor import Check


_INTERRUPTED = "interrupted; left out of comparisons"


def result(run: Run, picture: Path | None = None) -> str:
    """Return what `bench run` and `bench show` print: table, warnings, sentence, the next command."""
    parts = [grid.draw(text_table.result(run)), grid.notes(warnings(run)), "\n"]
    parts += [
        grid.prose(finding.sentence(run)),
        "\n\n",
        *([] if run.directory is None else [f"results: {run.directory}\n"]),
        *([] if picture is None else [f"picture: {picture}\n"]),
        f"next:    {finding.next_command(run)}\n",
    ]
    return "".join(parts)


def warnings(run: Run) -> list[str]:
    """Return the warnings of the trials, each once with who carries it; those with one remedy together."""
    kinds: dict[tuple[str, str, str], dict[str, list[Trial]]] = {}
    for trial in run.trials:
        for warning in trial.warnings:
            mode = f"{trial.mode} (invalid)" if warning.voids else trial.mode
            shared = (warning.code, mode, warning.advice) if warning.advice else (warning.message, "", "")
            kinds.setdefault(shared, {}).setdefault(warning.message, []).append(trial)
        if trial.interrupted:
            kinds.setdefault((_INTERRUPTED, "", ""), {}).setdefault(_INTERRUPTED, []).append(trial)
    return [_warning(run, mode, advice, said) for (_, mode, advice), said in kinds.items()]


def _warning(run: Run, mode: str, advice: str, said: dict[str, list[Trial]]) -> str:
    told = [f"{_who(run, trials, mode)}: {message}" for message, trials in said.items()]
    return "; ".join([*told, advice] if advice else told)


def _who(run: Run, trials: Sequence[Trial], mode: str) -> str:
    """Name trials by their numbers and their mode, where that is one."""
    if len(trials) == len(run.trials) > 1 and not mode:
        return "every trial"
    mode = mode or " and ".join(dict.fromkeys(trial.mode for trial in trials))
    return f"trial {', '.join(str(trial.trial) for trial in trials)}, {mode}"


def comparison(compared: Comparison) -> str:
    """Return what `bench compare` prints: who the sides are, the table, the warnings."""
    head = [
        f"{side.name}: {side.run.directory}, {side.mode}, {text_table.counted(side)}\n"
        for side in compared.sides
    ]
    asked = _columns(compared)
    columns = [column for side in compared.sides[1:] for column in (side.name, *asked)]
    rows = []
    cliff = compared.row("ports.half_range_passed_s").tells
    tools = text_table.asked(trial for side in compared.sides for trial in side.trials)
    for row in compared.rows:
        if not row.tells or (not cliff and row.metric.key.startswith(text_table.ONLY_WITH_CLIFF)):
            continue
        unit = row.metric.unit
        cells = [_shown_as(column, cell, unit) for cell in row.cells[1:] for column in ("median", *asked)]
        rows.append((_labelled(row.metric, tools), _shown_as("median", row.cells[0], unit), *cells))
    drawn = grid.draw(Table(("metric", compared.sides[0].name, *columns), rows))
    return "".join([*head, drawn, *_footnotes(compared), grid.notes(compared.warnings)])


def listing(found: Sequence[Listed], root: Path) -> str:
    """Return what `bench list` prints: a row for each run, and what cannot be read."""
    if not found:
        return f"{root} holds no run; `bench run` makes one\n"
    rows = []
    for each in found:
        if each.run is not None:
            rates = ", ".join(f"{side.mode} {finding.rate(side)}" for side in split(each.run))
            if len(each.run.subjects) > 1:
                rates = f"{len(each.run.subjects)} subjects"
            rows.append((str(each.directory), each.run.started, str(len(each.run.trials)), rates or "-"))
    return grid.draw(Table(("run", "started", "trials", "requests/s"), rows)) + "".join(
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
    rows = []
    for remedy in found:
        bears = "no bound" if math.isinf(remedy.requests_per_s) else f"{remedy.requests_per_s:,.0f}"
        rows.append((remedy.name, bears, "yes" if remedy.holds else "no", remedy.change))
    columns = ("remedy", "bears, requests/s", "enough", "change")
    return grid.prose(", ".join(said) + ".") + "\n" + grid.draw(Table(columns, rows))


def checks(found: Sequence[Check]) -> str:
    """Return what `bench doctor` prints: each check with its state, and below it what to change."""
    signs = {"ok": "ok", "warn": "! ", "fail": "NO", "missing": "- "}
    lines = []
    for check in found:
        lines.append(f"{signs[check.status]}  {check.name:<22} {check.value}")
        if check.remedy:
            lines.append(f"{'':<26}-> {check.remedy}")
    return "\n".join(lines) + "\n"
