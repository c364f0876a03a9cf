"""The figures of a trial that are compared, by the name that they have in run.jsonl. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import PlanError
from bench.runs.record import ROLES, Trial

Better = Literal["more", "less", "neither"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure: `key` is its path in a trial's line of run.jsonl, with dots between the keys.

    A path that ends at an object of counts, such as `errors`, means their sum.
    """

    key: str
    unit: str
    better: Better = "neither"

    @property
    def is_timed(self) -> bool:
        """Tell whether it is a rate or a time that a busy load generator spoils: counts and CPU stand."""
        return self.unit in ("1/s", "ms", "s") or self.key in ("late", "never_started")

    def of(self, trial: Trial) -> float | None:
        """Return the figure of `trial`; None where it was not measured."""
        return _look_up(trial.to_json(), self.key)


def _of_roles(key: str, unit: str, better: Better) -> tuple[Metric, ...]:
    return tuple(Metric(key.format(role), unit, better) for role in ROLES)


METRICS: tuple[Metric, ...] = (
    Metric("requests_per_s", "1/s", "more"),
    Metric("ports.rate_before", "1/s", "more"),
    Metric("ports.rate_after", "1/s", "more"),
    Metric("latency_ms.p50", "ms", "less"),
    Metric("latency_ms.p90", "ms", "less"),
    Metric("latency_ms.p99", "ms", "less"),
    Metric("latency_ms.p99_9", "ms", "less"),
    Metric("latency_ms.max", "ms", "less"),
    Metric("service_ms.p50", "ms", "less"),
    Metric("service_ms.p99", "ms", "less"),
    Metric("connect_ms.p99", "ms", "less"),
    Metric("errors", "", "less"),
    Metric("late", "", "less"),
    Metric("never_started", "", "less"),
    Metric("upstream.requests_total", ""),
    Metric("upstream.connections_opened", "", "less"),
    Metric("upstream.requests_per_connection", "", "more"),
    Metric("upstream.lost", "", "less"),
    Metric("upstream.errors.address_exhausted", "", "less"),
    *_of_roles("time_wait.{}.peak", "", "less"),
    Metric("ports.used_peak", "", "less"),
    Metric("ports.half_range_passed_s", "s", "more"),
    Metric("ports.exhausted_s", "s", "more"),
    *_of_roles("cpu_us_per_request.{}", "us", "less"),
    *_of_roles("cpu_us_per_request_before_cliff.{}", "us", "less"),
    *_of_roles("memory_mib.{}", "MiB", "less"),
    Metric("second_opinion.requests_per_s", "1/s", "more"),
    Metric("second_opinion.cpu_us_per_request", "us"),
)
_BY_KEY = {metric.key: metric for metric in METRICS}


def named(key: str) -> Metric:
    """Return the metric called `key`; PlanError names those that there are."""
    if key not in _BY_KEY:
        raise PlanError(f"{key!r} is no metric; there are {', '.join(_BY_KEY)}")
    return _BY_KEY[key]


def values(metric: Metric, trials: Iterable[Trial]) -> list[float]:
    """Return the figure of each of `trials` that has it."""
    return [value for value in map(metric.of, trials) if value is not None]


def _look_up(values_: Any, path: str) -> float | None:
    for key in path.split("."):
        if not isinstance(values_, dict):
            return None
        values_ = values_.get(key)
    if isinstance(values_, dict):
        return float(sum(values_.values()))
    return None if values_ is None else float(values_)
