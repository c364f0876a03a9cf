"""The figures of a trial that are compared, by the names that they have in run.jsonl. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal

from bench.errors import PlanError
from bench.runs.record import ROLES, TrialRecord

Better = Literal["more", "less", "neither"]


_COUNTS = frozenset(
    {
        "errors",
        "late",
        "queued",
        "never_started",
        "tls.full",
        "tls.resumed",
        "upstream.requests_total",
        "upstream.connections_opened",
        "upstream.lost",
        "behind_target.opened_at_least",
        "behind_target.opened_at_most",
        "ports.used_peak",
    }
)
"""Keys of counts, beside those that begin as the next; others without a unit are ratios and shares."""
_COUNTS_OF = ("time_wait.", "upstream.errors.", "hops.")


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
        """Return whether it is a rate or a time that a busy load generator spoils: counts and CPU stand."""
        return (
            self.unit in ("1/s", "ms", "s")
            or "_ms" in self.key
            or self.key in ("late", "queued", "never_started")
            or self.key.endswith("_s")
        )

    @property
    def is_count(self) -> bool:
        """Return whether it counts whole things, of which no half is said: requests, connections, sockets."""
        return self.unit == "" and (self.key in _COUNTS or self.key.startswith(_COUNTS_OF))

    def of(self, trial: TrialRecord) -> float | None:
        """Return the figure of `trial`; None where it was not measured."""
        return figure(trial, self.key)


def _of_roles(key: str, unit: str, better: Better) -> tuple[Metric, ...]:
    return tuple(Metric(key.format(role), unit, better) for role in ROLES)


_BETTER: Mapping[str, Better] = {"ms": "less", "us": "less", "MiB": "less", "B": "less", "1/s": "more"}
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
    Metric("tls.full", "", "less"),
    Metric("tls.resumed", ""),
    Metric("tls.handshake_ms.p50", "ms", "less"),
    Metric("tls.handshake_ms.p99", "ms", "less"),
    Metric("errors", "", "less"),
    Metric("late", "", "less"),
    Metric("queued", "", "less"),
    Metric("never_started", "", "less"),
    Metric("sent_per_s", "1/s"),
    Metric("pacing_ms.p99", "ms", "less"),
    Metric("upstream.requests_total", ""),
    Metric("upstream.connections_opened", "", "less"),
    Metric("upstream.requests_per_connection", "", "more"),
    Metric("upstream.lost", "", "less"),
    Metric("upstream.errors.address_exhausted", "", "less"),
    Metric("behind_target.opened_at_least", "", "less"),
    Metric("behind_target.opened_at_most", "", "less"),
    Metric("behind_target.per_request", "", "less"),
    *_of_roles("time_wait.{}.peak", "", "less"),
    Metric("ports.used_peak", "", "less"),
    Metric("ports.half_range_passed_s", "s", "more"),
    Metric("ports.exhausted_s", "s", "more"),
    *_of_roles("cpu_us_per_request.{}", "us", "less"),
    *_of_roles("cpu_us_per_request_before_cliff.{}", "us", "less"),
    *_of_roles("memory_mib.{}", "MiB", "less"),
    Metric("second_opinion.requests_per_s", "1/s", "more"),
    Metric("second_opinion.cpu_us_per_request", "us", "less"),
)
WATCHED: tuple[Metric, ...] = (
    Metric("opened_per_s", "1/s", "less"),
    Metric("opened_per_request", "", "less"),
    Metric("requests_per_connection", "", "more"),
    Metric("requests_per_s", "1/s"),
    Metric("closed_here_per_s", "1/s", "less"),
    Metric("closed_there_per_s", "1/s", "less"),
    Metric("reset_here_per_s", "1/s", "less"),
    Metric("reset_there_per_s", "1/s", "less"),
    Metric("reset_after_fin_per_s", "1/s", "less"),
    Metric("failed_opens_per_s", "1/s", "less"),
    Metric("resets_per_s", "1/s", "less"),
    Metric("listen_overflows_per_s", "1/s", "less"),
    Metric("established", ""),
    Metric("time_wait.host.peak", "", "less"),
    Metric("close_wait", "", "less"),
    Metric("ports_used", "", "less"),
    Metric("ports_share", "", "less"),
    Metric("conntrack_share", "", "less"),
    Metric("observer_cpu_share", ""),
)
"""The figures of a stretch of a watch."""


def of_columns(columns: Iterable[tuple[str, str]]) -> tuple[Metric, ...]:
    """Return the metrics of a scenario's columns, each a path and a unit.

    Of times and of what is used up less is better, of rates more; of all else neither.
    """
    return tuple(Metric(key, unit, _BETTER.get(unit, "neither")) for key, unit in columns)


def named(key: str, known: Sequence[Metric] = METRICS) -> Metric:
    """Return the metric of `known` that is called `key`; PlanError names those that there are."""
    for metric in known:
        if metric.key == key:
            return metric
    raise PlanError(f"{key!r} is no metric; there are {', '.join(metric.key for metric in known)}")


def values(metric: Metric, trials: Iterable[TrialRecord]) -> list[float]:
    """Return the figure of each of `trials` that has it."""
    return [value for value in map(metric.of, trials) if value is not None]


def figure(trial: TrialRecord, key: str) -> float | None:
    """Return the number at `key` of `trial`, its keys joined by dots; None where there is none."""
    value: Any = trial
    for name in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(name)
        elif is_dataclass(value):
            value = getattr(value, name, None)
        else:
            return None
    if isinstance(value, Mapping):
        value = sum(value.values())
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
