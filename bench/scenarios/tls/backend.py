"""The server behind the proxy: an nginx that answers by itself and writes down how connections begin."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.lab import Host
from bench.subjects import nginx, programs
from bench.subjects.launch import LaunchedProxy, LaunchSpec, launch, listen_address
from bench.subjects.subject import Certificate, SubjectCounts
from nginx import versions

_LOG = "handshakes.log"
_BODY = "x" * 128
_NO_LIMIT = 1_000_000_000


class Handshakes(NamedTuple):
    """How the connections that carried at least one request began."""

    full: int
    resumed: int
    plain: int
    """Without TLS."""

    @property
    def connections(self) -> int:
        """Return how many there were."""
        return sum(self)


class TlsBackend:
    """An nginx in the place of the servers. States: running, stopped."""

    def __init__(self, running: LaunchedProxy, log: Path) -> None:
        self.address = running.address
        self.pid = running.pid
        self.version = running.version
        self.stop = running.stop
        self._log = log

    def handshakes(self) -> Handshakes:
        """Return what was written down so far."""
        return read(self._log.read_text(encoding="ascii"))


def start(
    host: Host, cpus: set[int] | None, certificate: Certificate | None, version: str = "1.3"
) -> TlsBackend:
    """Start it on `host`, with TLS in one version where there is a certificate.

    RoleError where it does not come up.
    """
    program, listen = programs.find("nginx"), listen_address(host)
    log = host.scratch("handshakes") / _LOG
    tls = None if certificate is None else f"TLSv{version}"
    files = {"nginx.conf": conf(listen, log, tls)}
    if certificate is not None:
        files |= {"certificate.pem": certificate.chain, "key.pem": certificate.key}
    arguments = nginx.arguments(versions.parse(program.version))
    recipe = LaunchSpec(
        program, listen, files, ["-t", "-q", *arguments], arguments, count=lambda _: SubjectCounts()
    )
    return TlsBackend(launch(host, cpus, recipe), log)


def conf(listen: str, log: Path, tls: str | None) -> str:
    """Return its configuration; `tls` is the one version that it speaks."""
    return "\n".join(_lines(listen, log, tls)) + "\n"


def _lines(listen: str, log: Path, tls: str | None) -> Iterator[str]:
    yield "daemon off;"
    if os.geteuid() == 0:
        yield "user root;"
    yield "worker_processes 1;"
    yield "error_log stderr error;"
    yield "pid nginx.pid;"
    yield "events { worker_connections 4096; }"
    yield "http {"
    for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f"    {module}_temp_path {module};"
    # A line for each connection: its first request knows how it began.
    yield "    map $connection_requests $is_first { default 0; 1 1; }"
    yield "    log_format handshake '$ssl_protocol $ssl_session_reused';"
    yield f"    access_log {log} handshake if=$is_first;"
    yield f"    keepalive_requests {_NO_LIMIT};"
    yield "    server {"
    yield f"        listen {listen}{' ssl' if tls else ''} backlog=4096;"
    if tls:
        yield "        ssl_certificate certificate.pem;"
        yield "        ssl_certificate_key key.pem;"
        yield f"        ssl_protocols {tls};"
        yield "        ssl_session_cache shared:sessions:10m;"
        yield "        ssl_session_timeout 1h;"
    yield f'        location / {{ return 200 "{_BODY}"; }}'
    yield "    }"
    yield "}"


def read(log: str) -> Handshakes:
    """Return the handshakes that the lines of a log tell of; `r` stands for a resumed session."""
    kinds = Counter(line.split()[-1] if line.startswith("TLS") else "-" for line in log.splitlines())
    return Handshakes(full=kinds["."], resumed=kinds["r"], plain=kinds["-"])
