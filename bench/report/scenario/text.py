"""A scenario's run as text: its table, what could not be measured, the warnings, the sentence."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.analysis.cases import CaseTrials, Spread, Summary
from bench.experiment.definition import Column, Scenario
from bench.report import grid
from bench.report.figures import number
from bench.report.html import Table
from bench.runs.read import Listed
from bench.runs.record import ScenarioRun


def result(scenario: Scenario, run: ScenarioRun, picture: Path | None = None) -> str:
    """Return what `bench scenario run` and `bench scenario show` print."""
    parts = [f"{scenario.title}\n", grid.draw(table(scenario, run))]
    parts += [f"- {said}\n" for said in refusals(run)]
    parts += [grid.notes(warnings(run)), "\n", grid.prose(sentence(scenario, run)), "\n\n"]
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
    cells = [(_named(row), *(_cell(row.spread(column.key), column) for column in columns)) for row in rows]
    return Table(("", *(column.title for column in columns)), cells)


def refusals(run: ScenarioRun) -> list[str]:
    """Return what could not be measured, and why: ways and subjects that share a reason stand together."""
    variants: dict[tuple[str, str], list[str]] = {}
    for each in run.refused:
        variants.setdefault((each.subject, each.reason), []).append(each.variant)
    subjects: dict[tuple[str, str], list[str]] = {}
    for (subject, reason), refused in variants.items():
        is_all = len(refused) > 1 and len(refused) == len(run.plan.get("variants", ()))
        told = "every way" if is_all else ", ".join(refused)
        subjects.setdefault((told, reason), []).append(subject)
    return [f"{told} on {', '.join(names)}: {reason}" for (told, reason), names in subjects.items()]


def warnings(run: ScenarioRun) -> list[str]:
    """Return the warnings of the trials; those that differ in their figures only are told by the first."""
    told: dict[tuple[str, str, bool], dict[str, list[int]]] = {}
    for trial in run.trials:
        for warning in trial.warnings:
            kind = (warning.code, warning.advice or warning.message, warning.voids)
            advice = f"; {warning.advice}" if warning.advice else ""
            void = " (invalid)" if warning.voids else ""
            said = f"{warning.message}{advice}{void}"
            told.setdefault(kind, {}).setdefault(said, []).append(trial.trial)
    lines = [_warning(list(each.items())) for each in told.values()]
    cut = [str(trial.trial) for trial in run.trials if trial.interrupted]
    return [*lines, f"trial {', '.join(cut)}: interrupted; left out of the table"] if cut else lines


def _warning(carried: Sequence[tuple[str, Sequence[int]]]) -> str:
    """Return one warning, of one kind: in the words of the first trial that carries it."""
    (said, trials), *others = carried
    more = ", ".join(str(trial) for _, each in others for trial in each)
    likewise = f" (likewise {more})" if more else ""
    return f"trial {', '.join(map(str, trials))}{likewise}: {said}"


def catalogue(scenarios: Iterable[Scenario]) -> str:
    """Return what `bench scenario list` prints."""
    rows = [
        (scenario.name, scenario.title, ", ".join(variant.name for variant in scenario.variants))
        for scenario in scenarios
    ]
    return grid.draw(Table(("scenario", "what it measures", "variants"), rows), are_figures=False)


def listing(runs: Sequence[Listed]) -> str:
    """Return a row for each stored run of a scenario, and what cannot be read."""
    rows = [
        (str(each.directory), each.run.started, str(len(each.run.trials)))
        for each in runs
        if each.run is not None
    ]
    shown = grid.draw(Table(("scenario", "started", "trials"), rows), are_figures=False) if rows else ""
    return shown + "".join(f"! {each.problem}\n" for each in runs if each.problem is not None)


def _cell(spread: Spread | None, column: Column) -> str:
    """Return a figure with its spread over the trials, where there is one."""
    if spread is None:
        return "-"
    middle, least, greatest = (number(value, column.unit) for value in spread)
    return middle if least == greatest else f"{middle} ({least} to {greatest})"


def _named(row: CaseTrials) -> str:
    count = len(row.counted)
    return f"{row.name} ({count} trials)" if count > 1 else row.name
