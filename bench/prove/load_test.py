"""Load test: what a configuration costs as it is and repaired, measured alternately.

The proof has found before which request reaches the location.
"""

import itertools
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from operator import sub
from typing import Literal, TypedDict

from bench.analysis import answers, claims, histogram, stats, validity
from bench.analysis.answers import Cell, Samples
from bench.analysis.metrics import Better
from bench.analysis.validity import OtherShares, Pressure
from bench.experiment.load_clients import LoadClients
from bench.experiment.recorder import draw_seed, interleave
from bench.experiment.trial_result import TrialTimes
from bench.lab import split_address
from bench.load import job_rules
from bench.load.job import LoadJob
from bench.machine.affinity import available_cores
from bench.observe import other_work
from bench.observe.process_tree import ProcessTree
from bench.prove.changes import ChangeLog, Rejection
from bench.prove.http_client import send_requests
from bench.prove.inventory import Location, build_inventory
from bench.prove.proof import LocationResult, Proof, TimeWaitJson
from bench.prove.requests import Request
from bench.prove.rewrite import Listeners
from bench.prove.testbed import NginxTestbed, ProofSettings, open_testbed
from bench.runs.record import TrialWarning
from bench.subjects.programs import Program
from nginx import versions
from nginx.model import Model
from nginx.verdict import compute_verdict

ConfigSide = Literal["as it is", "repaired"]
SIDES: tuple[ConfigSide, ConfigSide] = ("as it is", "repaired")
Models = Mapping[ConfigSide, Model]
CONNECTIONS = 32
TIMED = frozenset({"requests_per_s", "p99_ms"})
"""Figures that a busy machine voids."""
SEARCHED = TIMED | {"nginx_cpu_us_per_request"}
"""Figures that mean nothing over the moment from which connect() searches for a port."""
_COUNTS = frozenset({"time_wait_nginx", "time_wait_backend", "errors"})
_TESTS = 2
"""Ratios that are told of a location: of its rate and of nginx's CPU."""
_WARMUP_S = 0.5
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class LoadSettings:
    """How many pairs of windows of which length, and for how many locations."""

    pairs: int = 3
    duration_s: float = 2.0
    locations: int = 1
    seed: int = field(default_factory=draw_seed)
    """Of the random order of the windows."""


class LoadWindowJson(TypedDict):
    """One window of load, in the JSON of `bench prove --load`."""

    side: ConfigSide
    requests_per_s: float
    p99_ms: float | None
    nginx_cpu_us_per_request: float
    connections_per_request: float
    time_wait: TimeWaitJson
    errors: int
    busy: str | None
    is_void: bool
    """Whether the machine was too busy for rate and latency."""
    is_mixed: bool
    """Whether half of the ports were used, before and after which rate, latency and CPU differ."""


@dataclass(frozen=True, slots=True)
class LoadWindow:
    """What one side did in one window; counts of connections and TIME_WAIT are over its whole load."""

    side: ConfigSide
    requests_per_s: float
    p99_ms: float | None
    nginx_cpu_us_per_request: float
    connections_per_request: float
    time_wait_nginx: int | None
    time_wait_backend: int | None
    errors: int
    busy: TrialWarning | None = None
    """That others used the machine meanwhile; where it voids, rate and latency do not count."""
    is_mixed: bool = False
    """Whether half of nginx's ports were used, so that rate, latency and CPU are of two states."""

    @property
    def is_void(self) -> bool:
        """Return whether rate and latency say more about the machine than about nginx."""
        return self.busy is not None and self.busy.voids

    def to_json(self) -> LoadWindowJson:
        """Return the window as plain values."""
        return {
            "side": self.side,
            "requests_per_s": round(self.requests_per_s, 1),
            "p99_ms": self.p99_ms,
            "nginx_cpu_us_per_request": round(self.nginx_cpu_us_per_request, 2),
            "connections_per_request": round(self.connections_per_request, 5),
            "time_wait": {"nginx": self.time_wait_nginx, "backend": self.time_wait_backend},
            "errors": self.errors,
            "busy": None if self.busy is None else self.busy.message,
            "is_void": self.is_void,
            "is_mixed": self.is_mixed,
        }


def _is_refused(window: LoadWindow, name: str) -> bool:
    """Return whether a figure of `window` may not be quoted."""
    return (name in TIMED and window.is_void) or (name in SEARCHED and window.is_mixed)


