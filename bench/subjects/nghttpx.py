"""nghttpx as a subject: its configuration for a trial. It tells of no upstream connections of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from bench.errors import PlanError
from bench.lab import Host
from bench.plan import Mode
from bench.subjects import programs
from bench.subjects.launch import Launched, Recipe, launch, listen_address
from bench.subjects.subject import Asked, check_http

_H2_STREAMS = 100
"""What nghttpx allows at a time on one HTTP/2 connection by default."""


class Nghttpx:
    """Starts nghttpx; its workers are threads, each with a pool of its own."""

    def check(self, asked: Asked) -> None:
        """Raise PlanError where there is no nghttpx, or it cannot do what is asked."""
        programs.find("nghttpx", asked.plan.program)
        _refuse(asked)

    def start(self, host: Host, cpus: set[int] | None, asked: Asked) -> Launched:
        """Start nghttpx on `host`; RoleError when it refuses its configuration or does not come up."""
        program = programs.find("nghttpx", asked.plan.program)
        listen = listen_address(host)
        recipe = Recipe(
            program,
            listen,
            files={"nghttpx.conf": conf(asked, listen)},
            check=(),  # it has none: what it does not understand ends it before it listens
            run=("--conf={folder}/nghttpx.conf",),
            reload=signal.SIGHUP,
        )
        return launch(host, cpus, recipe)


def conf(asked: Asked, listen: str) -> str:
    """Return the configuration for one trial; PlanError where nghttpx cannot do what is asked."""
    _refuse(asked)
    return "\n".join(_lines(asked, listen)) + "\n"


def _refuse(asked: Asked) -> None:
    check_http("nghttpx", asked.carries, ("1.1", "2"), http2_upstream=True)
    plan = asked.plan
    if asked.mode is Mode.SHORT:
        # Asked to close with `add-request-header`, the backend does, but nghttpx then ends the client's
        # connection as well: both hops would change where one is to be compared.
        raise PlanError(
            "mode: nghttpx has no way to close an upstream connection and keep the client's;"
            " use --mode keepalive"
        )
    if plan.requests_per_connection is not None:
        raise PlanError(
            "subject.requests_per_connection: nghttpx does not bound it; leave it out,"
            " or let the backend close with --backend-requests"
        )
    if plan.pool_idle is not None:
        raise PlanError("subject.pool_idle: nghttpx keeps every connection that is idle; leave it out")
    if plan.pool_max is not None:
        raise PlanError("subject.pool_max: nghttpx bounds connections for each client only; leave it out")
    if plan.upstream_http != "1.1":
        raise PlanError(f"subject.upstream_http = {plan.upstream_http}: nghttpx sends 1.1 only")
    if len(asked.sources) > 1:
        raise PlanError(
            "hosts.proxy_addresses: nghttpx's connections leave from one address only; leave it out,"
            " or use more destinations with --backends"
        )


def _lines(asked: Asked, listen: str) -> Iterator[str]:
    yield f"frontend={_address(listen)};no-tls"
    proto = ";;proto=h2" if asked.carries.http2_upstream else ""
    for upstream in asked.upstreams:
        yield f"backend={_address(upstream)}{proto}"
    yield f"workers={asked.plan.workers}"
    yield "backend-connect-timeout=5s"
    yield f"backend-keep-alive-timeout={_ms(asked.plan.pool_idle_timeout_s)}"
    yield f"frontend-http2-max-concurrent-streams={max(asked.clients, _H2_STREAMS)}"
    if asked.carries.lasts:
        # It passes an upgrade on, and streams, unasked; only silence ends them.
        silence = _ms(asked.carries.silence_s)
        yield f"frontend-read-timeout={silence}"
        yield f"frontend-http2-read-timeout={silence}"
        yield f"backend-read-timeout={silence}"


def _address(address: str) -> str:
    """Return HOST:PORT as nghttpx writes it."""
    return ",".join(address.rsplit(":", 1))


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
