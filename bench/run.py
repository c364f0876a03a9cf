"""A run: the trials of a plan in turn, each recorded as it ends. Decides the order, writes no text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bench import lab, machine, trial
from bench.lab import namespaces
from bench.plan import Mode, Plan
from bench.record import Run
from bench.results import Writer
from bench.trial import Watch


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


def choose_lab(plan: Plan) -> str:
    """Take the rights that the plan's lab needs, and return its name; LabError where it cannot be had.

    To be called while the process has one thread. "auto" stays "auto" where namespaces do not work, so
    that the lab says why in each trial.
    """
    if plan.subject.target is not None or plan.lab == "loopback":
        return "loopback"
    if plan.lab == "auto" and namespaces.available() is not None:
        return "auto"
    lab.enter()
    return "namespaces"


def perform(plan: Plan, root: Path, watch: Watch) -> Run:
    """Run every trial of `plan`, recording each under `root` as it ends; an interrupted trial is the last.

    Raises BenchError when a role does not come up; what was recorded until then stays.
    """
    lab_name = choose_lab(plan)
    with Writer.create(root, plan, machine.describe()) as writer:
        watch.started(writer.directory, len(plan.modes) * plan.trials)
        for number, mode in schedule(plan):
            outcome = trial.perform(plan, number, mode, lab_name, watch)
            writer.add(outcome.trial, outcome.moments, outcome.latencies)
            if outcome.trial.interrupted:
                break
        return writer.run
