"""One trial, start to end: open the lab, start the roles, send load, observe, count, stop.

This room does and does not decide: what the observations amount to is bench.experiment.run_summary.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from bench import lab
from bench.analysis import histogram
from bench.analysis.validity import Pressure
from bench.errors import RoleError
from bench.experiment import load_trial as roles
from bench.experiment import moments, second_opinion
from bench.experiment import run_summary as summary
from bench.experiment.load_trial import Roles
from bench.experiment.run_summary import Facts, Served, Window
from bench.experiment.saturation import SaturationReading
from bench.lab import Lab
from bench.load.generator import Generator, Second, Totals
from bench.observe.host import HostSample, Peaks
from bench.observe.sampler import Observed, Sampler
from bench.plan.run_plan import Mode, Plan
from bench.progress import Watch as RunWatch
from bench.runs.record import ROLES, UNSEEN, Latencies, Moment, TimeWait, Trial, TrialWarning

_HEAD_START_NS = 50_000_000
"""Between the command to go and the first connect: every worker has read it by then."""
_SETTLE_S = 1.0
"""How long connections that are being closed when the load has ended may take to come to rest."""


class Watch(RunWatch, Protocol):
    """Who looks on while a run of the load generator goes on."""

    def second(self, second: Second) -> None:
        """The load generator reports a second, or a part of one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A trial with what was measured along its time."""

    trial: Trial
    moments: Sequence[Moment]
    latencies: Sequence[Latencies]


@dataclass(slots=True)
class _Course:
    """What came in while the load ran."""

    seconds: list[Second] = field(default_factory=list)
    samples: list[HostSample] = field(default_factory=list)
    pressure: Pressure | None = None
    interrupted: bool = False


@dataclass(frozen=True, slots=True)
class _Scene:
    """A trial under way: what was asked, where it runs, what came in so far."""

    plan: Plan
    number: int
    mode: Mode
    place: Lab
    roles: Roles
    sampler: Sampler
    course: _Course


def perform(plan: Plan, number: int, mode: Mode, lab_name: str, watch: Watch) -> Outcome:
    """Run one trial of `mode`; KeyboardInterrupt ends it early, and it is then marked interrupted.

    Raises RoleError when a role does not come up or falls silent, LabError when the lab does not open.
    """
    began_s = time.monotonic()
    watch.trial(number, mode, plan.load.warmup_s, plan.load.duration_s)
    with lab.open_lab(lab_name, **_hosts(plan)) as place, ExitStack() as stack:
        course = _Course()
        started = roles.start(plan, mode, place, stack)
        sampler = stack.enter_context(closing(_sampler(plan, place, started, course, watch)))
        scene = _Scene(plan, number, mode, place, started, sampler, course)
        totals = _drive(scene, watch)
        facts = _facts(scene, totals)
        counted_s = time.monotonic()
        facts = _with_second_opinion(scene, facts, watch)
        asking_s = time.monotonic() - counted_s
    watch.phase("done")
    outside_s = time.monotonic() - began_s - facts.window.end_s - asking_s
    result = summary.trial(replace(facts, overhead_s=outside_s))
    return Outcome(
        result, facts.moments, list(_latencies(number, mode, course.seconds, totals.first_connect_ns))
    )


def _hosts(plan: Plan) -> dict[str, Any]:
    hosts = plan.hosts
    return {
        "ports": hosts.ports,
        "narrowed": "client" if plan.subject.name == "direct" else "proxy",
        "proxy_addresses": hosts.proxy_addresses,
        "backends": hosts.backends,
        "sysctls": hosts.sysctls,
    }


def _sampler(plan: Plan, place: Lab, started: Roles, course: _Course, watch: Watch) -> Sampler:
    low, high = place.hosts["proxy"].port_range()
    tuples = (high - low + 1) * plan.hosts.proxy_addresses * plan.hosts.backends

    def take(sample: HostSample) -> None:
        course.samples.append(sample)
        watch.sample(sample, tuples)

    return Sampler(started.watched(place), take, is_shared=place.name == "loopback")


# -- while the load runs


def _drive(scene: _Scene, watch: Watch) -> Totals:
    """Send the load from warm-up to drain, observing; Ctrl-C ends the window early."""
    generator, load, course = scene.roles.generator, scene.plan.load, scene.course
    start_ns = time.monotonic_ns() + _HEAD_START_NS
    generator.go(start_ns)
    window_ns = start_ns + round(load.warmup_s * 1e9)
    end_ns = window_ns + round(load.duration_s * 1e9)
    try:
        time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
        scene.sampler.start()
        _follow(generator, course, watch, window_ns, "warm-up")
        before = SaturationReading.now(scene.sampler, scene.roles.client_cores)
        _follow(generator, course, watch, end_ns, "window")
        course.pressure = before.until(SaturationReading.now(scene.sampler, scene.roles.client_cores))
    except KeyboardInterrupt:
        course.interrupted = True
        generator.stop()
    watch.phase("drain")
    totals = generator.wait(load.total_timeout_s)
    while (second := generator.read(0)) is not None:
        course.seconds.append(second)
        watch.second(second)
    scene.sampler.stop()
    return totals


def _follow(generator: Generator, course: _Course, watch: Watch, until_ns: int, phase: str) -> None:
    """Take in what the load generator reports until the moment `until_ns`, or until its end."""
    watch.phase(phase)
    while (left_ns := until_ns - time.monotonic_ns()) > 0 and not generator.is_over:
        second = generator.read(left_ns / 1e9)
        if second is not None:
            course.seconds.append(second)
            watch.second(second)


# -- when the load has ended


def _facts(scene: _Scene, totals: Totals) -> Facts:
    """Count everything, with the roles still alive: a role that stops closes what it keeps."""
    _settle(scene.sampler)
    plan, course, start_ns = scene.plan, scene.course, totals.first_connect_ns
    served, counted = scene.roles.served(), scene.roles.counted()
    seen = {host: scene.sampler.observe(host) for host in ROLES}
    proxy, opener = seen["proxy"], seen["client" if plan.subject.name == "direct" else "proxy"]
    low, high = scene.place.hosts[opener.host].port_range()
    return Facts(
        plan=plan,
        number=scene.number,
        mode=scene.mode,
        lab=scene.place.name,
        subject_version=scene.roles.version,
        window=_window(totals),
        served=_served(course.seconds, totals),
        moments=_moments(scene.number, scene.mode, course, start_ns),
        port_range=high - low + 1,
        backend_accepted=served.accepted,
        backend_requests=served.requests,
        subject_opened=counted.opened,
        subject_lost=served.closed_first if counted.lost is None else counted.lost,
        subject_errors=counted.errors,
        kernel_opened=None if opener.counters is None else opener.counters.active_opens,
        first_exhausted_s=_since(counted.first_exhausted_ns, start_ns),
        time_wait=_time_wait(seen),
        time_wait_by_hop={} if proxy.survey is None else proxy.survey.time_wait_by_side,
        memory_mib={host: _memory_mib(each.peaks) for host, each in seen.items()},
        pressure=course.pressure,
        observer_cpu_share=scene.sampler.cpu_share,
        interrupted=course.interrupted or totals.interrupted,
        notes=[TrialWarning("lab", note) for note in [*scene.place.notes, *scene.sampler.missing]],
    )


def _with_second_opinion(scene: _Scene, facts: Facts, watch: Watch) -> Facts:
    """Return the facts with what another load generator says, where the plan asks for one.

    It comes last: whatever it opens, every witness has been read, and every peak been taken.
    """
    load = scene.plan.load
    if load.second_opinion is None or facts.interrupted:
        return facts
    watch.phase(f"second opinion, {load.second_opinion}")
    client = scene.place.hosts["client"]
    try:
        opinion = second_opinion.ask(load.second_opinion, client, scene.roles, load.connections)
    except RoleError as error:
        # The trial itself has been measured whole.
        note = TrialWarning("second-opinion", str(error), "see whether it runs by hand, or ask another")
        return replace(facts, notes=[*facts.notes, note])
    except KeyboardInterrupt:
        return replace(facts, interrupted=True)
    return replace(facts, second_opinion=opinion)


def _time_wait(seen: Mapping[str, Observed]) -> dict[str, TimeWait]:
    return {
        host: UNSEEN
        if each.survey is None or _memory_mib(each.peaks) is None
        else TimeWait(each.peaks.time_wait, each.survey.time_wait)
        for host, each in seen.items()
    }


def _settle(sampler: Sampler) -> None:
    """Wait until every connection that is being closed has come to rest, so that counts are final."""
    deadline_s = time.monotonic() + _SETTLE_S
    while time.monotonic() < deadline_s and any(_is_moving(sampler.observe(host)) for host in ROLES):
        time.sleep(0.01)


def _is_moving(observed: Observed) -> bool:
    return observed.survey is not None and observed.survey.moving > 0


def _memory_mib(peaks: Peaks) -> float | None:
    """Return the memory of a host's processes; None where none of ours is there."""
    if peaks.rss_mib == 0:
        return None
    return peaks.rss_mib if peaks.uss_mib is None else peaks.uss_mib


