"""Say what a proxy in front of a probed server must be told, so that no request meets a closing connection.

The idle race: the server ends an idle connection while the proxy sends a request over it. It cannot happen
where the proxy ends the connection first. Pure.

Sources: nginx, ngx_http_upstream_module (keepalive_timeout, keepalive_requests); HAProxy, configuration.txt
(pool-purge-delay, retry-on) and src/server.c (srv_cleanup_idle_conns); Envoy, HttpProtocolOptions
(idle_timeout, max_requests_per_connection); Caddy, reverse_proxy (transport http: keepalive).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypedDict

from bench import units
from bench.probe.model import Ending, IdleTimeout, KeepAliveCase, ProbeJson, ProbeResult
from nginx.idle_times import format_time, safe_idle_s

TOO_SHORT_S = 0.1
"""Hardly any request follows sooner, so a pool that ends connections by then reuses nothing."""
# How long each proxy keeps an idle upstream connection by default, by the documents named above.
_NGINX_S, _ENVOY_S, _CADDY_S = 60.0, 3600.0, 120.0
_NGINX_REQUESTS = 1000
_HAPROXY_DELAY_S = 5.0
PURGES = 16
"""So often HAProxy looks until a pool of up to 1,000 connections that nobody uses any more is empty.

It keeps as many as it estimates to need, an estimate that each look halves, and closes half of the others.
"""
_OLD_NGINX = " These limits exist since 1.15.3: an older nginx keeps connections for ever."
_ENVOY_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_ENVOY_HTTP = (
    "typed_extension_protocol_options:",
    f"  {_ENVOY_OPTIONS}:",
    f'    "@type": type.googleapis.com/{_ENVOY_OPTIONS}',
    "    explicit_http_config: { http_protocol_options: {} }",
    "    common_http_protocol_options:",
)
"""Where a cluster of Envoy has the options of its connections."""


class AdviceJson(TypedDict):
    """The JSON of an Advice."""

    proxy: str
    lines: list[str]
    why: str


class AdvisedProbeJson(ProbeJson):
    """What `bench probe --json` prints."""

    advice: list[AdviceJson]


@dataclass(frozen=True, slots=True)
class Advice:
    """What one proxy must be told."""

    proxy: str
    lines: tuple[str, ...]
    """Text of its configuration; none where what it does by default is right."""
    why: str
    """One sentence or more."""

    def to_json(self) -> AdviceJson:
        """Return the advice as plain values."""
        return {"proxy": self.proxy, "lines": list(self.lines), "why": self.why}


@dataclass(frozen=True, slots=True)
class _Server:
    """What the advice goes by."""

    address: str
    idle: IdleTimeout
    safe_s: float
    """How long a proxy may keep a connection."""
    requests: int | None
    """After how many it ends a connection without saying so; None: it does not."""

    @property
    def first_end(self) -> str:
        """When it ends the first of its connections, in words."""
        if self.idle.ending is Ending.SILENCE:
            return f"something drops it in silence after {self.idle.low_s:.3g} s"
        if self.idle.is_known:
            return f"the server ends it after {self.idle.low_s:.3g} s at the earliest"
        return f"the probe saw no end within {self.idle.low_s:.3g} s"

    def why(self, name: str, end_s: float) -> str:
        """Return why a proxy that ends connections after `end_s` idle seconds is right."""
        return f"{name} ends an idle connection after {end_s:g} s, and {self.first_end}."

    @property
    def remedy(self) -> str:
        """What allows for a longer time, where that is not known to be the longest."""
        return "" if self.idle.is_known else " A probe with a longer --max may allow for more."


def advise(found: ProbeResult) -> tuple[Advice, ...]:
    """Return what nginx, HAProxy, Envoy and Caddy must be told about the probed server."""
    address = format_address(found.host, found.port)
    if not keeps_connections(found):
        return _without_pool(address, _closing_words(found), is_needed=not _says_close(found))
    if found.idle is None:
        return _without_pool(address, _short_words(IdleTimeout(0.0, None)))
    safe_s = safe_idle_s(found.idle.low_s, spread_s(found.idle))
    if safe_s < TOO_SHORT_S:
        return _without_pool(address, _short_words(found.idle))
    # A proxy obeys a last response that says `Connection: close`, and needs no limit of its own.
    requests = None if found.max_requests_announced else found.max_requests
    server = _Server(address, found.idle, safe_s, requests)
    return _nginx(server), _haproxy(server), _envoy(server), _caddy(server)


def to_json(found: ProbeResult) -> AdvisedProbeJson:
    """Return the result of a probe, with what proxies must be told, as plain values."""
    return {**found.to_json(), "advice": [each.to_json() for each in advise(found)]}


def format_address(host: str, port: int) -> str:
    """Return HOST:PORT as the configurations of proxies have it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def keeps_connections(found: ProbeResult) -> bool:
    """Return whether the server keeps a connection after an ordinary request, as proxies send it."""
    first = _first_case(found)
    return first is not None and bool(first.kept)


def _first_case(found: ProbeResult) -> KeepAliveCase | None:
    """Return the case of an ordinary GET over HTTP/1.1."""
    return next((case for case in found.cases if case.kept is not None), None)


def spread_s(idle: IdleTimeout) -> float:
    """Return by how many seconds the idle times of single connections differed."""
    return max(idle.seen_s) - min(idle.seen_s) if idle.seen_s else 0.0


# A pool


