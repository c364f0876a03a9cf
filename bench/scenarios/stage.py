"""Where one trial of a scenario plays: the lab, the roles that the scenario puts in it, and the observers.

A scenario starts servers, a subject and clients here and lets them play; what all trials measure alike (CPU,
memory, TIME_WAIT, connections and bytes on both hops) is gathered here, and brought together in account.py.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from bench import cores
from bench.lab import Host, Lab, Process
from bench.observe.host import HostSample
from bench.observe.sampler import Observed, Sampler, Watched
from bench.observe.wire import Bytes, Wires
from bench.plan import Closer, Mode
from bench.pressure import Reading
from bench.record import ROLES
from bench.scenarios.case import Case
from bench.scenarios.environments import Environment
from bench.subjects.choose import SUBJECTS
from bench.subjects.subject import Asked, Carries, Counted, Running

Event = dict[str, Any]

_HEAD_START_NS = 50_000_000
"""Between the command to go and the first connect: every client has read it by then."""
_READY_TIMEOUT_S = 20.0
_COUNT_TIMEOUT_S = 10.0
_SETTLE_S = 1.0
_BETWEEN = 100
"""How far above the first port of a host its network listens: out of the way of its servers."""
_FRONT_WIRES = ("to-proxy", "direct")
"""The client host's wires: to the proxy, and past it to the servers (bench/lab/namespaces.py)."""
_BACK_WIRE = "to-backend"


class Watch(Protocol):
    """Who looks on while a trial goes on."""

    def phase(self, name: str) -> None:
        """The trial enters a phase: warm-up, window, drain."""

    def sample(self, sample: HostSample, tuples: int) -> None:
        """The observers report a host; called on their thread."""


@dataclass(frozen=True, slots=True)
class Server:
    """A server of ours that listens."""

    process: Process
    addresses: tuple[str, ...]
    ready: Event = field(default_factory=dict)
    """What it said when it was ready."""

    @property
    def address(self) -> str:
        """Return the first address, HOST:PORT."""
        return self.addresses[0]

    def count(self) -> Event:
        """Return what it counted so far (docs/pipes.md)."""
        self.process.send({"command": "count"})
        return self.process.wait_event("count", _COUNT_TIMEOUT_S)


@dataclass(frozen=True, slots=True)
class Edge:
    """What was used and sent up to one edge of the window."""

    moment_ns: int
    reading: Reading
    cpu_s: Mapping[str, float]
    front: Bytes | None
    back: Bytes | None


@dataclass(frozen=True, slots=True)
class Played:
    """What came of letting the clients play."""

    start_ns: int
    """The moment of the first connect (CLOCK_MONOTONIC)."""
    first: Edge
    last: Edge
    done: tuple[Event, ...]
    """The last words of each client, in the order in which they were started."""
    samples: tuple[HostSample, ...]
    seen: Mapping[str, Observed]
    notes: tuple[str, ...]
    observer_cpu_share: float
    interrupted: bool
    opened_beside: int = 0
    """Connections that the proxy's host opened for others than the proxy."""


class Happening(NamedTuple):
    """What befalls the lab at a moment of a trial, in seconds from the first connect."""

    at_s: float
    act: Callable[[], None]


