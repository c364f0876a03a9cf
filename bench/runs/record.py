"""What was measured: trials, the run that they belong to, and the warnings about them. Values only.

The dataclasses have the keys of `run.jsonl`, format 2 (results/README.md). A moment ending in `_s` counts
from the trial's first connect; rates, latencies, errors, CPU and bytes are over the window; connections are
over the whole trial.
"""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from bench.runs.machine_record import MachineRecord, MachineTrial
from bench.runs.ports_record import Ports
from bench.runs.target_record import BehindTarget, TargetRecord

T_co = TypeVar("T_co", bound="TrialRecord", covariant=True)
Kind = Literal["run", "scenario", "sweep", "watch"]
FORMAT = 2
ROLES = ("client", "proxy", "backend")
ERROR_KINDS = ("connect", "tls", "timeout", "reset", "protocol", "status", "body", "mismatch")
UPSTREAM_ERROR_KINDS = ("address_exhausted", "refused", "reset", "timeout")


@dataclass(frozen=True, slots=True)
class TrialWarning:
    """A warning about a result: what was seen, and what to do about it. `voids` makes the trial invalid."""

    code: str
    message: str
    advice: str = ""
    voids: bool = False


@dataclass(frozen=True, slots=True)
class Percentiles:
    """A distribution of times in milliseconds; None throughout where nothing was measured."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p99_9: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True)
class SecondOpinion:
    """What another load generator measured of the same subject, right after the trial."""

    tool: str
    requests: int
    """As it counts them: it checks the status, at the most."""
    errors: int
    requests_per_s: float
    cpu_us_per_request: float | None
    latency_ms: Percentiles = field(default_factory=Percentiles)
    """The percentiles that it reports."""


@dataclass(frozen=True, slots=True)
class Witnesses:
    """The upstream connections that were opened, as each witness counted them; None: no such witness."""

    backend: int | None = None
    kernel: int | None = None
    subject: int | None = None

    def counts(self) -> dict[str, int]:
        """Return the witnesses that exist, with their counts."""
        named = {"backend": self.backend, "kernel": self.kernel, "subject": self.subject}
        return {name: count for name, count in named.items() if count is not None}


@dataclass(frozen=True, slots=True)
class Upstream:
    """The hop between the proxy and the backend, over the whole trial; None: not counted at a target."""

    requests_total: int | None = 0
    connections_opened: int | None = 0
    connections_needed: int | None = 0
    """What a perfect pool would have opened for this load: clients, plus one for each limit of requests
    per connection used up, plus one for each connection that the other side ended."""
    requests_per_connection: float | None = None
    witnesses: Witnesses = field(default_factory=Witnesses)
    errors: dict[str, int | None] = field(default_factory=lambda: dict.fromkeys(UPSTREAM_ERROR_KINDS))
    """As the subject counted them; None: it does not count that kind."""
    lost: int | None = None
    """Pooled connections that the backend ended; None in short mode, which keeps none."""


@dataclass(frozen=True, slots=True)
class ClientTls:
    """The TLS handshakes of the clients' connections, over the whole trial."""

    full: int = 0
    resumed: int = 0
    negotiated: dict[str, int] = field(default_factory=dict)
    """By version and cipher, as OpenSSL names them: `TLSv1.3 TLS_AES_256_GCM_SHA384`."""
    failures: dict[str, int] = field(default_factory=dict)
    """By reason, in words."""
    handshake_ms: Percentiles = field(default_factory=Percentiles)
    """From the established connection to the end of the handshake, in the window."""


@dataclass(frozen=True, slots=True)
class TimeWait:
    """Sockets in TIME_WAIT on one host: the highest count seen, and the exact count after the drain.

    None: not known on this system.
    """

    peak: int | None = 0
    end: int | None = 0


UNSEEN = TimeWait(None, None)


