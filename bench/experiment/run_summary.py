"""The summary of a trial of `bench run`: facts in, a Trial out. Pure: no sockets, no clock.

bench/experiment/run.py gathers the facts, bench/analysis judges them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis import ceiling, histogram, steady, validity
from bench.analysis.validity import Pressure
from bench.experiment import summary, target_summary
from bench.experiment.summary import Outcome
from bench.experiment.trial_result import TrialResult
from bench.load.generator import Second, Totals
from bench.observe.host_observer import HostSample
from bench.observe.target_watch import TargetSockets
from bench.plan import load_values
from bench.plan.run_plan import ClosesFirst, Mode, Plan
from bench.runs.ports_record import Ports
from bench.runs.record import (
    ROLES,
    UNSEEN,
    UPSTREAM_ERROR_KINDS,
    ClientTls,
    Latencies,
    Moment,
    Percentiles,
    SubjectRecord,
    TimeWait,
    Trial,
    TrialWarning,
    Upstream,
    Witnesses,
)
from bench.subjects.subject import SubjectCounts

TICK_S = 0.1


@dataclass(frozen=True, slots=True)
class RunFacts:
    """All that was observed of one trial."""

    plan: Plan
    number: int
    mode: Mode
    lab: str
    version: str
    """The subject's."""
    result: TrialResult
    totals: Totals
    """What the clients got, and when."""
    seconds: Sequence[Second]
    """The same along the trial."""
    port_range: int
    accepted: int
    """Connections that the backend accepted."""
    requests: int
    """Requests that it answered."""
    lost: int
    """Pooled connections that it ended, as the subject or else the backend counted them."""
    counted: SubjectCounts
    """What the subject counted, read when the load was over."""
    target: TargetSockets | None = None
    """The kernel's sockets around a target; None where it shows none, and without one."""
    reuses_ports: bool = False
    """Whether connect() may take a port in TIME_WAIT toward the backend again after a second."""

    @property
    def start_s(self) -> float:
        """Return the start of the window, in seconds from the first connect."""
        return (self.totals.window_start_ns - self.totals.first_connect_ns) / 1e9

    @property
    def end_s(self) -> float:
        """Return the end of the window, in seconds from the first connect."""
        return (self.totals.window_end_ns - self.totals.first_connect_ns) / 1e9

    @property
    def pressure(self) -> Pressure | None:
        """Return how hard the machine was on the clients; None where the window was cut off."""
        return None if self.result.interrupted else self.result.pressure

    @property
    def time_wait_by_hop(self) -> dict[str, int]:
        """Return the proxy host's sockets in TIME_WAIT after the drain, by the role at the other end."""
        if self.plan.subject.target is not None:
            return target_summary.time_wait_by_hop(self.target)
        sockets = self.result.seen["proxy"].sockets
        return {} if sockets is None else sockets.time_wait_by_hop


def outcome(facts: RunFacts) -> Outcome[Trial]:
    """Return the trial that `facts` describe, with its warnings, its timeline and its histograms."""
    rows = _moments(facts)
    return Outcome(_trial(facts, rows), rows, list(_latencies(facts)))


