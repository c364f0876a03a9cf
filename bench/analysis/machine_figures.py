"""The figures of the machines of a cluster, one by one, over the trials of a case. Pure.

A machine's figure stands where that of its role does: what voids a rate of the clients voids that of one of
them, and an average over the cliff means nothing on one machine either.
"""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis import claims, metrics
from bench.analysis.claims import Sample, Standing
from bench.analysis.metrics import Metric
from bench.analysis.sides import AnySide
from bench.runs.machine_record import MachineTrial
from bench.runs.record import ROLES, RunRecord, Trial, TrialRecord

_HALF = 2


@dataclass(frozen=True, slots=True)
class _Seen:
    """One machine in one trial, with what its figures are relative to."""

    trial: Trial
    machine: MachineTrial
    destinations: int
    """Of the connections that it opens: so many times the port range there is to use."""

    @property
    def requests(self) -> int | None:
        """Return the requests of the window that its CPU is shared among.

        Only clients count theirs: the CPU of all proxies, or all backends, over those of all clients add up
        to that of the role.
        """
        return self.machine.requests if self.machine.role == "client" else self.trial.requests

    @property
    def is_opener(self) -> bool:
        """Return whether it opens connections to another role; what a backend opens belongs to nobody."""
        return self.machine.role != "backend"


@dataclass(frozen=True, slots=True)
class MachineFigure:
    """One figure that each machine may have; `like` is the metric of a role whose standing it shares."""

    key: str
    unit: str
    like: str
    """Empty: it counts in every trial, since it says how far the others count."""
    compute: Callable[[_Seen], float | None]


def _rate(seen: _Seen) -> float | None:
    requests, window_s = seen.machine.requests, seen.trial.duration_s
    if seen.machine.role != "client" or requests is None or window_s <= 0:
        return None  # a backend counts from the first request on
    return requests / window_s


def _cpu_us(seen: _Seen) -> float | None:
    cpu_s = seen.machine.cpu_s
    return None if cpu_s is None or not seen.requests else cpu_s / seen.requests * 1e6


def _ports_used(seen: _Seen) -> float | None:
    return seen.machine.ports_used_peak if seen.is_opener else None


def _tuples(seen: _Seen) -> float | None:
    if not seen.machine.port_range or _ports_used(seen) is None:
        return None
    return seen.machine.port_range * seen.destinations


def _share_of_half(seen: _Seen) -> float | None:
    used, tuples = _ports_used(seen), _tuples(seen)
    return None if used is None or not tuples else _HALF * used / tuples


RATE = MachineFigure("requests_per_s", "1/s", "requests_per_s", _rate)
REQUESTS = MachineFigure("requests", "", "upstream.requests_total", lambda seen: seen.machine.requests)
"""Of a client those of the window, of a backend those of the whole trial."""
OPENED = MachineFigure("opened", "", "upstream.connections_opened", lambda seen: seen.machine.opened)
ACCEPTED = MachineFigure("accepted", "", "upstream.connections_opened", lambda seen: seen.machine.accepted)
TIME_WAIT = MachineFigure(
    "time_wait_peak", "", "time_wait.proxy.peak", lambda seen: seen.machine.time_wait_peak
)
PORTS_USED = MachineFigure("ports_used_peak", "", "ports.used_peak", _ports_used)
TUPLES = MachineFigure("ports_tuples", "", "ports.used_peak", _tuples)
SHARE_OF_HALF = MachineFigure("ports_share_of_half", "share", "ports.used_peak", _share_of_half)
CPU = MachineFigure("cpu_us_per_request", "us", "cpu_us_per_request.proxy", _cpu_us)
MEMORY = MachineFigure("memory_mib", "MiB", "memory_mib.proxy", lambda seen: seen.machine.memory_mib)
WAITED = MachineFigure("run_queue_wait", "share", "", lambda seen: seen.machine.run_queue_wait)
IDLE = MachineFigure("core_idle", "share", "", lambda seen: seen.machine.core_idle)
CLOCK_OFFSET = MachineFigure("clock_offset_ms", "ms", "", lambda seen: seen.machine.clock_offset_ms)
CLOCK_ERROR = MachineFigure("clock_error_ms", "ms", "", lambda seen: seen.machine.clock_error_ms)
FIGURES = (
    RATE,
    REQUESTS,
    OPENED,
    ACCEPTED,
    TIME_WAIT,
    PORTS_USED,
    TUPLES,
    SHARE_OF_HALF,
    CPU,
    MEMORY,
    WAITED,
    IDLE,
    CLOCK_OFFSET,
    CLOCK_ERROR,
)