@dataclass(frozen=True, slots=True)
class SubjectRecord:
    """The proxy that was measured."""

    name: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialRecord:
    """What the trials of every kind of run have in common."""

    trial: int
    """Its number, from 1."""
    block: int | None = None
    """The round of the run that it belongs to, from 1: one trial of each case, in random order."""
    subject: SubjectRecord
    lab: str
    valid: bool = True
    interrupted: bool = False
    warnings: tuple[TrialWarning, ...] = ()
    time_wait: dict[str, TimeWait] = field(default_factory=lambda: dict.fromkeys(ROLES, TimeWait()))
    overhead_s: float | None = None
    """Time of the trial outside warm-up and window."""
    other_cpu_share: float | None = None
    """CPU of processes that do not belong to the run, from before the first connect to the window's end, as a
    share of all cores that the run may use."""
    stolen_cpu_share: float | None = None
    """What the hypervisor took of them for other machines, likewise."""

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain values, as one line of `run.jsonl` holds it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial(TrialRecord):
    """One trial of the load generator, from start to drain."""

    mode: str
    closes_first: str | None
    """The side that was to close short upstream connections first; None in keep-alive mode."""
    warmup_s: float = 0.0
    duration_s: float = 0.0
    requests: int = 0
    errors: dict[str, int] = field(default_factory=lambda: dict.fromkeys(ERROR_KINDS, 0))
    statuses: dict[str, int] = field(default_factory=dict)
    """Responses in the window by status, correct or not."""
    requests_per_s: float = 0.0
    late: int = 0
    """Open loop: requests that started after their due time."""
    queued: int = 0
    """Open loop: requests for which no connection was free when they were due."""
    never_started: int = 0
    sent_per_s: float | None = None
    """Open loop only: requests that were sent, correctly answered or not."""
    pacing_ms: Percentiles | None = None
    """Open loop only: from the due time of a request until it was sent."""
    latency_ms: Percentiles = field(default_factory=Percentiles)
    service_ms: Percentiles | None = None
    """Open loop only: from the start of the exchange, where `latency_ms` counts from the due time."""
    connect_ms: Percentiles = field(default_factory=Percentiles)
    tls: ClientTls | None = None
    """None where the clients speak no TLS."""
    upstream: Upstream = field(default_factory=Upstream)
    mode_side: Literal["upstream", "client"] = "upstream"
    """Whose connections the mode is of: the clients' own where no proxy of ours is between."""
    behind_target: BehindTarget | None = None
    """At a target only."""
    time_wait_by_hop: dict[str, int] = field(default_factory=dict)
    """The proxy host's TIME_WAIT after the drain, by the role at the other end."""
    ports: Ports = field(default_factory=Ports)
    cpu_us_per_request: dict[str, float | None] = field(default_factory=dict)
    cpu_us_per_request_before_cliff: dict[str, float | None] = field(default_factory=dict)
    """The same, until half of the ports were in use; over the whole window where that never came."""
    memory_mib: dict[str, float | None] = field(default_factory=dict)
    observer_cpu_share: float | None = None
    """CPU of the harness itself while it observed, as a share of one core."""
    ksoftirqd_cpu_share: float | None = None
    """CPU of the kernel's ksoftirqd threads over the window, as a share of one core."""
    second_opinion: SecondOpinion | None = None
    machines: tuple[MachineTrial, ...] = ()
    """On a cluster only."""


@dataclass(frozen=True, slots=True)
class Hop:
    """The connections and bytes of one hop; None: not known in this lab or on this system."""

    opened: int | None = None
    """TCP connections as the kernel of the opening side counted them."""
    accepted: int | None = None
    """The same as the accepting role counted them."""
    bytes_forth: int | None = None
    """Bytes on the wire, headers included, from the opening side, over the window."""
    bytes_back: int | None = None


@dataclass(frozen=True, slots=True)
class RoleUsage:
    """What one role's process tree used; None: not measured, or no such role."""

    cpu_s: float | None = None
    """User and system time over the window."""
    memory_mib: float | None = None
    """The most over the trial."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioTrial(TrialRecord):
    """One trial of a scenario: one variant on one subject, from start to end.

    `hops.front` is between the clients and the proxy, `hops.back` between the proxy and the servers; without
    a proxy there is only the front one.
    """

    variant: str
    window_s: float = 0.0
    units: int = 0
    """What was done in the window, in the scenario's unit (a delivered message, a request, a beat)."""
    figures: dict[str, float | int | None] = field(default_factory=dict)
    """What the scenario measured by itself; its own names."""
    times_ms: dict[str, Percentiles] = field(default_factory=dict)
    """Distributions of times, by the scenario's own names; the histograms are in latency.hlog."""
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    """Points (x, y) of what happened along the trial, by the scenario's own names."""
    hops: dict[str, Hop] = field(default_factory=dict)
    roles: dict[str, RoleUsage] = field(default_factory=lambda: dict.fromkeys(ROLES, RoleUsage()))
    cpu_us_per_unit: dict[str, float | None] = field(default_factory=dict)
    bytes_per_unit: dict[str, float | None] = field(default_factory=dict)
    """For each hop, both directions together."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A case that could not be measured, and why: the subject cannot carry it, or something is missing."""

    variant: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class Moment:
    """One row of `timeline.csv`: one host at one tenth of a second.

    Counters (opens, resets, overflows, cpu_s) count from the trial's start; `time_wait` is the kernel's
    gauge. `requests` and `errors` are those of this tenth, on the client's rows only.
    """

    trial: int
    mode: str
    host: str
    t_s: float
    requests: int | None = None
    errors: int | None = None
    time_wait: int | None = None
    established: int | None = None
    ports_used: int | None = None
    active_opens: int | None = None
    passive_opens: int | None = None
    resets: int | None = None
    listen_overflows: int | None = None
    cpu_s: float | None = None
    memory_mib: float | None = None


