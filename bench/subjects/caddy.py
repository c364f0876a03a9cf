"""Caddy as a subject: its Caddyfile for a trial. It counts no upstream connections of its own."""

import os
from collections.abc import Iterator

from bench.plan.run_plan import ClosesFirst, Mode
from bench.subjects.certificates import CHAIN, KEY
from bench.subjects.configured_proxy import ConfiguredProxy, certificate_files
from bench.subjects.launch import LaunchSpec
from bench.subjects.programs import Program
from bench.subjects.subject import SILENCE_S, SubjectConfig, SupportedProtocols, Unsupported

_CONF = ("--config", "{folder}/Caddyfile", "--adapter", "caddyfile")
_PROTOCOLS = {"2": "h1 h2c", "3": "h1 h2 h3"}
_TLS_PROTOCOLS = {"1.1": "h1", "2": "h1 h2", "3": "h1 h2 h3"}
_HOMES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")


class Caddy(ConfiguredProxy):
    """Starts Caddy; a worker is a core that it may use, and all share one pool."""

    name = "caddy"
    protocols = SupportedProtocols(
        client=("1.1", "2", "3"), upstream=("1.1", "2"), client_tls=True, upstream_tls=True
    )
    has_sources = False
    bounds_requests = False

    def refuse(self, config: SubjectConfig) -> None:
        """Raise Unsupported where no Caddyfile makes it do what is config."""
        super().refuse(config)
        if config.traffic.silence_s < SILENCE_S:
            raise Unsupported(self.name, "traffic.silence_s", "has no timeout for a silent tunnel")
        tls = config.traffic.upstream_tls
        if tls is not None and tls.resumes:
            # Its transport's tls.Config has no ClientSessionCache, without which Go resumes nothing.
            raise Unsupported(
                self.name,
                "subject.upstream_tls_sessions",
                "resumes no TLS session with servers",
                "switch that off with --no-upstream-tls-sessions",
            )

    def launch_spec(self, program: Program, listen: str, config: SubjectConfig) -> LaunchSpec:
        """Return how Caddy is run for one trial."""
        homes = dict.fromkeys(_HOMES, "{folder}")  # where it would write what it did last
        return LaunchSpec(
            program,
            listen,
            files={"Caddyfile": render(config, listen), **certificate_files(config)},
            check=("validate", *_CONF),
            run=("run", *_CONF),
            table="udp" if config.traffic.client_http == "3" else "tcp",
            env={**os.environ, **homes, "GOMAXPROCS": str(config.plan.workers)},
        )


def render(config: SubjectConfig, listen: str) -> str:
    """Return the Caddyfile for one trial."""
    return "\n".join(_lines(config, listen)) + "\n"


def _lines(config: SubjectConfig, listen: str) -> Iterator[str]:
    host, _, port = listen.rpartition(":")
    yield "{"
    yield "\tadmin off"
    yield "\tauto_https off"
    yield "\tpersist_config off"
    yield "\tlog {"
    yield "\t\tlevel ERROR"
    yield "\t}"
    has_tls = config.traffic.client_tls or config.traffic.client_http == "3"
    if has_tls or config.traffic.client_http != "1.1":
        yield "\tservers {"
        yield f"\t\tprotocols {(_TLS_PROTOCOLS if has_tls else _PROTOCOLS)[config.traffic.client_http]}"
        yield "\t}"
    yield "}"
    yield f"{'https' if has_tls else 'http'}://:{port} {{"
    yield f"\tbind {host}"
    if has_tls:
        yield f"\ttls {{folder}}/{CHAIN} {{folder}}/{KEY}"
    scheme = "h2c://" if config.traffic.http2_upstream else ""
    yield f"\treverse_proxy {' '.join(scheme + upstream for upstream in config.upstreams)} {{"
    yield "\t\tlb_policy round_robin"
    if config.traffic.streams:
        # Caddy passes an upgrade on by default, and has no timeout for what comes late; else it collects what
        # has no `Content-Type: text/event-stream`.
        yield "\t\tflush_interval -1"
    yield "\t\ttransport http {"
    yield "\t\t\tcompression off"
    if config.traffic.upstream_tls is not None:  # the server chooses the version
        yield "\t\t\ttls_insecure_skip_verify"
    for line in _keepalive(config):
        yield f"\t\t\t{line}"
    yield "\t\t}"
    yield "\t}"
    yield "}"


def _keepalive(config: SubjectConfig) -> Iterator[str]:
    plan = config.plan
    if config.mode is Mode.SHORT:
        # `keepalive off` sends `Connection: close` too. A pool that may hold less than nothing does not
        # (net/http, Transport.tryPutIdleConn), so that the backend waits and Caddy closes.
        yield (
            "keepalive off"
            if config.closes_first is ClosesFirst.BACKEND
            else "keepalive_idle_conns_per_host -1"
        )
        return
    yield f"keepalive {round(plan.pool_idle_timeout_s * 1000)}ms"
    yield f"keepalive_idle_conns_per_host {config.pool_idle}"
    most = _most(config)
    if most is not None:
        yield f"max_conns_per_host {most}"


def _most(config: SubjectConfig) -> int | None:
    """Return the most connections that Caddy may open to each server; None for no limit.

    Go's transport passes a response on before its connection is back in the pool: a client whose next
    request is quick finds none there and opens another, though its first one comes back before that one is up
    (net/http, Transport.queueForDial). With as many connections as clients allowed, it waits for the one
    that comes back. A pool for fewer than there are clients, or exchanges that last, want no such limit.
    """
    if config.plan.pool_max is not None:
        return config.plan.pool_max
    is_enough = config.pool_idle >= config.clients and not config.traffic.lasts
    return config.clients if is_enough else None