def _trial(facts: RunFacts, rows: Sequence[Moment]) -> Trial:
    plan, totals, result = facts.plan, facts.totals, facts.result
    upstream, ports = _upstream(facts), _ports(facts, rows)
    warnings = tuple(_warnings(facts, upstream, ports, rows))
    window_s = facts.end_s - facts.start_s
    window = [second for second in facts.seconds if second.in_window]
    service_us = histogram.merge(second.service_us for second in window)
    is_open_loop = plan.load.rate is not None
    pacing_us = histogram.merge(second.pacing_us for second in window)
    connect_us = histogram.merge(second.connect_us for second in window)
    memory_mib = {host: summary.memory_mib(seen) for host, seen in result.seen.items()}
    return Trial(
        trial=facts.number,
        mode=facts.mode.value,
        closes_first=_closes_first(facts),
        subject=SubjectRecord(_subject_name(plan), facts.version),
        lab=facts.lab,
        valid=not any(warning.voids for warning in warnings),
        interrupted=result.interrupted or totals.interrupted,
        warnings=warnings,
        warmup_s=facts.start_s,
        duration_s=window_s,
        requests=totals.requests,
        errors=dict(totals.errors),
        statuses=dict(totals.statuses),
        requests_per_s=totals.requests / window_s if window_s > 0 else 0.0,
        late=totals.late,
        queued=totals.queued,
        never_started=totals.never_started,
        sent_per_s=sum(pacing_us.values()) / window_s if is_open_loop and window_s > 0 else None,
        pacing_ms=histogram.percentiles_ms(pacing_us) if is_open_loop else None,
        latency_ms=histogram.percentiles_ms(histogram.merge(second.latency_us for second in window)),
        service_ms=histogram.percentiles_ms(service_us) if is_open_loop else None,
        connect_ms=histogram.percentiles_ms(connect_us) if connect_us else Percentiles(),
        tls=_client_tls(facts, window),
        upstream=upstream,
        time_wait=_time_wait(facts, memory_mib),
        mode_side="upstream" if _subject_name(plan) not in ("direct", "target") else "client",
        behind_target=target_summary.behind(facts.target, totals) if plan.subject.target else None,
        time_wait_by_hop=facts.time_wait_by_hop,
        ports=ports,
        cpu_us_per_request=_cpu_us_per_request(facts, facts.start_s, facts.end_s),
        cpu_us_per_request_before_cliff=_cpu_before_cliff(facts, ports),
        memory_mib=memory_mib,
        observer_cpu_share=result.observer_cpu_share,
        other_cpu_share=result.other_cpu_share,
        stolen_cpu_share=result.stolen_cpu_share,
        ksoftirqd_cpu_share=None if facts.pressure is None else facts.pressure.ksoftirqd_cpu,
    )


def _client_tls(facts: RunFacts, window: Sequence[Second]) -> ClientTls | None:
    counts = facts.totals.handshakes
    if counts is None:
        return None
    times_us = histogram.merge(second.handshake_us for second in window)
    return ClientTls(
        counts.full,
        counts.resumed,
        counts.negotiated,
        counts.failures,
        histogram.percentiles_ms(times_us) if times_us else Percentiles(),
    )


def _time_wait(facts: RunFacts, memory_mib: Mapping[str, float | None]) -> dict[str, TimeWait]:
    """Return the hosts' sockets in TIME_WAIT; a host without processes of the trial has none."""
    if facts.plan.subject.target is not None:
        return target_summary.time_wait(facts.target)
    seen = facts.result.seen
    return {host: UNSEEN if memory_mib[host] is None else summary.time_wait(seen[host]) for host in ROLES}


def _subject_name(plan: Plan) -> str:
    if plan.cluster.proxy_at is not None:
        return "running proxy"
    if plan.subject.idiom is not None:
        return f"{plan.subject.name} {plan.subject.idiom}"
    return "target" if plan.subject.target else plan.subject.name


def _is_enforced(plan: Plan) -> bool:
    """Return whether the mode is that of the plan, and not what a configuration of others makes of it."""
    return plan.subject.idiom is None and plan.cluster.proxy_at is None


def _closes_first(facts: RunFacts) -> str | None:
    if facts.mode is not Mode.SHORT or not _is_enforced(facts.plan):
        return None
    if _subject_name(facts.plan) in ("direct", "target"):
        return "client"
    if facts.plan.subject.name == "nginx" and facts.plan.subject.upstream_http == "1.0":
        return "race"  # requested to close by version and by token, nginx does not wait until the backend has
    return facts.plan.closes_first.value


def _upstream(facts: RunFacts) -> Upstream:
    if facts.plan.subject.target:
        return Upstream(None, None, None)
    counters = facts.result.seen[opener(facts.plan)].counters
    kernel = None if counters is None else counters.active_opens
    return Upstream(
        requests_total=facts.requests,
        connections_opened=facts.accepted,
        connections_needed=_needed(facts),
        requests_per_connection=facts.requests / facts.accepted if facts.accepted else None,
        witnesses=Witnesses(facts.accepted, kernel, facts.counted.opened),
        errors={kind: facts.counted.errors.get(kind) for kind in UPSTREAM_ERROR_KINDS},
        lost=facts.lost if facts.mode is Mode.KEEPALIVE else None,
    )


