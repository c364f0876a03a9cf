"""One trial on the machines of a cluster: its parts are opened and connected, let go, and merged."""

import queue
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, field, replace
from typing import Any

from bench.cluster import clock, left_over, lost_part, merge, packing, shared_window, worker
from bench.cluster.clock import ClockDrift, ClockOffset
from bench.cluster.connection import DaskCluster, WorkerLost
from bench.cluster.lease import Lease
from bench.cluster.left_over import LeftOver
from bench.cluster.merge import MachinePart
from bench.cluster.part import PartRequest
from bench.cluster.placement import RolePlace
from bench.cluster.running import POLL_S, Gathered, RunningParts
from bench.errors import LabError, RoleError
from bench.experiment import run as single
from bench.experiment import run_summary
from bench.experiment.load_job import backend_flags, load_job
from bench.experiment.run_summary import RunFacts
from bench.experiment.summary import Outcome, TrialCutShort
from bench.experiment.testbed import TrialRequest
from bench.experiment.trial_result import TrialTimes
from bench.load.generator import merge_totals
from bench.load.job import LoadJob, split
from bench.plan.run_plan import Mode, Plan
from bench.progress import Progress
from bench.runs.record import Trial, TrialWarning
from bench.subjects import certificates
from bench.subjects.certificates import Certificate

_HEAD_START_NS = 500_000_000
"""Between the agreement on the first moment and that moment: every part has been told by then."""
_ROUND_TRIP_TIMEOUT_S = 4.0
_RECENT_NS = 10_000_000_000
"""So long a clock that was measured after a trial counts as measured before the next one."""
_CLOSE_TIMEOUT_S = 10.0
"""How long the roles of a trial may take to end; a role is killed after half of it."""


@dataclass(frozen=True, slots=True)
class Machines:
    """The places of a run, and how they are reached."""

    cluster: DaskCluster
    places: Sequence[RolePlace]
    lease: Lease
    reports: "queue.SimpleQueue[bytes]"
    measured: dict[str, tuple[int, ClockOffset]] = field(default_factory=dict)
    """The last measurement of each worker's clock, with its moment; those of all trials of a run."""

    def receive(self) -> list[tuple[str, Any]]:
        """Return what the places have reported since the last call, each with its key."""
        found = []
        while not self.reports.empty():
            found.append(packing.unpack(self.reports.get()))
        return found

    def of(self, role: str) -> list[RolePlace]:
        """Return the places of a role."""
        return [place for place in self.places if place.role == role]

    @property
    def lost(self) -> dict[str, str]:
        """Return those of the places that are lost, by name, each with the reason."""
        lost = self.lease.lost
        return {place.name: lost[place.key] for place in self.places if place.key in lost}

    def know_clocks(self) -> dict[str, ClockOffset]:
        """Return the clock of each worker, by its address, where need be measured anew.

        What it moves meanwhile is found by the measurement after the trial. LabError where one is too
        uncertain.
        """
        earliest_ns = time.monotonic_ns() - _RECENT_NS
        self._measure([each for each in self._addresses if self.measured.get(each, (0,))[0] < earliest_ns])
        return {address: self.measured[address][1] for address in self._addresses}

    def measure_clocks(self) -> dict[str, ClockOffset]:
        """Do the same with each measured now."""
        self._measure(self._addresses)
        return {address: self.measured[address][1] for address in self._addresses}

    @property
    def _addresses(self) -> list[str]:
        return sorted({place.worker.address for place in self.places})

    def _measure(self, addresses: Sequence[str]) -> None:
        for address, offset in clock.measure(self._call_soon, addresses).items():
            clock.check_error(self.cluster.name_of(address), offset)
            self.measured[address] = time.monotonic_ns(), offset

    def _call_soon(self, address: str, function: Callable[[], Any]) -> Any:
        """Call a worker that is known to answer at once."""
        deadline_s = time.monotonic() + _ROUND_TRIP_TIMEOUT_S
        answer = self.cluster.result(address, self.cluster.begin(address, function), deadline_s)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def perform_trial(
    machines: Machines, plan: Plan, number: int, mode: Mode, progress: Progress
) -> Outcome[Trial]:
    """Run one trial of `mode`; KeyboardInterrupt ends it early, and it is then marked interrupted.

    TrialCutShort where a machine is lost while the load runs, LabError where it is before; RoleError where a
    role does not come up or falls silent.
    """
    began_s = time.monotonic()
    request = single.trial_request(plan, number, mode)
    progress.trial(number, request.label, request.warmup_s, request.duration_s)
    trial = _ClusterTrial(machines, plan, mode, request=request, progress=progress)
    late: WorkerLost | None = None
    drifts: list[TrialWarning] = []
    try:
        trial.open()
        gathered = trial.run()
        if not gathered.lost:
            drifts = trial.drift_warnings()
    except WorkerLost as error:
        if not trial.is_measured:
            raise
        late = error
    finally:
        trial.close()
    progress.phase("done")
    if not lost_part.has_seconds(gathered.parts):
        raise LabError(_sentence(machines, gathered.lost))
    parts = shared_window.share_window(gathered.parts)
    facts = _facts(plan, number, mode, parts, trial.notes)
    outcome = run_summary.outcome(facts)
    rows = tuple(merge.machine_trial(part, facts.totals) for part in parts)
    load_s = outcome.trial.warmup_s + outcome.trial.duration_s
    done = replace(
        outcome.trial,
        valid=outcome.trial.valid and not any(each.voids for each in drifts),
        machines=rows,
        overhead_s=time.monotonic() - began_s - load_s,
        warnings=(*outcome.trial.warnings, *drifts),
    )
    if gathered.lost:
        marked = lost_part.mark(done, gathered.lost)
        raise TrialCutShort(_sentence(machines, gathered.lost), replace(outcome, trial=marked))
    if late is not None:
        raise TrialCutShort(f"{late}, once trial {number} was measured", replace(outcome, trial=done))
    return replace(outcome, trial=done)


