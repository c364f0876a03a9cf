"""What runs in the lab during a trial: the backend, the subject, the load workers. Starts and stops them."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from bench.errors import PlanError
from bench.experiment import fd_limits
from bench.lab import Host, Lab, Process
from bench.load import external
from bench.load.generator import Generator, OnEvent
from bench.load.job import LoadJob
from bench.machine import affinity
from bench.observe.sampler import Watched
from bench.plan.run_plan import Backend, Mode, Plan
from bench.subjects.choose import SUBJECTS
from bench.subjects.subject import Asked, Counted, Running

_READY_TIMEOUT_S = 30.0
_COUNT_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Served:
    """What the backend counted."""

    accepted: int
    requests: int
    closed_first: int = 0
    """Connections that it ended before the proxy did."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The roles of one trial, all ready. `backend` and `subject` are None where `--target` names a server."""

    job: LoadJob
    generator: Generator
    backend: Process | None
    listens: tuple[str, ...]
    """Where the backend listens, HOST:PORT."""
    subject: Running | None
    client_cores: affinity.Cores

    @property
    def url(self) -> str:
        """Return where the clients send to."""
        return f"http://{self.job.host_field}{self.job.path}"

    @property
    def version(self) -> str:
        """Return the subject's version."""
        return "-" if self.subject is None else self.subject.version

    def served(self) -> Served:
        """Return what the backend counted so far."""
        if self.backend is None:
            return Served(0, 0)
        self.backend.send({"command": "count"})
        event = self.backend.wait_event("count", _COUNT_TIMEOUT_S)
        return Served(event["accepted"], event["requests"], event["closed_first"])

    def counted(self) -> Counted:
        """Return what the subject counted so far."""
        return Counted() if self.subject is None else self.subject.count()

    def watched(self, place: Lab) -> list[Watched]:
        """Return the hosts to observe: each with its processes and the ports where its connections end."""
        behind = frozenset(_port(address) for address in self.listens)
        front = frozenset() if self.subject is None else frozenset([_port(self.subject.address)])
        subject = [] if self.subject is None or self.subject.pid is None else [self.subject.pid]
        backend = [] if self.backend is None else [self.backend.pid]
        return [
            Watched(place.hosts["client"], self.generator.pids, connects_to=front),
            Watched(place.hosts["proxy"], subject, listens=front, connects_to=behind),
            Watched(place.hosts["backend"], backend, listens=behind),
        ]


def start(plan: Plan, mode: Mode, place: Lab, stack: ExitStack) -> Roles:
    """Start backend, subject and load workers in this order; RoleError where one does not come up.

    The lab ends them all when it closes; `stack` ends the subject before that, in order.
    """
    assigned = affinity.assign(affinity.here(), plan.load.workers, plan.hosts.pin)
    backend: Process | None = None
    subject: Running | None = None
    listens: tuple[str, ...] = ()
    if plan.subject.target is None:
        backend, listens = _start_backend(plan.backend, place.hosts["backend"], assigned["backend"])
        asked = _asked(plan, mode, _sources(place.hosts["proxy"]), listens)
        subject = SUBJECTS[plan.subject.name]().start(place.hosts["proxy"], assigned["proxy"], asked)
        stack.callback(subject.stop)
    job = _job(plan, mode, subject)
    client, client_cores = place.hosts["client"], assigned["client"]

    def start_worker(argv: Sequence[str], on_event: OnEvent) -> Process:
        return client.start(argv, name="client", cpus=client_cores, on_event=on_event)

    generator = Generator(job, plan.load.workers, start_worker)
    generator.prepare()
    return Roles(job, generator, backend, listens, subject, client_cores)


def check(plan: Plan) -> None:
    """Raise PlanError where the plan's subject is not here or cannot do what is asked; starts no role.

    LabError where the system does not allow as many open files as the plan needs, RoleError where the
    program for a second opinion is not installed.
    """
    fd_limits.allow(plan)
    if plan.load.second_opinion is not None:
        external.check(plan.load.second_opinion)
    if plan.subject.target is not None:
        return
    hosts, nowhere = plan.hosts, "0.0.0.0"
    sources = [nowhere] * hosts.proxy_addresses if hosts.proxy_addresses > 1 else []
    for mode in plan.modes:
        upstreams = [f"{nowhere}:0"] * hosts.backends
        SUBJECTS[plan.subject.name]().check(_asked(plan, mode, sources, upstreams))