class CostJson(TypedDict):
    """What one location costs, in the JSON of `bench prove --load`."""

    version: str
    file: str | None
    line: int | None
    request: str | None
    windows: list[LoadWindowJson]
    missing: str | None
    seed: int | None


@dataclass(slots=True)
class Cost:
    """What one location costs under one nginx, as it is and repaired."""

    version: str
    location: Location | None = None
    request: Request | None = None
    windows: list[LoadWindow] = field(default_factory=list)
    missing: str = ""
    """Why nothing was measured, if so."""
    seed: int | None = None
    """Of the random order of the windows."""

    def values(self, side: ConfigSide, name: str) -> list[float]:
        """Return a figure of LoadWindow in the windows of one side that count for it."""
        windows = [each for each in self.windows if each.side == side and not _is_refused(each, name)]
        return [value for each in windows if (value := getattr(each, name)) is not None]

    def median(self, side: ConfigSide, name: str) -> float | None:
        """Return the median of a figure of LoadWindow over the windows of one side that count for it."""
        values = self.values(side, name)
        return stats.median(values, name in _COUNTS) if values else None

    def compare(self, name: str) -> Cell | None:
        """Return how the repaired side stands to the one as it is; None where one of them has no figure."""
        old, new = (self.values(side, name) for side in SIDES)
        if not old or not new:
            return None
        samples = Samples(old, new)
        better: Better = "more" if name == "requests_per_s" else "less"
        return answers.decide(answers.hold(samples, stats.ALPHA), samples, better, stats.ALPHA, _TESTS)

    def to_json(self) -> CostJson:
        """Return the cost as plain values."""
        place = self.location.pass_location.directive.place if self.location else None
        return {
            "version": self.version,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "request": str(self.request) if self.request else None,
            "windows": [window.to_json() for window in self.windows],
            "missing": self.missing or None,
            "seed": self.seed,
        }


def costs(
    models: Models, proof: Proof, program: Program, settings: ProofSettings, load: LoadSettings
) -> list[Cost]:
    """Measure the first locations that the repair mends, one after the other.

    RoleError where a role does not start, LabError where the lab does not open.
    """
    mended = list(itertools.islice(_mended(proof, models["repaired"]), load.locations))
    if not mended:
        why = "nothing to compare: no location that was reached becomes one that reuses"
        return [Cost(program.version, missing=why)]
    return [_LoadTest(models, program, settings, load, each).run() for each in mended]


def _mended(proof: Proof, after: Model) -> Iterator[LocationResult]:
    """Yield what was proven not to reuse, and reuses once repaired."""
    locations = {location.number: location for location in build_inventory(after).locations}
    version = versions.parse(proof.version)
    for result in proof.results:
        if result.measured is None or result.measured.verdict == "reused":
            continue
        location = locations.get(result.location.number)
        if location is not None and compute_verdict(location.pass_location, version).answer == "reused":
            yield result


@dataclass(frozen=True, slots=True)
class _LoadTest:
    """The load test of one location that the repair mends."""

    models: Models
    program: Program
    settings: ProofSettings
    load: LoadSettings
    mended: LocationResult

    def run(self) -> Cost:
        """Measure both sides alternately."""
        found = Cost(self.program.version, self.mended.location, self.mended.request, seed=self.load.seed)
        for side in interleave(SIDES, self.load.pairs, self.load.seed):
            window = self._window(side)
            if isinstance(window, Rejection):
                found.missing = f"{side}: {window}"
                return found
            found.windows.append(window)
        return found

    def _window(self, side: ConfigSide) -> LoadWindow | Rejection:
        inventory = build_inventory(self.models[side])
        with open_testbed(inventory, self.program, self.settings, ChangeLog(), has_all_ports=True) as testbed:
            if isinstance(testbed, Rejection):
                return testbed
            assert self.mended.request is not None
            location = next(
                each for each in inventory.locations if each.number == self.mended.location.number
            )
            request = self.mended.request
            # In HTTP/2 a request costs the load generator many times as much.
            if _is_reached(testbed, location, cheaper := replace(request, is_http2=False)):
                request = cheaper
            job = _job(testbed.listeners[location.server.number], request, self.load)
            return _run_load(side, testbed, location, job)


