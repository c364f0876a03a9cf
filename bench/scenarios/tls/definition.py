"""tls: what a connection to a TLS upstream costs, new, resumed and kept, through a proxy."""

from __future__ import annotations

from dataclasses import dataclass

from bench.analysis.cases import Summary
from bench.errors import PlanError
from bench.experiment.definition import Bars, Column, Figures, Scenario, Settings, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.experiment.trial_result import TrialResult
from bench.load.job import LoadJob
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.runs.record import TrialWarning
from bench.scenarios.tls import backend
from bench.scenarios.tls.backend import Handshakes
from bench.subjects import certificates
from bench.subjects.subject import Carries, UpstreamTls

_KEYS = ("ecdsa", "rsa")
_SPARE = 2


@dataclass(frozen=True, slots=True)
class TlsSettings(Settings):
    """How many ask at a time, and which kind of key the server has."""

    concurrent: int = 16
    key: str = "ecdsa"
    """ecdsa (P-256) or rsa (2,048 bits)."""
    warmup_s: float = 0.5
    duration_s: float = 4.0

    def check(self) -> None:
        """Raise PlanError where a value makes no sense."""
        Settings.check(self)
        if self.key not in _KEYS:
            raise PlanError(f"plan: settings.key = {self.key!r} is not one of {', '.join(_KEYS)}")


def perform(testbed: Testbed, case: Case, settings: TlsSettings) -> Figures:
    """Send requests through a proxy to a server with TLS, or without, and count its handshakes."""
    tls, _ = _asked(case.variant)
    host, cpus = testbed.place.hosts["backend"], testbed.cores("backend")
    names = [*host.addresses]
    issued = None if tls is None else certificates.issue(names, rsa=settings.key == "rsa")
    shown = None if issued is None else issued.certificate
    server = backend.start(host, cpus, shown, "1.3" if tls is None else tls.version)
    assert server.pid is not None, "what was launched has a process"
    testbed.observe_process(server.pid, int(server.address.rpartition(":")[2]))
    address = testbed.start_proxy([server.address])
    proxy, _, port = address.rpartition(":")
    job = LoadJob(
        host=proxy,
        port=int(port),
        host_field=address,
        connections=settings.concurrent,
        warmup_s=settings.warmup_s,
        duration_s=settings.duration_s,
        echo=False,
        pattern=False,
    )
    testbed.start_clients("bench.load", [job.to_json()])
    result = testbed.run(settings.warmup_s, settings.duration_s)
    handshakes = server.handshakes()
    return _measured(result, handshakes, tls)


def proxy_setup(case: Case, settings: TlsSettings) -> ProxySetup:
    """Ask for the way's TLS to the server, and for a pool or none."""
    tls, is_kept = _asked(case.variant)
    mode = Mode.KEEPALIVE if is_kept else Mode.SHORT
    return ProxySetup(settings.concurrent + _SPARE, mode, Carries(upstream_tls=tls))


def refuse(case: Case, settings: TlsSettings) -> str | None:
    """Refuse to go without a proxy: its hop to the server is what is measured."""
    return "the hop behind a proxy is measured here" if case.subject.name == "direct" else None


def _asked(variant: str) -> tuple[UpstreamTls | None, bool]:
    """Return the TLS of a way, and whether its upstream connections are kept."""
    kind, _, how = variant.partition("-")
    if kind == "plain":
        return None, how == "kept"
    return UpstreamTls({"tls12": "1.2", "tls13": "1.3"}[kind], how == "resumed"), how == "kept"


