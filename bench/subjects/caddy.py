"""Caddy as a subject: its Caddyfile for a trial. It counts no upstream connections of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bench.errors import PlanError
from bench.lab import Host
from bench.plan import Closer, Mode
from bench.subjects import programs
from bench.subjects.launch import Launched, Recipe, launch, listen_address
from bench.subjects.subject import SILENCE_S, Asked, check_http

_CONF = ("--config", "{folder}/Caddyfile", "--adapter", "caddyfile")
_CHAIN, _KEY = "certificate.pem", "key.pem"
_PROTOCOLS = {"2": "h1 h2c", "3": "h1 h2 h3"}
_HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


class Caddy:
    """Starts Caddy; a worker is a core that it may use, and all share one pool."""

    def check(self, asked: Asked) -> None:
        """Raise PlanError where there is no Caddy, or it cannot do what is asked."""
        programs.find("caddy", asked.plan.program)
        _refuse(asked)

    def start(self, host: Host, cpus: set[int] | None, asked: Asked) -> Launched:
        """Start Caddy on `host`; RoleError when it refuses its configuration or does not come up."""
        program = programs.find("caddy", asked.plan.program)
        listen = listen_address(host)
        homes = dict.fromkeys(_HOMES, "{folder}")  # where it would write what it did last
        recipe = Recipe(
            program,
            listen,
            files={"Caddyfile": conf(asked, listen), **_certificate(asked)},
            check=("validate", *_CONF),
            run=("run", *_CONF),
            table="udp" if asked.carries.client_http == "3" else "tcp",
            env={**os.environ, **homes, "GOMAXPROCS": str(asked.plan.workers)},
        )
        return launch(host, cpus, recipe)


def conf(asked: Asked, listen: str) -> str:
    """Return the Caddyfile for one trial; PlanError where Caddy cannot do what is asked."""
    _refuse(asked)
    return "\n".join(_lines(asked, listen)) + "\n"


def _certificate(asked: Asked) -> dict[str, str]:
    shown = asked.carries.certificate
    return {} if shown is None else {_CHAIN: shown.chain, _KEY: shown.key}


def _refuse(asked: Asked) -> None:
    check_http("caddy", asked.carries, ("1.1", "2", "3"), http2_upstream=True)
    if asked.plan.requests_per_connection is not None:
        raise PlanError(
            "subject.requests_per_connection: caddy does not bound it; leave it out,"
            " or let the backend close with --backend-requests"
        )
    if asked.carries.silence_s < SILENCE_S:
        raise PlanError("carries.silence_s: caddy has no timeout for a silent tunnel; leave it out")
    if asked.plan.upstream_http != "1.1":
        raise PlanError(f"subject.upstream_http = {asked.plan.upstream_http}: caddy sends 1.1 only")
    if len(asked.sources) > 1:
        raise PlanError(
            "hosts.proxy_addresses: caddy's connections leave from one address only; leave it out,"
            " or use more destinations with --backends"
        )


def _lines(asked: Asked, listen: str) -> Iterator[str]:
    host, _, port = listen.rpartition(":")
    yield "{"
    yield "\tadmin off"
    yield "\tauto_https off"
    yield "\tpersist_config off"
    yield "\tlog {"
    yield "\t\tlevel ERROR"
    yield "\t}"
    if asked.carries.client_http != "1.1":
        yield "\tservers {"
        yield f"\t\tprotocols {_PROTOCOLS[asked.carries.client_http]}"
        yield "\t}"
    yield "}"
    yield f"{'https' if asked.carries.client_http == '3' else 'http'}://:{port} {{"
    yield f"\tbind {host}"
    if asked.carries.client_http == "3":
        yield f"\ttls {{folder}}/{_CHAIN} {{folder}}/{_KEY}"
    scheme = "h2c://" if asked.carries.http2_upstream else ""
    yield f"\treverse_proxy {' '.join(scheme + upstream for upstream in asked.upstreams)} {{"
    yield "\t\tlb_policy round_robin"
    if asked.carries.streams:
        # Caddy passes an upgrade on unasked, and has no timeout for what comes late; else it collects what
        # has no `Content-Type: text/event-stream`.
        yield "\t\tflush_interval -1"
    yield "\t\ttransport http {"
    yield "\t\t\tcompression off"
    for line in _keepalive(asked):
        yield f"\t\t\t{line}"
    yield "\t\t}"
    yield "\t}"
    yield "}"


def _keepalive(asked: Asked) -> Iterator[str]:
    plan = asked.plan
    if asked.mode is Mode.SHORT:
        # `keepalive off` sends `Connection: close` too. A pool that may hold less than nothing does not
        # (net/http, Transport.tryPutIdleConn), so that the backend waits and Caddy closes.
        yield "keepalive off" if asked.closer is Closer.BACKEND else "keepalive_idle_conns_per_host -1"
        return
    yield f"keepalive {round(plan.pool_idle_timeout_s * 1000)}ms"
    yield f"keepalive_idle_conns_per_host {asked.pool_idle}"
    most = _most(asked)
    if most is not None:
        yield f"max_conns_per_host {most}"


def _most(asked: Asked) -> int | None:
    """Return the most connections that Caddy may open to each server; None for no limit.

    Go's transport hands a response on before its connection is back in the pool: a client that is quick to
    ask again finds none there and opens another, though the one it had comes back before that one is up
    (net/http, Transport.queueForDial). With as many connections as clients allowed, it waits for the one
    that comes back. A pool for fewer than there are clients, or exchanges that last, want no such limit.
    """
    if asked.plan.pool_max is not None:
        return asked.plan.pool_max
    is_enough = asked.pool_idle >= asked.clients and not asked.carries.lasts
    return asked.clients if is_enough else None
