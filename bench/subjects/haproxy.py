"""HAProxy as a subject: its configuration for a trial, and its own count over the stats socket."""

import csv
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

from bench.errors import RoleError
from bench.plan.run_plan import ClosesFirst, Mode
from bench.subjects.configured_proxy import ConfiguredProxy
from bench.subjects.launch import LaunchSpec
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectConfig, SubjectCounts, SupportedProtocols

_CONF = "{folder}/haproxy.cfg"
_STATS = "stats.sock"
_CERTIFICATE = "front.pem"
_STATS_TIMEOUT_S = 5.0
_SPARE_CONNECTIONS = 64
_H2_STREAMS = 100
"""What HAProxy allows at a time on one HTTP/2 connection by default."""


class HAProxy(ConfiguredProxy):
    """Starts HAProxy 2.4 or newer; its workers are threads that lend each other idle connections."""

    name = "haproxy"
    protocols = SupportedProtocols(
        client=("1.1", "2"), upstream=("1.1", "2"), client_tls=True, upstream_tls=True, passthrough=True
    )
    bounds_requests = False  # its max-reuse holds for HTTP/2 only

    def launch_spec(self, program: Program, listen: str, config: SubjectConfig) -> LaunchSpec:
        """Return how HAProxy is run for one trial."""
        return LaunchSpec(
            program,
            listen,
            files={"haproxy.cfg": render(config, listen), **_certificate(config)},
            check=("-c", "-f", _CONF),
            # A master and its workers where a scenario reloads it: else a signal ends it.
            run=("-W", "-db", "-f", _CONF) if config.traffic.upgrade else ("-db", "-f", _CONF),
            reload=signal.SIGUSR2,
            count=_count,
        )


def render(config: SubjectConfig, listen: str) -> str:
    """Return the configuration for one trial."""
    return "\n".join(_lines(config, listen)) + "\n"


def _lines(config: SubjectConfig, listen: str) -> Iterator[str]:
    yield "global"
    yield f"    stats socket {{folder}}/{_STATS}"
    yield f"    nbthread {config.plan.workers}"
    yield f"    maxconn {config.clients + _SPARE_CONNECTIONS}"
    # By default nothing is kept once a quarter of the descriptors that maxconn allows for are in use.
    yield "    tune.pool-low-fd-ratio 100"
    yield "    tune.pool-high-fd-ratio 100"
    if config.traffic.client_http == "2" or config.traffic.http2_upstream:
        yield f"    tune.h2.max-concurrent-streams {max(config.clients, _H2_STREAMS)}"
    yield "defaults"
    yield f"    mode {'tcp' if config.traffic.passthrough else 'http'}"
    yield "    timeout connect 5s"
    yield from _silence(config)
    if not config.traffic.passthrough:
        yield _reuse(config)
    yield "frontend front"
    yield f"    bind {listen} backlog 4096{_client_protocol(config)}"
    yield "    default_backend backend"
    yield "backend backend"
    yield "    balance roundrobin"
    sources = [f" source {source}" for source in config.sources] or [""]
    pairs = [(upstream, source) for upstream in config.upstreams for source in sources]
    proto = " proto h2" if config.traffic.http2_upstream else ""
    for number, (upstream, source) in enumerate(pairs, 1):
        pool = "" if config.traffic.passthrough else f" {_pool(config)}"
        yield f"    server backend{number} {upstream}{source}{proto}{_tls(config)}{pool}"


def _certificate(config: SubjectConfig) -> dict[str, str]:
    """Return the file of the certificate that clients are shown, with its key; none where there is none."""
    shown = config.traffic.certificate
    return {} if shown is None else {_CERTIFICATE: shown.chain + shown.key}


def _client_protocol(config: SubjectConfig) -> str:
    is_http2 = config.traffic.client_http == "2"
    if config.traffic.client_tls:
        return f" ssl crt {{folder}}/{_CERTIFICATE} alpn {'h2' if is_http2 else 'http/1.1'}"
    return " proto h2" if is_http2 else ""


def _reuse(config: SubjectConfig) -> str:
    """Return what makes HAProxy close upstream connections, or use them again.

    Closer backend: it sends `Connection: close`. Otherwise it does not, and has no pool in short mode
    (pool-max-conn 0), so that it closes. `always`: `safe` gives first requests their own connection.
    """
    sends_close = config.mode is Mode.SHORT and config.closes_first is ClosesFirst.BACKEND
    return "    option http-server-close" if sends_close else "    http-reuse always"


def _tls(config: SubjectConfig) -> str:
    """Return a server's TLS; each thread of HAProxy keeps one session of it, unless configured not to."""
    tls = config.traffic.upstream_tls
    if tls is None:
        return ""
    only = f"TLSv{tls.version}"
    reuse = "" if tls.resumes else " no-ssl-reuse"
    return f" ssl verify none ssl-min-ver {only} ssl-max-ver {only}{reuse}"


def _silence(config: SubjectConfig) -> Iterator[str]:
    """Yield how long either side may be silent; HAProxy passes an upgrade on, and streams, by default."""
    if not config.traffic.lasts:
        yield "    timeout client 75s"
        yield "    timeout server 60s"
        return
    silence = f"{round(config.traffic.silence_s * 1000)}ms"
    yield f"    timeout client {silence}"
    yield f"    timeout server {silence}"
    if config.traffic.upgrade:
        yield f"    timeout tunnel {silence}"
    if config.traffic.streams:
        yield "    option http-no-delay"  # else small chunks wait up to 200 ms for more


def _pool(config: SubjectConfig) -> str:
    """Return a server's limits; HAProxy counts them for all threads together."""
    if config.mode is Mode.SHORT:
        return "pool-max-conn 0"
    plan = config.plan
    # Each delay, half of the connections that were idle throughout are closed.
    delay_ms = round(plan.pool_idle_timeout_s * 1000)
    pool = f"pool-max-conn {config.pool_idle * plan.workers} pool-purge-delay {delay_ms}ms"
    return pool if plan.pool_max is None else f"{pool} maxconn {plan.pool_max * plan.workers}"


def _count(folder: Path) -> SubjectCounts:
    try:
        with socket.socket(socket.AF_UNIX) as stats:
            stats.settimeout(_STATS_TIMEOUT_S)
            stats.connect(str(folder / _STATS))
            stats.sendall(b"show stat\n")
            answer = b"".join(iter(lambda: stats.recv(65536), b""))
    except OSError as error:
        raise RoleError("haproxy", f"does not answer on its stats socket: {error}") from error
    return parse_counts(answer.decode())


def parse_counts(answer: str) -> SubjectCounts:
    """Return the counts in `show stat` (HAProxy management guide, section 9.1).

    `connect` counts attempts; those that failed are in `wretr` (tried again) and `econ` (abandoned).
    """
    rows = list(csv.DictReader(answer.removeprefix("# ").splitlines()))
    servers = [row for row in rows if row["svname"] not in ("FRONTEND", "BACKEND")]
    opened = sum(int(row["connect"]) - int(row["wretr"]) - int(row["econ"]) for row in servers)
    accepted = next(int(row["conn_tot"]) for row in rows if row["svname"] == "FRONTEND")
    return SubjectCounts(opened=opened, accepted=accepted)
