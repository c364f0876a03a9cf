"""A scenario's run as text: its table, what could not be measured, the doubts, the sentence."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.report import grid
from bench.report.figures import number
from bench.scenarios.record import ScenarioRun
from bench.scenarios.scenario import Column, Scenario
from bench.scenarios.summary import Row, Spread, Summary

if TYPE_CHECKING:
    from rich.table import Table


def result(scenario: Scenario, run: ScenarioRun, picture: Path | None = None) -> str:
    """Return what `bench scenario run` and `bench scenario show` print."""
    parts = [f"{scenario.title}\n", grid.render(table(scenario, run))]
    parts += [f"- {each.way}, {each.subject}: {each.reason}\n" for each in run.refused]
    parts += map(grid.noted, doubts(run))
    parts += ["\n", textwrap.fill(sentence(scenario, run), grid.PROSE_WIDTH), "\n\n"]
    if run.directory is not None:
        parts.append(f"results: {run.directory}\n")
    if picture is not None:
        parts.append(f"picture: {picture}\n")
    return "".join(parts)


def sentence(scenario: Scenario, run: ScenarioRun) -> str:
    """Return what the run shows; says so where nothing was measured."""
    if not any(not trial.interrupted for trial in run.trials):
        return "Nothing was measured to the end."
    return scenario.conclude(Summary.of(run))


def table(scenario: Scenario, run: ScenarioRun) -> Table:
    """Return a row for each case, a column for each figure that any of them has."""
    rows = Summary.of(run).rows
    columns = [
        column for column in scenario.columns if any(row.value(column.key) is not None for row in rows)
    ]
    shown = grid.new("", *(column.title for column in columns))
    for row in rows:
        shown.add_row(_named(row), *(cell(row.spread(column.key), column) for column in columns))
    return shown


def cell(spread: Spread | None, column: Column) -> str:
    """Return a figure with its spread over the trials, where there is one."""
    if spread is None:
        return "-"
    middle, least, greatest = (number(value, column.unit) for value in spread)
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


def doubts(run: ScenarioRun) -> list[str]:
    """Return the cautions of the trials, each once, with the trials that carry it."""
    carried: dict[str, list[int]] = {}
    for trial in run.trials:
        for caution in trial.cautions:
            advice = f"; {caution.advice}" if caution.advice else ""
            void = " (invalid)" if caution.voids else ""
            carried.setdefault(f"{caution.message}{advice}{void}", []).append(trial.trial)
        if trial.interrupted:
            carried.setdefault("interrupted; left out of the table", []).append(trial.trial)
    return [f"trial {', '.join(map(str, numbers))}: {said}" for said, numbers in carried.items()]


def catalogue(scenarios: Iterable[Scenario]) -> str:
    """Return what `bench scenario list` prints."""
    shown = grid.new("scenario", "what it measures", "ways", are_figures=False)
    for scenario in scenarios:
        ways = ", ".join(way.name for way in scenario.ways)
        shown.add_row(scenario.name, scenario.title, ways)
    return grid.render(shown)


def listing(runs: Sequence[tuple[Path, ScenarioRun | None, str | None]]) -> str:
    """Return a row for each stored run of a scenario, and what cannot be read."""
    shown = grid.new("scenario run", "started", "trials", are_figures=False)
    problems = []
    for directory, run, problem in runs:
        if run is None:
            problems.append(f"! {problem}\n")
        else:
            shown.add_row(str(directory), run.started, str(len(run.trials)))
    return (grid.render(shown) if shown.row_count else "") + "".join(problems)


def _named(row: Row) -> str:
    count = len(row.counted)
    return f"{row.name} ({count} trials)" if count > 1 else row.name