def _needed(facts: RunFacts) -> int:
    plan, total = facts.plan, facts.requests
    if facts.mode is Mode.SHORT:
        return total
    limits = (plan.subject.requests_per_connection, plan.backend.requests_per_connection)
    limit = min((limit for limit in limits if limit is not None), default=None)
    clients = plan.concurrency * plan.pools
    return validity.connections_needed(clients, total, limit, facts.lost + _abandoned(facts))


def _abandoned(facts: RunFacts) -> int:
    """Return the connections that could not be kept: an exchange failed, or no client waited for it."""
    on_the_proxy = sum(facts.counted.errors.get(kind, 0) for kind in ("protocol", "timeout"))
    return on_the_proxy + facts.totals.errors["timeout"]


def _ports(facts: RunFacts, rows: Sequence[Moment]) -> Ports:
    hosts, exhausted_ns = facts.plan.hosts, facts.counted.first_exhausted_ns
    tuples = facts.port_range * hosts.proxy_addresses * facts.plan.backend_addresses
    opened = [row for row in rows if row.host == opener(facts.plan)]
    if facts.plan.subject.target or not opened:
        return Ports(range=facts.port_range, tuples=tuples, used_peak=None)
    start_ns, sockets = facts.totals.first_connect_ns, facts.result.seen[opener(facts.plan)].sockets
    return ceiling.ports(
        [(row.t_s, row.requests) for row in rows if row.host == "client" and row.requests is not None],
        [(row.t_s, row.ports_used) for row in opened if row.ports_used is not None],
        port_range=facts.port_range,
        tuples=tuples,
        end_s=facts.end_s,
        exhausted_s=None if exhausted_ns is None else (exhausted_ns - start_ns) / 1e9,
        at_end=None if sockets is None else sockets.ports_used,
        reuses=facts.reuses_ports,
    )


def opener(plan: Plan) -> str:
    """Return the host whose ports the connections to the backend use up."""
    return "client" if plan.subject.name == "direct" else "proxy"


def _cpu_before_cliff(facts: RunFacts, ports: Ports) -> dict[str, float | None]:
    end_s = facts.end_s if ports.slowed_s is None else ports.slowed_s
    return _cpu_us_per_request(facts, facts.start_s if end_s > facts.start_s + TICK_S else 0.0, end_s)


def _cpu_us_per_request(facts: RunFacts, start_s: float, end_s: float) -> dict[str, float | None]:
    """Return each role's CPU over the correct responses, both between the ticks nearest to two moments."""
    start_ns = facts.totals.first_connect_ns
    ticks = [tick for second in facts.seconds for tick in summary.ticks(second)]
    edges_ns = [start_ns, *(end_ns for end_ns, _ in ticks)]
    first_ns, last_ns = (
        min(edges_ns, key=lambda edge_ns: abs(edge_ns - start_ns - moment_s * 1e9))
        for moment_s in (start_s, end_s)
    )
    served = sum(requests for end_ns, requests in ticks if first_ns < end_ns <= last_ns)
    shares: dict[str, float | None] = {}
    for role in sorted({"client", *(each.host for each in facts.result.samples)} & set(ROLES)):
        used_s = summary.spent_s(_cpu_s(facts, role), first_ns, last_ns)
        shares[role] = None if used_s is None or not served else used_s / served * 1e6
    return shares


def _cpu_s(facts: RunFacts, role: str) -> list[tuple[int, float]]:
    """Return the CPU seconds of a role up to each moment that was read: ticks, and the window's edges."""
    result = facts.result
    used = [(each.t_ns, each.cpu_s) for each in result.samples if each.host == role and each.memory_mib]
    edges = (result.first, result.last)
    return used and used + [(edge.moment_ns, edge.cpu_s[role]) for edge in edges if role in edge.cpu_s]