def _nginx(server: _Server) -> Advice:
    limits = []
    if server.safe_s < _NGINX_S:
        limits.append(f"keepalive_timeout {format_time(server.safe_s)};")
    if server.requests is not None and server.requests < _NGINX_REQUESTS:
        limits.append(f"keepalive_requests {server.requests};")
    block = (
        "upstream backend {",
        f"    server {server.address};",
        "    keepalive 32;",
        *(f"    {line}" for line in limits),
        "}",
    )
    why = server.why("nginx", min(server.safe_s, _NGINX_S))
    why += _OLD_NGINX if limits else " That is its default."
    return Advice("nginx", block if limits else (), why + _requests_words(server) + server.remedy)


def _haproxy(server: _Server) -> Advice:
    delay_s = purge_delay_s(server.safe_s)
    is_needed = delay_s < _HAPROXY_DELAY_S
    delay = f" pool-purge-delay {format_time(delay_s)}" if is_needed else ""
    lines = (
        "backend app",
        "    retry-on conn-failure empty-response",
        "    http-request disable-l7-retry unless METH_GET",
        f"    server app1 {server.address}{delay}",
    )
    why = (
        "HAProxy has no idle timeout for a server connection. Each pool-purge-delay it closes half of those "
        f"beyond its recent need: after {PURGES} of them, {min(delay_s, _HAPROXY_DELAY_S) * PURGES:g} s, "
        f"none is left that nobody uses, and {server.first_end}. A GET that meets an end all the same is "
        "repeated by retry-on, up to `retries` times (3); it must not repeat a POST."
    )
    return Advice("HAProxy", lines, why + server.remedy)


def purge_delay_s(safe_s: float) -> float:
    """Return HAProxy's pool-purge-delay with which connections that nobody uses end within `safe_s`."""
    return max(1, int(safe_s / PURGES * 1000)) / 1000


def _envoy(server: _Server) -> Advice:
    limits = []
    if server.safe_s < _ENVOY_S:
        limits.append(f"idle_timeout: {server.safe_s:g}s")
    if server.requests is not None:
        limits.append(f"max_requests_per_connection: {server.requests}")
    lines = (*_ENVOY_HTTP, *(f"      {line}" for line in limits))
    why = server.why("Envoy", min(server.safe_s, _ENVOY_S))
    why += " These lines belong into the cluster." if limits else " That is its default."
    return Advice("Envoy", lines if limits else (), why + _requests_words(server) + server.remedy)


def _caddy(server: _Server) -> Advice:
    is_needed = server.safe_s < _CADDY_S
    lines = (
        f"reverse_proxy {server.address} {{",
        "    transport http {",
        f"        keepalive {format_time(server.safe_s)}",
        "    }",
        "}",
    )
    why = server.why("Caddy", min(server.safe_s, _CADDY_S))
    why += "" if is_needed else " That is its default."
    if server.requests is not None:
        why += _requests_words(server) + " Caddy cannot limit them: a POST that meets that end fails."
    return Advice("Caddy", lines if is_needed else (), why + server.remedy)


def _requests_words(server: _Server) -> str:
    if server.requests is None:
        return ""
    return (
        f" The server ends a connection after {units.plural(server.requests, 'request')} without saying so."
    )


# No pool


def _without_pool(address: str, words: Callable[[str], str], *, is_needed: bool = True) -> tuple[Advice, ...]:
    """Return how each proxy is kept from pooling connections to a server that ends them at once."""
    blocks = {
        "nginx": ("upstream backend {", f"    server {address};", "    keepalive_requests 1;", "}"),
        "HAProxy": ("backend app", "    option http-server-close", f"    server app1 {address}"),
        "Envoy": (*_ENVOY_HTTP, "      max_requests_per_connection: 1"),
        "Caddy": (
            f"reverse_proxy {address} {{",
            "    transport http {",
            "        keepalive off",
            "    }",
            "}",
        ),
    }
    how = {
        "nginx": "let nginx send one request over each connection (since 1.29.7 it has a pool by default)",
        "HAProxy": "let HAProxy end each connection after one response",
        "Envoy": "let Envoy send one request over each connection",
        "Caddy": "turn Caddy's pool off",
    }
    return tuple(
        Advice(proxy, lines if is_needed else (), words(how[proxy])) for proxy, lines in blocks.items()
    )


def _says_close(found: ProbeResult) -> bool:
    """Return whether the server announces the end after an ordinary request."""
    first = _first_case(found)
    return first is not None and first.announced


def _closing_words(found: ProbeResult) -> Callable[[str], str]:
    """Return the words about a server that closes after each response."""
    text = "The server ends each connection after one response"
    if _says_close(found):
        obeyed = f"{text} and says so (`Connection: close`). The proxy obeys: there is no race, and no reuse."
        return lambda _how: f"{obeyed} Turn keep-alive on in the server."
    silent = f"{text} without saying so: the next request over that connection meets its end."
    return lambda how: f"{silent} Turn keep-alive on in the server; until then {how}."


def _short_words(idle: IdleTimeout) -> Callable[[str], str]:
    """Return the words about a server whose idle time leaves none for a pool, or is not known at all."""
    time = f"{idle.low_s:.2g} s"
    if not idle.is_known:
        said = "How long the server keeps an idle connection did not show: probe again, with a longer --max"
    elif idle.ending is Ending.SILENCE:
        said = f"Something drops idle connections in silence after {time}: raise that time"
    else:
        said = f"The server may end a connection after {time} without a request: raise its idle timeout"
    return lambda how: f"{said}. A pool would reuse next to nothing; until then {how}."
