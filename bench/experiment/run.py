"""A run of the load generator: the trials of a plan in turn, each recorded as it ends. Writes no text.

A trial has a backend, a subject and load workers, and what was observed of them.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.analysis.target import describe_answer, right_statuses
from bench.errors import RoleError
from bench.experiment import fd_limits, recorder, run_summary, second_opinion, target_probe
from bench.experiment.load_clients import LoadClients
from bench.experiment.load_job import backend_flags, load_job, read_body
from bench.experiment.proxy_setup import ProxySetup
from bench.experiment.recorder import PlannedTrial, numbered
from bench.experiment.run_summary import RunFacts
from bench.experiment.stage import Stage
from bench.experiment.stopping import Stopping, groups_of
from bench.experiment.summary import Outcome
from bench.experiment.testbed import Testbed, TrialRequest, open_testbed
from bench.experiment.tls_setup import TrialCertificates
from bench.lab import LabRequest
from bench.load import external
from bench.machine import describe
from bench.observe.target_watch import TargetWatch
from bench.plan.run_plan import Mode, Plan
from bench.plan.scenario_plan import Case
from bench.progress import Progress
from bench.runs import storage
from bench.runs.machine_record import MachineRecord
from bench.runs.record import Run, Trial, TrialWarning
from bench.runs.target_record import TargetRecord
from bench.subjects.subject import Traffic, UpstreamTls

_UPSTREAM_TLS = "1.3"
"""The version of TLS to the backend."""


class LabStage:
    """A lab of this machine, which each trial opens anew."""

    machines: Sequence[MachineRecord] = ()

    def __init__(self, lab_name: str) -> None:
        """Have trials run in the lab that `lab.choose` returned."""
        self._lab_name = lab_name

    def check(self, plan: Plan) -> None:
        """Raise BenchError where this machine cannot carry out a plan."""
        check(plan)

    def probe(self, plan: Plan) -> TargetRecord | None:
        """Return what answers at the target of a plan."""
        return target_probe.probe_target(plan)

    def perform(self, plan: Plan, number: int, mode: Mode, progress: Progress) -> Outcome[Trial]:
        """Run one trial."""
        return perform_trial(plan, number, mode, self._lab_name, progress)


def perform(
    plan: Plan, stage: Stage, root: Path, progress: Progress, stopping: Stopping | None = None
) -> Run:
    """Run every trial of `plan` on `stage`, recording each under `root` as it ends.

    `stopping` may end it after an earlier block; an interrupted trial is the last.

    Raises PlanError before anything is written where the subject cannot do what is requested, and BenchError
    when a role does not come up; what was recorded until then stays.
    """
    stage.check(plan)
    seed = plan.seed or recorder.draw_seed()
    plan = replace(plan, seed=seed)
    if (target := stage.probe(plan)) is not None:
        right = right_statuses(plan.to_json()["load"])
        progress.note(f"target: {describe_answer(target, right)}")
    stopping = stopping or Stopping()
    most = plan.trials if stopping.looks else None
    with storage.create(
        root,
        plan.to_json(),
        describe.describe(),
        target=target,
        most_blocks=most,
        machines=stage.machines,
    ) as writer:

        def go_on(block: int) -> bool:
            return stopping.go_on(block, plan.trials, lambda: groups_of([writer.run]))

        progress.started(writer.directory, len(plan.modes) * plan.trials)
        interrupted = recorder.record(
            PlannedTrial(writer, partial(stage.perform, plan, place.trial, mode, progress), place.block)
            for place, mode in numbered(plan.modes, plan.trials, seed, go_on)
        )
        return recorder.finished(writer, interrupted)


def check(plan: Plan) -> None:
    """Raise PlanError where the plan's subject is not here or cannot do what is requested; start no role.

    LabError where the system does not allow as many open files as the plan needs, RoleError where the
    program for a second opinion is not installed.
    """
    fd_limits.allow(plan)
    read_body(plan.load)
    check_subject(plan)
    if plan.load.second_opinion is not None:
        external.check(plan.load.second_opinion)


def check_subject(plan: Plan) -> None:
    """Raise PlanError where the plan's subject is not on this machine, or cannot do what is requested."""
    if plan.subject.target is not None or plan.cluster.proxy_at is not None:
        return
    for mode in plan.modes:
        setup, case = _proxy_setup(plan, mode), Case(mode.value, plan.subject)
        setup.check(case, plan.hosts.proxy_addresses, plan.backend_addresses)


