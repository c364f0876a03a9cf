"""What counts of single snapshots amount to: sums, who closes first, what lasts and what is a burst. Pure."""

import math
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate, chain
from operator import attrgetter

from bench.watch.model import HopFlow

NOTHING = HopFlow()
"""Of an interval in which a hop was not seen."""
BURST_S = 3.0
"""A restarted process has opened its connections anew after about so long: a burst, which says nothing."""
_BURSTS = 2
"""So many may be a start and a restart, within one watch."""
_MAJORITY = 0.9
"""Of the connections that ended: a side that closed so many is the one that closes first."""
_FEWEST_INTERVALS = 3
"""With fewer, what lasts cannot be told from a burst by its shape."""
_NEARLY = 0.9
"""Of a stretch: an interval of a second does not last for one to the millisecond."""
_LASTED_S = 10.0
"""TIME_WAIT that holds so many seconds of a rate shows that the rate has lasted, whatever was watched."""
_FEWEST_FAILED = 5
"""Fewer failed connects are what one health check of a server that is down makes in some seconds."""
_FAILED_SHARE = 0.01
"""Of the connects: one of a hundred is what users notice."""
_COUNTED = (
    "opened",
    "closed_here",
    "closed_there",
    "reset_here",
    "reset_there",
    "ended_unknown",
    "failed_opens",
    "reset_after_fin",
    "no_port",
)
_COUNTS = attrgetter(*_COUNTED)


class Closer(StrEnum):
    """Which end closes the connections of a hop first."""

    HERE = "here"
    THERE = "there"
    BOTH = "both"
    UNKNOWN = "unknown"


def total(flows: Iterable[HopFlow]) -> HopFlow:
    """Return the sums of the counts of `flows`, and their samples behind each other."""
    some = [flow for flow in flows if flow is not NOTHING]
    if len(some) < 2:
        return some[0] if some else NOTHING
    sums = dict(zip(_COUNTED, map(sum, zip(*map(_COUNTS, some), strict=True)), strict=True))
    return HopFlow(
        opened=sums["opened"],
        closed_here=sums["closed_here"],
        closed_there=sums["closed_there"],
        reset_here=sums["reset_here"],
        reset_there=sums["reset_there"],
        ended_unknown=sums["ended_unknown"],
        failed_opens=sums["failed_opens"],
        reset_after_fin=sums["reset_after_fin"],
        no_port=sums["no_port"],
        lifetimes_s=tuple(chain.from_iterable(flow.lifetimes_s for flow in some)),
        idle_before_reset_s=tuple(chain.from_iterable(flow.idle_before_reset_s for flow in some)),
    )


def closer(flow: HopFlow, *, keeps_traces: bool) -> Closer:
    """Return which end closes first.

    What this host closes first stays in its TIME_WAIT, and is seen there by dumps. So, where those keep
    traces, what they saw vanish was ended by the peer, or by a reset.
    """
    here = flow.closed_here + flow.reset_here
    there = flow.closed_there + flow.reset_there + (flow.ended_unknown if keeps_traces else 0)
    known = here + there
    if not known:
        return Closer.UNKNOWN
    if here >= _MAJORITY * known:
        return Closer.HERE
    return Closer.THERE if there >= _MAJORITY * known else Closer.BOTH


def comes_back(moments_s: Sequence[float], counts: Sequence[int]) -> bool:
    """Return whether something was counted at moments that are further apart than one burst lasts."""
    at_s = [moment_s for moment_s, count in zip(moments_s, counts, strict=True) if count]
    return bool(at_s) and at_s[-1] - at_s[0] > BURST_S


def is_failing(failed: Sequence[int], tried: int) -> bool:
    """Return whether so many connects failed, by snapshot, and go on to, that somebody notices."""
    count = sum(failed)
    return count >= _FEWEST_FAILED and count >= _FAILED_SHARE * tried and _lasts(failed)


def _lasts(counts: Sequence[int]) -> bool:
    """Return whether something was counted in half of the snapshots or more, towards the end too."""
    end = counts[-max(1, len(counts) // 4) :]
    return sum(map(bool, counts)) >= len(counts) / 2 and any(end)


def has_lasted(intervals: int, waiting: int, rate: float) -> bool:
    """Return whether `rate` is no burst: by the number of intervals, or by what TIME_WAIT still holds."""
    return intervals >= _FEWEST_INTERVALS or waiting >= _LASTED_S * rate


def lasting_rate(durations_s: Sequence[float], counts: Sequence[int]) -> float:
    """Return the rate outside of the two busiest stretches, each of BURST_S or of a quarter of the time.

    Of too few intervals the rate of all counts: `has_lasted` tells whether it may be a burst. Where those
    stretches are all that there is, since an interval is longer than others, the least rate of an interval.
    """
    seconds, opened = max(math.fsum(durations_s), 1e-3), sum(counts)
    if len(counts) < _FEWEST_INTERVALS:
        return opened / seconds
    if not opened:
        return 0.0
    stretches = _stretches(tuple(durations_s), min(BURST_S, seconds / (2 * _BURSTS)))
    left, burst = list(counts), set[int]()
    for _ in range(_BURSTS):
        before = list(accumulate(left, initial=0))
        begin, end = max(stretches, key=lambda stretch: before[stretch[1]] - before[stretch[0]])
        left[begin:end] = [0] * (end - begin)
        burst.update(range(begin, end))
    if len(burst) == len(left):
        return min(count / max(lasts_s, 1e-3) for count, lasts_s in zip(counts, durations_s, strict=True))
    left_s = math.fsum(lasts_s for at, lasts_s in enumerate(durations_s) if at not in burst)
    return sum(left) / left_s if left_s > 1e-9 else 0.0


@lru_cache(maxsize=8)
def _stretches(durations_s: tuple[float, ...], stretch_s: float) -> tuple[tuple[int, int], ...]:
    """Return each shortest run of intervals that lasts for nearly `stretch_s` or more, as begin and end.

    They are the same for all hops of a watch.
    """
    found = []
    end, lasts_s = 0, 0.0
    for begin, duration_s in enumerate(durations_s):
        while lasts_s < _NEARLY * stretch_s and end < len(durations_s):
            lasts_s += durations_s[end]
            end += 1
        found.append((begin, end))
        lasts_s -= duration_s
    return tuple(found)
