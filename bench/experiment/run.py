"""A run: the trials of a plan in turn, each recorded as it ends. Decides the order, writes no text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.experiment import load_trial as roles
from bench.experiment import trial
from bench.experiment.trial import Watch
from bench.machine import describe
from bench.plan.run_plan import Mode, Plan
from bench.runs import read
from bench.runs.record import Run


def schedule(plan: Plan) -> Iterator[tuple[int, Mode]]:
    """Yield the trials' numbers and modes: modes take turns, and each round starts with the other one.

    Interleaving spreads the drift of the machine over both modes alike; turning the order round spreads
    what the first trial of a pair leaves behind for the second.
    """
    number = 0
    for turn in range(plan.trials):
        modes = plan.modes if turn % 2 == 0 else plan.modes[::-1]
        for mode in modes:
            number += 1
            yield number, mode


def perform(plan: Plan, lab_name: str, root: Path, watch: Watch) -> Run:
    """Run every trial of `plan`, recording each under `root` as it ends; an interrupted trial is the last.

    `lab_name` is what `lab.choose` returned.

    Raises PlanError before anything is written where the subject cannot do what is asked, and BenchError
    when a role does not come up; what was recorded until then stays.
    """
    roles.check(plan)
    with read.create(root, plan, describe.describe()) as writer:
        watch.started(writer.directory, len(plan.modes) * plan.trials)
        for number, mode in schedule(plan):
            try:
                outcome = trial.perform(plan, number, mode, lab_name, watch)
            except KeyboardInterrupt:
                # Before its load ran, or for the second time: there is nothing to keep of this trial.
                return replace(writer.run, interrupted=True)
            writer.add(outcome.trial, outcome.moments, outcome.latencies)
            if outcome.trial.interrupted:
                return replace(writer.run, interrupted=True)
        return writer.run
