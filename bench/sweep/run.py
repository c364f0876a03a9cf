"""A sweep: the trials of every cell of a grid in one run, in random balanced order. Writes no text."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from bench import units
from bench.errors import PlanError, restated
from bench.experiment import recorder
from bench.experiment.recorder import PlannedTrial
from bench.experiment.stage import Stage
from bench.experiment.summary import Outcome
from bench.machine import describe
from bench.plan import bounds
from bench.plan import grid as grids
from bench.plan.grid import Grid
from bench.plan.run_plan import Mode, Plan
from bench.progress import Progress
from bench.runs import storage, timeline
from bench.runs.machine_record import MachineRecord
from bench.runs.record import TrialWarning
from bench.runs.sweep_trial import SweepRun, SweepTrial

_OF_THE_MACHINE = (
    "system",
    "kernel",
    "architecture",
    "cpu_model",
    "cores",
    "memory_mib",
    "sysctls",
    "limits",
)
"""What of a machine must be the same, so that cells can be compared."""


@dataclass(frozen=True, slots=True)
class SweepItem:
    """One cell in one mode."""

    cell: dict[str, Any]
    mode: Mode
    plan: Plan
    case: str
    """Its name: that of the cell, with the mode where cells have both."""


@dataclass(frozen=True, slots=True)
class Sweep:
    """All that is to be measured, checked."""

    baseline: dict[str, Any]
    """The plan that the cells share, with every default."""
    grid: Grid
    items: tuple[SweepItem, ...]
    trials: int
    """Of each item."""


def prepare(baseline: Mapping[str, Any], grid: Grid, stage: Stage) -> Sweep:
    """Return the sweep of `grid` over the values of a plan, `baseline`, that `stage` can carry out.

    PlanError where the plan of a cell makes no sense, or its subject cannot do it; LabError where the system
    does not allow as many open files as a cell needs. Nothing has been started then.
    """
    items = []
    cells = grids.plans(baseline, grid)
    for cell, plan in cells:
        try:
            stage.check(plan)
        except PlanError as error:
            raise restated(error, f"--vary {grid.label(cell)}: {error}") from error
        for mode in plan.modes:
            case = grid.label(cell) if len(plan.modes) == 1 else f"{grid.label(cell)},{mode.value}"
            items.append(SweepItem(cell, mode, plan, case))
    seed = baseline.get("seed") or recorder.draw_seed()
    return Sweep({**baseline, "seed": seed}, grid, tuple(items), cells[0][1].trials)


def perform(sweep: Sweep, stage: Stage, root: Path, progress: Progress) -> SweepRun:
    """Run every trial of `sweep`, recording each under `root` as it ends; as `experiment.run.perform`."""
    facts = describe.describe()
    with storage.create(
        root, sweep.baseline, facts, grid=sweep.grid.to_json(), machines=stage.machines
    ) as writer:
        return _record(sweep, writer, stage, progress, ())


def resume(sweep: Sweep, begun: SweepRun, stage: Stage, progress: Progress) -> SweepRun:
    """Run the trials of `sweep` that `begun` lacks, into its folder.

    PlanError where it was begun on another machine, has no trial, or lacks none. A trial of another commit,
    or with other versions of what measures, bears a warning.
    """
    if not begun.trials:
        raise PlanError(f"--resume {begun.directory}: it has no trial to go on from; begin a new sweep")
    _check_cluster(begun, stage.machines)
    notes = tuple(_check_machine(begun))
    if not next(_missing(sweep, begun.trials), None):
        raise PlanError(
            f"--resume {begun.directory}: it lacks no trial; `bench show {begun.directory}` shows it"
        )
    with storage.reopen(begun) as writer:
        return _record(sweep, writer, stage, progress, notes)


def _record(
    sweep: Sweep, writer: storage.Writer, stage: Stage, progress: Progress, notes: Sequence[TrialWarning]
) -> SweepRun:
    missing = list(_missing(sweep, writer.run.trials))
    first = _next_number(writer)
    progress.started(writer.directory, first - 1 + len(missing))
    lasts_s = sum(_estimate_s(item.plan) for _, item in missing)
    progress.note(
        f"{units.plural(len(sweep.grid), 'cell')}, {units.plural(len(missing), 'trial')}:"
        f" about {lasts_s / 60:.1f} minutes"
    )
    interrupted = recorder.record(
        PlannedTrial(writer, partial(_trial, item, number, stage, progress, notes), block)
        for number, (block, item) in enumerate(missing, first)
    )
    return recorder.finished(writer, interrupted)


def _estimate_s(plan: Plan) -> float:
    return plan.load.warmup_s + plan.load.duration_s + bounds.SET_UP_S


def _missing(sweep: Sweep, measured: Sequence[SweepTrial]) -> Iterator[tuple[int, SweepItem]]:
    """Yield what is still to be measured, in order, each with its block: all but as many as are there."""
    there = Counter(trial.case for trial in measured if not trial.interrupted)
    places = recorder.numbered(sweep.items, sweep.trials, int(sweep.baseline["seed"]))
    for (_, block), item in places:
        if there[item.case]:
            there[item.case] -= 1
        else:
            yield block, item


def _next_number(writer: storage.Writer) -> int:
    """Return the number of the next trial; one that was cut off may have left rows in the timeline."""
    used = [trial.trial for trial in writer.run.trials]
    used += [moment.trial for moment in timeline.read(writer.directory).moments] if used else []
    return max(used, default=0) + 1


def _trial(
    item: SweepItem, number: int, stage: Stage, progress: Progress, notes: Sequence[TrialWarning]
) -> Outcome[SweepTrial]:
    outcome = stage.perform(item.plan, number, item.mode, progress)
    trial = replace(outcome.trial, warnings=(*outcome.trial.warnings, *notes))
    return Outcome(SweepTrial.of(trial, item.cell, item.case), outcome.moments, outcome.latencies)


def _check_cluster(begun: SweepRun, machines: Sequence[MachineRecord]) -> None:
    """Raise PlanError where the places of a cluster are not those that it was begun on, or unlike them."""
    places = [{each.name: each.description for each in found} for found in (begun.machines, machines)]
    if places[0].keys() != places[1].keys():
        raise PlanError(
            f"--resume {begun.directory}: it was begun with {', '.join(places[0]) or 'no cluster'}, and here"
            f" are {', '.join(places[1]) or 'none'}; begin a new sweep"
        )
    for name, before in places[0].items():
        for key in _OF_THE_MACHINE:
            if before.get(key) != places[1][name].get(key):
                differs = _first_difference(key, before.get(key), places[1][name].get(key))
                raise PlanError(
                    f"--resume {begun.directory}: {name} is another: {differs}; begin a new sweep"
                )


def _check_machine(begun: SweepRun) -> Iterator[TrialWarning]:
    here = describe.describe()
    for key in _OF_THE_MACHINE:
        before, now = begun.machine.get(key), here.get(key)
        if before != now:
            differs = _first_difference(key, before, now)
            raise PlanError(
                f"--resume {begun.directory}: it was begun on another machine, or this one has changed:"
                f" {differs}; begin a new sweep, and compare the two"
            )
    for key in ("git", "versions"):
        before, now = begun.machine.get(key), here.get(key)
        if before != now:
            differs = _first_difference(key, before, now)
            yield TrialWarning(
                "resumed",
                f"the sweep was begun with another version: {differs}",
                "differences to earlier trials may come from that: sweep anew to be sure",
            )


def _first_difference(key: str, before: Any, now: Any) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        for inner in {**before, **now}:
            if before.get(inner) != now.get(inner):
                return _first_difference(f"{key}.{inner}", before.get(inner), now.get(inner))
    return f"{key} was {before} and is {now}"
