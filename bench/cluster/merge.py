"""From what the parts of a trial observed to one trial: one clock, sums, the fullest machine. Pure."""

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bench.cluster.clock import ClockOffset
from bench.cluster.part import PartResult
from bench.experiment import summary
from bench.experiment.trial_result import MeterReading, SaturationReading, TrialResult
from bench.load.generator import Second, Totals, merge_seconds
from bench.observe.host_observer import HostSample, Peaks
from bench.observe.sampler import HostObservation
from bench.observe.tcp_counters import Counters
from bench.observe.time_wait import HostSockets
from bench.runs.machine_record import MachineTrial
from bench.runs.record import ROLES
from bench.subjects.subject import SubjectCounts

_HISTOGRAMS = ("latency_us", "service_us", "connect_us", "pacing_us", "handshake_us")
_TICK_NS = 100_000_000
_PRESSURES: dict[str, Callable[[Iterable[float]], float]] = {
    "idle_s": min,
    "ksoftirqd_s": max,
    "foreign_s": max,
}
"""What of a reading is hard on the clients: little idle time, or much of the others."""
_SUMMED = [each.name for each in dataclasses.fields(HostSample) if each.name not in ("t_ns", "host")]


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


def merge_results(parts: Sequence[MachinePart], notes: Sequence[str], load: Totals) -> TrialResult:
    """Return the results of all machines as those of one, whose hosts are the roles, in the window of `load`.

    What is counted is summed over the machines of a role. Of ports the fullest machine counts, and of the
    load on the clients the machine that was hardest on them.
    """
    first = [part.result.result for part in parts]
    clients = [part.result.result for part in parts if part.role == "client"]
    others = [result.other_work for result in first if result.other_work is not None]
    start_ns = (clients or first)[0].start_ns
    idle, worst = _client_readings(clients, load)
    return TrialResult(
        start_ns=min(result.start_ns for result in first),
        first=_merged_reading(load.window_start_ns, parts, idle),
        last=_merged_reading(load.window_end_ns, parts, worst),
        done=(),
        samples=merge_samples(parts, start_ns),
        seen={role: _merged_seen(role, parts) for role in ROLES},
        notes=tuple(dict.fromkeys((*notes, *(note for result in first for note in result.notes)))),
        observer_cpu_share=max(result.observer_cpu_share for result in first),
        interrupted=any(result.interrupted for result in first),
        other_work=max(others, key=lambda other: other.cpu_share, default=None),
    )


def _merged_reading(
    moment_ns: int, parts: Sequence[MachinePart], pressure: SaturationReading
) -> MeterReading:
    used = dict.fromkeys(ROLES, 0.0)
    for part in parts:
        used[part.role] += _cpu_s_at(part, moment_ns)
    return MeterReading(moment_ns, pressure, used, None, None)


def _cpu_s_at(part: MachinePart, moment_ns: int) -> float:
    """Return the CPU seconds of a role on its machine up to a moment, on the line between two readings."""
    result = part.result.result
    known = [(each.t_ns, each.cpu_s) for each in result.samples]
    known += [(edge.moment_ns, edge.cpu_s.get(part.role, 0.0)) for edge in (result.first, result.last)]
    return summary.used_at(sorted(known), moment_ns)


def _client_readings(
    clients: Sequence[TrialResult], load: Totals
) -> tuple[SaturationReading, SaturationReading]:
    """Return readings at the edges of the window of `load` between which lies what was hardest on clients.

    That is how long each worker waited, and the least idle and the most disturbed of the machines.
    """
    window_s = (load.window_end_ns - load.window_start_ns) / 1e9
    waits: list[float | None] = []
    changes: dict[str, list[float]] = {name: [] for name in _PRESSURES}
    for result in clients:
        # Each machine read its own edges, so that its shares of the time between them are what compares.
        before, after = result.first.reading, result.last.reading
        length_s = (after.moment_ns - before.moment_ns) / 1e9
        scale = window_s / length_s if length_s > 0 else 0.0
        edges = zip(before.waited_s, after.waited_s, strict=True)
        waits += [
            None if begun is None or ended is None else (ended - begun) * scale for begun, ended in edges
        ]
        for name, found in changes.items():
            begun, ended = getattr(before, name), getattr(after, name)
            if begun is not None and ended is not None:
                found.append((ended - begun) * scale)
    hardest = {name: _PRESSURES[name](found) if found else None for name, found in changes.items()}
    none = {name: None if value is None else 0.0 for name, value in hardest.items()}
    return (
        SaturationReading(load.window_start_ns, [0.0] * len(waits), **none),
        SaturationReading(load.window_end_ns, waits, **hardest),
    )


