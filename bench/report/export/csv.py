"""Export a run as CSV (RFC 4180): a row for each figure of each case, or for each trial."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from bench.analysis.metrics import Metric
from bench.analysis.run_figures import RunFigures
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
                figure.metric,
                figure.unit,
                figure.standing,
                figure.median,
                figure.low,
                figure.high,
                figure.trials,
            )
            for case in figures.cases
            for figure in case.figures
        ),
    )


def format_trials(run: RunRecord[Any], known: Sequence[Metric]) -> str:
    """Return a row for each trial, a column for each of the `known` metrics that any trial has."""
    shown = [metric for metric in known if any(metric.of(trial) is not None for trial in run.trials)]
    return _format(
        (*_TRIAL_COLUMNS, *(metric.key for metric in shown)),
        (
            (
                trial.trial,
                case_of(trial),
                trial.subject.name,
                trial.subject.version,
                str(trial.valid).lower(),
                str(trial.interrupted).lower(),
                *(metric.of(trial) for metric in shown),
            )
            for trial in run.trials
        ),
    )


def _format(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return written.getvalue()
