"""From what the parts of a trial observed to one trial: one clock, sums, the fullest machine. Pure."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.cluster.clock import ClockOffset
from bench.cluster.part import PartResult
from bench.experiment.trial_result import MeterReading, SaturationReading, TrialResult
from bench.load.generator import Second, Totals, merge_seconds, merge_totals
from bench.observe.host_observer import HostSample, Peaks
from bench.observe.sampler import HostObservation
from bench.observe.tcp_counters import Counters
from bench.observe.time_wait import HostSockets
from bench.runs.machine_record import MachineTrial
from bench.runs.record import ROLES
from bench.subjects.subject import SubjectCounts

_HISTOGRAMS = ("latency_us", "service_us", "connect_us", "pacing_us", "handshake_us")
_TICK_NS = 100_000_000


@dataclass(frozen=True, slots=True)
class MachinePart:
    """What one machine observed of a trial, in our clock."""

    name: str
    role: str
    result: PartResult
    clock: ClockOffset
    lost: str | None = None
    """Why the machine was lost during the trial; None: it was not."""


def in_our_clock(part: PartResult, offset_ns: int) -> PartResult:
    """Return a part with each of its moments in our clock; theirs is `offset_ns` ahead."""
    subject, result = part.counts.subject, part.result
    if subject is not None and subject.first_exhausted_ns is not None:
        subject = replace(subject, first_exhausted_ns=subject.first_exhausted_ns - offset_ns)
    return PartResult(
        result=replace(
            result,
            start_ns=result.start_ns - offset_ns,
            first=_reading_in_our_clock(result.first, offset_ns),
            last=_reading_in_our_clock(result.last, offset_ns),
            samples=tuple(replace(each, t_ns=each.t_ns - offset_ns) for each in result.samples),
        ),
        counts=replace(part.counts, subject=subject),
        totals=None if part.totals is None else _totals_in_our_clock(part.totals, offset_ns),
        seconds=seconds_in_our_clock(part.seconds, offset_ns),
    )


def seconds_in_our_clock(seconds: Iterable[Second], offset_ns: int) -> tuple[Second, ...]:
    """Return what load workers reported, likewise."""
    return tuple(
        replace(each, start_ns=each.start_ns - offset_ns, end_ns=each.end_ns - offset_ns) for each in seconds
    )


def _reading_in_our_clock(reading: MeterReading, offset_ns: int) -> MeterReading:
    pressure = replace(reading.reading, moment_ns=reading.reading.moment_ns - offset_ns)
    return replace(reading, moment_ns=reading.moment_ns - offset_ns, reading=pressure)


def _totals_in_our_clock(totals: Totals, offset_ns: int) -> Totals:
    moments = [each.name for each in dataclasses.fields(Totals) if each.name.endswith("_ns")]
    return replace(totals, **{name: getattr(totals, name) - offset_ns for name in moments})


# -- all machines together


def merge_results(parts: Sequence[MachinePart], notes: Sequence[str]) -> TrialResult:
    """Return the results of all machines as those of one, whose hosts are the roles.

    What is counted is summed over the machines of a role. Of ports the fullest machine counts, and of the
    load on the clients the machine that was hardest on them.
    """
    first = [part.result.result for part in parts]
    clients = [part.result.result for part in parts if part.role == "client"]
    leading = clients[0] if clients else first[0]
    others = [result.other_work for result in first if result.other_work is not None]
    return TrialResult(
        start_ns=min(result.start_ns for result in first),
        first=_merged_reading(leading.first, parts, lambda result: result.first, _idle_reading(clients)),
        last=_merged_reading(leading.last, parts, lambda result: result.last, _worst_reading(clients)),
        done=(),
        samples=merge_samples(parts, leading.start_ns),
        seen={role: _merged_seen(role, parts) for role in ROLES},
        notes=tuple(dict.fromkeys((*notes, *(note for result in first for note in result.notes)))),
        observer_cpu_share=max(result.observer_cpu_share for result in first),
        interrupted=any(result.interrupted for result in first),
        other_work=max(others, key=lambda other: other.cpu_share, default=None),
    )


def _merged_reading(
    leading: MeterReading,
    parts: Sequence[MachinePart],
    edge: Callable[[TrialResult], MeterReading],
    pressure: SaturationReading,
) -> MeterReading:
    used = dict.fromkeys(ROLES, 0.0)
    for part in parts:
        used[part.role] += edge(part.result.result).cpu_s.get(part.role, 0.0)
    return replace(leading, cpu_s=used, reading=replace(pressure, moment_ns=leading.moment_ns))


def _idle_reading(clients: Sequence[TrialResult]) -> SaturationReading:
    """Return the reading at the first edge, from which that of the other edge counts."""
    waits = sum(len(result.last.reading.waited_s) for result in clients)
    known = _worst_reading(clients)
    return SaturationReading(
        0,
        [0.0] * waits,
        None if known.idle_s is None else 0.0,
        None if known.ksoftirqd_s is None else 0.0,
        None if known.foreign_s is None else 0.0,
    )


def _worst_reading(clients: Sequence[TrialResult]) -> SaturationReading:
    """Return how long each worker waited, and the least idle and the most disturbed of the machines."""
    waits: list[float | None] = []
    for result in clients:
        waits += [
            None if before is None or after is None else after - before
            for before, after in zip(result.first.reading.waited_s, result.last.reading.waited_s, strict=True)
        ]

    def changes(name: str) -> list[float]:
        edges = [
            (getattr(result.first.reading, name), getattr(result.last.reading, name)) for result in clients
        ]
        return [after - before for before, after in edges if before is not None and after is not None]

    return SaturationReading(
        0,
        waits,
        min(changes("idle_s"), default=None),
        max(changes("ksoftirqd_s"), default=None),
        max(changes("foreign_s"), default=None),
    )


def _merged_seen(role: str, parts: Sequence[MachinePart]) -> HostObservation:
    seen = [part.result.result.seen[role] for part in parts if part.role == role]
    if not seen:
        return HostObservation(role, None, None, Peaks())
    uss = [each.peaks.uss_mib for each in seen]
    return HostObservation(
        role,
        _merged_sockets([each.sockets for each in seen]),
        _sum_counters([each.counters for each in seen]),
        Peaks(
            sum(each.peaks.time_wait for each in seen),
            sum(each.peaks.rss_mib for each in seen),
            None if None in uss else sum(each or 0.0 for each in uss),
        ),
    )


def _merged_sockets(parts: Sequence[HostSockets | None]) -> HostSockets | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    sums = {
        each.name: sum(getattr(part, each.name) for part in known) for each in dataclasses.fields(known[0])
    }
    return HostSockets(**{**sums, "ports_used": max(part.ports_used for part in known)})


def _sum_counters(parts: Sequence[Counters | None]) -> Counters | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or not known:
        return None
    return Counters(*(sum(column) for column in zip(*known, strict=True)))


def merge_samples(parts: Sequence[MachinePart], start_ns: int) -> tuple[HostSample, ...]:
    """Return the samples of each role by tenth of a second; and of each machine where a role has several."""
    merged: list[HostSample] = []
    for role in ROLES:
        own = [part for part in parts if part.role == role]
        rows = {part.name: part.result.result.samples for part in own}
        merged += _by_tick(role, list(rows.values()), start_ns)
        if len(rows) > 1:
            merged += [replace(each, host=name) for name, samples in rows.items() for each in samples]
    return tuple(sorted(merged, key=lambda sample: sample.t_ns))


def _by_tick(role: str, machines: Sequence[Sequence[HostSample]], start_ns: int) -> list[HostSample]:
    """Return one sample for each tick at which all machines have one."""
    if len(machines) == 1:
        return [replace(each, host=role) for each in machines[0]]
    ticks = [{round((each.t_ns - start_ns) / _TICK_NS): each for each in samples} for samples in machines]
    common = set.intersection(*(set(each) for each in ticks)) if ticks else set()
    return [_sum_samples(role, [each[tick] for each in ticks]) for tick in sorted(common)]


def _sum_samples(role: str, samples: Sequence[HostSample]) -> HostSample:
    def total(name: str) -> Any:
        values = [getattr(each, name) for each in samples]
        return None if None in values else (max(values) if name == "ports_used" else sum(values))

    names = [each.name for each in dataclasses.fields(HostSample) if each.name not in ("t_ns", "host")]
    return HostSample(max(each.t_ns for each in samples), role, **{name: total(name) for name in names})


def merge_machine_seconds(machines: Iterable[Iterable[Second]]) -> list[Second]:
    """Return the seconds of all client machines as those of one load, oldest first."""
    grouped: dict[tuple[int, bool, int], list[Mapping[str, Any]]] = {}
    for seconds in machines:
        for second in seconds:
            grouped.setdefault((second.second, second.in_window, second.start_ns), []).append(_event(second))
    merged = [merge_seconds([dict(each) for each in parts]) for parts in grouped.values()]
    return sorted(merged, key=lambda second: second.start_ns)


def common_window(
    machines: Sequence[tuple[Totals, Sequence[Second]]],
) -> tuple[Totals, list[list[Second]]]:
    """Return the totals of all client machines and their seconds, in the window that all of them share.

    Where one ended earlier, as with a number of requests, the window ends with the last whole second of all:
    what the others did later is theirs alone, and no rate of the cluster.
    """
    totals = merge_totals([each for each, _ in machines])
    end_ns = min(each.window_end_ns for each, _ in machines)
    if totals.window_end_ns - end_ns < _TICK_NS:
        return totals, [list(seconds) for _, seconds in machines]
    kept = [
        [replace(each, in_window=each.in_window and each.end_ns <= end_ns) for each in seconds]
        for _, seconds in machines
    ]
    within = [each for seconds in kept for each in seconds if each.in_window]
    errors = dict.fromkeys(totals.errors, 0)
    for second in within:
        errors = {kind: count + second.errors.get(kind, 0) for kind, count in errors.items()}
    shared = replace(
        totals,
        window_end_ns=max((each.end_ns for each in within), default=totals.window_start_ns),
        requests=sum(each.requests for each in within),
        opened=sum(each.opened for each in within),
        bytes=sum(each.bytes for each in within),
        late=sum(each.late for each in within),
        queued=sum(each.queued for each in within),
        never_started=sum(each.never_started for each in within),
        errors=errors,
    )
    return shared, kept


def _event(second: Second) -> dict[str, Any]:
    """Return a second as the event of a load worker (docs/reference/pipes.md)."""
    values = {each.name: getattr(second, each.name) for each in dataclasses.fields(Second)}
    return values | {name: list(values[name].items()) for name in _HISTOGRAMS} | {"statuses": {}}


def sum_subjects(counts: Iterable[SubjectCounts]) -> SubjectCounts:
    """Return what several proxies counted together; what one of them does not count is None."""
    parts = list(counts)

    def total(name: str) -> int | None:
        values = [getattr(part, name) for part in parts]
        return None if None in values or not values else sum(values)

    kinds = {kind for part in parts for kind in part.errors}
    exhausted = [part.first_exhausted_ns for part in parts if part.first_exhausted_ns is not None]
    return SubjectCounts(
        opened=total("opened"),
        accepted=total("accepted"),
        quic=total("quic"),
        lost=total("lost"),
        errors={kind: sum(part.errors.get(kind, 0) for part in parts) for kind in sorted(kinds)},
        first_exhausted_ns=min(exhausted, default=None),
    )


# -- each machine by itself


def machine_trial(part: MachinePart) -> MachineTrial:
    """Return what one machine did in the trial, as its record holds it."""
    result, counts, totals = part.result.result, part.result.counts, part.result.totals
    seen, served = result.seen[part.role], counts.served
    used = [each.ports_used for each in result.samples if each.ports_used is not None]
    pressure = result.pressure if part.role == "client" and not result.interrupted else None
    accepted = counts.subject.accepted if counts.subject is not None else None
    sockets = seen.sockets
    waiting = [each.time_wait for each in result.samples if each.time_wait is not None]
    waiting = waiting if sockets is None else [seen.peaks.time_wait, sockets.time_wait]
    return MachineTrial(
        name=part.name,
        role=part.role,
        requests=totals.requests if totals else (served["requests"] if served else None),
        opened=None if seen.counters is None else seen.counters.active_opens,
        accepted=served["accepted"] if served else accepted,
        time_wait_peak=max(waiting, default=None),
        time_wait_end=None if sockets is None else sockets.time_wait,
        port_range=counts.port_range[1] - counts.port_range[0] + 1,
        ports_used_peak=max(used, default=None),
        cpu_s=result.spent_s(part.role),
        memory_mib=seen.peaks.rss_mib or None,
        run_queue_wait=None if pressure is None else pressure.run_queue_wait,
        core_idle=None if pressure is None else pressure.core_idle,
        clock_offset_ms=part.clock.offset_ns / 1e6,
        clock_error_ms=part.clock.error_ns / 1e6,
        lost=part.lost,
    )
