"""What stands in the tables of a run: which rows, which figures, as text. Draws nothing."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from bench.analysis import metrics
from bench.analysis.metrics import Metric
from bench.analysis.sides import Side, split
from bench.report.figures import number
from bench.report.html import Table
from bench.report.run import finding
from bench.runs.record import Run, Trial

_SECOND = "second opinion"
# (row of the result table, metric); rows that no trial has a figure for are left out
_ROWS = (
    ("requests/s", "requests_per_s"),
    ("  before half of the ports", "ports.rate_before"),
    ("  after it", "ports.rate_after"),
    ("latency p50, ms", "latency_ms.p50"),
    ("latency p99, ms", "latency_ms.p99"),
    ("latency p99.9, ms", "latency_ms.p99_9"),
    ("upstream connections", "upstream.connections_opened"),
    ("requests per connection", "upstream.requests_per_connection"),
    ("  ended by the backend", "upstream.lost"),
    ("half of the ports used, s", "ports.half_range_passed_s"),
    ("ports exhausted, s", "ports.exhausted_s"),
    ("ports used, peak", "ports.used_peak"),
    ("TIME_WAIT client, peak", "time_wait.client.peak"),
    ("TIME_WAIT proxy, peak", "time_wait.proxy.peak"),
    ("TIME_WAIT backend, peak", "time_wait.backend.peak"),
    ("CPU client, us/request", "cpu_us_per_request.client"),
    ("CPU proxy, us/request", "cpu_us_per_request.proxy"),
    ("  before half of the ports", "cpu_us_per_request_before_cliff.proxy"),
    ("CPU backend, us/request", "cpu_us_per_request.backend"),
    ("memory proxy, MiB", "memory_mib.proxy"),
    (f"{_SECOND}, requests/s", "second_opinion.requests_per_s"),
    ("  CPU client, us/request", "second_opinion.cpu_us_per_request"),
    ("errors", "errors"),
    ("late", "late"),
    ("never started", "never_started"),
)
_SILENT_AT_ZERO = frozenset(
    {"upstream.lost", "late", "never_started", "time_wait.client.peak", "ports.used_peak"}
)
ONLY_WITH_CLIFF = "cpu_us_per_request_before_cliff"
# (column of the table of trials, metric)
_COLUMNS = (
    ("requests/s", "requests_per_s"),
    ("p50, ms", "latency_ms.p50"),
    ("p99, ms", "latency_ms.p99"),
    ("requests", "upstream.requests_total"),
    ("connections", "upstream.connections_opened"),
    ("per connection", "upstream.requests_per_connection"),
    ("half of the ports, s", "ports.half_range_passed_s"),
    ("TIME_WAIT proxy", "time_wait.proxy.peak"),
    ("TIME_WAIT backend", "time_wait.backend.peak"),
    ("CPU proxy, us/request", "cpu_us_per_request.proxy"),
    ("errors", "errors"),
)


def result(run: Run) -> Table:
    """Return the medians of each mode over its counted trials, with the least and the greatest."""
    sides = split(run)
    cliff = any(
        trial.ports.half_range_passed_s is not None for side in sides for trial in finding.shown(side)
    )
    rows = []
    for label, key in _ROWS:
        samples = [finding.figures(side, key) for side in sides]
        silent = key in _SILENT_AT_ZERO and not any(map(any, samples))
        if any(samples) and not silent and (cliff or not key.startswith(ONLY_WITH_CLIFF)):
            named = label.replace(_SECOND, f"{_SECOND} ({asked(run.trials)})")
            rows.append((named, *(_spread(sample, metrics.named(key)) for sample in samples)))
    return Table(("", *(f"{side.name} ({counted(side)})" for side in sides)), rows)


def asked(trials: Iterable[Trial]) -> str:
    """Return the tools that gave `trials` a second opinion."""
    opinions = (trial.second_opinion for trial in trials)
    return " and ".join(dict.fromkeys(opinion.tool for opinion in opinions if opinion is not None))


def trials(run: Run) -> Table:
    """Return a row for each trial, as it was measured, and how each witness counted its connections."""
    shown = [
        (label, metric)
        for label, key in _COLUMNS
        if any(map((metric := metrics.named(key)).of, run.trials)) or key == "errors"
    ]
    rows = [
        (_called(trial), *(_figure(metric, trial) for _, metric in shown), _witnesses(trial))
        for trial in run.trials
    ]
    return Table(("trial", *(label for label, _ in shown), "witnesses"), rows)


def counted(side: Side) -> str:
    """Return how many trials of a side there are, and how many of them count."""
    counts, all_ = len(side.counted), len(side.trials)
    said = f"{all_} trial{'' if all_ == 1 else 's'}"
    return said if counts == all_ else f"{counts} of {said}"


def _spread(values: Sequence[float], metric: Metric) -> str:
    if not values:
        return "-"
    bounds = (statistics.median(values), min(values), max(values))
    center, low, high = (number(value, metric.unit) for value in bounds)
    return center if low == high else f"{center} ({low} to {high})"


def _figure(metric: Metric, trial: Trial) -> str:
    value = metric.of(trial)
    return "-" if value is None else number(value, metric.unit)


def _called(trial: Trial) -> str:
    state = "" if trial.valid else ", invalid"
    return f"{trial.trial} {trial.mode}{', interrupted' if trial.interrupted else state}"


def _witnesses(trial: Trial) -> str:
    counts = trial.upstream.witnesses.counts()
    if len(set(counts.values())) == 1:
        return f"{len(counts)} agree" if len(counts) > 1 else f"{next(iter(counts))} alone"
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "nobody"
