"""registry: instances beat and subscribers learn of changes, by short requests or one long stream each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from bench.analysis import histogram
from bench.analysis.cases import Summary
from bench.experiment import fd_limits
from bench.experiment.definition import (
    Bars,
    Column,
    Curves,
    Figures,
    LabRequest,
    Need,
    Scenario,
    Settings,
    Variant,
)
from bench.experiment.environments import NACOS
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import TrialResult
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.subjects.subject import Carries

_LEAST_INSTANCES = 100
_STEPS_PER_DECADE = 2
_SPARE_CONNECTIONS = 64
_LOST_HOLD = 0.05
"""Of the instances: where more are taken for dead than this, the rest of what was measured means little."""
_ONE_ADDRESS = ("direct", "caddy", "nghttpx")
"""Subjects that have no addresses to choose from: no proxy, and those that leave by one address only."""
_LAST_S = 10.0
"""How long the last change may take on a busy machine, beside what registry and members wait anyway."""
_PROCESSES = ("nginx",)
"""Subjects whose workers are processes with files of their own, among which clients are dealt out."""
_CAREFUL = ("haproxy", "asyncio")
"""Subjects that do not start where they could not open an upstream connection for each client's."""
_UNEVEN = 1.25
"""How many times its share of the clients such a worker may get."""
_REAL = "sdk-"
"""What the names of the ways begin with that use Nacos's own clients."""
_REAL_CHANGES = 2
_REAL_JOIN_S = 0.3
"""A client of 2.x takes a tenth of a second to connect by itself."""


@dataclass(frozen=True, slots=True)
class RegistrySettings(Settings):
    """How many beat how often, how many follow, what changes. The times are Nacos's own."""

    instances: int = 10_000
    """At the end; the trial gets there in steps, from 100 on."""
    beat_every_s: float = 5.0
    expire_s: float = 15.0
    """An instance silent for so long is taken for dead."""
    poll_every_s: float = 10.0
    """How often those subscribers ask who are not told."""
    instances_per_service: int = 10
    subscribers: int = 100
    changes: int = 20
    """Instances that die, and as many that come, while it is watched."""
    joins_per_s: float = 500.0
    addresses: int = 8
    """Addresses of the clients, and of a proxy, whose ports a short connection each time uses up."""
    server_closes: bool = False
    """Whether the registry closes a short connection first, and so keeps its TIME_WAIT."""
    proxy_workers: int = 1
    """Of a proxy. Those of nginx are processes: together they may have more files open than one may."""
    real_instances: int = 10
    real_subscribers: int = 2
    """Of Nacos's own clients, each with threads or a gRPC channel of its own."""
    duration_s: float = 30.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        LabRequest(self.addresses, self.addresses).check("addresses")

    @property
    def connections(self) -> int:
        """Return the connections of all, at the most."""
        return self.instances + self.subscribers + self.changes + _SPARE_CONNECTIONS


@dataclass(frozen=True, slots=True)
class Step:
    """A stretch of the trial with the same number of instances."""

    instances: int
    joins_s: float
    """When the last of them begin to join."""
    steady_s: float
    """When all have joined and each has beaten once."""


def steps(settings: RegistrySettings) -> list[Step]:
    """Return how the instances come: a few for each power of ten, so that the cost shows as a line."""
    decades = math.log10(max(1.0, settings.instances / _LEAST_INSTANCES))
    count = max(1, round(decades * _STEPS_PER_DECADE))
    sizes = [
        round(settings.instances / 10 ** (decades * (count - each) / count)) for each in range(count + 1)
    ]
    found: list[Step] = []
    at_s, before = 0.0, 0
    for size in dict.fromkeys(sizes):
        steady_s = at_s + (size - before) / settings.joins_per_s + 0.2 * settings.beat_every_s
        found.append(Step(size, at_s, steady_s))
        at_s, before = steady_s + settings.beat_every_s, size
    return found


def lab_request(case: Case, settings: RegistrySettings) -> LabRequest:
    """Ask for as many addresses as the settings say, where each beat takes a port."""
    count = settings.addresses if case.variant == "http-short" else 1
    return LabRequest(count, 1 if case.subject.name in _ONE_ADDRESS else count)


