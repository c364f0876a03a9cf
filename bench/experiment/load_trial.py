"""One trial of `bench run`: a backend, a subject, load workers, and what was observed of them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from bench.analysis import histogram
from bench.errors import RoleError
from bench.experiment import fd_limits, moments, run_summary, second_opinion, summary, trial
from bench.experiment.definition import LabRequest
from bench.experiment.load_clients import LoadClients
from bench.experiment.load_job import backend_flags, load_job, parse_target
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.run_summary import ClientTotals, RunFacts, WindowSpan
from bench.experiment.summary import Outcome
from bench.experiment.testbed import Testbed, TrialRequest
from bench.experiment.trial_result import TrialResult
from bench.load import external
from bench.load.generator import Second, Totals
from bench.plan.run_plan import Mode, Plan
from bench.plan.scenario_plan import Case
from bench.progress import Progress
from bench.runs.record import UNSEEN, Latencies, Moment, Trial, TrialWarning


def check(plan: Plan) -> None:
    """Raise PlanError where the plan's subject is not here or cannot do what is asked; start no role.

    LabError where the system does not allow as many open files as the plan needs, RoleError where the
    program for a second opinion is not installed.
    """
    fd_limits.allow(plan)
    if plan.subject.target is not None:
        parse_target(plan.subject.target)
    else:
        for mode in plan.modes:
            setup, case = _proxy_setup(plan, mode), Case(mode.value, plan.subject)
            setup.check(case, plan.hosts.proxy_addresses, plan.hosts.backend_addresses)
    if plan.load.second_opinion is not None:
        external.check(plan.load.second_opinion)


def perform(plan: Plan, number: int, mode: Mode, lab_name: str, progress: Progress) -> Outcome[Trial]:
    """Run one trial of `mode`; KeyboardInterrupt ends it early, and it is then marked interrupted.

    RoleError when a role does not come up or falls silent, LabError when the lab does not open.
    """
    load = plan.load
    with trial.opened(_request(plan, number, mode), lab_name, progress) as testbed:
        clients = _start(plan, mode, testbed)
        result = testbed.run(load.warmup_s, load.duration_s, load.total_timeout_s)
        facts = _facts(plan, (number, mode), testbed, clients, result)
        facts = _with_second_opinion(facts, testbed, clients, progress)
    facts = replace(facts, overhead_s=testbed.overhead_s)
    histograms = _latencies(number, mode, clients.seconds, clients.totals.first_connect_ns)
    return Outcome(run_summary.trial(facts), facts.moments, list(histograms))


def _request(plan: Plan, number: int, mode: Mode) -> TrialRequest:
    hosts, load = plan.hosts, plan.load
    return TrialRequest(
        number=number,
        label=mode.value,
        case=Case(mode.value, plan.subject),
        proxy=_proxy_setup(plan, mode),
        lab=LabRequest(
            proxy_addresses=hosts.proxy_addresses,
            backends=hosts.backend_addresses,
            ports=hosts.ports,
            narrowed=run_summary.opener(plan),
            sysctls=hosts.sysctls,
        ),
        client_workers=load.workers,
        pin=hosts.pin,
        warmup_s=load.warmup_s,
        duration_s=load.duration_s,
    )


def _proxy_setup(plan: Plan, mode: Mode) -> ProxySetup:
    return ProxySetup(
        clients=plan.load.connections,
        mode=mode,
        workers=plan.subject.workers,
        closes_first=plan.closes_first,
        pool_idle=plan.pool_idle,
    )


def _start(plan: Plan, mode: Mode, testbed: Testbed) -> LoadClients:
    """Start backend, subject and load workers in this order; with a target only the last."""
    proxy: str | None = None
    if plan.subject.target is None:
        host = testbed.place.hosts["backend"]
        listen = [f"{address}:{host.listen_port}" for address in host.addresses]
        server = testbed.start_server("backends", *backend_flags(plan.backend), listen=listen)
        proxy = testbed.start_proxy(server.addresses)
    return testbed.start_load(load_job(plan, mode, proxy))


# -- when the load has ended


def _facts(
    plan: Plan, trial_of: tuple[int, Mode], testbed: Testbed, clients: LoadClients, result: TrialResult
) -> RunFacts:
    """Count everything, with the roles still alive: a role that stops closes what it keeps."""
    (number, mode), roles, seen, totals = trial_of, testbed.roles, result.seen, clients.totals
    start_ns, opener = totals.first_connect_ns, run_summary.opener(plan)
    served = roles.servers[0].count() if roles.servers else {"accepted": 0, "requests": 0, "closed_first": 0}
    counted, counters = roles.counted(), seen[opener].counters
    sockets = seen["proxy"].sockets
    memory_mib = {host: summary.memory_mib(each) for host, each in seen.items()}
    low, high = testbed.place.hosts[opener].port_range()
    return RunFacts(
        plan=plan,
        number=number,
        mode=mode,
        lab=testbed.place.name,
        subject_version=roles.version,
        window=_window(totals),
        clients=_client_totals(clients.seconds, totals),
        moments=_moments(number, mode, result, clients.seconds, start_ns),
        port_range=high - low + 1,
        backend_accepted=served["accepted"],
        backend_requests=served["requests"],
        subject_opened=counted.opened,
        subject_lost=served["closed_first"] if counted.lost is None else counted.lost,
        subject_errors=counted.errors,
        kernel_opened=None if counters is None else counters.active_opens,
        first_exhausted_s=_since(counted.first_exhausted_ns, start_ns),
        time_wait={
            host: UNSEEN if memory_mib[host] is None else summary.time_wait(each)
            for host, each in seen.items()
        },
        time_wait_by_hop={} if sockets is None else sockets.time_wait_by_hop,
        memory_mib=memory_mib,
        pressure=None if result.interrupted else result.pressure,
        observer_cpu_share=result.observer_cpu_share,
        interrupted=result.interrupted or totals.interrupted,
        notes=summary.lab_warnings(result.notes),
    )


def _with_second_opinion(
    facts: RunFacts, testbed: Testbed, clients: LoadClients, progress: Progress
) -> RunFacts:
    """Return the facts with what another load generator says, where the plan asks for one.

    It comes last: whatever it opens, every witness has been read, and every peak been taken.
    """
    tool = facts.plan.load.second_opinion
    if tool is None or facts.interrupted:
        return facts
    progress.phase(f"second opinion, {tool}")
    began_s = time.monotonic()
    try:
        opinion = second_opinion.ask(tool, testbed, clients.job)
    except RoleError as error:
        # The trial itself has been measured whole.
        note = TrialWarning("second-opinion", str(error), "see whether it runs by hand, or ask another")
        return replace(facts, notes=[*facts.notes, note])
    except KeyboardInterrupt:
        return replace(facts, interrupted=True)
    finally:
        testbed.apart_s = time.monotonic() - began_s
    return replace(facts, second_opinion=opinion)


def _since(moment_ns: int | None, start_ns: int) -> float | None:
    return None if moment_ns is None else (moment_ns - start_ns) / 1e9


def _window(totals: Totals) -> WindowSpan:
    start_ns = totals.first_connect_ns
    return WindowSpan((totals.window_start_ns - start_ns) / 1e9, (totals.window_end_ns - start_ns) / 1e9)


def _client_totals(seconds: Sequence[Second], totals: Totals) -> ClientTotals:
    window = [second for second in seconds if second.in_window]
    return ClientTotals(
        requests=totals.requests,
        errors=totals.errors,
        requests_total=totals.requests_total,
        late=totals.late,
        never_started=totals.never_started,
        latency_us=histogram.merge(second.latency_us for second in window),
        service_us=histogram.merge(second.service_us for second in window),
        connect_us=histogram.merge(second.connect_us for second in window),
    )


# -- along the time


def _moments(
    number: int, mode: Mode, result: TrialResult, seconds: Sequence[Second], start_ns: int
) -> list[Moment]:
    """Return the observers' samples and the clients' tenths of a second, in order."""
    rows = [moments.observed(number, mode, sample, start_ns) for sample in result.samples]
    ticks = [row for second in seconds for row in moments.tenths(number, mode, second, start_ns)]
    return sorted([*rows, *ticks], key=lambda row: row.t_s)


def _latencies(number: int, mode: Mode, seconds: Sequence[Second], start_ns: int) -> Iterator[Latencies]:
    """Yield the histograms of the window's seconds."""
    for second in seconds:
        kinds = {"latency": second.latency_us, "service": second.service_us, "connect": second.connect_us}
        at_s, lasts_s = (second.start_ns - start_ns) / 1e9, (second.end_ns - second.start_ns) / 1e9
        for kind, counts in kinds.items():
            if counts and second.in_window:
                yield Latencies(number, mode.value, kind, at_s, lasts_s, counts)