def _sentence(machines: Machines, lost: Mapping[str, str]) -> str:
    """Return what was lost, in one line."""
    if (reason := machines.lease.scheduler_lost) is not None:
        return f"cluster: the scheduler {machines.cluster.scheduler} {reason}; start it anew, and run again"
    on = {place.name: place.worker.name for place in machines.places}
    name, reason = next(iter(lost.items()))
    if 1 < len(on) == len(lost):
        return (
            f"cluster: all {len(on)} roles were lost: of {name} {reason}, and so of the others; see whether"
            " the machines have cores enough for so many, and run again"
        )
    also = lost_part.name_others([each for each in lost if each != name])
    return f"cluster: {name} on the worker {on[name]} was lost{also}: {reason}; see to it, and run again"


class _ClusterTrial:
    """The parts of one trial. States: to open, ready, over."""

    def __init__(
        self,
        machines: Machines,
        plan: Plan,
        mode: Mode,
        *,
        request: TrialRequest,
        progress: Progress,
    ) -> None:
        self._machines = machines
        self._plan = plan
        self._mode = mode
        self._request = request
        self._progress = progress
        self._clocks: dict[str, ClockOffset] = {}
        self.is_measured = False
        """Whether the load is over."""
        self.notes: list[str] = []
        """What has to be said of the trial."""

    def open(self) -> None:
        """Start backends, proxies and load workers, in this order; each kind on all its machines at once."""
        places = self._machines.places
        self._each(places, "open", lambda place: [self._part_request(place)])
        if self._plan.subject.target is not None:
            job = load_job(self._plan, self._mode, None)
            self._start_clients(job, [f"{job.host}:{job.port}"])
            return
        shown = _certificates(self._plan, self._machines)
        upstreams = self._start_backends(shown)
        fronts = self._find_proxies(upstreams, shown) or upstreams
        self._wait_for_ports(upstreams)
        authority = shown.get("proxy", shown.get("backend"))
        job = load_job(self._plan, self._mode, fronts[0], None if authority is None else authority.authority)
        self._start_clients(job, fronts)

    def run(self) -> Gathered:
        """Let all parts go at one moment, and return what each observed, in our clock."""
        load, places = self._plan.load, self._machines.places
        self._clocks = self._machines.know_clocks()
        times = TrialTimes.after(time.monotonic_ns() + _HEAD_START_NS, load.warmup_s, load.duration_s)
        theirs = {place.key: _shifted(times, self._clocks[place.worker.address]) for place in places}
        cluster = self._machines.cluster
        begun = {
            cluster.begin(
                place.worker.address, worker.run, place.key, theirs[place.key], load.total_timeout_s
            ): place
            for place in places
        }
        running = RunningParts(
            cluster,
            self._machines.lease,
            begun,
            times=theirs,
            clocks=self._clocks,
            progress=self._progress,
        )
        gathered = running.run(times, self._machines.receive)
        self.is_measured = True
        return gathered

    def drift_warnings(self) -> list[TrialWarning]:
        """Return a warning for each clock that has moved against ours since the trial began."""
        later = self._machines.measure_clocks()
        drifts = {address: ClockDrift(first, later[address]) for address, first in self._clocks.items()}
        found = [
            clock.summarize_drift(self._machines.cluster.name_of(address), drift, self._plan.load.duration_s)
            for address, drift in drifts.items()
        ]
        return [warning for warning in found if warning is not None]

    def close(self) -> None:
        """End every role of the trial; where a machine is lost, the end of the run ends them at once."""
        if not self._machines.lost:
            wait([self._begin(place, "close") for place in self._machines.places], _CLOSE_TIMEOUT_S)

    def _start_backends(self, shown: Mapping[str, Certificate]) -> list[str]:
        flags = tuple(backend_flags(self._plan.backend))
        found = self._each(
            self._machines.of("backend"), "start_backend", lambda _: [flags, shown.get("backend")]
        )
        return [address for addresses in found for address in addresses]

    def _start_proxies(self, upstreams: list[str], shown: Mapping[str, Certificate]) -> list[str]:
        behind = shown.get("backend")
        authority = None if behind is None else behind.authority
        return self._each(
            self._machines.of("proxy"), "start_proxy", lambda _: [upstreams, shown.get("proxy"), authority]
        )

    def _find_proxies(self, upstreams: list[str], shown: Mapping[str, Certificate]) -> list[str]:
        """Return where the clients find the proxies: those that are started, or the one that runs already."""
        address = self._plan.cluster.proxy_at
        if address is None:
            return self._start_proxies(upstreams, shown)
        self._each(self._machines.of("proxy"), "watch_proxy", lambda _: [address, upstreams])
        return [address]

    def _wait_for_ports(self, upstreams: list[str]) -> None:
        """Wait until trials before have left the ports towards the backends, where these have fixed ones."""
        openers = self._machines.of(run_summary.opener(self._plan))
        if self._plan.cluster.backend_port is None or not openers:
            return

        def look() -> dict[str, LeftOver]:
            found = self._each(openers, "find_left_over", lambda _: [upstreams])
            return {place.name: each for place, each in zip(openers, found, strict=True)}

        self.notes += left_over.wait_until_few(look, self._progress.note)

    def _start_clients(self, job: LoadJob, fronts: Sequence[str]) -> None:
        clients, workers = self._machines.of("client"), self._plan.load.workers
        jobs = [
            replace(each, host=host, port=int(port))
            for index, each in enumerate(split(job, len(clients) * workers))
            for host, _, port in [fronts[index % len(fronts)].rpartition(":")]
        ]
        own = {place.key: jobs[at :: len(clients)] for at, place in enumerate(clients)}
        self._each(clients, "start_clients", lambda place: [job, own[place.key]])

    def _part_request(self, place: RolePlace) -> PartRequest:
        cluster = self._plan.cluster
        ports = {"proxy": cluster.proxy_port, "backend": cluster.backend_port}
        return PartRequest(
            name=place.name,
            role=place.role,
            address=place.address,
            trial=self._request,
            cores=place.cores,
            is_shared=place.is_shared,
            has_own_cores=place.has_own_cores,
            port=ports.get(place.role) or 0,
            ours=place.ours,
        )

    def _begin(self, place: RolePlace, method: str, *arguments: Any) -> "Future[Any]":
        return self._machines.cluster.begin(
            place.worker.address, worker.perform, place.key, method, *arguments
        )

    def _each(
        self, places: Sequence[RolePlace], method: str, arguments: Callable[[RolePlace], Sequence[Any]]
    ) -> list[Any]:
        """Call a method of several parts at once and return what each returns; the first error is raised.

        LabError where a place is lost meanwhile.
        """
        futures = {self._begin(place, method, *arguments(place)): place for place in places}
        pending = set(futures)
        while pending:
            done, pending = wait(pending, POLL_S, FIRST_EXCEPTION)
            for future in done:
                if (error := future.exception()) is not None:
                    raise with_place(error, futures[future])
            if lost := self._machines.lost:
                raise LabError(_sentence(self._machines, lost))
        return [future.result() for future in futures]


