"""The sides of a comparison: one mode of one run each, picked by `RUN`, `RUN:short` or `RUN:keepalive`.

The only room of the analysis that opens results.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.analysis.metrics import Metric
from bench.errors import PlanError
from bench.plan import toml
from bench.plan.run_plan import Mode, Plan
from bench.runs import read, timeline
from bench.runs.record import Run, Trial
from bench.runs.timeline import Series

_NOT_ASKED = frozenset({"plan.mode", "plan.trials", "machine.load_average", "machine.git.dirty"})
"""What two runs may differ in without anybody having changed the thing that they measure."""
_VOID_TIMES = frozenset({"generator-saturated"})
"""Warnings that void rates and times, but neither counts nor CPU per request."""


@dataclass(frozen=True, slots=True)
class Side:
    """One mode of one run, under the name that tables and pictures call it by."""

    name: str
    mode: str
    run: Run
    series: Series = field(default_factory=Series)

    @property
    def trials(self) -> tuple[Trial, ...]:
        """Return the trials of this mode."""
        return tuple(trial for trial in self.run.trials if trial.mode == self.mode)

    @property
    def counted(self) -> tuple[Trial, ...]:
        """Return the trials whose figures count: valid ones that ran to their end."""
        return tuple(trial for trial in self.trials if trial.valid and not trial.interrupted)

    def counted_for(self, metric: Metric) -> tuple[Trial, ...]:
        """Return the trials that count for `metric`: a busy load generator voids rates and times only."""
        if metric.is_timed:
            return self.counted
        return tuple(trial for trial in self.trials if not trial.interrupted and voids(trial) <= _VOID_TIMES)


def voids(trial: Trial) -> set[str]:
    """Return the codes of the warnings that make `trial` invalid."""
    codes = {warning.code for warning in trial.warnings if warning.voids}
    return codes or ({"invalid"} if not trial.valid else set())


def modes(run: Run) -> tuple[str, ...]:
    """Return the modes that `run` has trials of, in the order of their first."""
    return tuple(dict.fromkeys(trial.mode for trial in run.trials))


def split(run: Run, measured: Series | None = None) -> tuple[Side, ...]:
    """Return the sides of one run, one for each mode."""
    whole = measured or Series()
    return tuple(Side(mode, mode, run, _of_mode(whole, mode)) for mode in modes(run))


def pick(specs: Sequence[str]) -> tuple[tuple[Side, ...], ...]:
    """Open `specs` and return the comparisons that they ask for, each with two or more sides.

    One run is compared with itself, mode against mode. Several runs are compared mode by mode: one
    comparison for each mode that all have, or a single one where modes were selected or differ.
    """
    picked = [_open(spec) for spec in specs]
    if len(picked) == 1:
        if len(picked[0]) < 2:
            raise PlanError(f"{specs[0]}: one mode only; name a second run to compare it with")
        return (picked[0],)
    shared = [mode for mode in Mode if all(mode in {side.mode for side in run} for run in picked)]
    if shared:
        return tuple(
            _named(tuple(next(side for side in run if side.mode == mode) for run in picked))
            for mode in shared
        )
    return (_named(tuple(side for run in picked for side in run)),)


def differences(sides: Sequence[Side]) -> dict[str, tuple[Any, ...]]:
    """Return what the sides differ in, key -> value of each side: mode, plan, machine and subject."""
    described = [_described(side) for side in sides]
    keys = dict.fromkeys(key for values in described for key in values)
    rows = {key: tuple(values.get(key) for values in described) for key in keys}
    if len({side.mode for side in sides}) > 1 or sides[0].mode == Mode.KEEPALIVE:
        rows.pop("plan.closes_first", None)  # nobody is asked to close a pooled connection first
    return {key: row for key, row in rows.items() if any(value != row[0] for value in row)}


def _open(spec: str) -> tuple[Side, ...]:
    path, _, mode = spec.rpartition(":")
    if not path or mode not in tuple(Mode):
        path, mode = spec, ""
    run = read.read(Path(path))
    if len(run.subjects) > 1:
        raise PlanError(
            f"{spec}: {len(run.subjects)} subjects, side by side already; `bench show {path}` shows them"
        )
    found = split(run, timeline.read(Path(path)))
    chosen = tuple(side for side in found if mode in ("", side.mode))
    if not chosen:
        raise PlanError(f"{spec}: no trial of that mode; the run has {' and '.join(modes(run)) or 'none'}")
    return chosen


def _of_mode(measured: Series, mode: str) -> Series:
    return Series(
        tuple(moment for moment in measured.moments if moment.mode == mode),
        tuple(latencies for latencies in measured.latencies if latencies.mode == mode),
        measured.damage,
    )


def _named(sides: tuple[Side, ...]) -> tuple[Side, ...]:
    """Name the sides after their mode, or the one thing that differs, or else A, B, C."""
    names = [side.mode for side in sides]
    if len(set(names)) < len(names):
        different = {key: row for key, row in differences(sides).items() if key.startswith("plan.")}
        row = next(iter(different.values())) if len(different) == 1 else ()
        word = next(iter(different), "").rpartition(".")[2].replace("_", " ")
        names = [str(value) if isinstance(value, str) else f"{value} {word}" for value in row]
    if len(set(names)) < len(sides):
        names = [chr(ord("A") + index) for index in range(len(sides))]
    return tuple(
        Side(name, side.mode, side.run, side.series) for name, side in zip(names, sides, strict=True)
    )


def _described(side: Side) -> dict[str, Any]:
    flat = {"mode": side.mode}
    # What a plan could not say yet when it was written was as it is by default now.
    _flatten("plan", toml.merge(Plan().to_json(), side.run.plan), flat)
    _flatten("machine", side.run.machine, flat)
    versions = {trial.subject.version for trial in side.trials}
    flat["subject.version"] = ", ".join(sorted(versions))
    flat["lab"] = ", ".join(sorted({trial.lab for trial in side.trials}))
    return {key: value for key, value in flat.items() if key not in _NOT_ASKED}


def _flatten(path: str, values: Any, flat: dict[str, Any]) -> None:
    if isinstance(values, dict):
        for key, value in values.items():
            _flatten(f"{path}.{key}", value, flat)
    else:
        flat[path] = values