def proxy_setup(case: Case, settings: RegistrySettings) -> ProxySetup | None:
    """Ask for new connections where each beat has one, and for tunnels where each instance has a stream."""
    if case.variant.startswith(_REAL):
        return None
    return ProxySetup(
        settings.connections,
        Mode.SHORT if case.variant == "http-short" else Mode.KEEPALIVE,
        Carries(upgrade=case.variant == "stream", streams=case.variant == "stream"),
        workers=settings.proxy_workers,
    )


def refuse(case: Case, settings: RegistrySettings) -> str | None:
    """Refuse Nacos's own clients behind a proxy, and more than a proxy may have files open for.

    Those clients only show that the rest is the real protocol.
    """
    if case.subject.name == "direct":
        return None
    if case.variant.startswith(_REAL):
        return "Nacos's own client is shown without a proxy only"
    if case.variant != "stream" and case.subject.name not in _CAREFUL:
        return None
    most = fd_limits.between(settings.connections)
    if case.subject.name in _PROCESSES and settings.proxy_workers > 1:
        most = round(most / settings.proxy_workers * _UNEVEN)
    lack = fd_limits.lack("proxy", most)
    remedy = ", give it workers (settings.proxy_workers)" if case.subject.name in _PROCESSES else ""
    return None if lack is None else f"{lack}{remedy} or lower settings.instances = {settings.instances}"


def perform(testbed: Testbed, case: Case, settings: RegistrySettings) -> Figures:
    """Let the instances come, step by step, change some of them in the window, and add up what was seen."""
    if case.variant.startswith(_REAL):
        return _perform_real(testbed, case, settings)
    style = "stream" if case.variant == "stream" else "http"
    flags = ("--style", style, "--beat", f"{settings.beat_every_s:g}", "--expire", f"{settings.expire_s:g}")
    server = testbed.start_server("backends.scenarios.registry.server", *flags)
    address, planned = testbed.start_proxy(server.addresses), steps(settings)
    testbed.start_clients("bench.scenarios.registry.clients", [_job(testbed, case, settings, address)])
    patience_s = _patience_s(settings)
    result = testbed.run(planned[-1].steady_s, settings.duration_s, timeout_s=patience_s + 30.0)
    return _figures(result, planned, settings)


def _perform_real(testbed: Testbed, case: Case, settings: RegistrySettings) -> Figures:
    """Let a few of Nacos's own clients play; what they cost is theirs, and not compared."""
    if case.variant == "sdk-2":
        server = testbed.start_server("backends.scenarios.registry.nacos_grpc", environment=NACOS)
    else:
        server = testbed.start_server(
            "backends.scenarios.registry.server", "--style", "http", "--expire", f"{settings.expire_s:g}"
        )
    job = {
        "variant": case.variant,
        "address": server.address,
        "instances": settings.real_instances,
        "subscribers": settings.real_subscribers,
        "changes": min(_REAL_CHANGES, settings.real_instances),
        "beat_every_s": settings.beat_every_s,
        "poll_every_s": settings.poll_every_s,
        "patience_s": _patience_s(settings),
    }
    testbed.start_clients("bench.scenarios.sdk.nacos", [job], environment=NACOS)
    joining_s = _REAL_JOIN_S * (settings.real_instances + settings.real_subscribers)
    result = testbed.run(joining_s, settings.duration_s, timeout_s=_patience_s(settings) + 30.0)
    return _figures(result, [], replace(settings, instances=settings.real_instances))


def _job(testbed: Testbed, case: Case, settings: RegistrySettings, address: str) -> dict[str, Any]:
    return {
        "variant": case.variant,
        "address": address,
        "sources": testbed.sources("client"),
        "steps": [[step.joins_s, step.instances] for step in steps(settings)],
        "joins_per_s": settings.joins_per_s,
        "beat_every_s": settings.beat_every_s,
        "instances_per_service": settings.instances_per_service,
        "subscribers": settings.subscribers,
        "poll_every_s": settings.poll_every_s,
        "changes": settings.changes,
        "changes_s": min(settings.duration_s / 2, settings.changes / 2),
        "patience_s": _patience_s(settings),
        "server_closes": settings.server_closes,
        "connections": settings.connections,
    }


