"""What a configuration costs beside its repaired self: locations under load, both ways in turn.

Whether load of ours can reach the location, and how, the proof has found out before.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.analysis import histogram
from bench.errors import RoleError
from bench.lab import Process
from bench.load.generator import Generator, OnEvent, Second, Totals
from bench.load.job import LoadJob
from bench.observe.processes import Tree
from bench.prove.changes import ChangeLog, Rejection
from bench.prove.http_client import send_requests
from bench.prove.inventory import Location, build_inventory
from bench.prove.proof import LocationResult, Proof
from bench.prove.requests import Request
from bench.prove.rewrite import Listeners
from bench.prove.testbed import NginxTestbed, ProofSettings, open_testbed
from bench.subjects.programs import Program
from nginx import versions
from nginx.model import Model

Side = Literal["as it is", "repaired"]
SIDES: tuple[Side, Side] = ("as it is", "repaired")
CONNECTIONS = 32
_WARMUP_S = 0.5
_HEAD_START_NS = 50_000_000
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much load: pairs of windows, each of a length, for so many locations."""

    pairs: int = 3
    duration_s: float = 2.0
    locations: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """What one side did in one window; counts of connections and TIME_WAIT are over its whole load."""

    side: Side
    requests_per_s: float
    p99_ms: float | None
    nginx_cpu_us_per_request: float
    connections_per_request: float
    time_wait_nginx: int | None
    time_wait_backend: int | None
    errors: int

    def to_json(self) -> dict[str, Any]:
        """Returns the window as plain values."""
        return {
            "side": self.side,
            "requests_per_s": round(self.requests_per_s, 1),
            "p99_ms": self.p99_ms,
            "nginx_cpu_us_per_request": round(self.nginx_cpu_us_per_request, 2),
            "connections_per_request": round(self.connections_per_request, 5),
            "time_wait": {"nginx": self.time_wait_nginx, "backend": self.time_wait_backend},
            "errors": self.errors,
        }


@dataclass(slots=True)
class Cost:
    """What one location costs under one nginx, both ways; `missing` says why nothing was measured."""

    version: str
    location: Location | None = None
    request: Request | None = None
    windows: list[Window] = field(default_factory=list)
    missing: str = ""

    def median(self, side: Side, name: str) -> float | None:
        """Returns the median of a figure of Window over the windows of one side."""
        values = [getattr(window, name) for window in self.windows if window.side == side]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """Returns the cost as plain values."""
        place = self.location.pass_location.directive.place if self.location else None
        return {
            "version": self.version,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "request": str(self.request) if self.request else None,
            "windows": [window.to_json() for window in self.windows],
            "missing": self.missing or None,
        }


def costs(
    models: Mapping[Side, Model], proof: Proof, program: Program, settings: ProofSettings, load: Load
) -> list[Cost]:
    """Measures the first locations that the repair mends, one after the other, both ways in turn.

    RoleError where a role does not come up, LabError where the lab does not open.
    """
    mended = list(itertools.islice(_mended(proof, models["repaired"]), load.locations))
    if not mended:
        why = "nothing to compare: no location that was reached becomes one that reuses"
        return [Cost(program.version, missing=why)]
    return [_cost(models, each, program, settings=settings, load=load) for each in mended]


def _cost(
    models: Mapping[Side, Model],
    mended: LocationResult,
    program: Program,
    *,
    settings: ProofSettings,
    load: Load,
) -> Cost:
    found = Cost(program.version, mended.location, mended.request)
    for pair in range(load.pairs):
        # Every other pair goes backwards, so that a machine that slows down favours neither side.
        for side in SIDES if pair % 2 == 0 else SIDES[::-1]:
            window = _window(side, models[side], mended, program, settings=settings, load=load)
            if isinstance(window, Rejection):
                found.missing = f"{side}: {window}"
                return found
            found.windows.append(window)
    return found


