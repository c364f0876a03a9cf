"""The clocks of the workers: how far each CLOCK_MONOTONIC is from ours, and by how much that may be wrong.

A round trip reads the remote clock between two readings of ours. The remote reading happened at some moment
between them, so that the offset lies within half of the round trip of what the middle gives, however unequal
the way out and the way back are. The shortest round trip bounds it best (RFC 5905, section 10: clock filter).
"""

import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from bench.errors import LabError
from bench.runs.record import TrialWarning

LARGEST_ERROR_NS = 5_000_000
"""Moments that are less certain than this are of no use to windows of some seconds on several machines."""
_LARGEST_SHARE = 0.01
"""So much of its window may a clock move by: rates are off by as much."""
_GOOD_ERROR_NS = 1_000_000
"""Enough: no more round trips are made to this worker."""
_FAIR_ERROR_NS, _FAIR = 2_000_000, 8
"""Enough after so many round trips: where a machine is busy, many more find little better."""
_FEWEST, _MOST = 4, 30
"""Round trips to a worker: the first ones open connections, and a busy machine delays some."""
_BUDGET_NS = 800_000_000
"""After this time no worker gets more than the fewest, if these are certain enough."""
_PATIENCE_NS = 3_000_000_000
"""How long a clock that is too uncertain is measured anew: a busy machine has quiet moments too."""
_LANES = 2
"""Round trips that are under way at once: more delay each other in Dask's scheduler, and a single one takes
too long where the scheduler is far away."""

Call: TypeAlias = Callable[[str, Callable[[], Coroutine[Any, Any, int]]], Any]
"""Run a coroutine function on the event loop of the worker at an address, and return its result. Called from
several threads."""


class RoundTrip(NamedTuple):
    """One reading of a remote clock, between two readings of ours."""

    sent_ns: int
    remote_ns: int
    received_ns: int


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """How far a remote clock is from ours."""

    offset_ns: int
    """The remote clock less ours."""
    error_ns: int
    """The most that the offset may be wrong by, at the moment when it was measured."""
    round_trip_ns: int
    """The round trip that it was computed from, which is the shortest."""

    def to_remote(self, local_ns: int) -> int:
        """Return what the remote clock shows at a moment of ours."""
        return local_ns + self.offset_ns

    def to_local(self, remote_ns: int) -> int:
        """Return what our clock shows at a moment of the remote one."""
        return remote_ns - self.offset_ns


@dataclass(frozen=True, slots=True)
class ClockDrift:
    """The offset of one clock before and after a trial."""

    first: ClockOffset
    last: ClockOffset

    @property
    def difference_ns(self) -> int:
        """Return by how much the remote clock gained on ours; negative where it lost."""
        return self.last.offset_ns - self.first.offset_ns

    @property
    def error_ns(self) -> int:
        """Return the most that the difference may be wrong by."""
        return self.first.error_ns + self.last.error_ns


def estimate(trips: Iterable[tuple[int, int, int]]) -> ClockOffset:
    """Return the offset of a remote clock from round trips (sent, remote, received), in ns.

    ValueError where there are none, or where one was received before it was sent.
    """
    sent, remote, received = min(trips, key=lambda trip: trip[2] - trip[0])
    if received < sent:
        raise ValueError(f"a round trip ends {sent - received} ns before it begins")
    # The middle is rounded down, so that the way back may be the longer half by 1 ns.
    return ClockOffset(remote - (sent + received) // 2, (received - sent + 1) // 2, received - sent)


async def read_monotonic_ns() -> int:
    """Return CLOCK_MONOTONIC of the worker in ns; a coroutine, so that no other thread has to be woken."""
    return time.monotonic_ns()


def measure(
    call: Call, addresses: Sequence[str], now_ns: Callable[[], int] = time.monotonic_ns
) -> dict[str, ClockOffset]:
    """Return the offset of the clock of each worker to that of `now_ns`, by the worker's address.

    The workers take turns, so that one slow moment of the machine or of the network does not spoil all round
    trips of one of them. What `call` raises is passed on.
    """
    began_ns = now_ns()
    lanes = [addresses[index::_LANES] for index in range(min(_LANES, len(addresses)))]
    if not lanes:
        return {}
    with ThreadPoolExecutor(len(lanes), thread_name_prefix="clock") as pool:
        measured = list(pool.map(lambda lane: _measure_in_turn(call, lane, now_ns, began_ns), lanes))
    offsets = {address: offset for lane in measured for address, offset in lane.items()}
    return {address: offsets[address] for address in addresses}


def _measure_in_turn(
    call: Call, addresses: Sequence[str], now_ns: Callable[[], int], began_ns: int
) -> dict[str, ClockOffset]:
    trips: dict[str, list[RoundTrip]] = {address: [] for address in addresses}
    waiting = list(trips)
    while waiting:
        for address in waiting:
            trips[address].append(RoundTrip(now_ns(), call(address, read_monotonic_ns), now_ns()))
        spent_ns = now_ns() - began_ns
        waiting = [address for address in waiting if _needs_more(trips[address], spent_ns)]
    return {address: estimate(made) for address, made in trips.items()}


def _needs_more(trips: Sequence[RoundTrip], spent_ns: int) -> bool:
    if len(trips) < _FEWEST:
        return True
    error_ns = estimate(trips).error_ns
    if error_ns > LARGEST_ERROR_NS:
        return spent_ns < _PATIENCE_NS
    enough_ns = _GOOD_ERROR_NS if len(trips) < _FAIR else _FAIR_ERROR_NS
    return spent_ns < _BUDGET_NS and len(trips) < _MOST and error_ns > enough_ns


def check_error(worker: str, offset: ClockOffset) -> None:
    """Raise LabError where the clock of `worker` is too uncertain to agree upon moments with it."""
    if offset.error_ns > LARGEST_ERROR_NS:
        raise LabError(
            f"cluster: worker {worker}: its clock is known within {_format_ms(offset.error_ns)} only, as the"
            f" shortest round trip to it took {_format_ms(offset.round_trip_ns)}; at most"
            f" {_format_ms(LARGEST_ERROR_NS)} are allowed: end other work there and on the scheduler, or run"
            " `bench` and the scheduler in the same network as the workers"
        )


def summarize_drift(worker: str, drift: ClockDrift, window_s: float) -> TrialWarning | None:
    """Return a warning of the trial where the clock of `worker` drifted beyond the error; else None.

    It voids the rates of a window of `window_s` where it is more than a hundredth of that.
    """
    if abs(drift.difference_ns) <= drift.error_ns:
        return None
    return TrialWarning(
        "clock-drift",
        f"{worker}: its clock moved against ours by {_format_ms(drift.difference_ns)} during the trial"
        f" (offset {_format_ms(drift.first.offset_ns)} before, {_format_ms(drift.last.offset_ns)} after, each"
        f" within {_format_ms(max(drift.first.error_ns, drift.last.error_ns))})",
        "its window is off by as much at its end: keep trials short, or let one time server discipline all"
        " clocks (chronyc tracking)",
        voids=abs(drift.difference_ns) > _LARGEST_SHARE * window_s * 1e9,
    )


def _format_ms(ns: int) -> str:
    return f"{ns / 1e6:,.2f} ms"
