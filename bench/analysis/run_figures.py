"""The figures of a run, case by case: median, interval, and what each is worth. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bench.analysis import claims, cliff, machine_figures, stats
from bench.analysis.claims import RunVerdict, Sample, Standing
from bench.analysis.machine_figures import MachineMetric
from bench.analysis.metrics import Metric
from bench.runs.record import RunRecord, TrialRecord
from bench.runs.sweep_trial import case_of


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric over the trials of a case."""

    metric: str
    unit: str
    standing: Standing
    median: float | None = None
    """None where the figure may not be quoted."""
    low: float | None = None
    """The interval of the median; None where the trials are too few for one."""
    high: float | None = None
    trials: int = 0
    """Trials that the median is of."""
    instead: str | None = None
    """The metric to take where this one is mixed over the cliff."""


@dataclass(frozen=True, slots=True)
class FiguresOfMachine:
    """The figures of one machine of a cluster in one case."""

    name: str
    role: str
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class CaseFigures:
    """The figures of one case: a mode or a variant on a subject."""

    case: str
    subject: str
    trials: int
    counted: int
    """Trials of which every figure counts."""
    figures: tuple[Figure, ...]
    machines: tuple[FiguresOfMachine, ...] = ()
    """On a cluster only."""


@dataclass(frozen=True, slots=True)
class RunFigures:
    """What a run amounts to, and the figures of its cases in the order of their first trials."""

    verdict: RunVerdict
    cases: tuple[CaseFigures, ...]


def summarize(run: RunRecord[Any], known: Sequence[Metric]) -> RunFigures:
    """Return the figures of `run` in the `known` metrics; what no trial of a case has is left out."""
    machines = machine_figures.list_metrics(run)
    cases = (_summarize_case(trials, known, machines) for trials in claims.cases(run.trials))
    return RunFigures(claims.judge(run), tuple(cases))


def _summarize_case(
    trials: Sequence[TrialRecord], known: Iterable[Metric], machines: Sequence[MachineMetric]
) -> CaseFigures:
    figures = (_summarize_metric(trials, metric) for metric in known)
    return CaseFigures(
        case=case_of(trials[0]),
        subject=trials[0].subject.name,
        trials=len(trials),
        counted=sum(map(claims.counts, trials)),
        figures=tuple(figure for figure in figures if figure.standing is not Standing.MISSING),
        machines=tuple(_summarize_machines(trials, machines)),
    )


def _summarize_machines(
    trials: Sequence[TrialRecord], machines: Sequence[MachineMetric]
) -> Iterator[FiguresOfMachine]:
    for name, of_machine in groupby(machines, key=lambda metric: metric.name):
        found = (machine_figures.find(trial, name) for trial in trials)
        role = next((each.role for each in found if each is not None), None)
        figures = (
            _summarize(metric.figure.key, metric.unit, machine_figures.sample_trials(trials, metric))
            for metric in of_machine
        )
        kept = tuple(figure for figure in figures if figure.standing is not Standing.MISSING)
        if role is not None:
            yield FiguresOfMachine(name, role, kept)


def _summarize_metric(trials: Sequence[TrialRecord], metric: Metric) -> Figure:
    sample = claims.sample(trials, metric)
    counted = [trial for trial in trials if claims.counts_for(trial, metric)]
    instead = cliff.metric_instead(metric, counted) if sample.standing is Standing.MIXED else None
    return _summarize(metric.key, metric.unit, sample, instead)


def _summarize(key: str, unit: str, sample: Sample, instead: str | None = None) -> Figure:
    if not sample.quoted:
        return Figure(key, unit, sample.standing, instead=instead)
    median = stats.median_interval(sample.quoted, is_count=sample.is_count)
    return Figure(key, unit, sample.standing, median.center, median.low, median.high, median.n)
