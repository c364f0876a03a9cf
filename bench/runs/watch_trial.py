"""A trial of a recording: one stretch of a watch, at one hop or of the whole host. Values only.

A recording is a run whose plan has a `watch`; its trials have the keys of `run.jsonl`, kind `watch`
(results/README.md).
"""

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from bench.runs.record import RunRecord, TrialRecord

HOST_CASE = "host"
"""The case of the whole host: what the kernel counted, whichever hop it was of."""
KEY = "watch"
"""The key of a recording's plan."""


@dataclass(frozen=True, slots=True)
class WatchPlan:
    """What is watched and how, as the header of a recording has it under KEY."""

    scope: str
    """In words, as in "process nginx"."""
    source: str
    """How it was asked to look: `exact`, or `sampled`."""
    interval_s: float
    stretch_s: float
    """How long a stretch is."""
    requests: tuple[str, ...] = ()
    """The sources of requests, as they were named."""
    is_anonymized: bool = False
    """Whether words stand for addresses, scope and sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchTrial(TrialRecord):
    """One stretch at one hop. `subject` is what was watched; `time_wait` has the one host `host`.

    Rates are per second over the stretch; a count is the most at the end of an interval.
    """

    case: str
    """The hop, as in "10.0.0.2:8080" or "10.0.0.9 to :443", or HOST_CASE."""
    t_s: float
    """When the stretch began, from the start of the recording."""
    window_s: float
    """How long it lasted."""
    source: Literal["sampled", "exact"]
    opened_per_s: float
    is_lower_bound: bool = False
    """Whether more connections may have been opened than were seen."""
    closed_here_per_s: float | None = None
    """Ended first by this host, by a FIN; None for the whole host, whose counters do not tell."""
    closed_there_per_s: float | None = None
    reset_here_per_s: float | None = None
    reset_there_per_s: float | None = None
    reset_after_fin_per_s: float | None = None
    """Ended by a FIN of the peer, which an RST of the peer followed; older recordings have none."""
    failed_opens_per_s: float | None = None
    established: float | None = None
    """The mean over the intervals."""
    close_wait: int | None = None
    ports_used: int | None = None
    """Local ports that are taken towards the peer; None where none can be."""
    ports_share: float | None = None
    """The same as a share of those that there are."""
    requests_per_s: float | None = None
    """None: no source counts the requests of this hop."""
    requests_per_connection: float | None = None
    opened_per_request: float | None = None
    """The inverse, which is 0 where no connection was opened."""
    resets_per_s: float | None = None
    """Of the whole host: connections that a reset ended, as the kernel counted them."""
    listen_overflows_per_s: float | None = None
    observer_cpu_share: float | None = None
    """Of the whole host: what watching it cost, as a share of one core."""
    conntrack_share: float | None = None
    """Of the whole host: how full the table of conntrack is."""
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Points (seconds since the start of the recording, value) by name, one a second at the most.

    There are none where all would be zeros.
    """
    verdict: tuple[str, ...] = ()
    """Of the whole host: what wasted connections at the end of the stretch, in words."""
    notes: tuple[str, ...] = ()
    """Of the whole host: what limits the stretch."""


WatchRun: TypeAlias = RunRecord[WatchTrial]
