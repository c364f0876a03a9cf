"""Format a scenario's run as text: its table, what could not be measured, the warnings, the sentence."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from bench import units
from bench.analysis import claims
from bench.analysis.cases import CaseTrials, Summary
from bench.analysis.claims import RunVerdict, Standing
from bench.analysis.metrics import Metric
from bench.experiment.definition import Scenario
from bench.report.html import Table
from bench.report.text_table import (
    explain_cells,
    format_paths,
    format_sample,
    format_table,
    format_warnings,
    wrap,
)
from bench.runs.record import ScenarioRun

_A_COUNT = Metric("hops.back.opened", "")
_TOO_BUSY = "This machine was too busy for rates and times; counts and CPU stand."


def format_run(scenario: Scenario, run: ScenarioRun, picture: Path | None = None) -> str:
    """Return what `bench scenario run` and `bench show` print."""
    table = build_table(scenario, run)
    parts = [f"{wrap(scenario.title)}\n", format_table(table), explain_cells(table)]
    parts += [f"{wrap(f'- {refusal}')}\n" for refusal in summarize_refusals(run)]
    parts += [format_warnings(summarize_warnings(run)), "\n", wrap(summarize(scenario, run)), "\n\n"]
    return "".join([*parts, format_paths(run.directory, picture)])


def summarize(scenario: Scenario, run: ScenarioRun) -> str:
    """Return what the run shows as far as its figures count, and which cases count for nothing."""
    finished = [trial for trial in run.trials if not trial.interrupted]
    if not finished:
        return "Nothing was measured to the end."
    rows = Summary.of(run).rows
    counted = tuple(row for row in rows if any(claims.counts_for(trial, _A_COUNT) for trial in row.trials))
    if not counted:
        return f"No trial counts, since {claims.explain(finished)}."
    sentences = [_TOO_BUSY] if claims.judge(run) is RunVerdict.TOO_BUSY else []
    sentences.append(scenario.conclude(Summary(counted)))
    if not any(map(claims.counts, finished)):
        sentences.append(f"Rates and times are void, since {claims.explain(finished)}.")
    if void := [row for row in rows if row not in counted]:
        names = "; ".join(row.name for row in void)
        causes = claims.explain(trial for row in void for trial in row.trials)
        sentences.append(f"Not counted: {names}, since {causes}.")
    return " ".join(sentences)


def build_table(scenario: Scenario, run: ScenarioRun) -> Table:
    """Return a row for each case, a column for each figure that any of them has."""
    rows = Summary.of(run).rows
    columns = [
        column
        for column in scenario.columns
        if any(row.sample(column.key).standing is not Standing.MISSING for row in rows)
    ]
    cells = [
        (_format_name(row), *(format_sample(row.sample(column.key), column.unit) for column in columns))
        for row in rows
    ]
    return Table(("", *(column.title for column in columns)), cells)


def summarize_refusals(run: ScenarioRun) -> list[str]:
    """Return what could not be measured, and why: a line for all that share a reason."""
    variants: dict[tuple[str, str], list[str]] = {}
    for each in run.refused:
        variants.setdefault((each.subject, each.reason), []).append(each.variant)
    subjects: dict[tuple[str, str], list[str]] = {}
    for (subject, reason), refused in variants.items():
        is_all = len(refused) > 1 and len(refused) == len(run.plan.get("variants", ()))
        names = "every variant" if is_all else ", ".join(refused)
        subjects.setdefault((names, reason), []).append(subject)
    return [f"{names} on {', '.join(on)}: {reason}" for (names, reason), on in subjects.items()]


def summarize_warnings(run: ScenarioRun) -> list[str]:
    """Return the warnings of the trials: one line for those that differ in their figures only."""
    kinds: dict[tuple[str, str, bool], dict[str, list[int]]] = {}
    for trial in run.trials:
        for warning in trial.warnings:
            kind = (warning.code, warning.advice or warning.message, warning.voids)
            advice = f"; {warning.advice}" if warning.advice else ""
            void = " (invalid)" if warning.voids else ""
            message = f"{warning.message}{advice}{void}"
            kinds.setdefault(kind, {}).setdefault(message, []).append(trial.trial)
    lines = [_format_warning(list(each.items())) for each in kinds.values()]
    cut = [str(trial.trial) for trial in run.trials if trial.interrupted]
    return [*lines, f"trial {', '.join(cut)}: interrupted; left out of the table"] if cut else lines


def _format_warning(carried: Sequence[tuple[str, Sequence[int]]]) -> str:
    """Return one warning, of one kind: in the words of the first trial that carries it."""
    (message, trials), *others = carried
    more = ", ".join(str(trial) for _, each in others for trial in each)
    similar = f" (similar: {more})" if more else ""
    return f"trial {', '.join(map(str, trials))}{similar}: {message}"


def format_catalogue(scenarios: Iterable[Scenario]) -> str:
    """Return what `bench scenario list` prints."""
    rows = [
        (scenario.name, scenario.title, ", ".join(variant.name for variant in scenario.variants))
        for scenario in scenarios
    ]
    return format_table(Table(("scenario", "what it measures", "variants"), rows), are_figures=False)


def _format_name(row: CaseTrials) -> str:
    count, total = len(row.counted), len([trial for trial in row.trials if not trial.interrupted])
    if count < total:
        return f"{row.name} ({count} of {units.plural(total, 'trial')})"
    return f"{row.name} ({count} trials)" if count > 1 else row.name
