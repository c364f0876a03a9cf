"""The limit of a rising rate: up to which step it was kept, and which cores were full after it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bench.analysis import histogram
from bench.observe.host import HostSample
from bench.record import ROLES

LATE_MS = 100.0
"""The 99th percentile of the delay from which on a rate is too much."""
FULL = 0.85
"""Cores that a role of one process uses when it can do no more."""


class Step(NamedTuple):
    """One step of a rising rate."""

    published: int
    delays_us: Mapping[int, int]

    @property
    def p99_ms(self) -> float | None:
        """Return the 99th percentile of the delay."""
        return histogram.percentiles_ms(self.delays_us).p99


def is_late(delays_us: Mapping[int, int]) -> bool:
    """Return whether the messages of a step came too late, or not at all."""
    p99_ms = histogram.percentiles_ms(delays_us).p99
    return p99_ms is None or p99_ms > LATE_MS


def kept(steps: Sequence[Step], subscribers: int, step_s: float) -> tuple[int, float | None]:
    """Return how many steps from the first on were kept, and the deliveries per second of the last one."""
    count, rate = 0, None
    for step in steps:
        if is_late(step.delays_us):
            break  # counted from when it was due, so that a publisher that falls behind is late as well
        count, rate = count + 1, step.published * subscribers / step_s
    return count, rate


def cores_used(samples: Sequence[HostSample], begin_ns: int, end_ns: int) -> dict[str, float | None]:
    """Return how many cores each role used between two moments."""
    used: dict[str, float | None] = {}
    for role in ROLES:
        inside = [each for each in samples if each.host == role and begin_ns <= each.t_ns <= end_ns]
        if len(inside) < 2 or inside[-1].cpu_s == 0:
            used[role] = None
        else:
            first, last = inside[0], inside[-1]
            used[role] = (last.cpu_s - first.cpu_s) / ((last.t_ns - first.t_ns) / 1e9)
    return used