def _mended(proof: Proof, after: Model) -> Iterator[LocationResult]:
    """Yields what was proven not to reuse, and reuses once repaired."""
    locations = {location.number: location for location in build_inventory(after).locations}
    version = versions.parse(proof.version)
    for result in proof.results:
        if result.measured is None or result.measured.verdict == "reused":
            continue
        location = locations.get(result.location.number)
        if location is not None and location.pass_location.verdict(version).answer == "reused":
            yield result


def _window(
    side: Side,
    model: Model,
    mended: LocationResult,
    program: Program,
    *,
    settings: ProofSettings,
    load: Load,
) -> Window | Rejection:
    found = build_inventory(model)
    with open_testbed(found, program, settings, ChangeLog()) as testbed:
        if isinstance(testbed, Rejection):
            return testbed
        assert mended.request is not None
        location = next(each for each in found.locations if each.number == mended.location.number)
        request = replace(mended.request, is_tls=False, is_http2=False)
        if not _is_reached(testbed, location, request):
            return Rejection("it is reached over TLS only, and the load generator speaks none")
        return _loaded(side, testbed, location, request, load)


def _is_reached(testbed: NginxTestbed, location: Location, request: Request) -> bool:
    """Tells whether a request reaches a location over its listener without TLS, too."""
    before = testbed.counts_of(location.number).requests
    testbed.lab.hosts["client"].call(send_requests, testbed.listeners[location.server.number], [request])
    return testbed.counts_of(location.number).requests > before


def _loaded(side: Side, testbed: NginxTestbed, location: Location, request: Request, load: Load) -> Window:
    client = testbed.lab.hosts["client"]
    job = _job(testbed.listeners[location.server.number], request, load)

    def start(argv: Sequence[str], on_event: OnEvent) -> Process:
        return client.start(argv, name="client", on_event=on_event)

    generator = Generator(job, 1, start)
    generator.prepare()
    assert testbed.nginx.pid is not None
    nginx = Tree(testbed.nginx.pid)
    before_s = nginx.cpu_s()
    generator.go(time.monotonic_ns() + _HEAD_START_NS)
    seconds = list(_seconds(generator, load))
    totals = generator.wait(_TIMEOUT_S)
    return _account(side, testbed, location, totals, seconds=seconds, cpu_s=nginx.cpu_s() - before_s)


def _job(listeners: Listeners, request: Request, load: Load) -> LoadJob:
    host, _, port = listeners.plain.rpartition(":")
    return LoadJob(
        host=host,
        port=int(port),
        host_field=request.host,
        path=request.path,
        method="GET" if request.body else request.method,
        headers=request.fields,
        connections=CONNECTIONS,
        warmup_s=_WARMUP_S,
        duration_s=load.duration_s,
        echo=False,
        pattern=False,
    )


def _seconds(generator: Generator, load: Load) -> Iterator[Second]:
    deadline_s = time.monotonic() + _WARMUP_S + load.duration_s + _TIMEOUT_S
    while not generator.is_over:
        if time.monotonic() > deadline_s:
            raise RoleError("client", f"not done {_TIMEOUT_S:g} s after its window")
        if (second := generator.read(0.1)) is not None:
            yield second
    while (second := generator.read(0)) is not None:
        yield second


def _account(
    side: Side,
    testbed: NginxTestbed,
    location: Location,
    totals: Totals,
    *,
    seconds: Sequence[Second],
    cpu_s: float,
) -> Window:
    counts = testbed.counts_of(location.number)
    sockets = testbed.sockets(location.number)
    latencies = histogram.merge(second.latency_us for second in seconds if second.in_window)
    window_s = (totals.window_end_ns - totals.window_start_ns) / 1e9
    return Window(
        side,
        requests_per_s=totals.requests / window_s,
        p99_ms=histogram.percentiles_ms(latencies).p99,
        nginx_cpu_us_per_request=1e6 * cpu_s / max(1, totals.requests_total),
        connections_per_request=counts.accepted / max(1, counts.requests),
        time_wait_nginx=None if sockets is None else sockets.time_wait_nginx,
        time_wait_backend=None if sockets is None else sockets.time_wait_backend,
        errors=sum(totals.errors_total.values()),
    )
