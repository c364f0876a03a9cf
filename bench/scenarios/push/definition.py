"""push: how a message gets from one publisher to many subscribers, polled or pushed, and at what cost."""

from bench.experiment.definition import Bars, Column, Distribution, Figures, Need, Scenario, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.scenarios.push.conclusion import conclude
from bench.scenarios.push.figures import compute_figures
from bench.scenarios.push.settings import SPARE_CONNECTIONS, PushSettings, jobs
from bench.subjects.subject import Traffic

_LONG = ("sse", "long-poll")
"""The variants whose responses are held, or never end."""
_SOCKETS = ("websocket", "websocket-picows")
_LONGEST_S = 120.0
"""How long a rising rate may take: more steps than any machine gets through."""


def perform(testbed: Testbed, case: Case, settings: PushSettings) -> Figures:
    """Run one publisher and all subscribers of a variant, and count what was delivered."""
    module = "picows_server" if case.variant == "websocket-picows" else "server"
    flags = ("--drop-every", str(settings.drop_every_s))
    server = testbed.start_server(f"backends.scenarios.push.{module}", *flags)
    address = testbed.start_proxy(server.addresses)
    testbed.start_clients("bench.scenarios.push.clients", list(jobs(settings, case.variant, address)))
    if settings.browser:
        path = "/?by=websocket" if case.variant in _SOCKETS else "/"
        testbed.start_clients("bench.scenarios.client.browser", [{"address": address, "path": path}])
    if settings.find_limit:
        result = testbed.run(settings.warmup_s, None, _LONGEST_S)
    else:
        result = testbed.run(settings.warmup_s, settings.duration_s)
    return compute_figures(result, settings)


def proxy_setup(case: Case, settings: PushSettings) -> ProxySetup:
    """Request new connections where each request has one, and streams where responses are held."""
    return ProxySetup(
        settings.subscribers + SPARE_CONNECTIONS,
        Mode.SHORT if case.variant == "short-poll-new" else Mode.KEEPALIVE,
        Traffic(upgrade=case.variant in _SOCKETS, streams=case.variant in _LONG),
    )


def refuse(case: Case, settings: PushSettings) -> str | None:
    """Refuse a browser where there is none, and variants that its page cannot follow."""
    if not settings.browser:
        return None
    from bench.scenarios.client import browser  # noqa: PLC0415 - only where it is asked for

    if case.variant not in ("sse", "websocket"):
        return "a browser's page follows by sse or websocket; leave out --set browser=true"
    return browser.missing()


SCENARIO = Scenario(
    name="push",
    title="From one publisher to many subscribers: polling, long polling, SSE, WebSocket",
    claim="Polling wastes requests and adds delay, long polling wastes fewer, and pushing wastes none.",
    unit="delivered message",
    variants=(
        Variant("short-poll-new", "ask every so often, on a new connection each time"),
        Variant("short-poll", "ask every so often, on a kept connection"),
        Variant("long-poll", "ask, and be answered when there is something"),
        Variant("sse", "one response that never ends (server-sent events)"),
        Variant("websocket", "one upgraded connection"),
        Variant("websocket-picows", "the same, server and clients on picows", (Need("picows", "push"),)),
    ),
    settings=PushSettings,
    columns=(
        Column("figures.limit_per_s", "most/s"),
        Column("figures.limit_p99_ms", "p99 then, ms", "ms"),
        Column("times_ms.delay.p50", "delay p50", "ms"),
        Column("times_ms.delay.p99", "p99, ms", "ms"),
        Column("figures.requests_per_delivery", "requests each", "ratio"),
        Column("hops.front.opened", "connections"),
        Column("hops.back.opened", "back"),
        Column("bytes_per_unit.front", "bytes each", "B"),
        Column("bytes_per_unit.back", "back", "B"),
        Column("cpu_us_per_unit.client", "us each: clients", "us"),
        Column("cpu_us_per_unit.proxy", "proxy", "us"),
        Column("cpu_us_per_unit.backend", "server", "us"),
        Column("figures.reconnects", "reconnects"),
        Column("figures.doubled", "doubled"),
        Column("figures.browser_delivered", "browser"),
        Column("figures.lost", "lost"),
    ),
    panels=(
        Distribution("delay", "Delay from publishing to delivery", "milliseconds, by percentile"),
        Bars("figures.requests_per_delivery", "Requests", "for each delivered message", "ratio"),
        Bars("cpu_us_per_unit.backend", "CPU of the server", "microseconds for each delivered message", "us"),
        Bars("hops.front.opened", "Connections", "that the clients opened", log=True),
        Bars(
            "figures.limit_per_s", "The most that is carried", "messages delivered a second, p99 below 100 ms"
        ),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    brief={
        "variants": ["short-poll-new", "long-poll", "sse", "websocket"],
        "subjects": ["direct"],
        "settings": {"subscribers": 100, "warmup_s": 0.5, "duration_s": 3.0},
    },
)