@dataclass(frozen=True, slots=True)
class MachineMetric(Metric):
    """A figure of one machine as a metric of trials; `key` is that of the role that decides if it counts."""

    name: str = ""
    figure: MachineFigure = RATE
    destinations: int = 1

    @property
    def path(self) -> str:
        """Return how exports call it: with the machine, and its own key."""
        return f"machines.{self.name}.{self.figure.key}"

    def of(self, trial: TrialRecord) -> float | None:
        """Return the figure; None where it was not measured, or the machine was lost meanwhile."""
        machine = find(trial, self.name)
        if machine is None or not isinstance(trial, Trial):
            return None
        if machine.lost is not None and self.figure.like:
            return None
        value = self.figure.compute(_Seen(trial, machine, self.destinations))
        return None if value is None else float(value)


def find(trial: TrialRecord, name: str) -> MachineTrial | None:
    """Return what a trial says of the machine called `name`; None where it says nothing."""
    machines = trial.machines if isinstance(trial, Trial) else ()
    return next((each for each in machines if each.name == name), None)


def sort_names(run: RunRecord[Any]) -> tuple[str, ...]:
    """Return the names of the machines of `run`: clients, proxies, backends, each by number."""
    known = {each.name: each.role for each in run.machines}
    for trial in run.trials:
        known |= {each.name: each.role for each in (trial.machines if isinstance(trial, Trial) else ())}
    return tuple(sorted(known, key=lambda name: (_rank(known[name]), _number(name), name)))


def list_metrics(run: RunRecord[Any]) -> tuple[MachineMetric, ...]:
    """Return all figures of all machines of `run`."""
    return tuple(_metric(run, name, figure) for name in sort_names(run) for figure in FIGURES)


def sample(side: AnySide, name: str, figure: MachineFigure) -> Sample:
    """Return a figure of the machine called `name` over the trials of `side`, with what it is worth."""
    return sample_trials(side.trials, _metric(side.run, name, figure))


def sample_trials(trials: Sequence[TrialRecord], metric: MachineMetric) -> Sample:
    """Return a figure of a machine over the `trials` of one case, with what it is worth."""
    if metric.figure.like:
        return claims.sample(trials, metric)
    values = tuple(metrics.values(metric, trials))
    return Sample(Standing.COUNTS if values else Standing.MISSING, values)


def _metric(run: RunRecord[Any], name: str, figure: MachineFigure) -> MachineMetric:
    destinations = _count_destinations(run, name)
    return MachineMetric(
        figure.like or figure.key, figure.unit, name=name, figure=figure, destinations=destinations
    )


@dataclass(frozen=True, slots=True)
class Fullest:
    """The machine whose ports are fullest, by the medians over the trials of a side."""

    name: str
    used: float
    tuples: int
    share_of_half: float


def find_fullest(side: AnySide) -> Fullest | None:
    """Return the machine of `side` that used most of its ports; None where none was used or measured."""
    found: list[Fullest] = []
    for name in sort_names(side.run):
        used, tuples, share = (
            sample(side, name, each).median for each in (PORTS_USED, TUPLES, SHARE_OF_HALF)
        )
        if used and tuples and share:
            found.append(Fullest(name, used, round(tuples), share))
    return max(found, key=lambda each: each.share_of_half, default=None)


def list_lost(trials: Sequence[TrialRecord]) -> list[tuple[TrialRecord, MachineTrial]]:
    """Return the machines that were lost, each with its trial."""
    return [
        (trial, each)
        for trial in trials
        if isinstance(trial, Trial)
        for each in trial.machines
        if each.lost is not None
    ]


def _count_destinations(run: RunRecord[Any], name: str) -> int:
    """Return to how many addresses a machine opens connections.

    Each proxy uses every backend. A load worker uses one proxy; the workers of all clients are dealt to them
    in turn, so that those of one client may be at the same one.
    """
    roles = {each.name: each.role for each in run.machines}
    counts = Counter(roles.values())
    if roles.get(name) != "client" or not counts["proxy"]:
        return max(1, counts["backend"])
    workers = int(run.plan.get("load", {}).get("workers", 1))
    return max(1, min(workers, counts["proxy"] // math.gcd(counts["proxy"], counts["client"])))


def _rank(role: str) -> int:
    return ROLES.index(role) if role in ROLES else len(ROLES)


def _number(name: str) -> int:
    number = name.rpartition("-")[2]
    return int(number) if number.isdecimal() else 0
