"""What the summaries of all trials share: the outcome, what a host's observations mean, a timeline. Pure."""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, TypeVar

from bench.analysis.validity import OtherShares
from bench.errors import BenchError
from bench.experiment.trial_result import TrialResult
from bench.load.generator import Second
from bench.observe.host_observer import HostSample
from bench.observe.sampler import HostObservation
from bench.runs.record import UNSEEN, Latencies, Moment, TimeWait, TrialWarning

T = TypeVar("T")

_TICK_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class Outcome(Generic[T]):
    """A trial with what was measured along its time."""

    trial: T
    moments: Sequence[Moment]
    latencies: Sequence[Latencies]


class TrialCutShort(BenchError):
    """A trial was ended by what cannot be mended, and what was measured until then is kept; the run ends."""

    def __init__(self, message: str, outcome: Outcome[Any]) -> None:
        super().__init__(message)
        self.outcome = outcome


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


def other_shares(result: TrialResult) -> OtherShares | None:
    """Return what others used of the machine during a trial; None where that is not known."""
    others = result.other_work
    return None if others is None else OtherShares(others.cpu_share, others.stolen_share, others.busiest)


def observed(trial: int, mode: str, sample: HostSample, start_ns: int) -> Moment:
    """Return a sample of the observers as a row."""
    values = asdict(sample)
    at_s = round((values.pop("t_ns") - start_ns) / 1e9, 4)
    if not sample.memory_mib:
        # A host without a process of ours has used nothing, which is no figure of anybody's.
        values |= {"cpu_s": None, "memory_mib": None}
    return Moment(trial, mode, t_s=at_s, **values)


def ticks(second: Second) -> Iterator[tuple[int, int]]:
    """Yield the end of each whole tenth of a second, and of what is left, with its correct responses."""
    for index, requests in enumerate(second.ticks):
        yield min(second.start_ns + (index + 1) * _TICK_NS, second.end_ns), requests


def tenths(trial: int, mode: str, second: Second, start_ns: int) -> Iterator[Moment]:
    """Yield the correct responses of each whole tenth; the errors of a second stand with its last."""
    for index, (end_ns, requests) in enumerate(ticks(second)):
        is_last = index == len(second.ticks) - 1
        errors = sum(second.errors.values()) if is_last else 0
        at_s = round((end_ns - start_ns) / 1e9, 4)
        yield Moment(trial, mode, "client", at_s, requests=requests, errors=errors)


def spent_s(known: Iterable[tuple[int, float]], start_ns: int, end_ns: int) -> float | None:
    """Return the CPU seconds between two moments, on straight lines between what is `known` by moment.

    None where that is less than two moments. A tick that came too late, and is left out, costs nothing of it.
    """
    points = sorted(known)
    if len(points) < 2:
        return None
    return used_at(points, end_ns) - used_at(points, start_ns)


def used_at(known: Sequence[tuple[int, float]], moment_ns: int) -> float:
    """Return the value at a moment on the straight lines between those of `known`, which is in order.

    Before the first and after the last nothing is made up: the value is theirs.
    """
    after = bisect_left(known, (moment_ns,))
    if after in (0, len(known)):
        return known[min(after, len(known) - 1)][1]
    (left_ns, left), (right_ns, right) = known[after - 1], known[after]
    return left + (right - left) * (moment_ns - left_ns) / (right_ns - left_ns)
