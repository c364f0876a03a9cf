"""The built-in proxy as a subject: `python -m proxy` in both modes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

from bench.files import BESIDE, SPARE_CLIENTS
from bench.lab import Host, Process
from bench.subjects.subject import SILENCE_S, Asked, Counted, Running, check_http

READY_TIMEOUT_S = 10.0
COUNT_TIMEOUT_S = 10.0


class AsyncioProxy:
    """Starts the built-in proxy."""

    def check(self, asked: Asked) -> None:
        """Raise PlanError for what is not HTTP/1; else accept everything: the proxy was made for it."""
        check_http("asyncio", asked.carries)

    def start(self, host: Host, cpus: set[int] | None, asked: Asked) -> Running:
        """Start the proxy on `host`; RoleError when it does not come up."""
        argv = [sys.executable, "-m", "proxy", *_flags(asked, f"{host.front}:{host.listen_port}")]
        process = host.start(argv, name="proxy", cpus=cpus)
        ready = process.wait_event("ready", READY_TIMEOUT_S)
        return _Running(process, address=ready["listen"][0], version=ready["version"], pid=process.pid)


@dataclass(slots=True)
class _Running:
    process: Process
    address: str
    version: str
    pid: int | None

    def count(self) -> Counted:
        self.process.send({"command": "count"})
        return Counted.from_event(self.process.wait_event("count", COUNT_TIMEOUT_S))

    def stop(self) -> None:
        self.process.stop()


def _flags(asked: Asked, listen: str) -> Iterator[str]:
    plan = asked.plan
    yield from ("--control", "--listen", listen, "--mode", asked.mode, "--closer", asked.closer)
    yield from ("--upstream-http", plan.upstream_http, "--workers", str(plan.workers))
    yield from ("--pool-idle", str(asked.pool_idle), "--pool-idle-timeout", str(plan.pool_idle_timeout_s))
    for upstream in asked.upstreams:
        yield from ("--upstream", upstream)
    for source in asked.sources:
        yield from ("--source", source)
    # Of its own accord the proxy bounds both, and asks for files for as many.
    yield from ("--max-clients", str(asked.clients + SPARE_CLIENTS))
    yield from ("--pool-max", str(asked.clients + BESIDE if plan.pool_max is None else plan.pool_max))
    if asked.carries.lasts:
        yield from ("--read-timeout", str(SILENCE_S), "--tunnel-timeout", str(SILENCE_S))
    if plan.requests_per_connection is not None:
        yield from ("--requests-per-connection", str(plan.requests_per_connection))