def _patience_s(settings: RegistrySettings) -> float:
    """Return how long the last change may take to be seen: the registry looks each third of the expiry."""
    return settings.expire_s * 4 / 3 + settings.poll_every_s + _LAST_S


def _figures(result: TrialResult, planned: list[Step], settings: RegistrySettings) -> Figures:
    told = result.done[0]
    beats, spent_s = int(told["beats"]), result.spent_s("backend")
    due_per_s = settings.instances / settings.beat_every_s
    return Figures(
        units=beats,
        figures={
            "instances": settings.instances,
            "cores": spent_s / beats * due_per_s if beats else None,
            "beats": beats,
            "late": told["late"],
            "polls": told["polls"],
            "changes": told["changes"],
            "unseen": told["unseen"],
            "reconnects": told["reconnects"],
            "mistaken": told["mistaken"],
            "failed": sum(told["errors"].values()),
            **{kind: told["errors"].get(kind, 0) for kind in ("connect", "address_exhausted", "reset")},
            "held": result.held,
        },
        times_us={
            name: histogram.merge([dict(told[f"{name}_us"])]) for name in ("beat", "came", "known", "went")
        },
        curves={"cores": list(_cores(result, planned, settings.beat_every_s))},
        warnings=list(_warnings(told)),
    )


def _cores(result: TrialResult, planned: list[Step], beat_every_s: float) -> Iterator[tuple[float, float]]:
    """Yield for each step how many cores the registry took while every instance beat once."""
    seen = [sample for sample in result.samples if sample.host == "backend"]
    if not seen:
        return  # interrupted before the first look
    for step in planned:
        edges = []
        for moment_s in (step.steady_s, step.steady_s + beat_every_s):
            moment_ns = result.start_ns + round(moment_s * 1e9)
            edges.append(min(seen, key=lambda sample: abs(sample.t_ns - moment_ns)))
        spent_ns = edges[1].t_ns - edges[0].t_ns
        if spent_ns > 0:
            yield float(step.instances), (edges[1].cpu_s - edges[0].cpu_s) / (spent_ns / 1e9)


def _warnings(told: dict[str, Any]) -> Iterator[TrialWarning]:
    if told["unseen"]:
        said = f"{told['unseen']:,} changes had not been seen by a subscriber when the trial ended"
        yield TrialWarning(
            "unseen", said, "beats that failed may be why", voids=not told["errors"] and not told["mistaken"]
        )
    if told["mistaken"]:
        said = f"living instances were taken for dead {told['mistaken']:,} times"
        yield TrialWarning(
            "mistaken", said, "their beats came too late: see the ports and the CPU of the clients"
        )
    failed = sum(told["errors"].values())
    if failed:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in told["errors"].items())
        yield TrialWarning(
            "failed",
            f"{failed:,} beats or polls failed: {kinds}",
            "an instance that cannot beat is taken for dead",
        )
    if told["late"] > 0.01 * (told["beats"] + told["late"]):
        yield TrialWarning(
            "late",
            f"{told['late']:,} beats were still under way when the next was due",
            "someone is too slow",
        )


def conclude(summary: Summary) -> str:
    """Say what the registry spends in each style, and how soon a death and a newcomer are seen."""
    subject = summary.subjects[0]
    parts = []
    short = summary.value("figures.cores", "http-short", subject)
    for row in summary.of_subject(subject):
        if row.variant.startswith(_REAL):
            continue
        cores, died, came = (
            row.value(key) for key in ("figures.cores", "times_ms.went.p50", "times_ms.came.p50")
        )
        if (mistaken := row.value("figures.mistaken") or 0) > _LOST_HOLD * (
            row.value("figures.instances") or 0
        ):
            parts.append(
                f"{row.variant} loses hold of them: it took living ones for dead {mistaken:,.0f} times"
            )
            continue
        if cores is None or died is None or came is None:
            continue
        ratio = f" ({short / cores:.2g}x less)" if short and cores and row.variant != "http-short" else ""
        parts.append(
            f"{row.variant} takes {cores:.2g} cores of the registry{ratio}, and its subscribers see a death"
            f" after {_told(died)} and a newcomer after {_told(came)}"
        )
    instances = summary.value("figures.instances", summary.rows[0].variant) or 0
    said = [f"With {instances:,.0f} instances {'; '.join(parts)}."] if parts else []
    return " ".join([*said, *_conclude_real(summary)])


