"""nghttpx as a subject: its configuration for a trial. It tells of no upstream connections of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from bench.plan.run_plan import Mode
from bench.subjects.configured_proxy import ConfiguredProxy
from bench.subjects.launch import LaunchSpec
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectConfig, SupportedProtocols, Unsupported

_H2_STREAMS = 100
"""What nghttpx allows at a time on one HTTP/2 connection by default."""


class Nghttpx(ConfiguredProxy):
    """Starts nghttpx; its workers are threads, each with a pool of its own."""

    name = "nghttpx"
    speaks = SupportedProtocols(client=("1.1", "2"), upstream=("1.1", "2"))
    has_sources = False
    bounds_requests = False

    def refuse(self, asked: SubjectConfig) -> None:
        """Raise Unsupported where no configuration makes it do what is asked."""
        super().refuse(asked)
        if asked.mode is Mode.SHORT:
            # Asked to close with `add-request-header`, the backend does, but nghttpx then ends the client's
            # connection as well: both hops would change where one is to be compared.
            said = "has no way to close an upstream connection and keep the client's"
            raise Unsupported(self.name, "mode", said, "use --mode keepalive")
        if asked.plan.pool_idle is not None:
            raise Unsupported(self.name, "subject.pool_idle", "keeps every connection that is idle")
        if asked.plan.pool_max is not None:
            raise Unsupported(self.name, "subject.pool_max", "bounds connections for each client only")

    def recipe(self, program: Program, listen: str, asked: SubjectConfig) -> LaunchSpec:
        """Return how nghttpx is run for one trial."""
        return LaunchSpec(
            program,
            listen,
            files={"nghttpx.conf": conf(asked, listen)},
            check=(),  # it has none: what it does not understand ends it before it listens
            run=("--conf={folder}/nghttpx.conf",),
            reload=signal.SIGHUP,
        )


def conf(asked: SubjectConfig, listen: str) -> str:
    """Return the configuration for one trial."""
    return "\n".join(_lines(asked, listen)) + "\n"


def _lines(asked: SubjectConfig, listen: str) -> Iterator[str]:
    yield f"frontend={_address(listen)};no-tls"
    proto = ";;proto=h2" if asked.traffic.http2_upstream else ""
    for upstream in asked.upstreams:
        yield f"backend={_address(upstream)}{proto}"
    yield f"workers={asked.plan.workers}"
    yield "backend-connect-timeout=5s"
    yield f"backend-keep-alive-timeout={_ms(asked.plan.pool_idle_timeout_s)}"
    yield f"frontend-http2-max-concurrent-streams={max(asked.clients, _H2_STREAMS)}"
    if asked.traffic.lasts:
        # It passes an upgrade on, and streams, unasked; only silence ends them.
        silence = _ms(asked.traffic.silence_s)
        yield f"frontend-read-timeout={silence}"
        yield f"frontend-http2-read-timeout={silence}"
        yield f"backend-read-timeout={silence}"


def _address(address: str) -> str:
    """Return HOST:PORT as nghttpx writes it."""
    return ",".join(address.rsplit(":", 1))


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
