"""What a configuration costs beside its repaired self: locations under load, both ways in turn.

Whether load of ours can reach the location, and how, the proof has found out before.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from bench.analysis import histogram
from bench.experiment.load_clients import LoadClients
from bench.experiment.schedule import interleave
from bench.experiment.trial_result import TrialTimes
from bench.load.job import LoadJob
from bench.observe.processes import Tree
from bench.prove.accepting import Refusal
from bench.prove.changes import Ledger
from bench.prove.http_client import ask
from bench.prove.inventory import Spot, scene
from bench.prove.proof import Outcome, Proof
from bench.prove.requests import Request
from bench.prove.rewrite import Doors
from bench.prove.runner import Settings
from bench.prove.testbed import Stage, staged
from bench.subjects.programs import Program
from nginx import versions
from nginx.model import Model

Side = Literal["as it is", "repaired"]
SIDES: tuple[Side, Side] = ("as it is", "repaired")
CONNECTIONS = 32
_WARMUP_S = 0.5
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """How much load: pairs of windows, each of a length, for so many locations."""

    pairs: int = 3
    duration_s: float = 2.0
    locations: int = 1


@dataclass(frozen=True, slots=True)
class LoadWindow:
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
        """Return the window as plain values."""
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
    spot: Spot | None = None
    request: Request | None = None
    windows: list[LoadWindow] = field(default_factory=list)
    missing: str = ""

    def median(self, side: Side, name: str) -> float | None:
        """Return the median of a figure of LoadWindow over the windows of one side."""
        values = [getattr(window, name) for window in self.windows if window.side == side]
        known = [value for value in values if value is not None]
        return statistics.median(known) if known else None

    def to_json(self) -> dict[str, Any]:
        """Return the cost as plain values."""
        place = self.spot.location.directive.place if self.spot else None
        return {
            "version": self.version,
            "file": place.file if place else None,
            "line": place.line if place else None,
            "request": str(self.request) if self.request else None,
            "windows": [window.to_json() for window in self.windows],
            "missing": self.missing or None,
        }


def costs(
    models: Mapping[Side, Model], proof: Proof, program: Program, settings: Settings, load: Load
) -> list[Cost]:
    """Measure the first locations that the repair mends, one after the other, both ways in turn.

    RoleError where a role does not come up, LabError where the lab does not open.
    """
    mended = list(itertools.islice(_mended(proof, models["repaired"]), load.locations))
    if not mended:
        why = "nothing to compare: no location that was reached becomes one that reuses"
        return [Cost(program.version, missing=why)]
    return [_cost(models, each, program, settings=settings, load=load) for each in mended]


def _cost(
    models: Mapping[Side, Model], mended: Outcome, program: Program, *, settings: Settings, load: Load
) -> Cost:
    found = Cost(program.version, mended.spot, mended.request)
    for side in interleave(SIDES, load.pairs):
        window = _window(side, models[side], mended, program, settings=settings, load=load)
        if isinstance(window, Refusal):
            found.missing = f"{side}: {window}"
            return found
        found.windows.append(window)
    return found


def _mended(proof: Proof, after: Model) -> Iterator[Outcome]:
    """Yield what was proven not to reuse, and reuses once repaired."""
    spots, version = {spot.number: spot for spot in scene(after).spots}, versions.parse(proof.version)
    for outcome in proof.outcomes:
        if outcome.measured is None or outcome.measured.answer == "reused":
            continue
        spot = spots.get(outcome.spot.number)
        if spot is not None and spot.location.verdict(version).answer == "reused":
            yield outcome


def _window(
    side: Side, model: Model, mended: Outcome, program: Program, *, settings: Settings, load: Load
) -> LoadWindow | Refusal:
    found = scene(model)
    with staged(found, program, settings.stage, Ledger()) as stage:
        if isinstance(stage, Refusal):
            return stage
        assert mended.request is not None
        spot = next(spot for spot in found.spots if spot.number == mended.spot.number)
        request = replace(mended.request, is_tls=False, is_http2=False)
        if not _is_reached(stage, spot, request):
            return Refusal("it is reached over TLS only, and the load generator speaks none")
        return _loaded(side, stage, spot, request, load)


def _is_reached(stage: Stage, spot: Spot, request: Request) -> bool:
    """Return whether a request reaches a location by the door without TLS, too."""
    before = stage.heard(spot.number, stage.backends.count()).requests
    stage.place.hosts["client"].call(ask, stage.doors[spot.site.number], [request])
    return stage.heard(spot.number, stage.backends.count()).requests > before


def _loaded(side: Side, stage: Stage, spot: Spot, request: Request, load: Load) -> LoadWindow:
    job = _job(stage.doors[spot.site.number], request, load)
    clients = LoadClients(stage.place.hosts["client"], job)
    assert stage.nginx.pid is not None
    nginx = Tree(stage.nginx.pid)
    before_s = nginx.cpu_s()
    times = TrialTimes.after(time.monotonic_ns(), job.warmup_s, job.duration_s)
    clients.go(times.start_ns)
    clients.finish(job.warmup_s + job.duration_s + _TIMEOUT_S)
    return _load_window(side, stage, spot, clients, cpu_s=nginx.cpu_s() - before_s)


def _job(doors: Doors, request: Request, load: Load) -> LoadJob:
    host, _, port = doors.plain.rpartition(":")
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


def _load_window(side: Side, stage: Stage, spot: Spot, clients: LoadClients, *, cpu_s: float) -> LoadWindow:
    heard = stage.heard(spot.number, stage.backends.count())
    ended = stage.ended(spot.number)
    latencies = histogram.merge(second.latency_us for second in clients.seconds if second.in_window)
    totals = clients.totals
    window_s = (totals.window_end_ns - totals.window_start_ns) / 1e9
    return LoadWindow(
        side,
        requests_per_s=totals.requests / window_s,
        p99_ms=histogram.percentiles_ms(latencies).p99,
        nginx_cpu_us_per_request=1e6 * cpu_s / max(1, totals.requests_total),
        connections_per_request=heard.accepted / max(1, heard.requests),
        time_wait_nginx=None if ended is None else ended.time_wait_nginx,
        time_wait_backend=None if ended is None else ended.time_wait_backend,
        errors=sum(totals.errors_total.values()),
    )
