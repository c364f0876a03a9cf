"""The metrics that runs of a kind are compared and exported by."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.analysis.metrics import Metric
    from bench.runs.record import RunRecord


def metrics_of(run: "RunRecord[Any]") -> "Sequence[Metric]":
    """Return the metrics of a run of modes or of a watch, or the columns of its scenario."""
    from bench.analysis import metrics

    if run.kind == "watch":
        return metrics.WATCHED
    if run.kind != "scenario":
        return metrics.METRICS
    from bench.scenarios import catalogue

    columns = catalogue.load(run.scenario).columns
    return metrics.of_columns((column.key, column.unit) for column in columns)
