"""Where one trial runs: its lab, and the roles that are started in it.

What the roles count is in roles.py, how time passes in window.py, what is read meanwhile in meter.py.
"""

import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from bench import lab
from bench.experiment.environments import Environment
from bench.experiment.load_clients import LoadClients
from bench.experiment.meter import Meter
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.roles import Roles, Server
from bench.experiment.trial_result import Fault, TrialResult, TrialTimes
from bench.experiment.window import Window
from bench.lab import Host, Lab, LabRequest, port_of
from bench.lab.role_process import READY_TIMEOUT_S
from bench.load.job import LoadJob, split
from bench.machine import affinity
from bench.observe.host_observer import HostSample
from bench.plan.scenario_plan import Case
from bench.progress import Progress
from bench.subjects.certificates import Certificate

_NETWORK_PORTS = 100
"""How far above the first port of a host its network listens: out of the way of its servers."""


@dataclass(frozen=True, slots=True)
class TrialRequest:
    """What one trial needs, known before it starts."""

    number: int
    label: str
    """How the observer of the run calls it."""
    case: Case
    proxy: ProxySetup
    """What the proxy of the case is to do."""
    lab: LabRequest
    client_workers: int = 1
    pin: bool = True
    """Give the clients cores of their own, as many as they have workers."""
    warmup_s: float = 0.0
    duration_s: float = 0.0