def _since(moment_ns: int | None, start_ns: int) -> float | None:
    return None if moment_ns is None else (moment_ns - start_ns) / 1e9


def _window(totals: Totals) -> Window:
    start_ns = totals.first_connect_ns
    return Window((totals.window_start_ns - start_ns) / 1e9, (totals.window_end_ns - start_ns) / 1e9)


def _served(seconds: Sequence[Second], totals: Totals) -> Served:
    window = [second for second in seconds if second.in_window]
    return Served(
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


def _moments(number: int, mode: Mode, course: _Course, start_ns: int) -> list[Moment]:
    """Return the observers' samples and the clients' tenths of a second, in order."""
    rows = [moments.observed(number, mode, sample, start_ns) for sample in course.samples]
    ticks = [row for second in course.seconds for row in moments.tenths(number, mode, second, start_ns)]
    return sorted([*rows, *ticks], key=lambda row: row.t_s)


def _latencies(number: int, mode: Mode, seconds: Sequence[Second], start_ns: int) -> Iterator[Latencies]:
    """Yield the histograms of the window's seconds."""
    for second in seconds:
        kinds = {"latency": second.latency_us, "service": second.service_us, "connect": second.connect_us}
        at_s, lasts_s = (second.start_ns - start_ns) / 1e9, (second.end_ns - second.start_ns) / 1e9
        for kind, counts in kinds.items():
            if counts and second.in_window:
                yield Latencies(number, mode.value, kind, at_s, lasts_s, counts)
