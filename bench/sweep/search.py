"""The search for the highest rate that holds: each trial's rate follows from those before. Writes no text."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from bench.analysis import objective, rate_search
from bench.analysis.objective import Objective
from bench.experiment import recorder
from bench.experiment.recorder import PlannedTrial
from bench.experiment.stage import Stage
from bench.experiment.summary import Outcome
from bench.machine import describe
from bench.plan import grid as grids
from bench.plan import run_plan
from bench.plan.grid import Axis, Grid
from bench.plan.run_plan import Plan
from bench.progress import Progress
from bench.runs import storage
from bench.runs.sweep_trial import SweepRun, SweepTrial

_DIGITS = 3
"""Significant digits of a rate that is tried: nobody asks for more, and equal ones are recognized."""
_AXIS = Axis("load.rate", ())


def plan_at(baseline: Mapping[str, Any], rate: float) -> Plan:
    """Return the plan of a trial at a rate; PlanError where it makes no sense."""
    return run_plan.build(grids.apply(baseline, {_AXIS.key: rate}))


def perform(
    baseline: Mapping[str, Any], sought: Objective, *, stage: Stage, root: Path, progress: Progress
) -> SweepRun:
    """Run trials until the rate is known, or no more are allowed; recorded as `experiment.run.perform` does.

    PlanError before anything is written where a plan makes no sense or its subject cannot do it.
    """
    for rate in (sought.where.low, sought.where.high):
        stage.check(plan_at(baseline, rate))
    grid = {_AXIS.key: list[Any]()}
    facts = describe.describe()
    with storage.create(
        root,
        baseline,
        facts,
        label="search-rate",
        grid=grid,
        objective=sought.to_json(),
        machines=stage.machines,
    ) as writer:
        progress.started(writer.directory, sought.where.most_trials)
        interrupted = recorder.record(_trials(baseline, sought, writer, stage, progress))
        return recorder.finished(writer, interrupted)


def _trials(
    baseline: Mapping[str, Any],
    sought: Objective,
    writer: storage.Writer,
    stage: Stage,
    progress: Progress,
) -> Iterator[PlannedTrial]:
    """Yield the next trial for as long as there is one; the ones before have been recorded then."""
    while (rate := _next_rate(writer.run.trials, sought)) is not None:
        number = len(writer.run.trials) + 1
        yield PlannedTrial(writer, partial(_trial, baseline, rate, number, stage, progress), number)


def _next_rate(measured: Sequence[SweepTrial], sought: Objective) -> float | None:
    rate = rate_search.assess(objective.replies(measured, sought), sought.where).next_rate
    return None if rate is None else float(f"{rate:.{_DIGITS}g}")


def _trial(
    baseline: Mapping[str, Any], rate: float, number: int, stage: Stage, progress: Progress
) -> Outcome[SweepTrial]:
    plan, cell = plan_at(baseline, rate), {_AXIS.key: rate}
    outcome = stage.perform(replace(plan, trials=1), number, plan.modes[0], progress)
    case = Grid((Axis(_AXIS.key, (rate,)),)).label(cell)
    return Outcome(SweepTrial.of(outcome.trial, cell, case), outcome.moments, outcome.latencies)
