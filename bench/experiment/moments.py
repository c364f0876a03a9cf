"""The rows of a timeline: made of samples and seconds, and read for what lies between two moments. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict

from bench.load.generator import Second
from bench.observe.host_observer import HostSample
from bench.runs.record import Moment

_TICK_NS = 100_000_000


def observed(trial: int, mode: str, sample: HostSample, start_ns: int) -> Moment:
    """Return a sample of the observers as a row."""
    values = asdict(sample)
    at_s = round((values.pop("t_ns") - start_ns) / 1e9, 4)
    if not sample.memory_mib:
        # A host without a process of ours has used nothing, which is no figure of anybody's.
        values |= {"cpu_s": None, "memory_mib": None}
    return Moment(trial, mode, t_s=at_s, **values)


def tenths(trial: int, mode: str, second: Second, start_ns: int) -> Iterator[Moment]:
    """Yield the correct responses of each whole tenth; the errors of a second stand with its last."""
    for index, requests in enumerate(second.ticks):
        end_ns = min(second.start_ns + (index + 1) * _TICK_NS, second.end_ns)
        is_last = index == len(second.ticks) - 1
        errors = sum(second.errors.values()) if is_last else 0
        at_s = round((end_ns - start_ns) / 1e9, 4)
        yield Moment(trial, mode, "client", at_s, requests=requests, errors=errors)


def spent_s(rows: Sequence[Moment], start_s: float, end_s: float) -> float | None:
    """Return the CPU seconds between the rows nearest to two moments; None where there are none."""
    timed = [(row.t_s, row.cpu_s) for row in rows if row.cpu_s is not None]
    if len(timed) < 2:
        return None
    first = min(timed, key=lambda at: abs(at[0] - start_s))
    last = min(timed, key=lambda at: abs(at[0] - end_s))
    return last[1] - first[1]
