"""The built-in proxy as a subject: `python -m proxy` in both modes."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.errors import RoleError
from bench.lab import Host, Process
from bench.lab.role_process import COUNT_TIMEOUT_S, GRACE_S, READY_TIMEOUT_S, Event
from bench.subjects.certificates import CHAIN, KEY, write_files
from bench.subjects.subject import (
    SPARE_CLIENTS,
    SPARE_FDS,
    RunningSubject,
    SubjectConfig,
    SubjectCounts,
    SupportedProtocols,
)

_PROTOCOLS = SupportedProtocols(
    client=("1.1", "2"), upstream=("1.0", "1.1"), client_tls=True, upstream_tls=True
)
_AUTHORITY = "authority.pem"


class AsyncioProxy:
    """Starts the built-in proxy."""

    def check(self, config: SubjectConfig) -> None:
        """Raise Unsupported for versions of HTTP that it does not speak; it was made for all the rest."""
        _PROTOCOLS.check("asyncio", config)

    def start(self, host: Host, cpus: set[int] | None, config: SubjectConfig) -> RunningSubject:
        """Start the proxy on `host`; RoleError when it does not come up."""
        tls_flags = list(_tls_flags(host, config))

        def run(listen: str) -> tuple[Process, Event]:
            argv = [sys.executable, "-m", "proxy", *flags(config, listen), *tls_flags]
            process = host.start(argv, name="proxy", cpus=cpus)
            return process, process.wait_event("ready", READY_TIMEOUT_S)

        process, ready = run(f"{host.front}:{host.listen_port}")
        version = f"{ready['version']} on {ready['loop']}, Python {ready['python']}"
        return _RunningProxy(run, process, address=ready["listen"][0], version=version, pid=process.pid)


@dataclass(slots=True)
class _RunningProxy:
    run: Callable[[str], tuple[Process, Event]]
    process: Process
    address: str
    version: str
    pid: int | None
    has_restarted: bool = False

    def count(self) -> SubjectCounts:
        if self.has_restarted:
            return SubjectCounts()
        self.process.send({"command": "count"})
        return SubjectCounts.from_event(self.process.wait_event("count", COUNT_TIMEOUT_S))

    def stop(self) -> None:
        self.process.stop()

    def restart(self) -> None:
        self.process.kill()
        self.process, _ = self.run(self.address)
        self.pid, self.has_restarted = self.process.pid, True

    def reload(self) -> None:
        raise RoleError("proxy", "reads no configuration anew; restart it")


def _tls_flags(host: Host, config: SubjectConfig) -> Iterator[str]:
    """Yield the arguments of TLS on both hops, and write the files that they name."""
    shown, upstream = config.traffic.certificate, config.traffic.upstream_tls
    if shown is not None:
        folder = write_files(host, "proxy-tls", shown.files)
        yield from ("--tls-cert", str(folder / CHAIN), "--tls-key", str(folder / KEY))
    if upstream is None:
        return
    yield "--upstream-tls"
    if not upstream.resumes:
        yield "--no-upstream-tls-sessions"
    if upstream.authority is None:
        yield "--upstream-insecure"
    else:
        folder = write_files(host, "proxy-upstream-tls", {_AUTHORITY: upstream.authority})
        yield from ("--upstream-cacert", str(folder / _AUTHORITY))


def flags(config: SubjectConfig, listen: str) -> Iterator[str]:
    """Yield the arguments of the proxy, which listens on `listen`."""
    plan = config.plan
    yield from ("--control", "--listen", listen, "--mode", config.mode, "--closes-first", config.closes_first)
    yield from ("--upstream-http", plan.upstream_http, "--workers", str(plan.workers))
    yield from ("--pool-idle", str(config.pool_idle), "--pool-idle-timeout", str(plan.pool_idle_timeout_s))
    if config.traffic.client_http == "2":
        yield "--http2"
    for upstream in config.upstreams:
        yield from ("--upstream", upstream)
    for source in config.sources:
        yield from ("--source", source)
    # By default the proxy bounds both, and needs file descriptors for as many.
    yield from ("--max-clients", str(config.clients + SPARE_CLIENTS))
    yield from ("--pool-max", str(config.clients + SPARE_FDS if plan.pool_max is None else plan.pool_max))
    # So that its last event is there before the lab kills it.
    yield from ("--drain-timeout", str(GRACE_S / 2))
    if config.traffic.lasts:
        silence = str(config.traffic.silence_s)
        yield from ("--read-timeout", silence, "--tunnel-timeout", silence)
    if plan.requests_per_connection is not None:
        yield from ("--requests-per-connection", str(plan.requests_per_connection))
