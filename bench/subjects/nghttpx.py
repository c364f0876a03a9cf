"""nghttpx as a subject: its configuration for a trial. It counts no upstream connections of its own."""

import signal
from collections.abc import Iterator

from bench.plan.run_plan import Mode
from bench.subjects.certificates import CHAIN, KEY
from bench.subjects.configured_proxy import ConfiguredProxy, certificate_files
from bench.subjects.launch import LaunchSpec
from bench.subjects.programs import Program
from bench.subjects.subject import SubjectConfig, SupportedProtocols, Unsupported

_H2_STREAMS = 100
"""What nghttpx allows at a time on one HTTP/2 connection by default."""


class Nghttpx(ConfiguredProxy):
    """Starts nghttpx; its workers are threads, each with a pool of its own."""

    name = "nghttpx"
    protocols = SupportedProtocols(client=("1.1", "2"), upstream=("1.1", "2"), client_tls=True)
    has_sources = False
    bounds_requests = False

    def refuse(self, config: SubjectConfig) -> None:
        """Raise Unsupported where no configuration makes it do what is config."""
        super().refuse(config)
        if config.mode is Mode.SHORT:
            # Asked to close with `add-request-header`, the backend does, but nghttpx then ends the client's
            # connection as well: both hops would change where one is to be compared.
            reason = "has no way to close an upstream connection and keep the client's"
            raise Unsupported(self.name, "mode", reason, "use --mode keepalive")
        if config.plan.pool_idle is not None:
            raise Unsupported(self.name, "subject.pool_idle", "keeps every connection that is idle")
        if config.plan.pool_max is not None:
            raise Unsupported(self.name, "subject.pool_max", "bounds connections for each client only")

    def launch_spec(self, program: Program, listen: str, config: SubjectConfig) -> LaunchSpec:
        """Return how nghttpx is run for one trial."""
        return LaunchSpec(
            program,
            listen,
            files={"nghttpx.conf": render(config, listen), **certificate_files(config)},
            check=(),  # it has none: what it does not understand ends it before it listens
            run=("--conf={folder}/nghttpx.conf",),
            reload=signal.SIGHUP,
        )


def render(config: SubjectConfig, listen: str) -> str:
    """Return the configuration for one trial."""
    return "\n".join(_lines(config, listen)) + "\n"


def _lines(config: SubjectConfig, listen: str) -> Iterator[str]:
    if config.traffic.client_tls:
        yield f"frontend={_address(listen)}"
        yield f"certificate-file={{folder}}/{CHAIN}"
        yield f"private-key-file={{folder}}/{KEY}"
    else:
        yield f"frontend={_address(listen)};no-tls"
    proto = ";;proto=h2" if config.traffic.http2_upstream else ""
    for upstream in config.upstreams:
        yield f"backend={_address(upstream)}{proto}"
    yield f"workers={config.plan.workers}"
    yield "backend-connect-timeout=5s"
    yield f"backend-keep-alive-timeout={_ms(config.plan.pool_idle_timeout_s)}"
    yield f"frontend-http2-max-concurrent-streams={max(config.clients, _H2_STREAMS)}"
    if config.traffic.lasts:
        # It passes an upgrade on, and streams, by default; only silence ends them.
        silence = _ms(config.traffic.silence_s)
        yield f"frontend-read-timeout={silence}"
        yield f"frontend-http2-read-timeout={silence}"
        yield f"backend-read-timeout={silence}"


def _address(address: str) -> str:
    """Return HOST:PORT as nghttpx writes it."""
    return ",".join(address.rsplit(":", 1))


def _ms(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"