class Stage:
    """One trial's lab and roles. States: setting up (serve, front, clients), played, closed."""

    def __init__(self, place: Lab, stack: ExitStack, watch: Watch, pin: bool = True) -> None:
        self.place = place
        self.subject: Running | None = None
        """The proxy, once there is one; None where the clients talk to the servers."""
        self.played: Played | None = None
        self._stack = stack
        self._watch = watch
        self._cores = cores.assign(cores.here(), 1, pin)
        self._servers: list[Server] = []
        self._others: list[int] = []
        self._clients: list[Process] = []
        self._between: Server | None = None
        self._ports: set[int] = set()

    # -- setting up

    def serve(self, module: str, *arguments: str, environment: Environment | None = None) -> Server:
        """Start `python -m MODULE` as a server on the backend's host and wait until it listens.

        The module takes `--control --listen HOST:PORT` and talks over its pipes as docs/pipes.md says.
        """
        address = self.address("backend")
        host = self.place.hosts["backend"]
        python, env = _interpreter(host, environment)
        argv = [python, "-m", module, "--control", "--listen", address, *arguments]
        process = host.start(argv, name="backend", cpus=self._cores["backend"], env=env)
        ready = process.wait_event("ready", _READY_TIMEOUT_S)
        server = Server(process, tuple(ready["listen"]), ready)
        self._servers.append(server)
        self._ports |= {_port(each) for each in server.addresses}
        return server

    def address(self, host: str) -> str:
        """Return HOST:PORT where the next role on `host` may listen; port 0 lets the system choose."""
        place = self.place.hosts[host]
        return f"{place.front}:{place.listen_port + len(self._servers) if place.listen_port else 0}"

    def front(
        self,
        case: Case,
        upstreams: Sequence[str],
        clients: int,
        *,
        mode: Mode = Mode.KEEPALIVE,
        carries: Carries | None = None,
    ) -> str:
        """Start the case's subject in front of `upstreams` and return where it listens, HOST:PORT.

        PlanError where it cannot do what is asked, RoleError where it does not come up.
        """
        asked = Asked(
            mode=mode,
            closer=Closer.PROXY,
            plan=case.subject,
            pool_idle=clients,
            upstreams=upstreams,
            clients=clients,
            sources=self.sources("proxy"),
            carries=carries or Carries(),
        )
        subject = SUBJECTS[case.subject.name]()
        subject.check(asked)
        running = subject.start(self.place.hosts["proxy"], self._cores["proxy"], asked)
        self._stack.callback(running.stop)
        if case.subject.name != "direct":
            self.subject = running
        return running.address

    def sources(self, host: str) -> list[str]:
        """Return the addresses that connections from `host` come from in turn; none: the system chooses."""
        found = self.place.hosts[host].sources
        return found if len(found) > 1 else []

    @property
    def proxy_place(self) -> tuple[Host, set[int] | None]:
        """Return where a proxy that the scenario starts itself lives: its host and its cores."""
        return self.place.hosts["proxy"], self.cores("proxy")

    def cores(self, host: str) -> set[int] | None:
        """Return the cores of a host's role."""
        return self._cores[host]

    def reload(self) -> None:
        """Have the proxy read its configuration anew."""
        if self.subject is not None:
            self.subject.reload()

    def restart(self) -> None:
        """End the proxy and start it anew."""
        if self.subject is not None:
            self.subject.restart()

    def adopt(self, running: Running) -> str:
        """Take a proxy that the scenario started itself for the subject; return where it listens."""
        self._stack.callback(running.stop)
        self.subject = running
        return running.address

    def between(self, to: str, *arguments: str) -> Server:
        """Put a network of ours (backends/delay_line.py) before the front at `to`, on the same host.

        It is nobody's server or proxy: its CPU is not counted, and its connections only as far as they
        would spoil the kernel's count of the proxy's own.
        """
        name = "backend" if self.subject is None else "proxy"
        host = self.place.hosts[name]
        address = f"{host.front}:{host.listen_port + _BETWEEN if host.listen_port else 0}"
        argv = [sys.executable, "-m", "backends.delay_line", "--control", "--listen", address, "--to", to]
        process = host.start([*argv, *arguments], name="network")  # on any core: it waits for nobody
        ready = process.wait_event("ready", _READY_TIMEOUT_S)
        self._between = Server(process, tuple(ready["listen"]), ready)
        return self._between

    def watch_process(self, pid: int, *ports: int) -> None:
        """Count a process tree on the backend's host, started by the scenario, among the servers."""
        self._others.append(pid)
        self._ports |= set(ports)

    def clients(
        self, module: str, jobs: Sequence[Mapping[str, Any]], environment: Environment | None = None
    ) -> None:
        """Start `python -m MODULE` once for each job and wait until all are ready."""
        host = self.place.hosts["client"]
        python, env = _interpreter(host, environment)
        started = [
            host.start([python, "-m", module], name="client", cpus=self._cores["client"], env=env)
            for _ in jobs
        ]
        for process, job in zip(started, jobs, strict=True):
            process.send({"command": "job", **job})
        for process in started:
            process.wait_event("ready", _READY_TIMEOUT_S)
        self._clients += started

    # -- playing

    def tell(self, command: Mapping[str, Any]) -> None:
        """Give all clients a command."""
        for client in self._clients:
            client.send(command)

    def play(
        self,
        warmup_s: float,
        duration_s: float | None,
        timeout_s: float = 30.0,
        happenings: Sequence[Happening] = (),
    ) -> Played:
        """Let the clients go, observe until they are done, and count.

        `happenings` are what befalls the lab in the window, in the order of their moments.

        The window is `duration_s` after `warmup_s`; without a duration it ends when all clients are done.
        `timeout_s` is how long they may take after it.
        Ctrl-C ends the window early: the trial is then interrupted. RoleError where a client ends or falls
        silent.
        """
        samples: list[HostSample] = []
        wires = self._wires()
        with closing(self._sampler(samples)) as sampler:
            start_ns = time.monotonic_ns() + _HEAD_START_NS
            window_ns = start_ns + round(warmup_s * 1e9)
            end_ns = None if duration_s is None else window_ns + round(duration_s * 1e9)
            go = {"command": "go", "start_ns": start_ns, "window_ns": window_ns, "end_ns": end_ns}
            self.tell(go)
            interrupted = False
            first = last = self._edge(sampler, wires)
            try:
                _sleep_until(start_ns)
                sampler.start()
                self._watch.phase("warm-up")
                _sleep_until(window_ns)
                first = last = self._edge(sampler, wires)
                self._watch.phase("window")
                for happening in happenings:
                    _sleep_until(start_ns + round(happening.at_s * 1e9))
                    happening.act()
                if end_ns is None:
                    done = self._done(timeout_s)
                else:
                    _sleep_until(end_ns)
                last = self._edge(sampler, wires)
            except KeyboardInterrupt:
                interrupted, end_ns = True, time.monotonic_ns()
                last = self._edge(sampler, wires)
                self.tell({"command": "stop"})
            self._watch.phase("drain")
            if end_ns is not None:
                done = self._done(timeout_s)
            sampler.stop()
            self._settle(sampler)
            self.played = Played(
                start_ns=start_ns,
                first=first,
                last=last,
                done=done,
                samples=tuple(samples),
                seen={host: sampler.observe(host) for host in ROLES},
                notes=(*self.place.notes, *sampler.missing),
                observer_cpu_share=sampler.cpu_share,
                interrupted=interrupted,
                opened_beside=self._opened_beside(),
            )
        return self.played

    # -- counting

    def counted(self) -> Counted:
        """Return what the subject counted so far."""
        return Counted() if self.subject is None else self.subject.count()

    def accepted(self) -> int | None:
        """Return the connections that the servers accepted; None where one of them does not count."""
        if self._others or not self._servers:
            return None
        return sum(int(server.count()["accepted"]) for server in self._servers)

    def _opened_beside(self) -> int:
        if self._between is None or self.subject is None:
            return 0
        return int(self._between.count()["opened"])

    def _done(self, timeout_s: float) -> tuple[Event, ...]:
        deadline_s = time.monotonic() + timeout_s
        return tuple(
            client.wait_event("done", max(0.0, deadline_s - time.monotonic())) for client in self._clients
        )

    def _sampler(self, samples: list[HostSample]) -> Sampler:
        low, high = self.place.hosts["proxy"].port_range()
        behind = frozenset(self._ports)
        front = frozenset([_port(self.subject.address)]) if self.subject is not None else behind
        entry = front if self._between is None else frozenset(map(_port, self._between.addresses))
        proxy = [self.subject.pid] if self.subject is not None and self.subject.pid is not None else []
        servers = [*(server.process.pid for server in self._servers), *self._others]
        hosts = self.place.hosts
        watched = [
            Watched(hosts["client"], [client.pid for client in self._clients], connects_to=entry),
            Watched(hosts["proxy"], proxy, listens=front if proxy else frozenset(), connects_to=behind),
            Watched(hosts["backend"], servers, listens=behind),
        ]

        def take(sample: HostSample) -> None:
            samples.append(sample)
            self._watch.sample(sample, high - low + 1)

        return Sampler(watched, take, is_shared=self.place.name == "loopback")

    def _wires(self) -> dict[str, Wires]:
        """Open the wires of the hosts that open connections; none on loopback, where all share one."""
        if self.place.name == "loopback":
            return {}
        opened = {host: Wires(self.place.hosts[host]) for host in ("client", "proxy")}
        for wires in opened.values():
            self._stack.callback(wires.close)
        return opened

    def _edge(self, sampler: Sampler, wires: Mapping[str, Wires]) -> Edge:
        front = back = None
        if wires:
            read = wires["client"].read()
            rows = [read[name] for name in _FRONT_WIRES]
            front = Bytes(sum(row.sent for row in rows), sum(row.received for row in rows))
            back = wires["proxy"].read()[_BACK_WIRE]
        return Edge(
            moment_ns=time.monotonic_ns(),
            reading=Reading.now(sampler, self._cores["client"]),
            cpu_s={host: sampler.cpu_s(host) for host in ROLES},
            front=front,
            back=back,
        )

    def _settle(self, sampler: Sampler) -> None:
        """Wait until every connection that is being closed has come to rest, so that counts are final."""
        deadline_s = time.monotonic() + _SETTLE_S
        while time.monotonic() < deadline_s:
            surveys = (sampler.observe(host).survey for host in ROLES)
            if not any(survey is not None and survey.moving for survey in surveys):
                break
            time.sleep(0.01)


def _interpreter(host: Host, environment: Environment | None) -> tuple[str, dict[str, str] | None]:
    """Return the interpreter of a role and its variables: ours, or those of an environment of its own."""
    if environment is None:
        return sys.executable, None
    return environment.python, environment.inhabit(host)


def _sleep_until(moment_ns: int) -> None:
    time.sleep(max(0, moment_ns - time.monotonic_ns()) / 1e9)


def _port(address: str) -> int:
    return int(address.rpartition(":")[2])