def _start_backend(plan: Backend, host: Host, cpus: affinity.Cores) -> tuple[Process, tuple[str, ...]]:
    argv = [sys.executable, "-m", "backends", "--control", *_backend_flags(plan, host)]
    process = host.start(argv, name="backend", cpus=cpus)
    ready = process.wait_event("ready", _READY_TIMEOUT_S)
    return process, tuple(ready["listen"])


def _backend_flags(plan: Backend, host: Host) -> Iterator[str]:
    for address in host.addresses:
        yield from ("--listen", f"{address}:{host.listen_port}")
    # In bytes: a plan may spell sizes in more ways than the backend.
    body = "-".join(map(str, plan.body_bytes))
    yield from ("--kind", plan.kind, "--workers", str(plan.workers), "--body", body)
    yield from ("--delay", plan.delay, "--close", plan.close.removesuffix("ms"))
    if plan.idle_timeout_s is not None:
        yield from ("--idle-timeout", str(plan.idle_timeout_s))
    if plan.requests_per_connection is not None:
        yield from ("--requests-per-connection", str(plan.requests_per_connection))
    if plan.fail is not None:
        yield from ("--fail", plan.fail)


def _sources(host: Host) -> Sequence[str]:
    # One source address is the system's own choice anyhow: naming it would only cost a bind() a connect.
    return host.sources if len(host.sources) > 1 else []


def _asked(plan: Plan, mode: Mode, sources: Sequence[str], upstreams: Sequence[str]) -> Asked:
    clients = plan.load.connections
    return Asked(mode, plan.closes_first, plan.subject, plan.pool_idle, upstreams, clients, sources)


def _job(plan: Plan, mode: Mode, subject: Running | None) -> LoadJob:
    """Return what the clients send: to the subject, checked to the last byte, or to a stranger's server."""
    load = plan.load
    if subject is None:
        url = _url(str(plan.subject.target))
        address, strict = (_resolve(url), url.port or 80), False
        field, path = url.netloc, (url.path or "/") + (f"?{url.query}" if url.query else "")
    else:
        host, _, port = subject.address.rpartition(":")
        address, strict = (host, int(port)), True
        field, path = subject.address, "/"
    return LoadJob(
        host=address[0],
        port=address[1],
        host_field=field,
        path=path,
        method=load.method,
        # RFC 9110, section 8.6: a method that means content says that there is none.
        headers=(("Content-Length", "0"),) if load.method == "POST" else (),
        connections=load.connections,
        rate=load.rate,
        warmup_s=load.warmup_s,
        duration_s=load.duration_s,
        client_mode=_client_mode(plan, mode).value,
        connect_timeout_s=load.connect_timeout_s,
        request_timeout_s=load.request_timeout_s,
        total_timeout_s=load.total_timeout_s,
        statuses=(200, 299) if strict else (200, 399),
        echo=strict,
        body_bytes=plan.backend.body_bytes if strict else None,
        pattern=strict,
    )


def _client_mode(plan: Plan, mode: Mode) -> Mode:
    """Return how the clients connect: without a proxy, the mode under test is that of their own hop."""
    is_proxied = plan.subject.target is None and plan.subject.name != "direct"
    return plan.load.client_mode if is_proxied else mode


def _url(target: str) -> SplitResult:
    try:
        url = urlsplit(target)
        _ = url.port  # checked when read
    except ValueError as error:
        raise PlanError(f"plan: subject.target = {target!r} is no URL: {error}") from error
    if not url.hostname:
        raise PlanError(f"plan: subject.target = {target!r} names no host; write http://HOST:PORT/PATH")
    return url


def _resolve(url: SplitResult) -> str:
    try:
        found = socket.getaddrinfo(url.hostname, url.port or 80, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PlanError(f"plan: subject.target: {url.hostname} has no address: {error}") from error
    return str(found[0][4][0])


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
