"""Export a run in the OpenMetrics text format (version 1.0): medians and intervals as gauges."""

import re
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from bench.analysis.claims import RunVerdict, Standing
from bench.analysis.run_figures import CaseFigures, RunFigures
from bench.runs.record import RunRecord

_UNITS = {"us": "microseconds", "ms": "milliseconds", "s": "seconds", "MiB": "mebibytes"}
_LABELS = ["case", "subject"]


def format_figures(run: RunRecord[Any], figures: RunFigures) -> str:
    """Return the exposition; a figure that may not be quoted is left out."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_RunCollector(run, figures))
    text: bytes = generate_latest(registry)  # type: ignore[no-untyped-call]
    return text.decode()


class _RunCollector(Collector):
    def __init__(self, run: RunRecord[Any], figures: RunFigures) -> None:
        self._run = run
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        machine, cases = self._run.machine, self._figures.cases
        about = {
            "started": self._run.started,
            "kind": self._run.kind,
            "verdict": self._figures.verdict.value,
            "kernel": str(machine.get("kernel", "")),
            "cpu": str(machine.get("cpu_model", "")),
            "commit": str((machine.get("git") or {}).get("commit") or ""),
        }
        yield InfoMetricFamily("bench_run", "The run, and what it amounts to.", value=about)
        valid = GaugeMetricFamily("bench_run_valid", "1 where every trial that ended is valid.")
        valid.add_metric([], float(self._figures.verdict is RunVerdict.VALID))
        yield valid
        trials = GaugeMetricFamily(
            "bench_case_trials", "Trials of a case; counted: every figure counts.", labels=[*_LABELS, "state"]
        )
        for case in cases:
            trials.add_metric([case.case, case.subject, "all"], case.trials)
            trials.add_metric([case.case, case.subject, "counted"], case.counted)
        yield trials
        yield from _gauges(cases)


def _gauges(cases: tuple[CaseFigures, ...]) -> Iterator[Metric]:
    """Yield a gauge for each metric, with a sample for each case and statistic."""
    families: dict[str, GaugeMetricFamily] = {}
    for case in cases:
        for figure in case.figures:
            if figure.standing is not Standing.COUNTS:
                continue
            family = families.get(figure.metric)
            if family is None:
                unit = f" ({_UNITS.get(figure.unit, figure.unit)})" if figure.unit else ""
                family = families[figure.metric] = GaugeMetricFamily(
                    f"bench_{re.sub('[^a-zA-Z0-9_]', '_', figure.metric)}",
                    f"{figure.metric}{unit}: median over the trials that count, and its 95 % interval.",
                    labels=[*_LABELS, "statistic"],
                )
            named = (("median", figure.median), ("low", figure.low), ("high", figure.high))
            for statistic, value in named:
                if value is not None:
                    family.add_metric([case.case, case.subject, statistic], value)
    yield from families.values()