def with_place(error: BaseException, place: RolePlace) -> BaseException:
    """Return what a place raised with its machine, unless it names what it is about in the cluster itself."""
    where = f"cluster: {place.name} on the worker {place.worker.name}"
    if str(error).startswith("cluster"):
        return error
    if isinstance(error, RoleError):
        role, reason, exit_message = error.args
        return RoleError(f"{where}: {role}", reason, exit_message)
    return LabError(f"{where}: {error}") if isinstance(error, LabError) else error


def _shifted(times: TrialTimes, offset: ClockOffset) -> TrialTimes:
    """Return the moments of a trial as the clock of a machine shows them."""
    end_ns = None if times.end_ns is None else offset.to_remote(times.end_ns)
    return TrialTimes(offset.to_remote(times.start_ns), offset.to_remote(times.window_ns), end_ns)


def _certificates(plan: Plan, machines: Machines) -> dict[str, Certificate]:
    """Return what the proxies and the backends show, for the addresses of all their machines."""
    shown: dict[str, Certificate] = {}
    for role, speaks in (("proxy", plan.load.tls), ("backend", plan.has_backend_tls)):
        places = machines.of(role)
        if speaks and places:
            shown[role] = certificates.issue([place.address for place in places])
    return shown


def _facts(
    plan: Plan, number: int, mode: Mode, parts: Sequence[MachinePart], notes: Sequence[str]
) -> RunFacts:
    clients = [part.result for part in parts if part.role == "client"]
    totals = merge_totals([part.totals for part in clients if part.totals is not None])
    served = [part.result.counts.served for part in parts if part.result.counts.served is not None]
    subjects = [part.result.counts.subject for part in parts if part.result.counts.subject is not None]
    counted = merge.sum_subjects(subjects)
    opener = run_summary.opener(plan)
    ranges = [part.result.counts.port_range for part in parts if part.role == opener]
    versions = {part.result.counts.version for part in parts if part.role == "proxy"}
    return RunFacts(
        plan,
        number,
        mode,
        lab="cluster",
        version=", ".join(sorted(versions)) or "-",
        result=merge.merge_results(parts, notes, totals),
        totals=totals,
        seconds=merge.merge_machine_seconds(part.seconds for part in clients),
        port_range=min((high - low + 1 for low, high in ranges), default=0),
        reuses_ports=all(part.result.counts.reuses_ports for part in parts if part.role == opener),
        accepted=sum(each["accepted"] for each in served),
        requests=sum(each["requests"] for each in served),
        lost=sum(each["closed_first"] for each in served) if counted.lost is None else counted.lost,
        counted=counted,
    )