def perform_trial(plan: Plan, number: int, mode: Mode, lab_name: str, progress: Progress) -> Outcome[Trial]:
    """Run one trial of `mode`; KeyboardInterrupt ends it early, and it is then marked interrupted.

    RoleError when a role does not come up or falls silent, LabError when the lab does not open.
    """
    load = plan.load
    with open_testbed(trial_request(plan, number, mode), lab_name, progress) as testbed:
        clients = _start(plan, mode, testbed)
        with _watching_target(plan, testbed, clients) as watch:
            testbed.run(load.warmup_s, load.duration_s, load.total_timeout_s)
            facts = _facts(plan, number, mode, testbed, clients)
            done = run_summary.outcome(facts if watch is None else replace(facts, target=watch.stop()))
        measured = _with_second_opinion(done.trial, load.second_opinion, testbed, clients, progress)
    return replace(done, trial=replace(measured, overhead_s=testbed.overhead_s))


def trial_request(plan: Plan, number: int, mode: Mode) -> TrialRequest:
    """Return what one trial of `mode` needs."""
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
    upstream_tls = None
    if plan.subject.upstream_tls:
        upstream_tls = UpstreamTls(_UPSTREAM_TLS, plan.subject.upstream_tls_sessions)
    return ProxySetup(
        clients=plan.concurrency,
        mode=mode,
        workers=plan.subject.workers,
        closes_first=plan.closes_first,
        pool_idle=plan.pool_idle,
        traffic=Traffic(
            client_http="2" if plan.load.http2 else "1.1",
            client_tls=plan.load.tls,
            upstream_tls=upstream_tls,
        ),
    )


def _start(plan: Plan, mode: Mode, testbed: Testbed) -> LoadClients:
    """Start backend, subject and load workers in this order; with a target only the last."""
    proxy = authority = None
    if plan.subject.target is None:
        host = testbed.place.hosts["backend"]
        listen = [f"{address}:{host.listen_port}" for address in host.addresses]
        shown = TrialCertificates.issue(plan, testbed.place)
        flags = (*backend_flags(plan.backend), *shown.backend_flags(host))
        server = testbed.start_server("backends", *flags, listen=listen)
        proxy = testbed.start_proxy(server.addresses, shown.proxy, shown.backend_authority)
        authority = shown.client_authority
    return testbed.start_load(load_job(plan, mode, proxy, authority))


@contextmanager
def _watching_target(plan: Plan, testbed: Testbed, clients: LoadClients) -> Iterator[TargetWatch | None]:
    """Watch the target of the plan for a block; None without one, and where the system shows no sockets."""
    watch: TargetWatch | None = None
    if plan.subject.target is not None:
        with suppress(OSError):  # not measured, and said so
            watch = TargetWatch(clients.job.host, clients.job.port)
    if watch is None:
        yield None
        return
    with closing(watch):
        if watch.listener is not None:
            testbed.roles.target = watch.listener.roots
        watch.start()
        yield watch


# -- when the load has ended


def _facts(plan: Plan, number: int, mode: Mode, testbed: Testbed, clients: LoadClients) -> RunFacts:
    """Count everything, with the roles still alive: a role that stops closes what it keeps."""
    assert testbed.result is not None
    roles = testbed.roles
    served = roles.servers[0].count() if roles.servers else {"accepted": 0, "requests": 0, "closed_first": 0}
    counted = roles.counted()
    opener = testbed.place.hosts[run_summary.opener(plan)]
    low, high = opener.port_range()
    return RunFacts(
        plan,
        number,
        mode,
        lab=testbed.place.name,
        version=roles.version,
        result=testbed.result,
        totals=clients.totals,
        seconds=clients.seconds,
        port_range=high - low + 1,
        reuses_ports=opener.reuses_ports(),
        accepted=served["accepted"],
        requests=served["requests"],
        lost=served["closed_first"] if counted.lost is None else counted.lost,
        counted=counted,
    )


def _with_second_opinion(
    done: Trial, tool: str | None, testbed: Testbed, clients: LoadClients, progress: Progress
) -> Trial:
    """Return the trial with what another load generator says, where the plan asks for one.

    It comes last: whatever it opens, every witness has been read, and every peak been taken.
    """
    if tool is None or done.interrupted:
        return done
    progress.phase(f"second opinion, {tool}")
    began_s = time.monotonic()
    try:
        return replace(done, second_opinion=second_opinion.run_tool(tool, testbed, clients.job))
    except RoleError as error:
        # The trial itself has been measured whole.
        note = TrialWarning("second-opinion", str(error), "see whether it runs by hand, or run another")
        return replace(done, warnings=(*done.warnings, note))
    except KeyboardInterrupt:
        return replace(done, interrupted=True)
    finally:
        testbed.apart_s = time.monotonic() - began_s