def _merged_seen(role: str, parts: Sequence[MachinePart]) -> HostObservation:
    seen = [part.result.result.seen[role] for part in parts if part.role == role]
    if not seen:
        return HostObservation(role, None, None, Peaks())
    memory = [summary.memory_mib(each) or 0.0 for each in seen]
    return HostObservation(
        role,
        _merged_sockets([each.sockets for each in seen]),
        _sum_counters([each.counters for each in seen]),
        Peaks(
            sum(each.peaks.time_wait for each in seen),
            sum(each.peaks.rss_mib for each in seen),
            sum(memory),
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
        rows = {part.name: part.result.result.samples for part in parts if part.role == role}
        if len(rows) == 1:
            merged += [replace(each, host=role) for samples in rows.values() for each in samples]
        elif rows:
            merged += _by_tick(role, [_MachineSamples(samples, start_ns) for samples in rows.values()])
            merged += [replace(each, host=name) for name, samples in rows.items() for each in samples]
    return tuple(sorted(merged, key=lambda sample: sample.t_ns))


class _MachineSamples:
    """The samples of one machine, oldest first."""

    def __init__(self, samples: Sequence[HostSample], start_ns: int) -> None:
        self.in_tick: dict[int, list[HostSample]] = {}
        """Those nearest to each tenth of a second; a tick that came too late there has none."""
        for each in samples:
            self.in_tick.setdefault(round((each.t_ns - start_ns) / _TICK_NS), []).append(each)
        self.shows_ports = any(each.ports_used is not None for each in samples)
        self._samples = samples
        self._moments_ns = [each.t_ns for each in samples]

    def at(self, moment_ns: int, tick: int) -> HostSample | None:
        """Return the machine at a moment, on the line between two samples; None before and after them."""
        after = bisect_left(self._moments_ns, moment_ns)
        if 0 < after < len(self._samples):
            return _between(self._samples[after - 1], self._samples[after], moment_ns)
        near = self.in_tick.get(tick)
        return None if near is None else near[0] if after == 0 else near[-1]

    def ports_used(self, moment_ns: int, tick: int) -> int | None:
        """Return the most ports in use that were seen in a tick, or else what is known of the moment."""
        seen: Sequence[HostSample | None] = self.in_tick.get(tick) or [self.at(moment_ns, tick)]
        return max((each.ports_used for each in seen if each and each.ports_used is not None), default=None)


def _between(before: HostSample, after: HostSample, moment_ns: int) -> HostSample:
    """Return what a machine looked like at a moment between two samples."""
    share = (moment_ns - before.t_ns) / (after.t_ns - before.t_ns)

    def value(name: str) -> Any:
        first, last = getattr(before, name), getattr(after, name)
        if first is None or last is None:
            return None
        reached = first + (last - first) * share
        return round(reached) if isinstance(last, int) else reached

    return HostSample(moment_ns, before.host, **{name: value(name) for name in _SUMMED})


def _by_tick(role: str, machines: Sequence[_MachineSamples]) -> list[HostSample]:
    """Return one sample for each tick at which a machine has one, of all machines at one moment."""
    ticks = sorted({tick for machine in machines for tick in machine.in_tick})
    sums = (_sum_tick(role, machines, tick) for tick in ticks)
    return [each for each in sums if each is not None]


def _sum_tick(role: str, machines: Sequence[_MachineSamples], tick: int) -> HostSample | None:
    """Return the sums over the machines, and the ports of the fullest; None where neither is known.

    The sums are not where one of them has not begun yet, or is over; the ports are not where one of them
    shows none in the whole trial.
    """
    moment_ns = max(each.t_ns for machine in machines for each in machine.in_tick.get(tick, ()))
    ports = [machine.ports_used(moment_ns, tick) for machine in machines]
    most = max((each for each in ports if each is not None), default=None)
    fullest = most if all(machine.shows_ports for machine in machines) else None
    states = [machine.at(moment_ns, tick) for machine in machines]
    known = [state for state in states if state is not None]
    if len(known) < len(states):
        return None if fullest is None else HostSample(moment_ns, role, ports_used=fullest)
    columns = {name: [getattr(each, name) for each in known] for name in _SUMMED}
    sums: dict[str, Any] = {name: None if None in column else sum(column) for name, column in columns.items()}
    return HostSample(moment_ns, role, **{**sums, "ports_used": fullest})


def merge_machine_seconds(machines: Iterable[Iterable[Second]]) -> list[Second]:
    """Return the seconds of all client machines as those of one load, oldest first."""
    grouped: dict[tuple[int, bool, int], list[Mapping[str, Any]]] = {}
    for seconds in machines:
        for second in seconds:
            grouped.setdefault((second.second, second.in_window, second.start_ns), []).append(_event(second))
    merged = [merge_seconds([dict(each) for each in parts]) for parts in grouped.values()]
    return sorted(merged, key=lambda second: second.start_ns)


def _event(second: Second) -> dict[str, Any]:
    """Return a second as the event of a load worker (docs/reference/pipes.md)."""
    values = {each.name: getattr(second, each.name) for each in dataclasses.fields(Second)}
    return values | {name: list(values[name].items()) for name in _HISTOGRAMS}


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


def machine_trial(part: MachinePart, load: Totals) -> MachineTrial:
    """Return what one machine did in the trial, whose window is that of `load`, as its record holds it."""
    result, counts, totals = part.result.result, part.result.counts, part.result.totals
    seen, served = result.seen[part.role], counts.served
    used = [each.ports_used for each in result.samples if each.ports_used is not None]
    pressure = result.pressure if part.role == "client" and not result.interrupted else None
    accepted = counts.subject.accepted if counts.subject is not None else None
    sockets = seen.sockets
    waiting = [each.time_wait for each in result.samples if each.time_wait is not None]
    waiting = waiting if sockets is None else [seen.peaks.time_wait, sockets.time_wait]
    used += [] if sockets is None or not used else [sockets.ports_used]
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
        cpu_s=_cpu_s_at(part, load.window_end_ns) - _cpu_s_at(part, load.window_start_ns),
        memory_mib=summary.memory_mib(seen),
        run_queue_wait=None if pressure is None else pressure.run_queue_wait,
        core_idle=None if pressure is None else pressure.core_idle,
        clock_offset_ms=part.clock.offset_ns / 1e6,
        clock_error_ms=part.clock.error_ns / 1e6,
        lost=part.lost,
    )
