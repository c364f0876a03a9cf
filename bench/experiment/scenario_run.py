"""A run of a scenario: its cases in turn, each recorded as it ends. Decides the order, writes no text."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from bench import lab
from bench.errors import PlanError
from bench.experiment import scenario_summary
from bench.experiment.case import Case
from bench.experiment.definition import Scenario, Settings
from bench.experiment.scenario_summary import Counts, Facts, Outcome
from bench.experiment.testbed import Testbed
from bench.machine import describe
from bench.plan.scenario_plan import ScenarioPlan
from bench.progress import Watch
from bench.runs import read_scenario
from bench.runs.scenario_record import Refused, ScenarioRun


class Turn(NamedTuple):
    """One trial to come."""

    number: int
    case: Case


def schedule(cases: Sequence[Case], rounds: int) -> Iterator[Turn]:
    """Yield the trials to come: every other round goes backwards, so that drift falls on all alike."""
    ordered = [case for turn in range(rounds) for case in (cases if turn % 2 == 0 else cases[::-1])]
    yield from itertools.starmap(Turn, enumerate(ordered, 1))


def perform(scenario: Scenario, asked: ScenarioPlan, lab_name: str, root: Path, watch: Watch) -> ScenarioRun:
    """Run every trial of `asked`, recording each under `root` as it ends; an interrupted trial is the last.

    `lab_name` is what `lab.choose` returned. PlanError before anything starts where no case can be measured,
    BenchError where a role does not come up; what was recorded until then stays.
    """
    cases, refused = sort_out(scenario, asked)
    if not cases:
        raise PlanError(f"plan: {scenario.name}: nothing can be measured: {refused[0].reason}")
    with read_scenario.create(root, asked, describe.describe(), refused) as writer:
        watch.started(writer.directory, len(cases) * asked.trials)
        for turn in schedule(cases, asked.trials):
            try:
                outcome = _trial(scenario, asked.settings, turn, lab_name, watch)
            except KeyboardInterrupt:
                # Before its load ran, or for the second time: there is nothing to keep of this trial.
                return replace(writer.run, interrupted=True)
            writer.add(outcome.trial, outcome.moments, outcome.latencies)
            if outcome.trial.interrupted:
                return replace(writer.run, interrupted=True)
        return writer.run


def sort_out(scenario: Scenario, asked: ScenarioPlan) -> tuple[list[Case], list[Refused]]:
    """Return the cases that can be measured here, and for each of the others why not. Starts nothing."""
    cases, refused = [], []
    for case in asked.cases:
        reason = _refusal(scenario, case, asked.settings)
        if reason is None:
            cases.append(case)
        else:
            refused.append(Refused(case.variant, case.subject_name, reason))
    return cases, refused


def _refusal(scenario: Scenario, case: Case, settings: Settings) -> str | None:
    """Return the first reason why a case cannot be measured: the scenario's, a package's, the proxy's."""
    if case.subject.name not in scenario.subjects:
        return scenario.unfit
    reason = scenario.refuse(case, settings)
    if reason is not None:
        return reason
    for need in scenario.variant(case.variant).needs:
        if not need.is_met:
            return f"needs {need.said}: {need.remedy}"
    front = scenario.proxy_setup(case, settings)
    return (
        None if front is None else front.refusal(case, scenario.lab_request(case, settings).proxy_addresses)
    )


def _trial(scenario: Scenario, settings: Settings, turn: Turn, lab_name: str, watch: Watch) -> Outcome:
    began_s = time.monotonic()
    case = turn.case
    watch.trial(turn.number, case.name, 0.0, 0.0)
    ground = asdict(scenario.lab_request(case, settings))
    with lab.open_lab(lab_name, **ground) as place, ExitStack() as stack:
        scene = Testbed(place, stack, watch, case, scenario.proxy_setup(case, settings))
        figures = scenario.perform(scene, case, settings)
        assert scene.result is not None, f"{scenario.name} never let its clients play"
        roles = scene.roles
        version = "-" if roles.subject is None else roles.subject.version
        counts = Counts(roles.counted(), roles.accepted())
        facts = Facts(turn.number, case, place.name, version, scene.result, figures, counts)
    watch.phase("done")
    done = scenario_summary.outcome(facts)
    overhead_s = time.monotonic() - began_s - done.trial.window_s
    return done._replace(trial=replace(done.trial, overhead_s=overhead_s))
