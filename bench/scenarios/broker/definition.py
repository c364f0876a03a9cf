"""broker: consumers get the messages of a queue each, by polling, by long polling or by being sent to."""

import dataclasses

from bench.experiment.definition import Bars, Column, Distribution, Figures, Need, Scenario, Variant
from bench.experiment.environments import ROCKETMQ
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.scenarios.broker.conclusion import conclude
from bench.scenarios.broker.figures import compute_figures
from bench.scenarios.broker.settings import BrokerSettings
from bench.subjects.subject import Traffic

_REAL_START_S = 3.0
"""RocketMQ's own clients learn routes and settings before they are ready."""


def perform(testbed: Testbed, case: Case, settings: BrokerSettings) -> Figures:
    """Run one producer and all consumers of a variant, and count what was delivered."""
    if case.variant == "sdk":
        return _perform_sdk(testbed, settings)
    server = testbed.start_server(
        "backends.scenarios.broker.server", "--style", "push" if case.variant == "push" else "pull"
    )
    job = {
        **dataclasses.asdict(settings),
        "variant": case.variant,
        "address": testbed.start_proxy(server.addresses),
        "patience_s": settings.patience_s,
        "connections": settings.connections,
    }
    testbed.start_clients("bench.scenarios.broker.clients", [job])
    timeout_s = settings.patience_s + 30.0
    return compute_figures(testbed.run(settings.warmup_s, settings.duration_s, timeout_s))


def _perform_sdk(testbed: Testbed, settings: BrokerSettings) -> Figures:
    """Run a few of RocketMQ's own consumers; what they cost is theirs, and not compared."""
    server = testbed.start_server("backends.scenarios.broker.rocketmq_grpc", environment=ROCKETMQ)
    job = {**dataclasses.asdict(settings), "address": server.address, "consumers": settings.real_consumers}
    testbed.start_clients("bench.scenarios.sdk.rocketmq", [job], environment=ROCKETMQ)
    warmup_s = settings.warmup_s + _REAL_START_S
    return compute_figures(testbed.run(warmup_s, settings.duration_s, settings.hold_s + 30.0))


def proxy_setup(case: Case, settings: BrokerSettings) -> ProxySetup:
    """Request new connections where each pull has one, and streams where responses are held."""
    return ProxySetup(
        settings.connections,
        Mode.SHORT if case.variant == "short-poll-new" else Mode.KEEPALIVE,
        Traffic(upgrade=case.variant == "push", streams=case.variant in ("long-poll", "push")),
    )


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
            "sdk",
            "RocketMQ's own client, a few of them, which pulls long over gRPC",
            (ROCKETMQ,),
            illustrates="RocketMQ",
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
    brief={
        "variants": ["short-poll", "long-poll", "push"],
        "subjects": ["direct"],
        "settings": {"consumers": 100, "warmup_s": 0.5, "duration_s": 3.0},
    },
)
