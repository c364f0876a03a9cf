"""The results of the parts of a trial are whole once their reports are there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from bench.cluster import packing, running, worker
from bench.cluster.clock import ClockOffset
from bench.cluster.connection import WorkerFacts, WorkerLost
from bench.cluster.merge import MachinePart
from bench.cluster.placement import RolePlace
from bench.cluster.reported import without_reported
from bench.cluster.reporter import PartCounts, PartReport, Reporter
from bench.cluster.running import RunningParts
from bench.cluster.worker import WorkerDescription
from bench.experiment.trial_result import TrialTimes
from bench.observe.host_observer import HostSample
from tests.cluster.observed import EXACT, SECOND_NS, START_NS, machine, second

AHEAD_NS = 200_000_000
TIMES = TrialTimes(START_NS, START_NS, START_NS + 2 * SECOND_NS)
COUNTS = PartCounts("1", (32768, 60999))


class Lease:
    """The places of a run as a test wants them."""

    def __init__(self) -> None:
        self.lost: dict[str, str] = {}
        self.noted: list[tuple[str, str]] = []

    def note(self, address: str, error: BaseException) -> None:
        assert isinstance(error, WorkerLost)
        self.noted.append((address, str(error)))
        self.lost[f"{address}-key"] = "its worker is gone"

    def sound_until_ns(self, key: str) -> int:
        return START_NS + 2 * SECOND_NS


class Cluster:
    """Workers that are called and do nothing."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, list[str]]] = []

    def begin(self, address: str, function: Callable[..., Any], keys: list[str]) -> None:
        self.calls.append((address, function.__name__, keys))


class Trial:
    """A trial of some machines, named by their role and number; each is on a worker of its own."""

    def __init__(self, *names: str) -> None:
        self.lease, self.cluster = Lease(), Cluster()
        self.places = {name: self._place(name) for name in names}
        self.futures: dict[str, Future[bytes]] = {name: Future() for name in names}
        self.inbox: list[tuple[str, PartReport]] = []
        self.parts = RunningParts(
            self.cluster,  # type: ignore[arg-type]
            self.lease,  # type: ignore[arg-type]
            {self.futures[name]: place for name, place in self.places.items()},
            times={place.key: TIMES for place in self.places.values()},
            clocks={place.worker.address: EXACT for place in self.places.values()},
            progress=Reporter(lambda report: None),
        )

    def _place(self, name: str) -> RolePlace:
        nothing = WorkerDescription(1, "", "", (), {}, {})
        role = name.partition("-")[0]
        return RolePlace(f"{name}-key", name, role, WorkerFacts(name, name, {}), nothing, "10.0.0.1")

    def finish(self, name: str, reports: int) -> None:
        part = machine(name, requests=12 if name.startswith("client") else None)
        self.futures[name].set_result(packing.pack(without_reported(part.result, reports)))

    def report(self, name: str, number: int) -> None:
        seconds = (second(number, 5),) if name.startswith("client") else ()
        until_ns = START_NS + (number + 1) * SECOND_NS
        samples = (HostSample(until_ns, name.partition("-")[0]),)
        self.inbox.append((f"{name}-key", PartReport(START_NS, until_ns, seconds, samples, COUNTS)))

    def receive(self) -> list[tuple[str, Any]]:
        found, self.inbox = self.inbox, []
        return list(found)

    def run(self, receive: Callable[[], list[tuple[str, Any]]] | None = None) -> dict[str, MachinePart]:
        gathered = self.parts.run(TIMES, receive or self.receive)
        return {part.name: part for part in gathered.parts}


@pytest.fixture
def without_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no report that is not there."""
    monkeypatch.setattr(running, "_REPORTS_S", 0.0)
    monkeypatch.setattr(running, "_GATHER_S", 0.0)


def test_reports_that_come_after_the_result_are_waited_for() -> None:
    trial = Trial("client-1")
    trial.finish("client-1", 2)
    trial.report("client-1", 0)
    calls: list[None] = []

    def receive() -> list[tuple[str, Any]]:
        calls.append(None)
        if len(calls) == 3:
            trial.report("client-1", 1)
        return trial.receive()

    part = trial.run(receive)["client-1"].result
    assert [each.second for each in part.seconds] == [0, 1]
    assert len(part.result.samples) == 2
    assert trial.lease.noted == []


@pytest.mark.usefixtures("without_patience")
def test_a_worker_whose_reports_stay_away_is_lost_and_what_it_reported_is_kept() -> None:
    trial = Trial("client-1", "proxy-1")
    trial.finish("client-1", 2)
    trial.report("client-1", 0)
    trial.finish("proxy-1", 1)
    trial.report("proxy-1", 1)
    parts = trial.run()
    assert trial.lease.noted == [("client-1", "cluster: the reports of client-1 stay away")]
    assert [each.second for each in parts["client-1"].result.seconds] == [0]
    assert (parts["client-1"].lost, parts["proxy-1"].lost) == ("its worker is gone", None)
    totals = parts["client-1"].result.totals
    assert totals is not None
    assert (totals.window_end_ns, totals.requests, totals.interrupted) == (START_NS + SECOND_NS, 5, True)


@pytest.mark.usefixtures("without_patience")
def test_the_window_ends_where_the_reports_of_a_machine_end() -> None:
    trial = Trial("client-1", "proxy-1")
    trial.finish("client-1", 2)
    trial.report("client-1", 0)
    trial.report("client-1", 1)
    trial.finish("proxy-1", 2)
    trial.report("proxy-1", 0)
    totals = trial.run()["client-1"].result.totals
    assert totals is not None
    assert (totals.window_end_ns, totals.requests) == (START_NS + SECOND_NS, 5)


def test_the_others_are_told_once_the_clients_are_done() -> None:
    trial = Trial("client-1", "client-2", "proxy-1", "backend-1")
    for name in ("client-1", "client-2", "proxy-1"):
        trial.finish(name, 0)

    def receive() -> list[tuple[str, Any]]:
        if trial.cluster.calls and not trial.futures["backend-1"].done():
            trial.finish("backend-1", 0)
        return []

    assert len(trial.run(receive)) == 4
    assert trial.cluster.calls == [("backend-1", worker.end_window.__name__, ["backend-1-key"])]


def test_moments_of_reports_are_in_our_clock_too() -> None:
    trial = Trial("client-1")
    trial.parts._clocks = {"client-1": ClockOffset(AHEAD_NS, 1, 2)}
    trial.finish("client-1", 1)
    trial.report("client-1", 0)
    part = trial.run()["client-1"].result
    assert part.seconds[0].start_ns == START_NS - AHEAD_NS
    assert part.result.samples[0].t_ns == START_NS + SECOND_NS - AHEAD_NS
