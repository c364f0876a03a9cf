"""The built-in proxy as a subject: `python -m proxy` in both modes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.errors import RoleError
from bench.lab import Host, Process
from bench.lab.role_process import Event
from bench.subjects.subject import (
    SPARE_CLIENTS,
    SPARE_FDS,
    RunningSubject,
    SubjectConfig,
    SubjectCounts,
    SupportedProtocols,
)

READY_TIMEOUT_S = 30.0
COUNT_TIMEOUT_S = 10.0
_SPEAKS = SupportedProtocols(upstream=("1.0", "1.1"))


class AsyncioProxy:
    """Starts the built-in proxy."""

    def check(self, asked: SubjectConfig) -> None:
        """Raise CannotDo for what is not HTTP/1; else accept everything: the proxy was made for it."""
        _SPEAKS.check("asyncio", asked)

    def start(self, host: Host, cpus: set[int] | None, asked: SubjectConfig) -> RunningSubject:
        """Start the proxy on `host`; RoleError when it does not come up."""

        def run(listen: str) -> tuple[Process, Event]:
            argv = [sys.executable, "-m", "proxy", *_flags(asked, listen)]
            process = host.start(argv, name="proxy", cpus=cpus)
            return process, process.wait_event("ready", READY_TIMEOUT_S)

        process, ready = run(f"{host.front}:{host.listen_port}")
        return _Running(run, process, address=ready["listen"][0], version=ready["version"], pid=process.pid)


@dataclass(slots=True)
class _Running:
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


def _flags(asked: SubjectConfig, listen: str) -> Iterator[str]:
    plan = asked.plan
    yield from ("--control", "--listen", listen, "--mode", asked.mode, "--closes-first", asked.closes_first)
    yield from ("--upstream-http", plan.upstream_http, "--workers", str(plan.workers))
    yield from ("--pool-idle", str(asked.pool_idle), "--pool-idle-timeout", str(plan.pool_idle_timeout_s))
    for upstream in asked.upstreams:
        yield from ("--upstream", upstream)
    for source in asked.sources:
        yield from ("--source", source)
    # Of its own accord the proxy bounds both, and asks for files for as many.
    yield from ("--max-clients", str(asked.clients + SPARE_CLIENTS))
    yield from ("--pool-max", str(asked.clients + SPARE_FDS if plan.pool_max is None else plan.pool_max))
    if asked.traffic.lasts:
        silence = str(asked.traffic.silence_s)
        yield from ("--read-timeout", silence, "--tunnel-timeout", silence)
    if plan.requests_per_connection is not None:
        yield from ("--requests-per-connection", str(plan.requests_per_connection))
