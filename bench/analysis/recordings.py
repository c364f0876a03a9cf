"""Recordings of a watch beside each other: which hops are compared, and what limits what they show. Pure.

The trials of a recording are its stretches, each some seconds long. Recordings of one host follow each other:
no lot has decided which stretch is of which, and neighbours resemble each other.
"""

import statistics
from collections.abc import Iterator, Sequence
from typing import Any

from bench.runs.record import RunRecord
from bench.runs.watch_trial import HOST_CASE, WatchTrial

MOST_HOPS = 5
"""Hops that are compared where none is named."""
NOT_RANDOMISED = (
    "the recordings follow each other in time: the test says whether they differ, not why; load, time of day"
    " and all else that changed between them belongs to the difference"
)
_DEPENDENT = (
    "neighbouring stretches of a recording resemble each other, so that an interval is rather too narrow;"
    " longer recordings make it safer"
)


def choose_hops(runs: Sequence[RunRecord[WatchTrial]]) -> list[str]:
    """Return the cases that all recordings have: the whole host, then the hops that open or hold most."""
    common = [case for case in _cases(runs[0]) if all(case in _cases(run) for run in runs)]
    weights = {case: max(weight(run, case) for run in runs) for case in common if case != HOST_CASE}
    hops = sorted(weights, key=lambda case: -weights[case])[:MOST_HOPS]
    return [case for case in common if case == HOST_CASE or case in hops]


def weight(run: RunRecord[WatchTrial], case: str) -> float:
    """Return how much a hop weighs: what it opens per second, or the rate that its TIME_WAIT stands for."""
    trials = [trial for trial in run.trials if trial.case == case]
    waiting = max((_waiting(trial) for trial in trials), default=0)
    # A socket stays for a minute: TCP_TIMEWAIT_LEN in include/net/tcp.h.
    return max(statistics.mean(trial.opened_per_s for trial in trials), waiting / 60)


def warn(case: str, names: Sequence[str], runs: Sequence[RunRecord[Any]]) -> Iterator[str]:
    """Yield what limits a comparison of `case` of recordings that are called `names`."""
    yield NOT_RANDOMISED
    yield _DEPENDENT
    for name, run in zip(names, runs, strict=True):
        trials = [trial for trial in run.trials if isinstance(trial, WatchTrial) and trial.case == case]
        if any(trial.is_lower_bound for trial in trials):
            yield (
                f"{name}: opened_per_s of {case} is a lower bound: a connection that the peer closed between"
                " two looks leaves no trace; --exact counts it"
            )
    if case != HOST_CASE:
        return
    for name, run in zip(names, runs, strict=True):
        others = {each for other in runs if other is not run for each in _cases(other)}
        if missing := sorted(others - set(_cases(run))):
            shown = ", ".join(missing[:MOST_HOPS])
            more = f" and {len(missing) - MOST_HOPS} more" if len(missing) > MOST_HOPS else ""
            yield f"{name} has no connection of {shown}{more}: not compared"


def _waiting(trial: WatchTrial) -> int:
    return trial.time_wait["host"].peak or 0 if "host" in trial.time_wait else 0


def _cases(run: RunRecord[WatchTrial]) -> list[str]:
    return list(dict.fromkeys(trial.case for trial in run.trials))
