"""Whether connections changed since they are reused otherwise, or since the rate of requests did. Pure.

A pool opens a connection for each client, however many requests follow: so fewer requests on each of as many
connections are no loss of reuse, and more are no gain. A count of connections follows from the rate likewise.
Such a figure is therefore better or worse only where a second one, which the rate does not move, says so.
"""

from typing import Any

from bench.analysis.metrics import Metric
from bench.analysis.sides import AnySide
from bench.errors import PlanError
from bench.plan import grid, run_plan
from bench.plan.run_plan import Mode
from bench.runs.record import Trial, TrialRecord
from bench.runs.sweep_trial import SweepTrial
from bench.runs.watch_trial import WatchTrial

_OF_RUNS = ("upstream.connections_opened", "upstream.requests_per_connection")
_OF_WATCHES = {
    "opened_per_s": "opened_per_request",
    "opened_per_request": "opened_per_s",
    "requests_per_connection": "opened_per_s",
}
KEYS = frozenset((*_OF_RUNS, *_OF_WATCHES))
"""Metrics that the rate of requests moves by itself."""


def second_figure(side: AnySide, metric: Metric, trial: TrialRecord) -> float | None:
    """Return the figure that must say the same as `metric`, of which less is better; None: there is none.

    Of a run: connections opened for each request, without those that a pool of all clients begins with. Of a
    watch, which has no begin: connections a second for those of a request, and the other way round.
    """
    if isinstance(trial, WatchTrial):
        return Metric(_OF_WATCHES[metric.key], "").of(trial) if metric.key in _OF_WATCHES else None
    if not isinstance(trial, Trial) or metric.key not in _OF_RUNS:
        return None
    opened, requests = trial.upstream.connections_opened, trial.upstream.requests_total
    if opened is None or not requests:
        return None
    begun = 0 if trial.mode == Mode.SHORT.value else _count_begun(side.run.plan, trial)
    return None if begun is None else max(0, opened - begun) / requests


def _count_begun(plan: dict[str, Any], trial: Trial) -> int | None:
    """Return how many connections pools open before they reuse any: one a client in each; None: not known."""
    cell = trial.cell if isinstance(trial, SweepTrial) else {}
    try:
        made = run_plan.parse(grid.apply(plan, cell))
    except PlanError:  # the record is of another version, or was written by hand
        return None
    return made.concurrency * made.pools
