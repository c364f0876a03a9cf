"""Render a whole nginx.conf for one proxied site.

What the settings leave out is left to nginx's defaults, which differ between versions; `POOL_OFF`
is the one setting whose spelling depends on the version.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from nginx.versions import HTTP2_DIRECTIVE, HTTP2_UPSTREAM, POOL_BY_DEFAULT, Version

POOL_OFF = 0
"""`keepalive 0` from 1.29.7 on; before, where that is a syntax error, no `keepalive` at all."""
_NO_LIMIT = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Reuse:
    """What decides whether upstream connections are used again; None: not written, nginx's default."""

    http_version: str | None = None
    """1.0, 1.1 or 2, which is grpc_pass before 1.29.4."""
    connection: str | None = None
    """Value of the `Connection` field sent upstream; "" sends none."""
    keepalive: int | None = None
    """Idle connections that each worker keeps, or POOL_OFF."""
    keepalive_requests: int | None = None
    """Requests on one upstream connection; nginx's own default bounds them at 1,000 (before 1.19.10: 100)."""
    keepalive_timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS to the servers."""

    protocol: str
    """TLSv1.2 or TLSv1.3: nginx's own default leaves 1.3 out before 1.23.4."""
    session_reuse: bool
    """Resume sessions, as nginx does by default."""


@dataclass(frozen=True, slots=True)
class SiteSettings:
    """One site in front of one upstream group."""

    listen: str
    servers: Sequence[str]
    """HOST:PORT, used in turn."""
    reuse: Reuse
    version: Version
    sources: Sequence[str] = ()
    """Source addresses of upstream connections, drawn at random; none: the system chooses."""
    workers: int = 1
    worker_connections: int = 1024
    open_files: int | None = None
    upgrade: bool = False
    """Pass `Upgrade` on for the clients that send it: ordinary requests keep their connection."""
    upstream_tls: Tls | None = None
    client_http2: bool = False
    """Use HTTP/2 with clients; without TLS, before 1.25.1, that port then accepts nothing else."""
    client_tls: tuple[str, str] | None = None
    """Files of the certificate that clients are shown, and of its key; None: no TLS with them."""
    streams: bool = False
    """Pass responses on as they come."""
    buffering: bool | None = None
    """Collect responses before they are passed on; None: not written, nginx's default (on)."""
    read_timeout_s: float | None = None
    """Silence of a server that ends its response, or a tunnel; None: not written, nginx's default (60 s)."""
    gzip_types: str | None = None
    """Compress responses of these types."""
    user: str | None = None
    """Needed where the master runs as root and the workers have to keep its user."""


def conf(settings: SiteSettings) -> str:
    """Return the configuration; paths in it are relative to nginx's prefix (`-p`)."""
    return "\n".join(_lines(settings)) + "\n"


def _lines(settings: SiteSettings) -> Iterator[str]:
    yield "daemon off;"
    if settings.user is not None:
        yield f"user {settings.user};"
    yield f"worker_processes {settings.workers};"
    if settings.open_files is not None:
        yield f"worker_rlimit_nofile {settings.open_files};"
    yield "error_log stderr error;"
    yield "pid nginx.pid;"
    yield f"events {{ worker_connections {settings.worker_connections}; }}"
    yield "http {"
    for line in _http(settings):
        yield f"    {line}" if line else ""
    yield "}"


def _http(settings: SiteSettings) -> Iterator[str]:
    yield "access_log off;"
    # Every module that may write to disk does so below the prefix.
    for module in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"):
        yield f"{module}_temp_path {module};"
    yield f"keepalive_requests {_NO_LIMIT};"
    if settings.sources:
        yield from _sources(settings.sources)
    if settings.upgrade:
        yield "map $http_upgrade $connection_upgrade { default upgrade; '' ''; }"
    yield "upstream backend {"
    for server in settings.servers:
        # One server of several that fails once would be left out for ten seconds.
        yield f"    server {server} max_fails=0;"
    for line in _pool(settings):
        yield f"    {line}"
    yield "}"
    yield "server {"
    has_directive = settings.version >= HTTP2_DIRECTIVE
    tls = " ssl" if settings.client_tls is not None else ""
    parameter = " http2" if settings.client_http2 and not has_directive else ""
    yield f"    listen {settings.listen}{tls}{parameter} backlog=4096;"
    if settings.client_tls is not None:
        certificate, key = settings.client_tls
        yield f"    ssl_certificate {certificate};"
        yield f"    ssl_certificate_key {key};"
        # Before 1.23.4 its own default leaves 1.3 out.
        yield "    ssl_protocols TLSv1.2 TLSv1.3;"
        # TLS 1.2 resumes by it; TLS 1.3 by tickets, which are on by default.
        yield "    ssl_session_cache shared:clients:10m;"
    if settings.client_http2 and has_directive:
        yield "    http2 on;"
    yield "    location / {"
    for line in _location(settings):
        yield f"        {line}"
    yield "    }"
    yield "}"


def _sources(sources: Sequence[str]) -> Iterator[str]:
    share = 100 // len(sources)
    yield "split_clients $request_id $source {"
    for source in sources[:-1]:
        yield f"    {share}% {source};"
    yield f"    * {sources[-1]};"
    yield "}"


def _pool(settings: SiteSettings) -> Iterator[str]:
    reuse = settings.reuse
    if reuse.keepalive == POOL_OFF:
        if settings.version >= POOL_BY_DEFAULT:
            yield "keepalive 0;"
        return
    for name, value in (("keepalive", reuse.keepalive), ("keepalive_requests", reuse.keepalive_requests)):
        if value is not None:
            yield f"{name} {value};"
    if reuse.keepalive_timeout_s is not None:
        yield f"keepalive_timeout {round(reuse.keepalive_timeout_s * 1000)}ms;"


def _location(settings: SiteSettings) -> Iterator[str]:
    if settings.reuse.http_version == "2" and settings.version < HTTP2_UPSTREAM:
        # Nothing else of that age uses HTTP/2 to servers; the messages need not be gRPC.
        yield "grpc_pass grpc://backend;"
        yield "grpc_set_header Host $http_host;"
        return
    if settings.upstream_tls is None:
        yield "proxy_pass http://backend;"
    else:
        yield "proxy_pass https://backend;"
        yield f"proxy_ssl_protocols {settings.upstream_tls.protocol};"
        yield f"proxy_ssl_session_reuse {'on' if settings.upstream_tls.session_reuse else 'off'};"
    if settings.reuse.http_version is not None:
        yield f"proxy_http_version {settings.reuse.http_version};"
    if settings.upgrade:
        yield "proxy_set_header Upgrade $http_upgrade;"
        yield "proxy_set_header Connection $connection_upgrade;"
    elif settings.reuse.connection is not None:
        yield f'proxy_set_header Connection "{settings.reuse.connection}";'
    if settings.streams or settings.buffering is not None:
        yield f"proxy_buffering {'on' if settings.buffering else 'off'};"
    if settings.read_timeout_s is not None:
        yield f"proxy_read_timeout {round(settings.read_timeout_s * 1000)}ms;"
    if settings.gzip_types is not None:
        yield "gzip on;"
        yield f"gzip_types {settings.gzip_types};"
        yield "gzip_proxied any;"
    yield "proxy_set_header Host $http_host;"
    if settings.sources:
        yield "proxy_bind $source;"
