"""What a run's charts show along time and by percentile: points of single trials, and their median. Pure."""

import math
import statistics
from collections.abc import Callable, Iterable, Mapping

from bench.analysis import histogram
from bench.analysis.sides import Side
from bench.runs.record import Moment, Trial

_SHORTEST_TICK_S = 0.05
Points = list[tuple[float, float]]


def collect_points(
    side: Side, trials: Iterable[Trial], host: str, of: Callable[[Moment], float | None]
) -> dict[int, Points]:
    """Return a line of (second, value) for each of `trials`, from the rows of `host` up to the drain."""
    ends_s = {trial.trial: window(trial)[1] for trial in trials}
    lines: dict[int, Points] = {}
    for row in side.series.moments:
        value = of(row)
        if row.host == host and value is not None and 0 <= row.t_s <= ends_s.get(row.trial, -1) + 0.05:
            lines.setdefault(row.trial, []).append((row.t_s, value))
    return {trial: sorted(line) for trial, line in lines.items()}


def collect_rates(side: Side, trials: Iterable[Trial]) -> dict[int, Points]:
    """Return correct responses per second over time, a line for each of `trials`."""
    lines = collect_points(side, trials, "client", lambda row: row.requests)
    return {trial: _compute_rates(line) for trial, line in lines.items()}


def compute_median_line(lines: Mapping[int, Points]) -> Points:
    """Return the median of `lines` at each tenth of a second that most of them reach."""
    tenths: dict[int, list[float]] = {}
    for t_s, value in (point for line in lines.values() for point in line):
        tenths.setdefault(round(t_s * 10), []).append(value)
    whole = (tenth for tenth in sorted(tenths) if len(tenths[tenth]) > len(lines) / 2)
    return [(tenth / 10, statistics.median(tenths[tenth])) for tenth in whole]


def collect_latencies(side: Side, trial: Trial) -> dict[int, int]:
    """Return the latencies of the window of `trial`, as a histogram of microseconds."""
    begin_s, end_s = window(trial)
    return histogram.merge(
        each.counts
        for each in side.series.latencies
        if each.kind == "latency" and each.trial == trial.trial
        and begin_s <= each.t_s + each.duration_s / 2 < end_s
    )  # fmt: skip


def compute_median_curve(curves: Iterable[Points]) -> Points:
    """Return the median of curves of latency by rarity at each rarity that most of them reach.

    The curves have the same steps but for their last point, which is the slowest request of all.
    """
    given = [curve[:-1] if len(curve) > 1 else curve for curve in curves if curve]
    steps: dict[float, list[float]] = {}
    for rarity, value in (point for curve in given for point in curve):
        steps.setdefault(_round(rarity), []).append(value)
    whole = (step for step in sorted(steps) if len(steps[step]) > len(given) / 2)
    return [(step, statistics.median(steps[step])) for step in whole]


def compute_curve(counts: Mapping[int, int]) -> Points:
    """Return latency in milliseconds by rarity: of so many requests one is slower."""
    return [(_round(1 / share), value_ms) for share, value_ms in histogram.curve(counts)]


def window(trial: Trial) -> tuple[float, float]:
    """Return when the window of `trial` begins and ends, in seconds from its first connect."""
    return trial.warmup_s, trial.warmup_s + trial.duration_s


def _round(rarity: float) -> float:
    """Return a rarity with six digits, so that the steps of two curves are equal."""
    return round(rarity, 5 - math.floor(math.log10(rarity)))


def _compute_rates(ticks: Points) -> Points:
    """Return the rate at the end of each tick; one cut short by the window's edge is merged with the next."""
    rates, begin_s, count = [], 0.0, 0.0
    for end_s, requests in ticks:
        count += requests
        if end_s - begin_s > _SHORTEST_TICK_S:
            rates.append((end_s, count / (end_s - begin_s)))
            begin_s, count = end_s, 0.0
    return rates
