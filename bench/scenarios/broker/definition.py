"""broker: consumers get the messages of a queue each, by polling, by long polling or by being sent to."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis import histogram
from bench.analysis.cases import Summary
from bench.experiment.definition import Bars, Column, Distribution, Figures, Need, Scenario, Settings, Variant
from bench.experiment.environments import ROCKETMQ
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import TrialResult
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.subjects.subject import Carries

_SPARE_CONNECTIONS = 16
_LAST_S = 10.0
"""How long the last message may take beside the time between two pulls: what has not come by then is lost."""
_REAL = "sdk"
_REAL_START_S = 3.0
"""RocketMQ's own clients learn routes and settings before they are ready."""


@dataclass(frozen=True, slots=True)
class BrokerSettings(Settings):
    """How many consume, and how often there is something for them."""

    consumers: int = 300
    messages_per_s: float = 0.5
    """To each queue: most pulls find nothing where this is seldom."""
    poll_every_s: float = 0.5
    hold_s: float = 15.0
    """How long the broker holds a pull that finds nothing, as RocketMQ does."""
    real_consumers: int = 3
    """Of RocketMQ's own clients, each with threads and a gRPC channel of its own."""
    warmup_s: float = 1.0
    duration_s: float = 10.0


def perform(testbed: Testbed, case: Case, settings: BrokerSettings) -> Figures:
    """Let one producer and all consumers play one way, and add up what was delivered."""
    if case.variant == _REAL:
        return _perform_real(testbed, settings)
    server = testbed.start_server(
        "backends.scenarios.broker.server", "--style", "push" if case.variant == "push" else "pull"
    )
    patience_s = settings.poll_every_s + _LAST_S
    job = {
        "variant": case.variant,
        "address": testbed.start_proxy(server.addresses),
        "consumers": settings.consumers,
        "messages_per_s": settings.messages_per_s,
        "poll_every_s": settings.poll_every_s,
        "hold_s": settings.hold_s,
        "patience_s": patience_s,
        "connections": settings.consumers + _SPARE_CONNECTIONS,
    }
    testbed.start_clients("bench.scenarios.broker.clients", [job])
    return _figures(testbed.run(settings.warmup_s, settings.duration_s, timeout_s=patience_s + 30.0))


def proxy_setup(case: Case, settings: BrokerSettings) -> ProxySetup | None:
    """Ask for new connections where each pull has one, and for what is held or never ends."""
    if case.variant == _REAL:
        return None
    return ProxySetup(
        settings.consumers + _SPARE_CONNECTIONS,
        Mode.SHORT if case.variant == "short-poll-new" else Mode.KEEPALIVE,
        Carries(upgrade=case.variant == "push", streams=case.variant in ("long-poll", "push")),
    )


def refuse(case: Case, settings: BrokerSettings) -> str | None:
    """Refuse RocketMQ's own client behind a proxy: it only shows that the rest is what it does."""
    if case.variant == _REAL and case.subject.name != "direct":
        return "RocketMQ's own client is shown without a proxy only"
    return None


def _perform_real(testbed: Testbed, settings: BrokerSettings) -> Figures:
    """Let a few of RocketMQ's own consumers pull; what they cost is theirs, and not compared."""
    server = testbed.start_server("backends.scenarios.broker.rocketmq_grpc", environment=ROCKETMQ)
    job = {
        "address": server.address,
        "consumers": settings.real_consumers,
        "messages_per_s": settings.messages_per_s,
        "hold_s": settings.hold_s,
    }
    testbed.start_clients("bench.scenarios.sdk.rocketmq", [job], environment=ROCKETMQ)
    return _figures(
        testbed.run(settings.warmup_s + _REAL_START_S, settings.duration_s, settings.hold_s + 30.0)
    )


