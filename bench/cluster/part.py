"""One role of a trial on one machine: it is started, observed and counted there, as on a single machine."""

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

from bench.cluster import left_over
from bench.cluster.left_over import LeftOver
from bench.cluster.reporter import PartCounts, PartReport, Reporter
from bench.cluster.running_proxy import RunningProxy
from bench.experiment.load_clients import LoadClients
from bench.experiment.testbed import Testbed, TrialRequest
from bench.experiment.trial_result import TrialResult, TrialTimes
from bench.lab import Host, Lab, port_of
from bench.lab.supervisor import strongest
from bench.load.generator import Second, Totals
from bench.load.job import LoadJob
from bench.machine.affinity import Cores
from bench.observe.tcp_counters import Counters
from bench.subjects import certificates
from bench.subjects.certificates import CHAIN, KEY, Certificate
from bench.subjects.subject import SubjectCounts

_OURS = "asyncio"
"""The proxy that counts for us by its pipe."""


@dataclass(frozen=True, slots=True)
class PartRequest:
    """What one part of a trial needs, known before it starts."""

    name: str
    """Role and number: client-1."""
    role: str
    address: str
    """Of this machine, on the network that is measured."""
    trial: TrialRequest
    cores: Cores
    is_shared: bool
    """Whether another role has the same network namespace."""
    has_own_cores: bool
    """Whether no other client of the run has these cores: only then is others' work on them to be told."""
    port: int
    """Where the role listens; 0: on any free port."""
    ours: tuple[int, ...]
    """Processes of this machine, by pid, whose work belongs to the run."""


@dataclass(frozen=True, slots=True)
class PartResult:
    """What a part observed of its trial; moments are of its own clock."""

    result: TrialResult
    counts: PartCounts
    totals: Totals | None = None
    """Of the clients."""
    seconds: tuple[Second, ...] = ()


