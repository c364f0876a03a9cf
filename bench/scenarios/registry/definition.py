"""registry: instances beat and subscribers learn of changes, by short requests or one long stream each."""

import dataclasses

from bench.experiment import fd_limits
from bench.experiment.definition import Bars, Column, Curves, Figures, Need, Scenario, Variant
from bench.experiment.environments import NACOS
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.lab import LabRequest
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.scenarios.registry.conclusion import conclude
from bench.scenarios.registry.figures import compute_figures
from bench.scenarios.registry.settings import RegistrySettings, plan_steps
from bench.subjects.subject import Traffic

_ONE_ADDRESS = ("direct", "caddy", "nghttpx")
"""Subjects that have no addresses to choose from: no proxy, and those that leave by one address only."""
_PROCESSES = ("nginx",)
"""Subjects whose workers are processes with files of their own, which share the clients."""
_CAREFUL = ("haproxy", "asyncio")
"""Subjects that do not start where they could not open an upstream connection for each client's."""
_UNEVEN = 1.25
"""How many times its share of the clients such a worker may get."""
_SDK = "sdk-"
"""The prefix of the variants that use Nacos's own clients."""
_SDK_CHANGES = 2
_SDK_JOIN_S = 0.3
"""A client of 2.x takes a tenth of a second to connect by itself."""


def lab_request(case: Case, settings: RegistrySettings) -> LabRequest:
    """Request as many addresses as the settings say, where each beat uses a port."""
    count = settings.addresses if case.variant == "http-short" else 1
    return LabRequest(count, 1 if case.subject.name in _ONE_ADDRESS else count)


def proxy_setup(case: Case, settings: RegistrySettings) -> ProxySetup:
    """Request new connections where each beat has one, and tunnels where each instance has a stream."""
    return ProxySetup(
        settings.connections,
        Mode.SHORT if case.variant == "http-short" else Mode.KEEPALIVE,
        Traffic(upgrade=case.variant == "stream", streams=case.variant == "stream"),
        workers=settings.proxy_workers,
    )


def refuse(case: Case, settings: RegistrySettings) -> str | None:
    """Refuse more clients than a proxy may have files open for."""
    if case.subject.name == "direct":
        return None
    if case.variant != "stream" and case.subject.name not in _CAREFUL:
        return None
    most = fd_limits.between(settings.connections)
    if case.subject.name in _PROCESSES and settings.proxy_workers > 1:
        most = round(most / settings.proxy_workers * _UNEVEN)
    lack = fd_limits.lack("proxy", most)
    remedy = ", give it workers (settings.proxy_workers)" if case.subject.name in _PROCESSES else ""
    return None if lack is None else f"{lack}{remedy} or lower settings.instances = {settings.instances}"


def perform(testbed: Testbed, case: Case, settings: RegistrySettings) -> Figures:
    """Have the instances join step by step, change some of them in the window, and count what was seen."""
    if case.variant.startswith(_SDK):
        return _perform_sdk(testbed, case, settings)
    style = "stream" if case.variant == "stream" else "http"
    flags = ("--style", style, "--beat", f"{settings.beat_every_s:g}", "--expire", f"{settings.expire_s:g}")
    server = testbed.start_server("backends.scenarios.registry.server", *flags)
    steps = plan_steps(settings)
    job = {
        **dataclasses.asdict(settings),
        "variant": case.variant,
        "address": testbed.start_proxy(server.addresses),
        "sources": testbed.sources("client"),
        "steps": [[step.joins_s, step.instances] for step in steps],
        "changes_s": min(settings.duration_s / 2, settings.changes / 2),
        "patience_s": settings.patience_s,
        "connections": settings.connections,
    }
    testbed.start_clients("bench.scenarios.registry.clients", [job])
    result = testbed.run(steps[-1].steady_s, settings.duration_s, settings.patience_s + 30.0)
    return compute_figures(result, settings, steps)


def _perform_sdk(testbed: Testbed, case: Case, settings: RegistrySettings) -> Figures:
    """Run a few of Nacos's own clients; what they cost is theirs, and not compared."""
    if case.variant == "sdk-2":
        server = testbed.start_server("backends.scenarios.registry.nacos_grpc", environment=NACOS)
    else:
        flags = ("--style", "http", "--expire", f"{settings.expire_s:g}")
        server = testbed.start_server("backends.scenarios.registry.server", *flags)
    settings = dataclasses.replace(
        settings,
        instances=settings.real_instances,
        subscribers=settings.real_subscribers,
        changes=min(_SDK_CHANGES, settings.real_instances),
    )
    job = {
        **dataclasses.asdict(settings),
        "variant": case.variant,
        "address": server.address,
        "patience_s": settings.patience_s,
    }
    testbed.start_clients("bench.scenarios.sdk.nacos", [job], environment=NACOS)
    joining_s = _SDK_JOIN_S * (settings.instances + settings.subscribers)
    result = testbed.run(joining_s, settings.duration_s, settings.patience_s + 30.0)
    return compute_figures(result, settings)


SCENARIO = Scenario(
    name="registry",
    title="A service registry: beats by short requests, by kept connections, by one long stream each",
    claim="Nacos 2 moved from short HTTP requests to long connections, and carried several times as much.",
    unit="beat",
    variants=(
        Variant("http-short", "as Nacos 1.x: a beat is a request on a new connection, subscribers poll"),
        Variant("http-kept", "the same on kept connections"),
        Variant(
            "stream",
            "as Nacos 2.x: one long connection each, subscribers are told",
            (Need("picows", "push"),),
        ),
        Variant("sdk-1", "Nacos's own client of 1.x, a few of them", (NACOS,), illustrates="Nacos"),
        Variant(
            "sdk-2", "Nacos's own client of 2.x, a few of them, over gRPC", (NACOS,), illustrates="Nacos"
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
        Column("times_ms.death_known.p50", "death known, ms", "ms"),
        Column("times_ms.death_seen.p50", "seen", "ms"),
        Column("times_ms.newcomer_seen.p50", "newcomer", "ms"),
        Column("figures.false_dead", "false dead"),
        Column("figures.failed", "failed"),
    ),
    panels=(
        Curves("cores", "CPU of the registry", "cores, by the number of instances", "instances", log=True),
        Bars("hops.front.opened", "Connections", "that the clients opened", log=True),
        Bars(
            "times_ms.death_seen.p50",
            "A death is seen",
            "milliseconds until a subscriber knows (median)",
            "ms",
            log=True,
        ),
        Bars(
            "times_ms.newcomer_seen.p50",
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
