"""Export a run in the OpenMetrics text format (version 1.0): medians and intervals as gauges."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from bench.analysis import machine_figures
from bench.analysis.claims import RunVerdict, Standing
from bench.analysis.run_figures import Figure, RunFigures
from bench.runs.record import RunRecord

_UNITS = {"us": "microseconds", "ms": "milliseconds", "s": "seconds", "MiB": "mebibytes"}
_LABELS = ["case", "subject"]
_MACHINE_LABELS = ["machine", "role"]
_MACHINE_FACTS = ("address", "kernel", "cpu", "cores")


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
        whole = [((case.case, case.subject), figure) for case in cases for figure in case.figures]
        yield from _gauges("bench_", _LABELS, whole)
        if self._run.machines:
            yield from self._collect_machines()

    def _collect_machines(self) -> Iterator[Metric]:
        """Yield what each machine of a cluster is, in how many trials it was lost, and its figures."""
        described = InfoMetricFamily("bench_machine", "A machine and its role.", labels=_MACHINE_LABELS)
        lost = GaugeMetricFamily(
            "bench_machine_lost_trials", "Trials in which it was lost.", labels=_MACHINE_LABELS
        )
        names = [machine.name for _, machine in machine_figures.list_lost(self._run.trials)]
        for each in self._run.machines:
            facts = {"address": each.address, "cpu": each.description.get("cpu_model"), **each.description}
            values = {name: str(facts.get(name) or "") for name in _MACHINE_FACTS}
            described.add_metric([each.name, each.role], values)
            lost.add_metric([each.name, each.role], names.count(each.name))
        yield described
        yield lost
        figures = [
            ((case.case, case.subject, machine.name, machine.role), figure)
            for case in self._figures.cases
            for machine in case.machines
            for figure in machine.figures
        ]
        yield from _gauges("bench_machine_", (*_LABELS, *_MACHINE_LABELS), figures)


def _gauges(
    prefix: str, labels: Sequence[str], figures: Sequence[tuple[tuple[str, ...], Figure]]
) -> Iterator[Metric]:
    """Yield a gauge for each metric, with a sample for each of the labels' values and each statistic."""
    families: dict[str, GaugeMetricFamily] = {}
    for values, figure in figures:
        if figure.standing is not Standing.COUNTS:
            continue
        family = families.get(figure.metric)
        if family is None:
            unit = f" ({_UNITS.get(figure.unit, figure.unit)})" if figure.unit else ""
            family = families[figure.metric] = GaugeMetricFamily(
                f"{prefix}{re.sub('[^a-zA-Z0-9_]', '_', figure.metric)}",
                f"{figure.metric}{unit}: median over the trials that count, and its 95 % interval.",
                labels=[*labels, "statistic"],
            )
        named = (("median", figure.median), ("low", figure.low), ("high", figure.high))
        for statistic, value in named:
            if value is not None:
                family.add_metric([*values, statistic], value)
    yield from families.values()
