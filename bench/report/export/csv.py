"""Export a run as CSV (RFC 4180): a row for each figure of each case, or for each trial."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from bench.analysis import machine_figures
from bench.analysis.metrics import Metric
from bench.analysis.run_figures import CaseFigures, Figure, RunFigures
from bench.runs.record import RunRecord
from bench.runs.sweep_trial import case_of

_FIGURE_COLUMNS = ("case", "subject", "metric", "unit", "standing", "median", "low", "high", "trials")
_TRIAL_COLUMNS = ("trial", "case", "subject", "version", "valid", "interrupted")


def format_figures(figures: RunFigures) -> str:
    """Return a row for each figure; what may not be quoted has a standing and no median."""
    return _format(
        _FIGURE_COLUMNS,
        (
            (
                case.case,
                case.subject,
                name,
                figure.unit,
                figure.standing,
                figure.median,
                figure.low,
                figure.high,
                figure.trials,
            )
            for case in figures.cases
            for name, figure in _list_figures(case)
        ),
    )


def format_trials(run: RunRecord[Any], known: Sequence[Metric]) -> str:
    """Return a row for each trial, a column for each of the `known` metrics that any trial has."""
    of_machines = machine_figures.list_metrics(run)
    named = [*((metric.key, metric) for metric in known), *((each.path, each) for each in of_machines)]
    shown = [
        (name, metric) for name, metric in named if any(metric.of(trial) is not None for trial in run.trials)
    ]
    return _format(
        (*_TRIAL_COLUMNS, *(name for name, _ in shown)),
        (
            (
                trial.trial,
                case_of(trial),
                trial.subject.name,
                trial.subject.version,
                str(trial.valid).lower(),
                str(trial.interrupted).lower(),
                *(metric.of(trial) for _, metric in shown),
            )
            for trial in run.trials
        ),
    )


def _list_figures(case: CaseFigures) -> Iterator[tuple[str, Figure]]:
    """Yield the figures of a case by name, then those of its machines."""
    yield from ((figure.metric, figure) for figure in case.figures)
    for machine in case.machines:
        yield from ((f"machines.{machine.name}.{figure.metric}", figure) for figure in machine.figures)


def _format(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return written.getvalue()
