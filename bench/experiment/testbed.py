"""Where one trial of a scenario plays: its lab, and the roles that the scenario puts in it.

A scenario starts servers, a subject and clients here and lets them play. Who they are and what they count is
cast.py, how they play window.py, what is read meanwhile meter.py; account.py brings it together.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from bench.experiment.case import Case
from bench.experiment.environments import Environment
from bench.experiment.meter import Meter
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.roles import Roles, Server, port
from bench.experiment.trial_result import Fault, TrialResult, TrialTimes
from bench.experiment.window import Window
from bench.lab import Host, Lab
from bench.machine import affinity
from bench.progress import Watch
from bench.subjects.subject import Certificate

_READY_TIMEOUT_S = 30.0
_BETWEEN = 100
"""How far above the first port of a host its network listens: out of the way of its servers."""


class Testbed:
    """One trial's lab and roles. States: setting up (serve, open, clients), played, closed."""

    def __init__(
        self, place: Lab, stack: ExitStack, watch: Watch, case: Case, front: ProxySetup | None
    ) -> None:
        """Set the stage in `place` for `case`, whose proxy is to do what `front` says; None: it has none."""
        self.place = place
        self.roles = Roles()
        self.result: TrialResult | None = None
        self._stack = stack
        self._watch = watch
        self._case = case
        self._front = front
        self._meter: Meter | None = None
        self._cores = affinity.assign(affinity.here(), 1, True)

    # -- setting up

    def start_server(self, module: str, *arguments: str, environment: Environment | None = None) -> Server:
        """Start `python -m MODULE` as a server on the backend's host and wait until it listens.

        The module takes `--control --listen HOST:PORT` and talks over its pipes as docs/pipes.md says.
        """
        host = self.place.hosts["backend"]
        python, env = _interpreter(host, environment)
        argv = [python, "-m", module, "--control", "--listen", self.address("backend"), *arguments]
        process = host.start(argv, name="backend", cpus=self._cores["backend"], env=env)
        server = Server(process, tuple(process.wait_event("ready", _READY_TIMEOUT_S)["listen"]))
        self.roles.servers.append(server)
        self.roles.ports |= set(map(port, server.addresses))
        return server

    def address(self, host: str) -> str:
        """Return HOST:PORT where the next role on `host` may listen; port 0 lets the system choose."""
        place = self.place.hosts[host]
        return f"{place.front}:{place.listen_port + len(self.roles.servers) if place.listen_port else 0}"

    def start_proxy(self, upstreams: Sequence[str], certificate: Certificate | None = None) -> str:
        """Start the case's subject before `upstreams` and return where the clients find it, HOST:PORT.

        `certificate` is what it shows to them. RoleError where it does not come up.
        """
        assert self._front is not None, "a case without a front has nothing to open"
        front = self._front if certificate is None else self._front.showing(certificate)
        asked = front.asked(self._case, list(upstreams), self.sources("proxy"))
        running = front.starter(self._case).start(self.place.hosts["proxy"], self._cores["proxy"], asked)
        self._stack.callback(running.stop)
        if self._case.subject.name != "direct":
            self.roles.subject = running
        return running.address

    def sources(self, host: str) -> list[str]:
        """Return the addresses that connections from `host` come from in turn; none: the system chooses."""
        found = self.place.hosts[host].sources
        return found if len(found) > 1 else []

    def cores(self, host: str) -> set[int] | None:
        """Return the cores of a host's role."""
        return self._cores[host]

    def start_network(self, to: str, *arguments: str) -> Server:
        """Put a network of ours (backends/delay_line.py) before the front at `to`, on the same host.

        It is nobody's server or proxy: its CPU is not counted, and its connections only as far as they
        would spoil the kernel's count of the proxy's own.
        """
        host = self.place.hosts["backend" if self.roles.subject is None else "proxy"]
        address = f"{host.front}:{host.listen_port + _BETWEEN if host.listen_port else 0}"
        argv = [sys.executable, "-m", "backends.delay_line", "--control", "--listen", address, "--to", to]
        process = host.start([*argv, *arguments], name="network")  # on any core: it waits for nobody
        self.roles.between = Server(process, tuple(process.wait_event("ready", _READY_TIMEOUT_S)["listen"]))
        return self.roles.between

    def observe_process(self, pid: int, *ports: int) -> None:
        """Count a process tree on the backend's host, started by the scenario, among the servers."""
        self.roles.other_processes.append(pid)
        self.roles.ports |= set(ports)

    def start_clients(
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
        self.roles.clients += started

    # -- playing

    def run(
        self,
        warmup_s: float,
        duration_s: float | None,
        timeout_s: float = 30.0,
        faults: Sequence[Fault] = (),
    ) -> TrialResult:
        """Let the clients go, observe until they are done, and count.

        The window is `duration_s` after `warmup_s`; without a duration it ends when all clients are done.
        `timeout_s` is how long they may take after it, and `happenings` are what befalls the lab in it.
        Ctrl-C ends the window early: the trial is then interrupted. RoleError where a client ends or falls
        silent.
        """
        with Meter(self.place, self.roles, self._cores["client"], self._watch) as meter:
            self._meter = meter
            moments = TrialTimes.after(time.monotonic_ns(), warmup_s, duration_s)
            window = Window(self.roles, meter, self._watch, moments)
            self.result = window.play(faults, timeout_s, self.place.notes)
        return self.result

    def reload(self) -> None:
        """Have the proxy read its configuration anew."""
        if self.roles.subject is not None:
            self.roles.subject.reload()

    def restart(self) -> None:
        """End the proxy and start it anew; what both use is the proxy's."""
        subject = self.roles.subject
        if subject is None:
            return
        subject.restart()
        if self._meter is not None and subject.pid is not None:
            self._meter.watch("proxy", subject.pid)


def _interpreter(host: Host, environment: Environment | None) -> tuple[str, dict[str, str] | None]:
    """Return the interpreter of a role and its variables: ours, or those of an environment of its own."""
    if environment is None:
        return sys.executable, None
    return environment.python, environment.inhabit(host)