@dataclass(frozen=True, slots=True)
class Latencies:
    """A second's latencies of one trial: a sparse histogram, value in microseconds -> count."""

    trial: int
    mode: str
    kind: str
    """latency, service, connect or handshake."""
    t_s: float
    duration_s: float
    counts: dict[int, int]


@dataclass(frozen=True, slots=True)
class RunHeader:
    """The first line of `run.jsonl`: what is known before the first trial."""

    format: int
    kind: Kind
    plan: dict[str, Any]
    machine: dict[str, Any]
    started: str
    refused: tuple[Refused, ...] = ()
    target: TargetRecord | None = None
    interleaved: str | None = None
    """Runs that were made together, block by block, have the same name here; None: it was made alone."""
    grid: dict[str, list[Any]] = field(default_factory=dict)
    """Of a sweep: the plan keys that are varied, each with its values; none where trials choose them."""
    objective: dict[str, Any] = field(default_factory=dict)
    """Of a search: what is required, and where it looks."""
    most_blocks: int | None = None
    """The blocks that it could take at the most, where the trials were looked at on the way (--until,
    --require); None: they were not."""
    machines: tuple[MachineRecord, ...] = ()
    """Of a cluster, one for each role on each of its machines."""


@dataclass(frozen=True)  # no slots: a call of an alias such as Run() tries to note the alias in its result
class RunRecord(Generic[T_co]):
    """A run of any kind: its plan, its machine, and its trials."""

    plan: dict[str, Any]
    machine: dict[str, Any]
    """Hostname-free: cores, memory, kernel, sysctls, limits, versions, git commit."""
    started: str
    trials: tuple[T_co, ...] = ()
    directory: str | None = None
    damage: tuple[str, ...] = ()
    """Lines that could not be read, each with file, line number and reason."""
    interrupted: bool = False
    """Whether it was ended early; known while the run is made, not from what is on disk."""
    refused: tuple[Refused, ...] = ()
    """Cases of a scenario that were left out."""
    problem: str | None = None
    """What failed and ended it early; known while the run is made."""
    target: TargetRecord | None = None
    """The server of `--target`, where the run is of one."""
    interleaved: str | None = None
    """The name that it shares with the runs that it was interleaved with; None: it was made alone."""
    grid: dict[str, list[Any]] = field(default_factory=dict)
    """Of a sweep: the plan keys that are varied, each with its values."""
    objective: dict[str, Any] = field(default_factory=dict)
    """Of a search: what is required, and where it looks."""
    most_blocks: int | None = None
    """The blocks that it could take at the most, where the trials were looked at on the way; None: not."""
    machines: tuple[MachineRecord, ...] = ()
    """Of a cluster, one for each role on each of its machines."""

    @property
    def kind(self) -> Kind:
        """Return what the run is of: the load generator, a scenario, a sweep of the former, or a watch."""
        if self.grid:
            return "sweep"
        if "watch" in self.plan:
            return "watch"
        return "scenario" if "scenario" in self.plan else "run"

    @property
    def scenario(self) -> str:
        """Return the scenario's name, where the run is of one."""
        return str(self.plan["scenario"])

    @property
    def subjects(self) -> tuple[str, ...]:
        """Return the subjects of the trials, in the order of their first."""
        return tuple(dict.fromkeys(trial.subject.name for trial in self.trials))

    def header(self) -> RunHeader:
        """Return what is known before the first trial."""
        known = {each.name: getattr(self, each.name) for each in dataclasses.fields(RunHeader)[1:]}
        return RunHeader(FORMAT, **known)


Run: TypeAlias = RunRecord[Trial]
ScenarioRun: TypeAlias = RunRecord[ScenarioTrial]
