"""http2: many requests at a time by HTTP/1.1 and by HTTP/2, on the clients' hop and on the servers'."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.analysis import histogram
from bench.analysis.cases import Row, Summary
from bench.errors import PlanError
from bench.experiment.definition import Bars, Column, Figures, Need, Scenario, Settings, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.load import external
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.subjects.subject import Carries

_H2 = (Need("h2", "http2"),)
_CLIENT = {
    "short": "short",
    "keep-alive": "keep-alive",
    "one": "one",
    "h2": "http2",
    "h2-to-h1": "http2",
    "h1-to-h2": "keep-alive",
}
"""What the clients do in each way."""
_MIXED = ("h2-to-h1", "h1-to-h2")
_GENERATORS = {"h2": "clients", "h2load": "h2load"}
_SPARE = 2
"""Connections or streams beside one for each asker: the slow request's, and one to spare."""


@dataclass(frozen=True, slots=True)
class Http2Settings(Settings):
    """How many ask at a time, what their requests carry, and how slow the slow response is."""

    concurrent: int = 100
    cookie_bytes: int = field(default=350, metadata={"least": 0})
    token_bytes: int = field(default=600, metadata={"least": 0})
    generator: str = "h2"
    """Whose clients: h2 (ours, with httptools and h2), or h2load for a second opinion."""
    slow_ms: float = 200.0
    slow_every_s: float = 0.5
    warmup_s: float = 0.5
    duration_s: float = 4.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        if self.generator not in _GENERATORS:
            known = ", ".join(_GENERATORS)
            raise PlanError(f"plan: settings.generator = {self.generator!r} is not one of {known}")


def refuse(case: Case, settings: Http2Settings) -> str | None:
    """Refuse what a generator cannot do, and two hops where there is one."""
    if settings.generator == "h2load":
        if external.missing(["h2load"]):
            return "needs h2load: install nghttp2-client"
        if case.variant == "short":
            return "h2load keeps its connections"
    if case.subject.name == "direct" and case.variant in _MIXED:
        return "without a proxy there is one hop only"
    return None


def proxy_setup(case: Case, settings: Http2Settings) -> ProxySetup:
    """Ask for HTTP/2 on the hops that the way has it on."""
    return ProxySetup(
        settings.concurrent + _SPARE,
        Mode.SHORT if case.variant == "short" else Mode.KEEPALIVE,
        Carries(
            client_http="2" if _CLIENT[case.variant] == "http2" else "1.1",
            http2_upstream=case.variant in ("h2", "h1-to-h2"),
        ),
    )


def perform(testbed: Testbed, case: Case, settings: Http2Settings) -> Figures:
    """Let all ask in one way, a slow request among them every so often."""
    server = testbed.start_server("backends.scenarios.http2")
    job = {
        "client": _CLIENT[case.variant],
        "address": testbed.start_proxy(server.addresses),
        "connections": settings.concurrent + _SPARE,
        "concurrent": settings.concurrent,
        "fields": fields(settings),
        "slow_ms": settings.slow_ms,
        "slow_every_s": settings.slow_every_s,
    }
    testbed.start_clients(f"bench.scenarios.http2.{_GENERATORS[settings.generator]}", [job])
    result = testbed.run(settings.warmup_s, settings.duration_s)
    told, counted = result.done[0], server.count()
    requests = int(told["requests"])
    warnings = []
    if told["failed"]:
        warnings.append(TrialWarning("failed", f"{told['failed']:,} requests failed", voids=True))
    return Figures(
        units=requests,
        figures={
            "requests_per_s": requests / result.window_s,
            "failed": told["failed"],
            "connections": told["connections"],
            "server_connections": counted["accepted"],
            "server_http2_connections": counted["http2"],
            "sent_bytes": _each(told.get("sent"), requests),
            "beside_body_bytes": _each(told.get("beside_body"), requests),
        },
        times_us={
            "latency": histogram.merge([dict(told.get("latency_us", ()))]),
            "beside_slow": histogram.merge([dict(told.get("beside_us", ()))]),
        },
        warnings=warnings,
    )


def _each(total: int | None, requests: int) -> float | None:
    return total / requests if total is not None and requests else None


def fields(settings: Http2Settings) -> list[tuple[str, str]]:
    """Return the header fields of every request: what a browser that is logged in sends."""
    return [
        ("user-agent", "bench/1 (a browser says much more)"),
        ("accept", "application/json"),
        ("cookie", "session=" + "c" * settings.cookie_bytes),
        ("authorization", "Bearer " + "t" * settings.token_bytes),
    ]


def conclude(summary: Summary) -> str:
    """Say what multiplexing saves in connections and header bytes, where, and what waits behind what."""
    parts = []
    kept, multi = summary.row("keep-alive", "direct"), summary.row("h2", "direct")
    if kept is not None and multi is not None and multi.value("figures.sent_bytes") is not None:
        parts.append(
            f"Without a proxy HTTP/2 takes {_told(multi, 'figures.server_connections')} connection instead of"
            f" {_told(kept, 'figures.server_connections')}, {_told(multi, 'figures.sent_bytes')} bytes a"
            f" request instead of {_told(kept, 'figures.sent_bytes')}, and"
            f" {_told(multi, 'cpu_us_per_unit.backend')} us of server CPU instead of"
            f" {_told(kept, 'cpu_us_per_unit.backend')}"
        )
    behind = [
        f"{_told(row, 'figures.server_connections')} behind {row.subject}"
        for row in summary.rows
        if row.variant == "h2" and row.subject != "direct"
    ]
    if behind:
        parts.append(f"asked to speak HTTP/2 upstream, proxies open {', '.join(behind)}")
    one = summary.value("times_ms.beside_slow.p99", "one", "direct")
    beside = summary.value("times_ms.beside_slow.p99", "h2", "direct")
    if one is not None and beside is not None:
        parts.append(
            f"beside a slow response p99 is {beside:,.3g} ms on one HTTP/2 connection and {one:,.3g} ms on"
            " one HTTP/1.1 connection"
        )
    return f"{'; '.join(parts)}." if parts else "Only parts of the comparison were measured."


def _told(row: Row, key: str) -> str:
    value = row.value(key)
    return "-" if value is None else f"{value:,.0f}"


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
        Column("times_ms.beside_slow.p99", "p99 beside a slow one", "ms"),
        Column("figures.connections", "client connections"),
        Column("figures.server_connections", "to the server"),
        Column("figures.sent_bytes", "bytes sent/request", "B"),
        Column("figures.beside_body_bytes", "back beside the body", "B"),
        Column("cpu_us_per_unit.proxy", "CPU proxy, us", "us"),
        Column("cpu_us_per_unit.backend", "CPU server", "us"),
    ),
    panels=(
        Bars("figures.server_connections", "Connections", "that the server accepted", log=True),
        Bars("figures.sent_bytes", "Request bytes", "that the clients sent for each request", "B"),
        Bars("times_ms.beside_slow.p99", "Beside a slow response", "p99 of the others, ms", "ms", log=True),
        Bars("cpu_us_per_unit.proxy", "CPU of the proxy", "microseconds a request", "us"),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    default_subjects=("direct", "nginx", "haproxy", "envoy", "caddy", "nghttpx"),
    brief={
        "variants": ["keep-alive", "one", "h2"],
        "subjects": ["direct"],
        "settings": {"duration_s": 2.0},
    },
)
