"""The due times of an open loop: at a constant rate, a ramp, or as a Poisson process. Pure.

Requests are due whatever the server does. Those that wait for a connection are known by their number, or by
what the random numbers will be, so that their queue takes no memory however long the server stalls; it is
served first come, first served.

A curve of the rate tells how many requests are due up to a moment, on average. Its inverse makes due times
of the numbers 0, 1, 2..., and a Poisson process of sums of independent exponential numbers (D. R. Cox and
P. A. W. Lewis, The Statistical Analysis of Series of Events, 1966, section 2.3).
"""

import math
from dataclasses import dataclass
from random import Random

from bench.load.job import LoadJob
from bench.load.schedule import SECOND_NS, Phases

LATE_NS = 1_000_000
"""A request is late when it starts more than this after its due time: less is timer resolution."""

NEVER_NS = 1 << 62
"""Beyond the end of every job."""


@dataclass(frozen=True, slots=True)
class RateCurve:
    """A rate per second from `start_ns` on.

    From `ramp_ns` to `ramp_end_ns` it changes evenly to `rate_end`.
    """

    start_ns: float
    rate: float
    rate_end: float
    ramp_ns: float = 0.0
    ramp_end_ns: float = 0.0

    def due_ns(self, count: float) -> float:
        """Return the moment up to which `count` requests are due; NEVER_NS where they never are."""
        steady = self.rate * (self.ramp_ns - self.start_ns) / SECOND_NS
        if self.rate == self.rate_end or count < steady:
            return min(self.start_ns + count * (SECOND_NS / self.rate), NEVER_NS) if self.rate else NEVER_NS
        ramp_s = (self.ramp_end_ns - self.ramp_ns) / SECOND_NS
        left, ramped = count - steady, (self.rate + self.rate_end) / 2 * ramp_s
        if left >= ramped:
            after_s = (left - ramped) / self.rate_end if self.rate_end else math.inf
            return min(self.ramp_end_ns + after_s * SECOND_NS, NEVER_NS)
        # The root of rate * t + slope * t**2 / 2 = left, in the form that loses no digits.
        slope = (self.rate_end - self.rate) / ramp_s
        root = self.rate + math.sqrt(max(0.0, self.rate**2 + 2 * slope * left))
        return self.ramp_ns + (2 * left / root * SECOND_NS if root else 0.0)

    def count(self, moment_ns: float) -> float:
        """Return how many requests are due up to a moment, on average."""
        steady_ns = moment_ns if self.rate == self.rate_end else min(moment_ns, self.ramp_ns)
        steady = self.rate * max(0.0, steady_ns - self.start_ns) / SECOND_NS
        if steady_ns == moment_ns:
            return steady
        ramp_s = (self.ramp_end_ns - self.ramp_ns) / SECOND_NS
        ramped_s = min((moment_ns - self.ramp_ns) / SECOND_NS, ramp_s)
        change = (self.rate_end - self.rate) * (ramped_s / ramp_s if ramp_s else 1.0)
        after_s = max(0.0, moment_ns - self.ramp_end_ns) / SECOND_NS
        return steady + (self.rate + change / 2) * ramped_s + self.rate_end * after_s


class Pacer:
    """Yields the due times of requests, each once, in order, when they have come."""

    __slots__ = ("_curve", "_end_ns", "_phase", "_position", "_random", "next_due_ns", "taken")

    def __init__(
        self, curve: RateCurve, phase: float = 0.0, end_ns: int = NEVER_NS, random: Random | None = None
    ) -> None:
        """Begin with request 0, `phase` requests after the start; end at `end_ns`, where none is due.

        With `random`, the arrivals are those of a Poisson process.
        """
        self._curve = curve
        self._phase = phase
        self._end_ns = end_ns
        self._random = random
        self._position = phase if random is None else random.expovariate(1.0)
        self.taken = 0
        """Requests taken or dropped so far."""
        self.next_due_ns = int(curve.due_ns(self._position))
        """The due time of the next request; in the past if it waits already."""

    def take_due(self, now_ns: int) -> int | None:
        """Return the due time of the oldest waiting request at `now_ns`; None if none waits."""
        due_ns = self.next_due_ns
        if due_ns > now_ns or due_ns >= self._end_ns:
            return None
        self.taken += 1
        if self._random is None:
            # From the number, not from the last due time: rounding errors do not accumulate.
            self._position = self.taken + self._phase
        else:
            self._position += self._random.expovariate(1.0)
        self.next_due_ns = int(self._curve.due_ns(self._position))
        return due_ns

    def drop_due(self, before_ns: int) -> int:
        """Drop the waiting requests that were due before `before_ns`; return how many."""
        before_ns, already = min(before_ns, self._end_ns), self.taken
        if self._random is None and self.next_due_ns < before_ns:
            # Nearly all at once, whatever the rate is.
            self.taken = max(self.taken, int(self._curve.count(before_ns) - self._phase) - 1)
            self._position = self.taken + self._phase
            self.next_due_ns = int(self._curve.due_ns(self._position))
        while self.take_due(before_ns - 1) is not None:
            pass
        return self.taken - already


def build_pacer(job: LoadJob, phases: Phases) -> Pacer | None:
    """Return the due times of a job with a rate; None in closed loop."""
    if job.rate is None:
        return None
    random = Random(f"{job.seed} {job.worker} arrivals") if job.arrivals == "poisson" else None
    rate_end = job.rate if job.rate_end is None else job.rate_end
    curve = RateCurve(phases.start_ns, job.rate, rate_end, phases.window_start_ns, phases.window_end_ns)
    return Pacer(curve, job.rate_phase, phases.window_end_ns, random)