class Testbed:
    """One trial's lab and roles. States: setting up (start_...), run, closed (`overhead_s` is known)."""

    def __init__(
        self,
        place: Lab,
        stack: ExitStack,
        request: TrialRequest,
        progress: Progress,
        *,
        cores: Mapping[str, affinity.Cores] | None = None,
        ours: Collection[int] = (),
    ) -> None:
        """Prepare the trial `request` in `place`; `stack` ends its subject before the lab closes.

        `cores` are those of each role; by default they are shared out here. `ours` are processes, beside this
        one, whose work belongs to the trial.
        """
        self.place = place
        self.roles = Roles()
        self.result: TrialResult | None = None
        self.apart_s = 0.0
        """Time that belongs neither to the trial nor to its overhead: another load generator's."""
        self.overhead_s = 0.0
        self._stack = stack
        self._progress = progress
        self._request = request
        self._meter: Meter | None = None
        self._ours = ours
        self._cores = cores or affinity.assign(
            affinity.available_cores(), request.client_workers, request.pin
        )

    # -- setting up

    def start_server(
        self,
        module: str,
        *arguments: str,
        environment: Environment | None = None,
        listen: Sequence[str] | None = None,
    ) -> Server:
        """Start `python -m MODULE` as a server on the backend's host and wait until it listens.

        The module takes `--control --listen HOST:PORT` and talks over its pipes as docs/reference/pipes.md
        says. `listen` is where; by default at the next free address of the host.
        """
        host = self.place.hosts["backend"]
        python, env = _interpreter(host, environment)
        flags = [flag for each in listen or [self.address("backend")] for flag in ("--listen", each)]
        argv = [python, "-m", module, "--control", *flags, *arguments]
        process = host.start(argv, name="backend", cpus=self._cores["backend"], env=env)
        server = Server(process, tuple(process.wait_event("ready", READY_TIMEOUT_S)["listen"]))
        self.roles.servers.append(server)
        self.roles.ports |= set(map(port_of, server.addresses))
        return server

    def address(self, host: str) -> str:
        """Return HOST:PORT where the next role on `host` may listen; port 0 lets the system choose."""
        place = self.place.hosts[host]
        return f"{place.front}:{place.listen_port + len(self.roles.servers) if place.listen_port else 0}"

    def start_proxy(
        self,
        upstreams: Sequence[str],
        certificate: Certificate | None = None,
        upstream_authority: str | None = None,
    ) -> str:
        """Start the case's subject before `upstreams` and return where the clients find it, HOST:PORT.

        `certificate` is what it shows to them, `upstream_authority` verifies that of `upstreams`. RoleError
        where it does not come up.
        """
        setup, case = self._request.proxy, self._request.case
        shown = setup if certificate is None else setup.showing(certificate)
        shown = shown if upstream_authority is None else shown.trusting(upstream_authority)
        config = shown.build_config(case, upstreams, self.sources("proxy"))
        running = shown.starter(case).start(self.place.hosts["proxy"], self._cores["proxy"], config)
        self._stack.callback(running.stop)
        if case.subject.name != "direct":
            self.roles.subject = running
        return running.address

    def sources(self, host: str) -> list[str]:
        """Return the addresses that connections from `host` come from in turn; none: the system chooses.

        One address is the system's own choice anyhow: naming it would only cost a bind() a connect.
        """
        found = self.place.hosts[host].sources
        return found if len(found) > 1 else []

    def cores(self, host: str) -> affinity.Cores:
        """Return the cores of a host's role."""
        return self._cores[host]

    def start_network(self, to: str, *arguments: str) -> Server:
        """Start a network of ours (a delay line of the backends) before the proxy at `to`, on its host.

        It is neither server nor proxy: its CPU is not counted, and its connections only as far as they
        would spoil the kernel's count of the proxy's own.
        """
        host = self.place.hosts["backend" if self.roles.subject is None else "proxy"]
        address = f"{host.front}:{host.listen_port + _NETWORK_PORTS if host.listen_port else 0}"
        flags = ["--control", "--listen", address, "--to", to, *arguments]
        argv = [sys.executable, "-m", "backends.scenarios.delay_line", *flags]
        process = host.start(argv, name="network")  # on any core: it waits for no role
        self.roles.network = Server(process, tuple(process.wait_event("ready", READY_TIMEOUT_S)["listen"]))
        return self.roles.network

    def observe_process(self, pid: int, *ports: int) -> None:
        """Count a process tree on the backend's host, which the caller started, among the servers."""
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
            process.wait_event("ready", READY_TIMEOUT_S)
        self.roles.clients += started

    def start_load(self, job: LoadJob) -> LoadClients:
        """Start the load workers that together do `job` as the clients of the trial, ready to go."""
        return self.start_jobs(job, split(job, self._request.client_workers))

    def start_jobs(self, job: LoadJob, jobs: Sequence[LoadJob]) -> LoadClients:
        """Start a load worker for each of `jobs`, which are parts of `job`, ready to go."""
        cores = self._cores["client"]
        load = LoadClients(self.place.hosts["client"], job, jobs, cores, self._progress.second)
        self.roles.load = load
        self.roles.clients += load.processes
        return load

    # -- running

    def run(
        self,
        warmup_s: float,
        duration_s: float | None,
        timeout_s: float = 30.0,
        faults: Sequence[Fault] = (),
    ) -> TrialResult:
        """Let the clients go, observe until they are done, and return what was observed.

        The window is `duration_s` after `warmup_s`; without a duration it ends when all clients are done.
        `timeout_s` is how long they may take after it, and `faults` are what happens to the lab in it.
        Ctrl-C ends the window early: the trial is then interrupted. RoleError where a client ends or falls
        silent.
        """
        return self.run_at(
            lambda: TrialTimes.after(time.monotonic_ns(), warmup_s, duration_s), timeout_s, faults
        )

    def run_at(
        self, choose_times: Callable[[], TrialTimes], timeout_s: float = 30.0, faults: Sequence[Fault] = ()
    ) -> TrialResult:
        """Do the same at the moments that `choose_times` returns once all observers are open."""
        tuples, reuses = self._count_tuples(), self._opener.reuses_ports()

        def show(sample: HostSample) -> None:
            self._progress.sample(sample, tuples, reuses)

        with Meter(self.place, self.roles, self._cores["client"], show, self._ours) as meter:
            self._meter = meter
            window = Window(self.roles, meter, self._progress, choose_times())
            self.result = window.run(faults, timeout_s, self.place.notes)
        return self.result

    @property
    def _opener(self) -> Host:
        """Return the host of the proxy, or the only one."""
        return self.place.hosts.get("proxy", next(iter(self.place.hosts.values())))

    def _count_tuples(self) -> int:
        """Return how many connections to the servers the ports of the proxy's host allow."""
        low, high = self._opener.port_range()
        return (high - low + 1) * self._request.lab.proxy_addresses * self._request.lab.backends

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
            self._meter.sampler.add_process("proxy", subject.pid)


@contextmanager
def open_testbed(request: TrialRequest, lab_name: str, progress: Progress) -> Iterator[Testbed]:
    """Open the testbed of one trial for a block, in which its roles are started and run.

    After the block, `overhead_s` of the testbed is known. RoleError when a role does not come up or falls
    silent, LabError when the lab does not open.
    """
    began_s = time.monotonic()
    progress.trial(request.number, request.label, request.warmup_s, request.duration_s)
    with lab.open_lab(lab_name, request.lab) as place, ExitStack() as stack:
        testbed = Testbed(place, stack, request, progress)
        yield testbed
    progress.phase("done")
    assert testbed.result is not None, f"{request.label} never let its clients go"
    testbed.overhead_s = time.monotonic() - began_s - testbed.result.load_s - testbed.apart_s


def _interpreter(host: Host, environment: Environment | None) -> tuple[str, dict[str, str] | None]:
    """Return the interpreter of a role and its variables: ours, or those of `environment`."""
    if environment is None:
        return sys.executable, None
    return environment.python, environment.inhabit(host)