def _uses_half_of_ports(testbed: NginxTestbed, location: Location, time_wait: int | None) -> bool:
    """Return whether sockets in TIME_WAIT hold half of the ports toward a location's servers."""
    if time_wait is None:
        return False
    by_peer = testbed.backends.addresses[location.number]
    destinations = {address for addresses in by_peer.values() for address in addresses}
    return 2 * time_wait >= testbed.ports * len(destinations)


def _is_reached(testbed: NginxTestbed, location: Location, request: Request) -> bool:
    """Return whether a request reaches a location."""
    before = testbed.counts_of(location.number).requests
    testbed.lab.hosts["client"].call(send_requests, testbed.listeners[location.server.number], [request])
    return testbed.counts_of(location.number).requests > before


def _job(listeners: Listeners, request: Request, load: LoadSettings) -> LoadJob:
    plain = listeners.http2 if request.is_http2 else listeners.plain
    address = listeners.tls if request.is_tls else plain
    assert address is not None, "HTTP/2 is used only where a listener accepts it"
    host, port = split_address(address)
    return LoadJob(
        host=host,
        port=port,
        host_field=request.host,
        paths=((request.path, 1),),
        method=request.method,
        headers=tuple(field for field in request.fields if field[0].lower() not in job_rules.COMPUTED),
        body=request.body,
        connections=CONNECTIONS,
        warmup_s=_WARMUP_S,
        duration_s=load.duration_s,
        echo=False,
        pattern=False,
        http2=request.is_http2,
        tls=request.is_tls,
        tls_verify=False,  # the certificate is one of this run
    )


def _run_load(side: ConfigSide, testbed: NginxTestbed, location: Location, job: LoadJob) -> LoadWindow:
    clients = LoadClients(testbed.lab.hosts["client"], job)
    assert testbed.nginx.pid is not None
    nginx = ProcessTree(testbed.nginx.pid)
    before_s, watch = nginx.cpu_s(), _BusyWatch(clients)
    clients.go(TrialTimes.after(time.monotonic_ns(), job.warmup_s, job.duration_s).start_ns)
    clients.finish(job.warmup_s + job.duration_s + _TIMEOUT_S)
    busy = watch.judge(job.warmup_s + job.duration_s)
    cpu_s, totals = nginx.cpu_s() - before_s, clients.totals
    counts, sockets = testbed.counts_of(location.number), testbed.sockets(location.number)
    time_wait = None if sockets is None else sockets.time_wait_nginx
    latencies = histogram.merge(second.latency_us for second in clients.seconds if second.in_window)
    return LoadWindow(
        side,
        requests_per_s=totals.requests / ((totals.window_end_ns - totals.window_start_ns) / 1e9),
        p99_ms=histogram.percentiles_ms(latencies).p99,
        nginx_cpu_us_per_request=1e6 * cpu_s / max(1, totals.requests_total),
        connections_per_request=counts.accepted / max(1, counts.requests),
        time_wait_nginx=time_wait,
        time_wait_backend=None if sockets is None else sockets.time_wait_backend,
        errors=sum(totals.errors_total.values()),
        busy=busy,
        is_mixed=_uses_half_of_ports(testbed, location, time_wait),
    )


class _BusyWatch:
    """Look at what others do on the machine, from when it is made; judged as a trial of `bench run` is."""

    def __init__(self, clients: LoadClients) -> None:
        self._trees = [ProcessTree(process.pid) for process in clients.processes]
        self._waited_s = self._read_waits()
        self._cores = available_cores()
        self._before = other_work.read(self._cores)

    def judge(self, lasted_s: float) -> TrialWarning | None:
        """Return the warning that others disturbed the load; None where they did not, or it is not known."""
        after = other_work.read(self._cores)
        if self._before is None or after is None:
            return None
        found = other_work.between(self._before, after, len(self._cores), {os.getpid()})
        shares = OtherShares(found.cpu_share, found.stolen_share, found.busiest)
        waited_s = max(map(sub, self._read_waits(), self._waited_s), default=0.0)
        warnings = validity.machine_warnings(Pressure(waited_s / lasted_s, None), shares)
        # All roles share the cores here: that the clients wait for nginx and the servers is no disturbance.
        return next((each for each in warnings if each.code == claims.DISTURBED), None)

    def _read_waits(self) -> list[float]:
        return [tree.run_queue_wait_s() or 0.0 for tree in self._trees]
