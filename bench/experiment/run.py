"""A run of the load generator: the trials of a plan in turn, each recorded as it ends. Writes no text."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from bench.experiment import load_trial, recorder
from bench.experiment.recorder import PlannedTrial
from bench.experiment.schedule import numbered
from bench.machine import describe
from bench.plan.run_plan import Plan
from bench.progress import Progress
from bench.runs import storage
from bench.runs.record import Run


def perform(plan: Plan, lab_name: str, root: Path, progress: Progress) -> Run:
    """Run every trial of `plan`, recording each under `root` as it ends; an interrupted trial is the last.

    `lab_name` is what `lab.choose` returned.

    Raises PlanError before anything is written where the subject cannot do what is asked, and BenchError
    when a role does not come up; what was recorded until then stays.
    """
    load_trial.check(plan)
    with storage.create(root, plan.to_json(), describe.describe()) as writer:
        progress.started(writer.directory, len(plan.modes) * plan.trials)
        interrupted = recorder.record(
            PlannedTrial(writer, partial(load_trial.perform, plan, number, mode, lab_name, progress))
            for number, mode in numbered(plan.modes, plan.trials)
        )
        return recorder.finished(writer, interrupted)