def _figures(result: TrialResult) -> Figures:
    told = result.done[0]
    delivered, pulls = int(told["delivered"]), int(told["pulls"])
    return Figures(
        units=delivered,
        figures={
            **{name: told[name] for name in ("published", "delivered", "lost", "doubled", "failed")},
            "pulls": pulls,
            "empty": told["empty"],
            "empty_per_message": told["empty"] / delivered if delivered else None,
            "held": result.held,
        },
        times_us={"delay": histogram.merge([dict(told["delay_us"])])},
        warnings=_warnings(told),
    )


def _warnings(told: dict[str, int]) -> list[TrialWarning]:
    found = []
    if told["lost"] or told["doubled"]:
        said = f"{told['lost']:,} messages were lost and {told['doubled']:,} doubled"
        found.append(TrialWarning("lost", said, "a consumer missed numbers of its queue", voids=True))
    if told["failed"]:
        said = f"{told['failed']:,} pulls or connections failed"
        found.append(TrialWarning("failed", said, "each was tried again after a second"))
    return found


def conclude(summary: Summary) -> str:
    """Say how late each way is, and what it asks for nothing."""
    parts = []
    for row in summary.of_subject(summary.subjects[0]):
        if row.variant == _REAL:
            continue
        late, empty = row.value("times_ms.delay.p50"), row.value("figures.empty_per_message")
        cpu = row.value("cpu_us_per_unit.backend")
        if late is not None and empty is not None and cpu is not None:
            asked = f"{empty:.2g} empty pulls" if empty else "no empty pull"
            spent = f"{cpu:,.0f} us of broker CPU"
            parts.append(f"{row.variant} delivers after {late:,.3g} ms (median) with {asked} and {spent}")
    late = summary.value("times_ms.delay.p50", _REAL)
    real = "" if late is None else f" RocketMQ's own consumers have a message after {late:,.3g} ms."
    return f"For each message {'; '.join(parts)}.{real}" if parts else real.strip()


SCENARIO = Scenario(
    name="broker",
    title="A message broker: consumers that poll, that pull long, that are pushed to",
    claim="Pulling by long polling, as RocketMQ's consumers do, is as timely as pushing.",
    unit="delivered message",
    variants=(
        Variant("short-poll-new", "pull every so often, on a new connection each time"),
        Variant("short-poll", "pull every so often, on a kept connection"),
        Variant("long-poll", "pull, and be answered when there is something, as RocketMQ's consumers do"),
        Variant("push", "be sent to over one long connection", (Need("picows", "push"),)),
        Variant(
            _REAL,
            "RocketMQ's own client, a few of them, which pulls long over gRPC",
            (ROCKETMQ,),
            is_illustration=True,
        ),
    ),
    settings=BrokerSettings,
    columns=(
        Column("times_ms.delay.p50", "delay p50, ms", "ms"),
        Column("times_ms.delay.p99", "p99", "ms"),
        Column("figures.empty_per_message", "empty pulls/message", "ratio"),
        Column("figures.held", "held"),
        Column("hops.front.opened", "opened"),
        Column("hops.back.opened", "to broker"),
        Column("bytes_per_unit.front", "bytes/message", "B"),
        Column("cpu_us_per_unit.client", "us/message clients", "us"),
        Column("cpu_us_per_unit.proxy", "proxy", "us"),
        Column("cpu_us_per_unit.backend", "broker", "us"),
        Column("figures.lost", "lost"),
    ),
    panels=(
        Distribution("delay", "Delay from the producer to the consumer", "milliseconds, by percentile"),
        Bars("figures.empty_per_message", "Empty pulls", "for each delivered message", "ratio"),
        Bars("cpu_us_per_unit.backend", "CPU of the broker", "microseconds for each delivered message", "us"),
        Bars("figures.held", "Connections held", "by the clients, at one time"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    brief={
        "variants": ["short-poll", "long-poll", "push"],
        "subjects": ["direct"],
        "settings": {"consumers": 100, "warmup_s": 0.5, "duration_s": 3.0},
    },
)
