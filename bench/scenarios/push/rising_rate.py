"""A rising rate and its limit: what is due when, which steps were sustained, which cores were full. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from bench.analysis import histogram
from bench.observe.host_observer import HostSample
from bench.runs.record import ROLES

LATE_MS = 100.0
"""The 99th percentile of the delay from which on a rate is too much."""
FULL = 0.85
"""Cores that a role of one process uses when it can do no more."""
FACTOR = 1.5
"""By how much the rate rises from step to step."""
STEPS = 20
"""More of them than any machine gets through: the rate is then 2,000 times the first."""


def due_in(step: int, step_s: float, per_s: float) -> int:
    """Return how many messages are due in a step of a rising rate that begins with `per_s`."""
    return max(1, round(per_s * FACTOR**step * step_s))


def rising(window_ns: int, step_s: float, per_s: float) -> Iterator[tuple[int, int]]:
    """Yield (step, when a message is due): `per_s` in step 0, `FACTOR` times as many in each that follows."""
    for step in range(STEPS):
        begin_ns = window_ns + round(step * step_s * 1e9)
        rate = per_s * FACTOR**step
        for place in range(due_in(step, step_s, per_s)):
            yield step, begin_ns + round(place / rate * 1e9)


class RateStep(NamedTuple):
    """One step of a rising rate."""

    due: int
    """Messages that were to be published in it."""
    published: int
    delays_us: Mapping[int, int]

    @property
    def p99_ms(self) -> float | None:
        """Return the 99th percentile of the delay."""
        return histogram.percentiles_ms(self.delays_us).p99

    @property
    def is_sustained(self) -> bool:
        """Return whether all of it was published, and came in time."""
        return self.published == self.due and not is_late(self.delays_us)


def is_late(delays_us: Mapping[int, int]) -> bool:
    """Return whether the messages of a step came too late, or not at all."""
    p99_ms = histogram.percentiles_ms(delays_us).p99
    return p99_ms is None or p99_ms > LATE_MS


def sustained(steps: Sequence[RateStep], subscribers: int, step_s: float) -> tuple[int, float | None]:
    """Return how many steps from the first on were sustained, and the deliveries per second of the last."""
    count, rate = 0, None
    for step in steps:
        if not step.is_sustained:
            break  # a publisher that fell behind by a whole step left the rest of it
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