def _warnings(
    facts: RunFacts, upstream: Upstream, ports: Ports, rows: Sequence[Moment]
) -> Iterator[TrialWarning]:
    is_target = facts.plan.subject.target is not None
    # What loopback does to roles of ours is no matter where none of them runs.
    notes = [note for note in facts.result.notes if not (is_target and note.startswith("loopback"))]
    yield from summary.lab_warnings(notes)
    if facts.plan.subject.target:
        yield from validity.target_warnings(facts.totals.requests, _wrong_statuses(facts))
    else:
        yield from _upstream_warnings(facts, upstream)
        if facts.requests and not facts.result.interrupted:
            failed = sum(facts.totals.errors.values())
            yield from validity.window_warnings(facts.totals.requests, failed, ports, facts.start_s)
    if not facts.plan.subject.target:  # which may be a process of this machine
        pressure = None if facts.plan.subject.name == "direct" else facts.pressure
        yield from validity.machine_warnings(pressure, summary.other_shares(facts.result))
    if not facts.result.interrupted:
        ticks = [(row.t_s, row.requests) for row in rows if row.host == "client" and row.requests is not None]
        yield from steady.steadiness_warnings(ticks, ports, warmup_s=facts.start_s, end_s=facts.end_s)
    yield from validity.error_warnings(
        dict(facts.totals.errors), facts.totals.requests, _wrong_statuses(facts)
    )
    if (handshakes := facts.totals.handshakes) is not None:
        yield from validity.tls_warnings(handshakes.failures)


def _wrong_statuses(facts: RunFacts) -> dict[str, int]:
    """Return the responses by status that was not expected."""
    right = load_values.statuses(facts.plan.load.expect_status)
    return {
        status: count
        for status, count in facts.totals.statuses.items()
        if not any(low <= int(status) <= high for low, high in right)
    }


def _upstream_warnings(facts: RunFacts, upstream: Upstream) -> Iterator[TrialWarning]:
    subject, backend = facts.plan.subject, facts.plan.backend
    if _is_enforced(facts.plan):
        may_expire = subject.pool_idle_timeout_s < facts.end_s
        is_small = facts.plan.pool_idle < facts.plan.concurrency
        yield from validity.mode_warnings(facts.mode, upstream, may_expire=may_expire, is_small=is_small)
    elif facts.plan.cluster.proxy_at is not None:
        yield from validity.running_proxy_warnings(
            facts.mode, upstream, facts.plan.concurrency, facts.plan.cluster.backend_port
        )
    yield from validity.witness_warnings(upstream)
    yield from validity.race_warnings(upstream, subject.pool_idle_timeout_s, backend.idle_timeout_s)
    if _closes_first(facts) in tuple(ClosesFirst) and "backend" in facts.time_wait_by_hop:
        sockets = facts.result.seen["backend"].sockets
        behind = 0 if sockets is None else sockets.time_wait
        yield from validity.closes_first_warnings(
            facts.plan.closes_first, facts.time_wait_by_hop["backend"], behind
        )


# -- along the time


def _moments(facts: RunFacts) -> list[Moment]:
    """Return the observers' samples and the clients' tenths of a second, in order."""
    start_ns, number, mode = facts.totals.first_connect_ns, facts.number, facts.mode
    samples: Iterable[HostSample] = facts.result.samples
    if facts.plan.subject.target is not None:
        samples = target_summary.samples(facts.result.samples, facts.target)
    rows = [summary.observed(number, mode, sample, start_ns) for sample in samples]
    ticks = [row for second in facts.seconds for row in summary.tenths(number, mode, second, start_ns)]
    return sorted([*rows, *ticks], key=lambda row: row.t_s)


def _latencies(facts: RunFacts) -> Iterator[Latencies]:
    """Yield the histograms of the window's seconds."""
    for second in facts.seconds:
        kinds = {
            "latency": second.latency_us,
            "service": second.service_us,
            "connect": second.connect_us,
            "handshake": second.handshake_us,
        }
        at_s = (second.start_ns - facts.totals.first_connect_ns) / 1e9
        lasts_s = (second.end_ns - second.start_ns) / 1e9
        for kind, counts in kinds.items():
            if counts and second.in_window:
                yield Latencies(facts.number, facts.mode.value, kind, at_s, lasts_s, counts)
