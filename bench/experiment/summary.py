"""What the summaries of all trials share: the outcome, and what a host's observations mean. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from bench.observe.sampler import HostObservation
from bench.runs.record import UNSEEN, Latencies, Moment, TimeWait, TrialWarning

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """A trial with what was measured along its time."""

    trial: T
    moments: Sequence[Moment]
    latencies: Sequence[Latencies]


def time_wait(host: HostObservation) -> TimeWait:
    """Return the sockets in TIME_WAIT on a host, the highest count and the last."""
    if host.sockets is None:
        return UNSEEN
    return TimeWait(peak=max(host.peaks.time_wait, host.sockets.time_wait), end=host.sockets.time_wait)


def memory_mib(host: HostObservation) -> float | None:
    """Return the most memory of a host's processes; None where none of them belongs to the trial."""
    if host.peaks.rss_mib == 0:
        return None
    return host.peaks.rss_mib if host.peaks.uss_mib is None else host.peaks.uss_mib


def lab_warnings(notes: Iterable[str]) -> list[TrialWarning]:
    """Return what the lab and the observers noted, as warnings."""
    return [TrialWarning("lab", note) for note in notes]
