"""tls: what a connection to a TLS upstream costs, new, resumed and kept, through a proxy."""

from bench.experiment.definition import Bars, Column, Figures, Scenario, Variant
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.testbed import Testbed
from bench.load.job import LoadJob
from bench.plan.run_plan import Mode
from bench.plan.scenario_plan import Case
from bench.scenarios.tls import backend
from bench.scenarios.tls.conclusion import conclude
from bench.scenarios.tls.figures import compute_figures
from bench.scenarios.tls.settings import TlsSettings
from bench.subjects import certificates
from bench.subjects.subject import Traffic, UpstreamTls

_SPARE = 2
_PLAIN_NEW_S = 1.0
"""Without handshakes new connections use half of the ports within two seconds: its window ends before."""


def perform(testbed: Testbed, case: Case, settings: TlsSettings) -> Figures:
    """Send requests through a proxy to a server with TLS, or without, and count its handshakes."""
    tls, _ = _upstream(case.variant)
    server = _start_backend(testbed, tls, settings)
    address = testbed.start_proxy([server.address])
    host, _, port = address.rpartition(":")
    is_brief = case.variant == "plain-new"
    duration_s = min(settings.duration_s, _PLAIN_NEW_S) if is_brief else settings.duration_s
    job = LoadJob(
        host=host,
        port=int(port),
        host_field=address,
        connections=settings.concurrent,
        warmup_s=settings.warmup_s,
        duration_s=duration_s,
        echo=False,
        pattern=False,
    )
    testbed.start_clients("bench.load", [job.to_json()])
    result = testbed.run(settings.warmup_s, duration_s)
    return compute_figures(result, server.handshakes(), tls is not None)


def _start_backend(testbed: Testbed, tls: UpstreamTls | None, settings: TlsSettings) -> backend.TlsBackend:
    host, cpus = testbed.place.hosts["backend"], testbed.cores("backend")
    issued = None if tls is None else certificates.issue(list(host.addresses), rsa=settings.key == "rsa")
    server = backend.start(host, cpus, issued, None if tls is None else tls.version)
    assert server.pid is not None, "what was launched has a process"
    testbed.observe_process(server.pid, int(server.address.rpartition(":")[2]))
    return server


def proxy_setup(case: Case, settings: TlsSettings) -> ProxySetup:
    """Request the variant's TLS to the server, and a pool or none."""
    tls, is_kept = _upstream(case.variant)
    mode = Mode.KEEPALIVE if is_kept else Mode.SHORT
    return ProxySetup(settings.concurrent + _SPARE, mode, Traffic(upstream_tls=tls))


def refuse(case: Case, settings: TlsSettings) -> str | None:
    """Refuse to go without a proxy: its hop to the server is what is measured."""
    return "the hop behind a proxy is measured here" if case.subject.name == "direct" else None


def _upstream(variant: str) -> tuple[UpstreamTls | None, bool]:
    """Return the TLS of a variant, and whether its upstream connections are kept."""
    version, _, kind = variant.partition("-")
    if version == "plain":
        return None, kind == "kept"
    return UpstreamTls({"tls12": "1.2", "tls13": "1.3"}[version], kind == "resumed"), kind == "kept"


SCENARIO = Scenario(
    name="tls",
    title="TLS to the upstream server: new, resumed and kept connections",
    claim="Resumption makes TLS connections cheaper, and keeping them makes them cheaper still.",
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
    brief={"variants": ["tls13-new", "tls13-resumed", "tls13-kept"], "settings": {"duration_s": 2.0}},
)