def _conclude_real(summary: Summary) -> Iterator[str]:
    """Yield what Nacos's own clients did, where they were there."""
    told = [
        f"{opened:,.0f} connections of its client of {version}"
        for variant, version in (("sdk-1", "1.x"), ("sdk-2", "2.x"))
        if (
            opened := summary.value("hops.front.opened", variant)
            or summary.value("hops.front.accepted", variant)
        )
    ]
    if told:
        count = (
            summary.value("figures.instances", "sdk-1") or summary.value("figures.instances", "sdk-2") or 0
        )
        yield f"Nacos's own clients, {count:,.0f} of them: {', '.join(told)}."


def _told(time_ms: float) -> str:
    return f"{time_ms / 1000:.2g} s" if time_ms >= 1000 else f"{time_ms:.3g} ms"


SCENARIO = Scenario(
    name="registry",
    title="A service registry: beats by short requests, by kept connections, by one long stream each",
    claim="Nacos 2 moved from short HTTP requests to long connections, which gave multiples.",
    unit="beat",
    variants=(
        Variant("http-short", "as Nacos 1.x: a beat is a request on a new connection, subscribers poll"),
        Variant("http-kept", "the same on kept connections"),
        Variant(
            "stream",
            "as Nacos 2.x: one long connection each, subscribers are told",
            (Need("picows", "push"),),
        ),
        Variant("sdk-1", "Nacos's own client of 1.x, a few of them", (NACOS,), is_illustration=True),
        Variant(
            "sdk-2", "Nacos's own client of 2.x, a few of them, over gRPC", (NACOS,), is_illustration=True
        ),
    ),
    settings=RegistrySettings,
    columns=(
        Column("figures.cores", "cores", "ratio"),
        Column("cpu_us_per_unit.backend", "us/beat registry", "us"),
        Column("cpu_us_per_unit.proxy", "proxy", "us"),
        Column("cpu_us_per_unit.client", "clients", "us"),
        Column("hops.front.opened", "connections"),
        Column("figures.held", "held"),
        Column("time_wait.client.peak", "TIME_WAIT"),
        Column("time_wait.proxy.peak", "proxy"),
        Column("times_ms.beat.p99", "beat p99, ms", "ms"),
        Column("times_ms.known.p50", "death known, ms", "ms"),
        Column("times_ms.went.p50", "seen", "ms"),
        Column("times_ms.came.p50", "newcomer", "ms"),
        Column("figures.mistaken", "mistaken"),
        Column("figures.failed", "failed"),
    ),
    panels=(
        Curves("cores", "CPU of the registry", "cores, by the number of instances", "instances", log=True),
        Bars("hops.front.opened", "Connections", "that the clients opened", log=True),
        Bars(
            "times_ms.went.p50",
            "A death is seen",
            "milliseconds until a subscriber knows (median)",
            "ms",
            log=True,
        ),
        Bars(
            "times_ms.came.p50",
            "A newcomer is seen",
            "milliseconds until a subscriber knows (median)",
            "ms",
            log=True,
        ),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    lab_request=lab_request,
    brief={
        "variants": ["http-short", "http-kept", "stream"],
        "subjects": ["direct"],
        "settings": {
            "instances": 1000,
            "beat_every_s": 1.0,
            "expire_s": 3.0,
            "poll_every_s": 2.0,
            "changes": 5,
            "duration_s": 3.0,
        },
    },
)
