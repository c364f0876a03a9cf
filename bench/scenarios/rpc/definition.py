"""rpc: calls over a connection each, a pool, or one connection that carries all of them at once."""

import dataclasses

from bench.experiment.definition import Bars, Column, Figures, Scenario, Variant
from bench.experiment.environments import DUBBO
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.lab import LabRequest
from bench.plan.scenario_plan import Case
from bench.scenarios.rpc.conclusion import conclude
from bench.scenarios.rpc.figures import compute_figures
from bench.scenarios.rpc.settings import RpcSettings
from bench.subjects.subject import Traffic


def lab_request(case: Case, settings: RpcSettings) -> LabRequest:
    """Request as many addresses as the settings say, where each call uses a port."""
    count = settings.addresses if case.variant == "short" else 1
    return LabRequest(count, 1 if case.subject.name == "direct" else count)


def proxy_setup(case: Case, settings: RpcSettings) -> ProxySetup:
    """Request a proxy that passes TCP connections through: the calls are Dubbo's own protocol."""
    return ProxySetup(settings.connections, traffic=Traffic(passthrough=True))


def perform(testbed: Testbed, case: Case, settings: RpcSettings) -> Figures:
    """Have the consumers call, and count what came back."""
    if case.variant == "sdk":
        return _perform_sdk(testbed, settings)
    server = testbed.start_server(
        "backends.scenarios.rpc.server", *(["--ordered"] if case.variant == "ordered-slow" else [])
    )
    outliers = case.variant.partition("-")[2]
    job = {
        **dataclasses.asdict(settings),
        "variant": case.variant,
        "address": testbed.start_proxy(server.addresses),
        "sources": testbed.sources("client"),
        "rate": settings.rate if outliers else 0,
        "outlier_every": settings.outlier_every if outliers else 0,
        "outlier_ms": settings.slow_ms if outliers == "slow" else 0,
        "outlier_bytes": settings.large_bytes if outliers == "large" else settings.answer_bytes,
        "connections": settings.connections,
    }
    testbed.start_clients("bench.scenarios.rpc.clients", [job])
    result = testbed.run(settings.warmup_s, settings.duration_s)
    return compute_figures(result, is_paced=bool(outliers))


def _perform_sdk(testbed: Testbed, settings: RpcSettings) -> Figures:
    """Have callers share one of Dubbo's own clients; what it costs is its own, and not compared."""
    server = testbed.start_server("backends.scenarios.rpc.dubbo_triple", environment=DUBBO)
    job = {"address": server.address, "callers": settings.real_callers, "answer_bytes": settings.answer_bytes}
    testbed.start_clients("bench.scenarios.sdk.dubbo", [job], environment=DUBBO)
    return compute_figures(testbed.run(settings.warmup_s, settings.duration_s), is_paced=False)


SCENARIO = Scenario(
    name="rpc",
    title="Remote calls: a connection for each, a pool, one that carries all at once",
    claim="A provider and a consumer, as in Dubbo, need one long connection, not many.",
    unit="call",
    variants=(
        Variant("short", "a new connection for each call"),
        Variant("pool", "a few connections, each with one call at a time"),
        Variant("multiplexed", "one connection with all calls at once, as Dubbo has it"),
        Variant("pool-slow", "the pool, where some calls take the provider long"),
        Variant("multiplexed-slow", "one connection, where some calls take the provider long"),
        Variant("ordered-slow", "one connection whose answers come in order, where some take long"),
        Variant("pool-large", "the pool, where some answers are large"),
        Variant("multiplexed-large", "one connection, where some answers are large"),
        Variant(
            "sdk",
            "Dubbo's own client and provider, in Python: to see its connection",
            (DUBBO,),
            illustrates="Dubbo",
        ),
    ),
    settings=RpcSettings,
    columns=(
        Column("figures.calls_per_s", "calls/s"),
        Column("hops.front.opened", "connections"),
        Column("figures.held", "held"),
        Column("time_wait.client.peak", "TIME_WAIT"),
        Column("times_ms.call.p99", "call p99, ms", "ms"),
        Column("times_ms.small.p50", "small call p50, ms", "ms"),
        Column("times_ms.small.p99", "p99", "ms"),
        Column("times_ms.outlier.p50", "outlier p50, ms", "ms"),
        Column("cpu_us_per_unit.client", "us/call consumer", "us"),
        Column("cpu_us_per_unit.backend", "provider", "us"),
        Column("figures.failed", "failed"),
    ),
    panels=(
        Bars("figures.calls_per_s", "Calls", "per second, as fast as the callers are answered"),
        Bars("figures.provider_us", "CPU of the provider", "microseconds for each call", "us"),
        Bars("hops.front.opened", "Connections", "that the consumer opened", log=True),
        Bars(
            "times_ms.small.p99",
            "Small calls beside slow or large ones",
            "milliseconds (99th percentile), counted from when they were due",
            "ms",
            log=True,
        ),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    lab_request=lab_request,
    default_subjects=("direct",),
    brief={
        "variants": ["short", "pool", "multiplexed", "pool-slow", "multiplexed-slow"],
        "settings": {"warmup_s": 0.5, "duration_s": 1.5},
    },
)
