"""Caddy as a subject: its Caddyfile for a trial. It counts no upstream connections of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator

from bench.plan.run_plan import ClosesFirst, Mode
from bench.subjects.configured_proxy import CHAIN, KEY, ConfiguredProxy, certificate
from bench.subjects.launch import LaunchSpec
from bench.subjects.programs import Program
from bench.subjects.subject import SILENCE_S, SubjectConfig, SupportedProtocols, Unsupported

_CONF = ("--config", "{folder}/Caddyfile", "--adapter", "caddyfile")
_PROTOCOLS = {"2": "h1 h2c", "3": "h1 h2 h3"}
_HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


class Caddy(ConfiguredProxy):
    """Starts Caddy; a worker is a core that it may use, and all share one pool."""

    name = "caddy"
    speaks = SupportedProtocols(client=("1.1", "2", "3"), upstream=("1.1", "2"), upstream_tls=True)
    has_sources = False
    bounds_requests = False

    def refuse(self, asked: SubjectConfig) -> None:
        """Raise Unsupported where no Caddyfile makes it do what is asked."""
        super().refuse(asked)
        if asked.traffic.silence_s < SILENCE_S:
            raise Unsupported(self.name, "traffic.silence_s", "has no timeout for a silent tunnel")
        tls = asked.traffic.upstream_tls
        if tls is not None and tls.resumes:
            # Its transport's tls.Config has no ClientSessionCache, without which Go resumes nothing.
            raise Unsupported(self.name, "traffic.upstream_tls", "resumes no TLS session with servers")

    def recipe(self, program: Program, listen: str, asked: SubjectConfig) -> LaunchSpec:
        """Return how Caddy is run for one trial."""
        homes = dict.fromkeys(_HOMES, "{folder}")  # where it would write what it did last
        return LaunchSpec(
            program,
            listen,
            files={"Caddyfile": conf(asked, listen), **certificate(asked.traffic.certificate)},
            check=("validate", *_CONF),
            run=("run", *_CONF),
            table="udp" if asked.traffic.client_http == "3" else "tcp",
            env={**os.environ, **homes, "GOMAXPROCS": str(asked.plan.workers)},
        )


def conf(asked: SubjectConfig, listen: str) -> str:
    """Return the Caddyfile for one trial."""
    return "\n".join(_lines(asked, listen)) + "\n"


def _lines(asked: SubjectConfig, listen: str) -> Iterator[str]:
    host, _, port = listen.rpartition(":")
    yield "{"
    yield "\tadmin off"
    yield "\tauto_https off"
    yield "\tpersist_config off"
    yield "\tlog {"
    yield "\t\tlevel ERROR"
    yield "\t}"
    if asked.traffic.client_http != "1.1":
        yield "\tservers {"
        yield f"\t\tprotocols {_PROTOCOLS[asked.traffic.client_http]}"
        yield "\t}"
    yield "}"
    yield f"{'https' if asked.traffic.client_http == '3' else 'http'}://:{port} {{"
    yield f"\tbind {host}"
    if asked.traffic.client_http == "3":
        yield f"\ttls {{folder}}/{CHAIN} {{folder}}/{KEY}"
    scheme = "h2c://" if asked.traffic.http2_upstream else ""
    yield f"\treverse_proxy {' '.join(scheme + upstream for upstream in asked.upstreams)} {{"
    yield "\t\tlb_policy round_robin"
    if asked.traffic.streams:
        # Caddy passes an upgrade on unasked, and has no timeout for what comes late; else it collects what
        # has no `Content-Type: text/event-stream`.
        yield "\t\tflush_interval -1"
    yield "\t\ttransport http {"
    yield "\t\t\tcompression off"
    if asked.traffic.upstream_tls is not None:  # in which version is the server's to say
        yield "\t\t\ttls_insecure_skip_verify"
    for line in _keepalive(asked):
        yield f"\t\t\t{line}"
    yield "\t\t}"
    yield "\t}"
    yield "}"


def _keepalive(asked: SubjectConfig) -> Iterator[str]:
    plan = asked.plan
    if asked.mode is Mode.SHORT:
        # `keepalive off` sends `Connection: close` too. A pool that may hold less than nothing does not
        # (net/http, Transport.tryPutIdleConn), so that the backend waits and Caddy closes.
        yield (
            "keepalive off"
            if asked.closes_first is ClosesFirst.BACKEND
            else "keepalive_idle_conns_per_host -1"
        )
        return
    yield f"keepalive {round(plan.pool_idle_timeout_s * 1000)}ms"
    yield f"keepalive_idle_conns_per_host {asked.pool_idle}"
    most = _most(asked)
    if most is not None:
        yield f"max_conns_per_host {most}"


def _most(asked: SubjectConfig) -> int | None:
    """Return the most connections that Caddy may open to each server; None for no limit.

    Go's transport hands a response on before its connection is back in the pool: a client that is quick to
    ask again finds none there and opens another, though the one it had comes back before that one is up
    (net/http, Transport.queueForDial). With as many connections as clients allowed, it waits for the one
    that comes back. A pool for fewer than there are clients, or exchanges that last, want no such limit.
    """
    if asked.plan.pool_max is not None:
        return asked.plan.pool_max
    is_enough = asked.pool_idle >= asked.clients and not asked.traffic.lasts
    return asked.clients if is_enough else None
