"""What a trial of a scenario measured: values only, with the keys of `scenario.jsonl` (results/README.md).

`hops.front` is between the clients and the proxy, `hops.back` between the proxy and the servers; without a
proxy there is only the front one. CPU and bytes are over the window, connections over the whole trial.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from bench.runs.record import ROLES, Percentiles, Recorded, SubjectRecord, TimeWait, TrialWarning


@dataclass(frozen=True, slots=True)
class Hop:
    """The connections and bytes of one hop; None: this lab or system does not tell."""

    opened: int | None = None
    """TCP connections as the kernel of the opening side counted them."""
    accepted: int | None = None
    """The same as the accepting role counted them."""
    bytes_forth: int | None = None
    """Bytes on the wire, headers included, from the opening side, over the window."""
    bytes_back: int | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """What one role's process tree used; None: not measured, or no such role."""

    cpu_s: float | None = None
    """User and system time over the window."""
    memory_mib: float | None = None
    """The most over the trial."""


@dataclass(frozen=True, slots=True)
class ScenarioTrial:
    """One way of doing it on one subject, from start to end."""

    trial: int
    variant: str
    subject: SubjectRecord
    lab: str
    valid: bool = True
    interrupted: bool = False
    warnings: tuple[TrialWarning, ...] = ()
    window_s: float = 0.0
    units: int = 0
    """What was done in the window, in the scenario's unit (a delivered message, a request, a beat)."""
    figures: dict[str, float | int | None] = field(default_factory=dict)
    """What the scenario measured by itself; its own names."""
    times_ms: dict[str, Percentiles] = field(default_factory=dict)
    """Distributions of times, by the scenario's own names; the histograms are in latency.hlog."""
    curves: dict[str, list[list[float]]] = field(default_factory=dict)
    """Points (x, y) of what happened along the trial, by the scenario's own names."""
    hops: dict[str, Hop] = field(default_factory=dict)
    roles: dict[str, Use] = field(default_factory=lambda: dict.fromkeys(ROLES, Use()))
    time_wait: dict[str, TimeWait] = field(default_factory=lambda: dict.fromkeys(ROLES, TimeWait()))
    cpu_us_per_unit: dict[str, float | None] = field(default_factory=dict)
    bytes_per_unit: dict[str, float | None] = field(default_factory=dict)
    """For each hop, both directions together."""
    overhead_s: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the trial as plain values, as one line of `scenario.jsonl` holds it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class Refused:
    """A case that could not be measured, and why: the subject cannot carry it, or something is missing."""

    variant: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True)
class ScenarioRun(Recorded[ScenarioTrial]):
    """A run of a scenario, with what was left out of it."""

    refused: tuple[Refused, ...] = ()

    @property
    def scenario(self) -> str:
        """Return the scenario's name."""
        return str(self.plan["scenario"])

    def header(self) -> dict[str, Any]:
        """Return what is known before the first trial, as the first line of the run's file holds it."""
        return {**Recorded.header(self), "refused": [dataclasses.asdict(each) for each in self.refused]}

    def to_json(self) -> dict[str, Any]:
        """Return the object that `bench scenario run --json` prints."""
        known = {key: value for key, value in self.header().items() if key != "started"}
        return {**known, "trials": [trial.to_json() for trial in self.trials], "directory": self.directory}
