"""Runs of a cluster, made up: the trials of tests/synthetic.py, spread over clients, proxies and backends.

The last proxy is the fullest: it has the ports of the whole trial, and each one before it three quarters of
the next one's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.plan import run_plan as plans
from bench.runs import storage
from bench.runs.machine_record import MachineRecord, MachineTrial
from bench.runs.record import ROLES, Moment, Trial, TrialWarning
from tests import synthetic
from tests.synthetic import MACHINE, PORT_RANGE, STARTED, Story

_LESS = 0.75
LOST = "its worker ended"


@dataclass(frozen=True)
class Fleet:
    """How many machines there are, which of them is lost in which trial, and which are unlike the others."""

    clients: int = 2
    proxies: int = 2
    backends: int = 2
    lost: Mapping[str, int] = field(default_factory=dict)
    """Machine -> the number of the trial in which it is lost."""
    unlike: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Machine -> what of its description is not that of the others."""

    @property
    def names(self) -> list[tuple[str, str]]:
        """Return the name and the role of each machine."""
        counts = zip(ROLES, (self.clients, self.proxies, self.backends), strict=True)
        return [(f"{role}-{number}", role) for role, count in counts for number in range(1, count + 1)]

    def share(self, name: str) -> float:
        """Return what part a machine has of what its role has."""
        role, number = name.split("-")
        if role != "proxy":
            return 1 / (self.clients if role == "client" else self.backends)
        return _LESS ** (self.proxies - int(number))

    def records(self) -> tuple[MachineRecord, ...]:
        """Return the machines as the header of a run has them."""
        return tuple(
            MachineRecord(
                name,
                role,
                f"10.83.{ROLES.index(role)}.{name.split('-')[1]}",
                f"worker-{place}",
                {**MACHINE, "load_average": [place / 10] * 3, **self.unlike.get(name, {})},
            )
            for place, (name, role) in enumerate(self.names)
        )


def spread(trial: Trial, fleet: Fleet) -> Trial:
    """Return a trial as one of a cluster: what each machine had of it, and which was lost."""
    machines = tuple(_machine(trial, fleet, name, role) for name, role in fleet.names)
    gone = [each for each in machines if each.lost is not None]
    warnings = tuple(
        TrialWarning("machine-lost", f"{each.name} was lost: {each.lost}", "run again", voids=True)
        for each in gone
    )
    return replace(
        trial, machines=machines, warnings=(*trial.warnings, *warnings), valid=trial.valid and not warnings
    )


def _machine(trial: Trial, fleet: Fleet, name: str, role: str) -> MachineTrial:
    share, number = fleet.share(name), int(name.split("-")[1])
    if fleet.lost.get(name) == trial.trial:
        return MachineTrial(name, role, clock_offset_ms=0.1 * number, clock_error_ms=0.05, lost=LOST)
    opened = trial.upstream.connections_opened or 0
    is_proxy = role == "proxy"
    held, used = trial.time_wait[role], trial.ports.used_peak or 0
    cpu_us = trial.cpu_us_per_request[role] or 0.0
    return MachineTrial(
        name,
        role,
        requests=round(trial.requests * share)
        if role == "client"
        else round((trial.upstream.requests_total or 0) * share)
        if role == "backend"
        else None,
        opened=round(opened * share) if is_proxy else 64 // fleet.clients if role == "client" else 0,
        accepted=64 // fleet.proxies if is_proxy else round(opened * share) if role == "backend" else 0,
        time_wait_peak=round((held.peak or 0) * share),
        time_wait_end=round((held.end or 0) * share),
        port_range=PORT_RANGE,
        ports_used_peak=round(used * share) if is_proxy else opened // 1_000 if role == "client" else 4,
        cpu_s=cpu_us * trial.requests * share / 1e6,
        memory_mib=trial.memory_mib[role],
        run_queue_wait=0.01 * number if role == "client" else None,
        core_idle=0.4 if role == "client" else None,
        clock_offset_ms=-200.0 + 0.1 * number if role == "client" else 86_400_123.4,
        clock_error_ms=0.05,
    )


def spread_moments(moments: list[Moment], fleet: Fleet) -> Iterator[Moment]:
    """Yield the rows of the roles, and those of each machine where a role has several."""
    roles = [role for _, role in fleet.names]
    for moment in moments:
        yield moment
        for name, role in fleet.names:
            if role == moment.host and roles.count(role) > 1:
                parts: dict[str, Any] = {
                    key: None if value is None else round(value * fleet.share(name))
                    for key in ("requests", "errors", "time_wait", "ports_used", "active_opens")
                    for value in [getattr(moment, key)]
                }
                yield replace(moment, host=name, **parts)


def write(
    root: Path, stories: dict[str, Story], fleet: Fleet | None = None, trials: int = 3, **plan: Any
) -> Path:
    """Write a run of a cluster whose modes follow `stories`, interleaved, and return its folder."""
    fleet = fleet or Fleet()
    of_cluster = {"scheduler": "tls://127.0.0.1:8786", "clients": fleet.clients, "proxies": fleet.proxies}
    of_cluster["backends"] = fleet.backends
    load = {"workers": 2, **plan.pop("load", {})}
    mode = "both" if len(stories) == 2 else next(iter(stories))
    built = plans.build(
        {"mode": mode, "trials": trials, "lab": "cluster", "cluster": of_cluster, "load": load, **plan}
    )
    header = (built.to_json(), MACHINE)
    with storage.create(root, *header, started=STARTED, machines=fleet.records()) as writer:
        numbered = [name for _ in range(trials) for name in stories]
        for number, name in enumerate(numbered, 1):
            told = stories[name]
            told = replace(told, tuples=told.tuples * fleet.backends)
            trial, moments, latencies = synthetic.trial(number, name, told, 6.0, "cluster")
            writer.add(spread(trial, fleet), list(spread_moments(moments, fleet)), latencies)
    return writer.directory