def _measured(result: TrialResult, handshakes: Handshakes, tls: UpstreamTls | None) -> Figures:
    told = result.done[0]
    requests, errors = int(told["requests"]), sum(told["errors"].values())
    warnings = []
    if errors:
        warnings.append(TrialWarning("failed", f"{errors:,} requests failed", voids=True))
    counters = result.seen["proxy"].counters
    opened = None if counters is None else counters.active_opens
    if opened is not None and opened != handshakes.connections:
        said = f"the kernel opened {opened:,} connections, the server wrote down {handshakes.connections:,}"
        warnings.append(
            TrialWarning("witnesses-disagree", said, "a connection without a request is not written down")
        )
    return Figures(
        units=requests,
        figures={
            "requests_per_s": requests / result.window_s,
            "failed": errors,
            "full": handshakes.full if tls else None,
            "resumed": handshakes.resumed if tls else None,
            "server_connections": handshakes.connections,
        },
        warnings=warnings,
    )


_SIDES = ("proxy", "backend")
"""Of the hop that speaks TLS."""


def conclude(summary: Summary) -> str:
    """Say what a request costs on a new, a resumed and a kept connection, behind each proxy that does all."""
    parts = []
    for version, said in (("tls13", "TLS 1.3"), ("tls12", "TLS 1.2")):
        costs = [told for subject in summary.subjects if (told := _costs(summary, version, subject))]
        if costs:
            parts.append(f"by {said} {', '.join(costs)}")
    if not parts:
        return "Only parts of the comparison were measured."
    return (
        "The CPU of a request, on both sides of the hop, in microseconds, on a new connection, a resumed"
        f" session and a kept connection: {'; '.join(parts)}."
    )


def _costs(summary: Summary, version: str, subject: str) -> str | None:
    """Return the three costs behind one proxy; None where one of them was not measured."""
    costs = []
    for how in ("new", "resumed", "kept"):
        sides = [summary.value(f"cpu_us_per_unit.{side}", f"{version}-{how}", subject) for side in _SIDES]
        if None in sides:
            return None
        costs.append(f"{sum(filter(None, sides)):,.0f}")
    return f"{subject} {' / '.join(costs)}"


SCENARIO = Scenario(
    name="tls",
    title="TLS to the upstream server: new, resumed and kept connections",
    claim="Resumption makes TLS connections cheap, and keeping them makes them free.",
    unit="request",
    variants=(
        Variant("plain-new", "no TLS, a connection for each request"),
        Variant("plain-kept", "no TLS, a pool"),
        Variant("tls12-new", "TLS 1.2, a connection for each request, proxy_ssl_session_reuse off"),
        Variant("tls12-resumed", "the same, proxy_ssl_session_reuse on"),
        Variant("tls12-kept", "TLS 1.2, a pool"),
        Variant("tls13-new", "TLS 1.3, a connection for each request, proxy_ssl_session_reuse off"),
        Variant("tls13-resumed", "the same, proxy_ssl_session_reuse on"),
        Variant("tls13-kept", "TLS 1.3, a pool"),
    ),
    settings=TlsSettings,
    columns=(
        Column("figures.requests_per_s", "requests/s"),
        Column("cpu_us_per_unit.proxy", "CPU proxy, us/request", "us"),
        Column("cpu_us_per_unit.backend", "CPU server, us/request", "us"),
        Column("figures.full", "full handshakes"),
        Column("figures.resumed", "resumed"),
        Column("figures.server_connections", "connections"),
        Column("bytes_per_unit.back", "bytes/request", "B"),
        Column("time_wait.proxy.end", "TIME_WAIT proxy"),
    ),
    panels=(
        Bars("cpu_us_per_unit.proxy", "CPU of the proxy", "microseconds a request", "us"),
        Bars("cpu_us_per_unit.backend", "CPU of the server", "microseconds a request", "us"),
        Bars("bytes_per_unit.back", "Bytes", "on the wire between them, for each request", "B"),
        Bars("figures.full", "Full handshakes", "over the whole trial", log=True),
    ),
    perform=perform,
    conclude=conclude,
    proxy_setup=proxy_setup,
    refuse=refuse,
    default_subjects=("nginx",),
    brief={
        "variants": ["tls13-new", "tls13-resumed", "tls13-kept"],
        "settings": {"duration_s": 2.0},
    },
)
