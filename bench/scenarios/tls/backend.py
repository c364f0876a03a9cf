"""The server behind the proxy: an nginx that responds by itself and logs how connections begin."""

import os
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from bench.lab import Host
from bench.subjects import nginx, programs
from bench.subjects.certificates import Certificate
from bench.subjects.launch import LaunchedProxy, LaunchSpec, launch, listen_address
from bench.subjects.subject import SubjectCounts
from nginx import versions

_LOG = "handshakes.log"
_BODY = "x" * 128
_CONF = """\
daemon off;
{user}worker_processes 1;
error_log stderr error;
pid nginx.pid;
events {{ worker_connections 4096; }}
http {{
    client_body_temp_path client_body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    # A line for each connection: its first request knows how it began.
    map $connection_requests $is_first {{ default 0; 1 1; }}
    log_format handshake '$ssl_protocol $ssl_session_reused';
    access_log {log} handshake if=$is_first;
    keepalive_requests 1000000000;
    server {{
        listen {listen} backlog=4096;
{tls}        location / {{ return 200 "{body}"; }}
    }}
}}
"""
_CONF_TLS = """\
        ssl_certificate certificate.pem;
        ssl_certificate_key key.pem;
        ssl_protocols {version};
        ssl_session_cache shared:sessions:10m;
        ssl_session_timeout 1h;
"""


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
    """An nginx in the place of the servers. It stops with its host."""

    def __init__(self, running: LaunchedProxy, log: Path) -> None:
        self.address = running.address
        self.pid = running.pid
        self._log = log

    def handshakes(self) -> Handshakes:
        """Return what was logged so far."""
        return read(self._log.read_text(encoding="ascii"))


def start(
    host: Host, cpus: set[int] | None, certificate: Certificate | None, version: str | None
) -> TlsBackend:
    """Start it on `host`, with TLS in one version where there is a certificate.

    RoleError where it does not come up.
    """
    program, listen = programs.find("nginx"), listen_address(host)
    log = host.scratch("handshakes") / _LOG
    tls = None if certificate is None else f"TLSv{version}"
    files = {"nginx.conf": conf(listen, log, tls)}
    if certificate is not None:
        files |= certificate.files
    arguments = nginx.arguments(versions.parse(program.version))
    recipe = LaunchSpec(
        program, listen, files, ["-t", "-q", *arguments], arguments, count=lambda _: SubjectCounts()
    )
    return TlsBackend(launch(host, cpus, recipe), log)


def conf(listen: str, log: Path, tls: str | None) -> str:
    """Return its configuration; `tls` is the one version that it speaks."""
    return _CONF.format(
        user="user root;\n" if os.geteuid() == 0 else "",
        log=log,
        listen=f"{listen} ssl" if tls else listen,
        tls=_CONF_TLS.format(version=tls) if tls else "",
        body=_BODY,
    )


def read(log: str) -> Handshakes:
    """Return the handshakes in a log; `r` stands for a resumed session."""
    kinds = Counter(line.split()[-1] if line.startswith("TLS") else "-" for line in log.splitlines())
    return Handshakes(full=kinds["."], resumed=kinds["r"], plain=kinds["-"])
