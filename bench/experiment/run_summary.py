"""The summary of a trial of `bench run`: facts in, a Trial out. Pure: no sockets, no clock.

bench/experiment/load_trial.py gathers the facts, bench/analysis judges them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from bench.analysis import ceiling, histogram, validity
from bench.analysis.validity import Pressure
from bench.experiment.moments import spent_s
from bench.plan.run_plan import PROGRAMS, ClosesFirst, Mode, Plan
from bench.runs.record import (
    ROLES,
    UPSTREAM_ERROR_KINDS,
    Moment,
    Percentiles,
    Ports,
    SecondOpinion,
    SubjectRecord,
    TimeWait,
    Trial,
    TrialWarning,
    Upstream,
    Witnesses,
)

TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class WindowSpan:
    """The moments of a trial, in seconds from its first connect."""

    start_s: float
    end_s: float

    @property
    def length_s(self) -> float:
        """Return the length of the window."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class ClientTotals:
    """What the clients got: totals over the window, and over the whole trial where named so."""

    requests: int
    errors: Mapping[str, int]
    requests_total: int
    late: int
    never_started: int
    latency_us: Mapping[int, int]
    service_us: Mapping[int, int]
    connect_us: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that was observed of one trial."""

    plan: Plan
    number: int
    mode: Mode
    lab: str
    subject_version: str
    window: WindowSpan
    clients: ClientTotals
    moments: Sequence[Moment]
    port_range: int
    backend_accepted: int
    backend_requests: int
    subject_opened: int | None = None
    subject_lost: int = 0
    subject_errors: Mapping[str, int] = field(default_factory=dict)
    """Upstream errors by kind; a kind that the subject does not count is not among them."""
    kernel_opened: int | None = None
    first_exhausted_s: float | None = None
    time_wait: Mapping[str, TimeWait] = field(default_factory=dict)
    time_wait_by_hop: Mapping[str, int] = field(default_factory=dict)
    memory_mib: Mapping[str, float | None] = field(default_factory=dict)
    pressure: Pressure | None = None
    observer_cpu_share: float | None = None
    overhead_s: float | None = None
    second_opinion: SecondOpinion | None = None
    interrupted: bool = False
    notes: Sequence[TrialWarning] = ()


def trial(facts: RunFacts) -> Trial:
    """Return the trial that `facts` tell of, with its warnings."""
    plan, clients, window = facts.plan, facts.clients, facts.window
    upstream = _upstream(facts)
    ports = _ports(facts)
    warnings = tuple(_warnings(facts, upstream))
    return Trial(
        trial=facts.number,
        mode=facts.mode.value,
        closes_first=_closes_first(facts),
        subject=SubjectRecord(_subject_name(plan), facts.subject_version),
        lab=facts.lab,
        valid=not any(warning.voids for warning in warnings),
        interrupted=facts.interrupted,
        warnings=warnings,
        warmup_s=window.start_s,
        duration_s=window.length_s,
        requests=clients.requests,
        errors=dict(clients.errors),
        requests_per_s=clients.requests / window.length_s if window.length_s > 0 else 0.0,
        late=clients.late,
        never_started=clients.never_started,
        latency_ms=histogram.percentiles_ms(clients.latency_us),
        service_ms=histogram.percentiles_ms(clients.service_us) if plan.load.rate else None,
        connect_ms=histogram.percentiles_ms(clients.connect_us) if clients.connect_us else Percentiles(),
        upstream=upstream,
        time_wait={role: facts.time_wait.get(role, TimeWait()) for role in ROLES},
        time_wait_by_hop=dict(facts.time_wait_by_hop),
        ports=ports,
        cpu_us_per_request=_cpu_us_per_request(facts.moments, window.start_s, window.end_s),
        cpu_us_per_request_before_cliff=_cpu_before_cliff(facts, ports),
        memory_mib=dict(facts.memory_mib),
        observer_cpu_share=facts.observer_cpu_share,
        ksoftirqd_cpu_share=None if facts.pressure is None else facts.pressure.ksoftirqd_cpu,
        overhead_s=facts.overhead_s,
        second_opinion=facts.second_opinion,
    )


def _subject_name(plan: Plan) -> str:
    if plan.subject.idiom is not None:
        return f"{plan.subject.name} {plan.subject.idiom}"
    return "target" if plan.subject.target else plan.subject.name


def _closes_first(facts: RunFacts) -> str | None:
    if facts.mode is not Mode.SHORT or facts.plan.subject.idiom is not None:
        return None
    if _subject_name(facts.plan) in ("direct", "target"):
        return "client"
    if facts.plan.subject.name == "nginx" and facts.plan.subject.upstream_http == "1.0":
        return "race"  # asked to close by version and by token, nginx does not wait until the backend has
    return facts.plan.closes_first.value


def _upstream(facts: RunFacts) -> Upstream:
    if facts.plan.subject.target:
        return Upstream(None, None, None)
    opened, total = facts.backend_accepted, facts.backend_requests
    return Upstream(
        requests_total=total,
        connections_opened=opened,
        connections_needed=_needed(facts),
        requests_per_connection=total / opened if opened else None,
        witnesses=Witnesses(facts.backend_accepted, facts.kernel_opened, facts.subject_opened),
        errors={kind: facts.subject_errors.get(kind) for kind in UPSTREAM_ERROR_KINDS},
        lost=facts.subject_lost if facts.mode is Mode.KEEPALIVE else None,
    )


def _needed(facts: RunFacts) -> int:
    plan, total = facts.plan, facts.backend_requests
    if facts.mode is Mode.SHORT:
        return total
    limits = (plan.subject.requests_per_connection, plan.backend.requests_per_connection)
    limit = min((limit for limit in limits if limit is not None), default=None)
    clients = plan.load.connections * _pools(plan)
    return validity.connections_needed(clients, total, limit, facts.subject_lost + _abandoned(facts))


def _abandoned(facts: RunFacts) -> int:
    """Return the connections that could not be kept: an exchange failed, or no client waited for it."""
    on_the_proxy = sum(facts.subject_errors.get(kind, 0) for kind in ("protocol", "timeout"))
    return on_the_proxy + facts.clients.errors["timeout"]


def _pools(plan: Plan) -> int:
    """Return the pools that the requests of one client are spread over.

    Workers do not multiply them: a client's connection stays with one worker, whose pool needs no more
    than that worker's clients. Destinations do, where the next one is chosen before the pool is looked
    at: in the worst case all clients are at the same one. nginx does not look at a pooled connection's
    source address; HAProxy and Envoy pool each apart, since each is a server or a cluster of its own.
    """
    name, hosts = plan.subject.name, plan.hosts
    destinations = hosts.backend_addresses if name in PROGRAMS else 1
    return destinations * (hosts.proxy_addresses if name in ("haproxy", "envoy") else 1)


def _ports(facts: RunFacts) -> Ports:
    hosts = facts.plan.hosts
    tuples = facts.port_range * hosts.proxy_addresses * hosts.backend_addresses
    rows = [row for row in facts.moments if row.host == opener(facts.plan)]
    if facts.plan.subject.target or not rows:
        return Ports(range=facts.port_range, tuples=tuples, used_peak=None)
    served = [row for row in facts.moments if row.host == "client"]
    return ceiling.ports(
        [(row.t_s, row.requests) for row in served if row.requests is not None],
        [(row.t_s, row.ports_used) for row in rows if row.ports_used is not None],
        port_range=facts.port_range,
        tuples=tuples,
        end_s=facts.window.end_s,
        exhausted_s=facts.first_exhausted_s,
    )


def opener(plan: Plan) -> str:
    """Return the host whose ports the connections to the backend use up."""
    return "client" if plan.subject.name == "direct" else "proxy"


def _cpu_before_cliff(facts: RunFacts, ports: Ports) -> dict[str, float | None]:
    end_s = facts.window.end_s if ports.half_range_passed_s is None else ports.half_range_passed_s
    start_s = facts.window.start_s if end_s > facts.window.start_s + TICK_S else 0.0
    return _cpu_us_per_request(facts.moments, start_s, end_s)


def _cpu_us_per_request(moments: Sequence[Moment], start_s: float, end_s: float) -> dict[str, float | None]:
    """Return each role's CPU between two moments over the correct responses between them.

    Both are read at the same ticks, the whole tenths that lie between `start_s` and `end_s`.
    """
    served = sum(
        row.requests or 0
        for row in moments
        if row.host == "client" and start_s + TICK_S / 2 < row.t_s < end_s + TICK_S / 2
    )
    shares: dict[str, float | None] = {}
    for host in sorted({row.host for row in moments}):
        used_s = spent_s([row for row in moments if row.host == host], start_s, end_s)
        shares[host] = None if used_s is None or not served else used_s / served * 1e6
    return shares


def _warnings(facts: RunFacts, upstream: Upstream) -> Iterator[TrialWarning]:
    yield from facts.notes
    if facts.plan.subject.target:
        yield from validity.target_warnings(facts.clients.requests)
    else:
        yield from _upstream_warnings(facts, upstream)
    yield from validity.error_warnings(dict(facts.clients.errors), facts.clients.requests)


def _upstream_warnings(facts: RunFacts, upstream: Upstream) -> Iterator[TrialWarning]:
    subject, backend = facts.plan.subject, facts.plan.backend
    if subject.idiom is None:
        may_expire = subject.pool_idle_timeout_s < facts.window.end_s
        yield from validity.mode_warnings(facts.mode, upstream, may_expire=may_expire)
    yield from validity.witness_warnings(upstream)
    yield from validity.race_warnings(upstream, subject.pool_idle_timeout_s, backend.idle_timeout_s)
    if _closes_first(facts) in tuple(ClosesFirst) and "backend" in facts.time_wait_by_hop:
        behind = facts.time_wait.get("backend", TimeWait()).end or 0
        yield from validity.closes_first_warnings(
            facts.plan.closes_first, facts.time_wait_by_hop["backend"], behind
        )
    if facts.pressure is not None and subject.name != "direct":
        yield from validity.generator_warnings(facts.pressure)