class Part:
    """One role of one trial. States: open, ready, run, closed."""

    def __init__(self, request: PartRequest, report: Callable[[PartReport], None]) -> None:
        """Open the host of the part; `report` is called once a second, on a thread of its own."""
        self._stack = ExitStack()
        self._request = request
        self._reporter = Reporter(report)
        place = self._stack.enter_context(_open_lab(request))
        cores = dict.fromkeys(("client", "proxy", "backend"), request.cores)
        self._testbed = Testbed(
            place, self._stack, request.trial, self._reporter, cores=cores, ours=request.ours
        )
        self._load_over = threading.Event()
        if request.role != "client":
            self._testbed.roles.load_over = self._load_over
        self._load: LoadClients | None = None
        self._running: RunningProxy | None = None

    @property
    def reports(self) -> int:
        """Return how many reports were made; once it has run, they hold all its seconds and samples."""
        return self._reporter.made

    def start_backend(self, flags: Sequence[str], certificate: Certificate | None) -> tuple[str, ...]:
        """Start the backend with `flags` of `python -m backends` and return where it listens."""
        host = self._testbed.place.hosts["backend"]
        shown: tuple[str, ...] = ()
        if certificate is not None:
            folder = certificates.write_files(host, "backend-tls", certificate.files)
            shown = ("--tls-cert", str(folder / CHAIN), "--tls-key", str(folder / KEY))
        return self._testbed.start_server("backends", *flags, *shown).addresses

    def start_proxy(
        self, upstreams: Sequence[str], certificate: Certificate | None, authority: str | None
    ) -> str:
        """Start the subject before `upstreams` and return where the clients find it."""
        self._testbed.roles.ports |= set(map(port_of, upstreams))
        return self._testbed.start_proxy(upstreams, certificate, authority)

    def watch_proxy(self, address: str, upstreams: Sequence[str]) -> None:
        """Watch the proxy that runs at `address` before `upstreams`, instead of starting one."""
        self._running = RunningProxy(address)
        self._stack.callback(self._running.close)
        self._running.watch(upstreams)
        self._testbed.roles.target = self._running.roots
        self._testbed.roles.target_ports |= {port_of(address)}
        self._testbed.roles.ports |= set(map(port_of, upstreams))

    def find_left_over(self, addresses: Sequence[str]) -> LeftOver:
        """Return what trials before left in TIME_WAIT towards `addresses`."""
        (host,) = self._testbed.place.hosts.values()
        low, high = host.port_range()
        return left_over.find(addresses, high - low + 1)

    def start_clients(self, job: LoadJob, jobs: Sequence[LoadJob]) -> None:
        """Start a load worker for each of `jobs`, ready to go."""
        self._testbed.roles.ports |= {each.port for each in jobs}
        self._load = self._testbed.start_jobs(job, jobs)

    def run(self, times: TrialTimes, timeout_s: float) -> PartResult:
        """Take part in the trial from its first moment to the end of the drain; return what came of it."""
        self._reporter.start(times.start_ns, self._count_on_the_way)
        try:
            result = self._testbed.run_at(lambda: times, timeout_s)
        finally:
            self._reporter.stop()
        if self._running is not None:
            result = _with_opened(result, self._running)
        if not self._request.has_own_cores:
            result = _without_foreign_work(result)
        counts = self._count()
        if self._load is None:
            return PartResult(result, counts)
        return PartResult(result, counts, self._load.totals, tuple(self._load.seconds))

    def end_window(self) -> None:
        """End the window and the drain, as the clients on other machines are done; callable while it runs."""
        self._load_over.set()

    def interrupt(self) -> None:
        """End the window now; callable while it runs."""
        self._testbed.roles.interruption.set()

    def kill(self) -> None:
        """Kill the role, and whatever it started; callable while it runs, which then fails."""
        self.interrupt()
        self.end_window()
        for host in self._testbed.place.hosts.values():
            host.kill()

    def close(self) -> None:
        """End the role, and whatever it started."""
        self._stack.close()

    def _count_on_the_way(self) -> PartCounts:
        """Return what is counted while it runs; a proxy that is not ours may have to be asked by requests."""
        roles = self._testbed.roles
        return self._counts(roles.counted() if self._request.trial.case.subject.name == _OURS else None)

    def _count(self) -> PartCounts:
        roles = self._testbed.roles
        return self._counts(None if roles.subject is None else roles.subject.count())

    def _counts(self, subject: SubjectCounts | None) -> PartCounts:
        roles, (host,) = self._testbed.roles, self._testbed.place.hosts.values()
        return PartCounts(
            version=roles.version,
            port_range=host.port_range(),
            reuses_ports=host.reuses_ports(),
            served=roles.servers[0].count() if roles.servers else None,
            subject=None if roles.subject is None else subject,
        )


def without_counters(part: PartResult) -> PartResult:
    """Return a part without what the kernel counted, where others used the network namespace meanwhile."""
    result = part.result
    seen = {role: replace(each, counters=None) for role, each in result.seen.items()}
    return replace(part, result=replace(result, seen=seen))


def _without_foreign_work(result: TrialResult) -> TrialResult:
    """Return the result without what others did on the clients' cores, as some of them are ours."""
    first, last = (
        replace(edge, reading=replace(edge.reading, foreign_s=None)) for edge in (result.first, result.last)
    )
    return replace(result, first=first, last=last)


def _with_opened(result: TrialResult, running: RunningProxy) -> TrialResult:
    """Return the result with the connections that the proxy itself opened, where its machine has others."""
    opened = running.stop()
    counters = None if opened is None else Counters(active_opens=opened)
    seen = {role: replace(each, counters=counters) for role, each in result.seen.items()}
    return replace(result, seen=seen, notes=(*result.notes, *running.notes))


def _open_lab(request: PartRequest) -> Lab:
    """Open the lab of one host: where the others are, its role is told."""
    supervisor = strongest()
    host = Host(request.role, [request.address], [request.address], request.port)
    host.join(supervisor)
    return Lab("cluster", [host], supervisor, is_shared=request.is_shared)
