"""The time of a trial on machines: its parts are watched and gathered, and those that are lost named."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from bench.cluster import lost_part, merge, packing, reported, shared_window, worker
from bench.cluster.clock import ClockOffset
from bench.cluster.connection import DaskCluster, WorkerLost
from bench.cluster.lease import Lease
from bench.cluster.merge import MachinePart
from bench.cluster.placement import RolePlace
from bench.cluster.reported import ReportedResult
from bench.cluster.reporter import PartReport
from bench.errors import BenchError
from bench.experiment.trial_result import TrialTimes
from bench.progress import Progress

POLL_S = 0.1
_GATHER_S = 2.0
"""How long the other parts may take once one is lost: with a peer gone, some responses never come."""

_REPORTS_S = 20.0
"""How long reports may take beyond the result that they belong to; a silent scheduler is lost before."""
_REPORTS_POLL_S = 0.01

Receive: TypeAlias = Callable[[], list[tuple[str, Any]]]
"""Return what the places have reported since the last call, each with its key."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What came of the parts of a trial, in our clock."""

    parts: list[MachinePart]
    lost: dict[str, str] = field(default_factory=dict)
    """The parts that were lost, by name, each with the reason."""


class RunningParts:
    """The parts of one trial while its load runs. States: let go, gathered."""

    def __init__(
        self,
        cluster: DaskCluster,
        lease: Lease,
        begun: "Mapping[Future[Any], RolePlace]",
        *,
        times: Mapping[str, TrialTimes],
        clocks: Mapping[str, ClockOffset],
        progress: Progress,
    ) -> None:
        """Watch `begun`, whose results are packed ReportedResults; `times` are by the clock of each place."""
        self._cluster = cluster
        self._lease = lease
        self._begun = begun
        self._times = times
        self._clocks = clocks
        self._progress = progress
        self._places = {place.key: place for place in begun.values()}
        self._reports: dict[str, list[PartReport]] = {key: [] for key in self._places}
        self._results: dict[str, ReportedResult] = {}
        self._is_ended = False
        """Whether the other parts were told that the clients are done."""

    def run(self, times: TrialTimes, receive: Receive) -> Gathered:
        """Return what the parts observed once all are over, or once some are lost.

        Ctrl-C ends the window early. RoleError where a role ends or falls silent while its machine does not.
        """
        phases = [(times.start_ns, "warm-up"), (times.window_ns, "window")]
        phases += [] if times.end_ns is None else [(times.end_ns, "drain")]
        try:
            self._watch(phases, receive, None)
        except KeyboardInterrupt:
            self._interrupt()
            self._watch(phases, receive, None)
        if self._lost:
            self._interrupt()
            self._call_left(worker.end_window, self._places.values())
            self._watch([], receive, time.monotonic() + _GATHER_S)
        return self._gather()

    def _watch(self, phases: list[tuple[int, str]], receive: Receive, deadline_s: float | None) -> None:
        """Wait until all parts are over, or until one is lost; with a deadline, for the others until then."""
        pending = set(self._begun)
        while pending and (deadline_s is None or time.monotonic() < deadline_s):
            done, pending = wait(pending, timeout=POLL_S)
            for future in done:
                self._see(self._begun[future], future)
            self._end_with_clients(pending)
            while phases and time.monotonic_ns() >= phases[0][0]:
                self._progress.phase(phases.pop(0)[1])
            self._keep(receive())
            if lost := self._lost:
                if deadline_s is None:
                    return
                pending = {future for future in pending if self._begun[future].key not in lost}
        self._await_reports(receive, deadline_s or time.monotonic() + _REPORTS_S)

    def _await_reports(self, receive: Receive, deadline_s: float) -> None:
        """Wait for the reports that hold the rest of results; a worker whose reports stay away is lost."""
        while missing := [key for key in self._results if self._lacks_reports(key) and key not in self._lost]:
            if time.monotonic() > deadline_s:
                for key in missing:
                    name, address = self._places[key].name, self._places[key].worker.address
                    self._lease.note(address, WorkerLost(f"cluster: the reports of {name} stay away"))
                return
            time.sleep(_REPORTS_POLL_S)
            self._keep(receive())

    def _lacks_reports(self, key: str) -> bool:
        return len(self._reports[key]) < self._results[key].reports

    def _end_with_clients(self, pending: "Set[Future[Any]]") -> None:
        """End the drain of the other parts once all clients are done, and the window if it still lasts."""
        places = [self._begun[future] for future in pending]
        if self._is_ended or not places or any(place.role == "client" for place in places):
            return
        self._is_ended = True
        self._call_left(worker.end_window, places)

    def _see(self, place: RolePlace, future: "Future[Any]") -> None:
        """Keep a result, note a worker that is gone; raise any other error, unless a loss explains it."""
        error = future.exception()
        if error is None:
            self._results[place.key] = packing.unpack(future.result())
        elif isinstance(error, WorkerLost):
            self._lease.note(place.worker.address, error)
        elif not (self._lost and isinstance(error, BenchError)):
            raise error

    def _keep(self, received: list[tuple[str, Any]]) -> None:
        """Keep what places report of this trial, and show it."""
        for key, report in received:
            if not isinstance(report, PartReport) or key not in self._places:
                continue
            if report.start_ns != self._times[key].start_ns:  # the last one of the trial before
                continue
            self._reports[key].append(report)
            offset_ns = self._clock(self._places[key]).offset_ns
            for second in merge.seconds_in_our_clock(report.seconds, offset_ns):
                self._progress.second(second)
            for sample in report.samples[-1:]:
                self._progress.sample(replace(sample, t_ns=sample.t_ns - offset_ns), 0)

    def _interrupt(self) -> None:
        """End the window on the machines that are left; none of them is waited for."""
        self._call_left(worker.interrupt, self._places.values())

    def _call_left(self, function: Callable[[Sequence[str]], None], places: Iterable[RolePlace]) -> None:
        """Call a function of each worker with those of `places` there that are left."""
        lost = self._lost
        keys_on: dict[str, list[str]] = {}
        for place in places:
            if place.key not in lost:
                keys_on.setdefault(place.worker.address, []).append(place.key)
        for address, keys in keys_on.items():
            self._cluster.begin(address, function, keys)

    @property
    def _lost(self) -> dict[str, str]:
        """Return those of the places of this trial that are lost."""
        return {key: reason for key, reason in self._lease.lost.items() if key in self._places}

    def _gather(self) -> Gathered:
        lost = self._lost
        parts, limits_ns = [], []
        for place in self._places.values():
            clock, reports = self._clock(place), self._reports[place.key]
            sent = self._results.get(place.key)
            if sent is None:
                result = lost_part.result_of(place.role, self._times[place.key], reports)
            else:
                result = reported.complete(sent, reports)
            if sent is None or self._lacks_reports(place.key):
                limits_ns.append(clock.to_local(lost_part.known_until_ns(place.role, reports)))
            elif place.key in lost:
                limits_ns.append(self._lease.sound_until_ns(place.key))
            parts.append(
                MachinePart(
                    place.name,
                    place.role,
                    merge.in_our_clock(result, clock.offset_ns),
                    clock,
                    lost.get(place.key),
                )
            )
        if limits_ns:
            parts = shared_window.end_window(parts, min(limits_ns))
        return Gathered(parts, {place.name: lost[key] for key, place in self._places.items() if key in lost})

    def _clock(self, place: RolePlace) -> ClockOffset:
        return self._clocks[place.worker.address]
