"""Whether and when a trial became steady, from its correct responses along time. Pure.

The rule is MSER-5: leave out as many batches of five observations at the start as make the standard error of
the mean of the rest least (White, An effective truncation heuristic for bias reduction in simulation output,
Simulation 69(6), 1997; White, Cobb and Spratt, A comparison of five steady-state truncation heuristics,
Winter Simulation Conference 2000). It is looked for in the first half only, as the first of them advises: a
series that drifts on behind that was never steady.
"""

import math
import statistics
from collections.abc import Iterator, Sequence

from bench.runs.ports_record import Ports
from bench.runs.record import TrialWarning

_BATCH = 5
_FEWEST_BATCHES = 10
_BIAS = 0.02
"""What the start may add to or take from the rate of the window: less is within the noise of a machine."""
_DRIFT = 0.10
"""By how much the halves of what follows the warm-up differ in a trial that is called unsteady."""


def truncation(values: Sequence[float]) -> int | None:
    """Return how many of `values` belong to the warm-up by MSER-5; None where there are too few to tell."""
    means = [statistics.fmean(values[at : at + _BATCH]) for at in range(0, len(values) - _BATCH + 1, _BATCH)]
    if len(means) < _FEWEST_BATCHES:
        return None
    errors = [_standard_error(means[cut:]) for cut in range(len(means) // 2 + 1)]
    return errors.index(min(errors)) * _BATCH


def _drift(counts: Sequence[int]) -> float:
    """Return by how much of the first half's mean the second half's differs; without a response by 0."""
    half = len(counts) // 2
    first, second = statistics.fmean(counts[:half]), statistics.fmean(counts[half:])
    return second / first - 1 if first else float(second > 0)


def _standard_error(means: Sequence[float]) -> float:
    """Return the squared standard error of the mean, as MSER has it: of n, not of n - 1."""
    return statistics.pvariance(means) / len(means)


def steadiness_warnings(
    ticks: Sequence[tuple[float, int]], ports: Ports, *, warmup_s: float, end_s: float
) -> Iterator[TrialWarning]:
    """Yield a warning where the rate was not steady in the window, or became so only within it.

    `ticks` are (end, correct responses) of each tenth of a second, in seconds from the first connect. What
    follows a cliff is another story, which the rates before and after it tell.
    """
    last_s = min(end_s, ports.slowed_s or math.inf)
    line = [(at_s, count) for at_s, count in ticks if at_s <= last_s + 1e-3]
    window = [count for at_s, count in line if at_s > warmup_s + 1e-3]
    cut = truncation([count for _, count in line])
    if cut is None or len(window) < 2 or not any(window):
        return
    steady_s = line[cut - 1][0] if cut else 0.0
    rest = [count for at_s, count in line if at_s > max(warmup_s, steady_s) + 1e-3]
    drift = _drift(rest)
    if abs(drift) > _DRIFT:
        direction = "higher" if drift > 0 else "lower"
        yield TrialWarning(
            "never-steady",
            f"the rate was never steady: {abs(drift):.0%} {direction} at the end of the window than before",
            "measure longer (--duration), and see whether anything else runs",
        )
    elif (
        steady_s > warmup_s
        and abs(statistics.fmean(window) - (mean := statistics.fmean(rest))) > _BIAS * mean
    ):
        yield TrialWarning(
            "warm-up-short",
            f"the rate became steady only after {steady_s:.1f} s, the warm-up was {warmup_s:.3g} s",
            f"warm up for longer: --warmup {math.ceil(steady_s)}s",
        )
