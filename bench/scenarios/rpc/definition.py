"""rpc: remote calls over a connection each, over a pool, and over one connection that carries all at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bench.analysis import histogram
from bench.analysis.cases import Summary
from bench.errors import PlanError
from bench.experiment.definition import Bars, Column, Figures, LabRequest, Scenario, Settings, Variant
from bench.experiment.environments import DUBBO
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import TrialResult
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.subjects.subject import Carries

_MIB = 1024 * 1024
_BODY_MAX = 8 * _MIB
"""Dubbo's default limit of a message, which the provider keeps to (backends/scenarios/rpc/server.py)."""
_SPARE_CONNECTIONS = 16
_REAL = "sdk"


@dataclass(frozen=True, slots=True)
class RpcSettings(Settings):
    """Who calls how, and how odd the odd calls are."""

    callers: int = 50
    """Call at the same time, each one call after the other; where calls are odd, `rate` decides."""
    pool: int = 8
    answer_bytes: int = field(default=128, metadata={"least": 0})
    rate: float = 500.0
    """Calls per second where some are odd: far below what is possible, so that only the odd ones delay."""
    odd_every: int = 50
    slow_ms: int = 50
    """How long a slow call takes the provider."""
    large_bytes: int = 2 * _MIB
    addresses: int = 8
    """Addresses of the consumers, whose ports a connection for each call uses up."""
    real_callers: int = 10
    """That share one of Dubbo's own clients, each on a thread."""
    warmup_s: float = 1.0
    duration_s: float = 5.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        for name in ("answer_bytes", "large_bytes"):
            if getattr(self, name) > _BODY_MAX:
                raise PlanError(f"plan: settings.{name} = {getattr(self, name)} must be {_BODY_MAX} or less")
        LabRequest(self.addresses).check("addresses")


def lab_request(case: Case, settings: RpcSettings) -> LabRequest:
    """Ask for as many addresses as the settings say, where each call takes a port."""
    count = settings.addresses if case.variant == "short" else 1
    return LabRequest(count, 1 if case.subject.name == "direct" else count)


def proxy_setup(case: Case, settings: RpcSettings) -> ProxySetup | None:
    """Ask for a proxy that passes TCP connections through: the calls are Dubbo's own protocol."""
    if case.variant == _REAL:
        return None
    return ProxySetup(
        settings.callers + settings.pool + _SPARE_CONNECTIONS, carries=Carries(passthrough=True)
    )


def refuse(case: Case, settings: RpcSettings) -> str | None:
    """Refuse Dubbo's own client behind a proxy: it only shows that the rest is the real protocol."""
    if case.variant == _REAL and case.subject.name != "direct":
        return "Dubbo's own client is shown without a proxy only"
    return None


def perform(testbed: Testbed, case: Case, settings: RpcSettings) -> Figures:
    """Let the consumers call, and add up what came back."""
    if case.variant == _REAL:
        return _perform_real(testbed, settings)
    server = testbed.start_server(
        "backends.scenarios.rpc.server", *(["--ordered"] if case.variant == "ordered-slow" else [])
    )
    odd = case.variant.partition("-")[2]
    job = {
        "variant": case.variant,
        "address": testbed.start_proxy(server.addresses),
        "sources": testbed.sources("client"),
        "pool": settings.pool,
        "callers": settings.callers,
        "rate": settings.rate if odd else 0,
        "answer_bytes": settings.answer_bytes,
        "odd_every": settings.odd_every if odd else 0,
        "odd_ms": settings.slow_ms if odd == "slow" else 0,
        "odd_bytes": settings.large_bytes if odd == "large" else settings.answer_bytes,
        "connections": settings.callers + settings.pool + _SPARE_CONNECTIONS,
    }
    testbed.start_clients("bench.scenarios.rpc.clients", [job])
    result = testbed.run(settings.warmup_s, settings.duration_s)
    return _figures(result, is_paced=bool(odd))


def _perform_real(testbed: Testbed, settings: RpcSettings) -> Figures:
    """Let callers share one of Dubbo's own clients; what it costs is its own, and not compared."""
    server = testbed.start_server("backends.scenarios.rpc.dubbo_triple", environment=DUBBO)
    job = {
        "address": server.address,
        "callers": settings.real_callers,
        "answer_bytes": settings.answer_bytes,
    }
    testbed.start_clients("bench.scenarios.sdk.dubbo", [job], environment=DUBBO)
    return _figures(testbed.run(settings.warmup_s, settings.duration_s), is_paced=False)


def _figures(result: TrialResult, is_paced: bool) -> Figures:
    told: dict[str, Any] = result.done[0]
    warnings = []
    if told["failed"]:
        said = f"{told['failed']:,} calls failed"
        warnings.append(
            TrialWarning("failed", said, "see the ports and TIME_WAIT of the clients", voids=True)
        )
    done, spent_s = int(told["done"]), result.spent_s("backend")
    return Figures(
        units=done,
        figures={
            "calls_per_s": None if is_paced else done / result.window_s,
            "provider_us": None if is_paced or not done else spent_s / done * 1e6,
            "failed": told["failed"],
            "held": result.held,
        },
        times_us={
            "small" if is_paced else "call": histogram.merge([dict(told["small_us"])]),
            **({"odd": histogram.merge([dict(told["odd_us"])])} if is_paced else {}),
        },
        warnings=warnings,
    )


def conclude(summary: Summary) -> str:
    """Say how fast each way is, and what odd calls do to the others."""
    rates = {
        variant: summary.value("figures.calls_per_s", variant) for variant in ("short", "pool", "multiplexed")
    }
    parts = []
    short, pool, one = rates.values()
    if short and pool and one:
        parts.append(
            f"One multiplexed connection serves {one / short:.2g}x the calls of a connection for each call"
            f" ({one:,.0f} against {short:,.0f} per second), and {one / pool:.2g}x those of a pool"
        )
    for kind, what in (("slow", "slow calls"), ("large", "large answers")):
        told = [
            f"{late:,.2g} ms {name}"
            for variant, name in (
                ("multiplexed", "on one connection"),
                ("pool", "in a pool"),
                ("ordered", "in order"),
            )
            if (late := summary.value("times_ms.small.p99", f"{variant}-{kind}")) is not None
        ]
        if told:
            parts.append(f"beside {what}, 99 % of small calls take at most {', '.join(told)}")
    held = summary.value("figures.held", _REAL)
    real = "" if held is None else f" Dubbo's own callers share {held:,.0f} connection{'s'[: held != 1]}."
    return ("; ".join(parts) + "." + real if parts else real.strip()) or "No two ways can be compared."


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
            _REAL,
            "Dubbo's own client and provider, in Python: to see its connection",
            (DUBBO,),
            is_illustration=True,
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
        Column("times_ms.odd.p50", "odd call p50, ms", "ms"),
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
    refuse=refuse,
    default_subjects=("direct",),
    brief={
        "variants": ["short", "pool", "multiplexed", "pool-slow", "multiplexed-slow"],
        "settings": {"warmup_s": 0.5, "duration_s": 1.5},
    },
)
