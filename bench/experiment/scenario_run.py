"""A run of a scenario: its cases in turn, each recorded as it ends. Decides the order, writes no text."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.errors import MissingProgramError, PlanError
from bench.experiment import recorder, scenario_summary
from bench.experiment.definition import Scenario, Settings
from bench.experiment.proxy_setup import Absent
from bench.experiment.recorder import PlannedTrial, numbered
from bench.experiment.scenario_summary import ScenarioFacts
from bench.experiment.stopping import Stopping, groups_of
from bench.experiment.summary import Outcome
from bench.experiment.testbed import TrialRequest, open_testbed
from bench.lab import LabRequest
from bench.machine import describe
from bench.plan.scenario_plan import Case, ScenarioPlan
from bench.progress import Progress
from bench.runs import storage
from bench.runs.record import Refused, ScenarioRun, ScenarioTrial


def perform(
    scenario: Scenario,
    plan: ScenarioPlan,
    lab_name: str,
    root: Path,
    progress: Progress,
    *,
    stopping: Stopping | None = None,
) -> ScenarioRun:
    """Run every trial of `plan`, recording each under `root` as it ends; an interrupted trial is the last.

    `lab_name` is what `lab.choose` returned. PlanError before anything starts where no case can be measured,
    MissingProgramError for want of a program; BenchError where a role does not come up; what was recorded
    until then stays.
    """
    cases, refused = sort_out(scenario, plan)
    if not cases:
        first = refused[0]
        why = f"{first.variant} on {first.subject}: {first.reason}"
        is_absent = any(isinstance(each.reason, Absent) for each in refused)
        kind = MissingProgramError if is_absent else PlanError
        raise kind(f"plan: {scenario.name}: nothing can be measured: {why}")
    seed = plan.seed or recorder.draw_seed()
    plan = replace(plan, seed=seed)
    stopping = stopping or Stopping()
    most = plan.trials if stopping.looks else None
    facts = describe.describe()
    with storage.create(root, plan.to_json(), facts, refused=refused, most_blocks=most) as writer:

        def go_on(block: int) -> bool:
            return stopping.go_on(block, plan.trials, lambda: groups_of([writer.run]))

        progress.started(writer.directory, len(cases) * plan.trials)
        interrupted = recorder.record(
            PlannedTrial(
                writer,
                partial(_trial, scenario, plan.settings, (place.trial, case), lab_name, progress),
                place.block,
            )
            for place, case in numbered(cases, plan.trials, seed, go_on)
        )
        return recorder.finished(writer, interrupted)


def sort_out(scenario: Scenario, plan: ScenarioPlan) -> tuple[list[Case], list[Refused]]:
    """Return the cases that can be measured here, and for each of the others why not. Starts nothing."""
    cases, refused = [], []
    for case in plan.cases:
        reason = _refusal(scenario, case, plan.settings)
        if reason is None:
            cases.append(case)
        else:
            refused.append(Refused(case.variant, case.subject_name, reason))
    return cases, refused


def _refusal(scenario: Scenario, case: Case, settings: Settings) -> str | None:
    """Return the first reason why a case cannot be measured: the scenario's, a package's, the proxy's."""
    if case.subject.name not in scenario.subjects:
        return scenario.unfit
    variant = scenario.variant(case.variant)
    if variant.illustrates and case.subject.name != "direct":
        return f"{variant.illustrates}'s own client is shown without a proxy only"
    reason = scenario.refuse(case, settings)
    if reason is not None:
        return reason
    for need in variant.needs:
        if not need.is_met:
            return Absent(f"needs {need.label}: {need.remedy}")
    setup = scenario.proxy_setup(case, settings)
    return setup.refusal(case, scenario.lab_request(case, settings).proxy_addresses)


def _addresses(requested: LabRequest, host: str) -> int:
    return requested.client_addresses if host == "client" else requested.proxy_addresses


def _trial(
    scenario: Scenario, settings: Settings, planned: tuple[int, Case], lab_name: str, progress: Progress
) -> Outcome[ScenarioTrial]:
    number, case = planned
    request = TrialRequest(
        number,
        case.name,
        case,
        proxy=scenario.proxy_setup(case, settings),
        lab=scenario.lab_request(case, settings),
    )
    with open_testbed(request, lab_name, progress) as testbed:
        figures = scenario.perform(testbed, case, settings)
        assert testbed.result is not None, f"{scenario.name} never let its clients go"
        roles, opener = testbed.roles, "client" if case.subject.name == "direct" else "proxy"
        low, high = testbed.place.hosts[opener].port_range()
        facts = ScenarioFacts(
            number,
            case,
            testbed.place.name,
            roles.version,
            result=testbed.result,
            figures=figures,
            counted=roles.counted(),
            accepted=roles.accepted(),
            port_range=0 if testbed.place.name == "loopback" else high - low + 1,
            addresses=_addresses(request.lab, opener) * request.lab.backends,
        )
    done = scenario_summary.outcome(facts)
    return replace(done, trial=replace(done.trial, overhead_s=testbed.overhead_s))
