"""http2: many requests at a time by HTTP/1.1 and by HTTP/2, on the clients' hop and on the servers'."""

import dataclasses

from bench.experiment.definition import Bars, Column, Figures, Need, Scenario, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.load import external
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.scenarios.http2.conclusion import conclude
from bench.scenarios.http2.figures import compute_figures
from bench.scenarios.http2.settings import Http2Settings
from bench.subjects.subject import Traffic

_H2 = (Need("h2", "http2"),)
_CLIENT = {
    "short": "short",
    "keep-alive": "keep-alive",
    "one": "one",
    "h2": "http2",
    "h2-to-h1": "http2",
    "h1-to-h2": "keep-alive",
}
"""What the clients do in each variant."""
_SPARE = 2
"""Connections or streams besides one for each request at a time: the slow request's, and one to spare."""


def perform(testbed: Testbed, case: Case, settings: Http2Settings) -> Figures:
    """Send requests in one variant, a slow one among them every so often."""
    server = testbed.start_server("backends.scenarios.http2")
    job = {
        **dataclasses.asdict(settings),
        "client": _CLIENT[case.variant],
        "address": testbed.start_proxy(server.addresses),
        "connections": settings.concurrent + _SPARE,
        "fields": settings.fields,
    }
    testbed.start_clients("bench.scenarios.http2.clients", [job])
    result = testbed.run(settings.warmup_s, settings.duration_s)
    return compute_figures(result, server.count())


def proxy_setup(case: Case, settings: Http2Settings) -> ProxySetup:
    """Request HTTP/2 on the hops that the variant has it on."""
    return ProxySetup(
        settings.concurrent + _SPARE,
        Mode.SHORT if case.variant == "short" else Mode.KEEPALIVE,
        Traffic(
            client_http="2" if _CLIENT[case.variant] == "http2" else "1.1",
            http2_upstream=case.variant in ("h2", "h1-to-h2"),
        ),
    )


def refuse(case: Case, settings: Http2Settings) -> str | None:
    """Refuse what a generator cannot do, and two hops where there is one."""
    if settings.generator == "h2load":
        if external.missing(["h2load"]):
            return "needs h2load: install nghttp2-client"
        if case.variant == "short":
            return "h2load keeps its connections"
        if settings.every_s:
            return "h2load does not wait between requests; leave out --set every_s"
    if case.subject.name == "direct" and case.variant in ("h2-to-h1", "h1-to-h2"):
        return "without a proxy there is one hop only"
    return None


SCENARIO = Scenario(
    name="http2",
    title="Many requests at a time: HTTP/1.1 and HTTP/2, on each hop",
    claim="HTTP/2 needs one connection instead of many, sends small headers, and is faster.",
    unit="request",
    variants=(
        Variant("short", "HTTP/1.1, a connection for each request, on both hops", _H2),
        Variant("keep-alive", "HTTP/1.1, as many kept connections as requests at a time", _H2),
        Variant("one", "HTTP/1.1, one kept connection on which all wait their turn", _H2),
        Variant("h2", "HTTP/2 on both hops", _H2),
        Variant("h2-to-h1", "HTTP/2 from the clients, HTTP/1.1 to the server", _H2),
        Variant("h1-to-h2", "HTTP/1.1 from the clients, HTTP/2 to the server", _H2),
    ),
    settings=Http2Settings,
    columns=(
        Column("figures.requests_per_s", "requests/s"),
        Column("times_ms.latency.p50", "p50, ms", "ms"),
        Column("times_ms.latency.p99", "p99", "ms"),
        Column("times_ms.during_slow.p99", "p99 during a slow one", "ms"),
        Column("figures.connections", "client connections"),
        Column("figures.server_connections", "to the server"),
        Column("figures.sent_bytes", "bytes sent/request", "B"),
        Column("figures.overhead_bytes", "overhead/response", "B"),
        Column("cpu_us_per_unit.proxy", "CPU proxy, us", "us"),
        Column("cpu_us_per_unit.backend", "CPU server", "us"),
    ),
    panels=(
        Bars("figures.server_connections", "Connections", "that the server accepted", log=True),
        Bars("figures.sent_bytes", "Request bytes", "that the clients sent for each request", "B"),
        Bars("times_ms.during_slow.p99", "Beside a slow response", "p99 of the others, ms", "ms", log=True),
        Bars("cpu_us_per_unit.proxy", "CPU of the proxy", "microseconds a request", "us"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    default_subjects=("direct", "nginx", "haproxy", "envoy", "caddy", "nghttpx"),
    brief={
        "variants": ["keep-alive", "one", "h2"],
        "subjects": ["direct", "nginx"],  # nginx multiplexes nothing to its servers
        # As fast as they are answered, the clients would be the limit: no rate and no time would count.
        "settings": {"duration_s": 2.0, "every_s": 0.1},
    },
)
