"""The steps of the tour, from short connections to QUIC, each a run in a folder of its own.

Decides which steps there are and runs them. What they say of a claim is decided in ruling.py, and what
people read of it in bench/report/tour.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench import incident
from bench.errors import BenchError, PlanError
from bench.experiment import run
from bench.experiment import scenario_run as scenario_runs
from bench.experiment.definition import Scenario
from bench.plan import run_plan
from bench.progress import Progress
from bench.runs.record import RunRecord
from bench.scenarios import catalogue

INCIDENT = "incident"
SNIPPET = "snippet"
NAMES = (INCIDENT, SNIPPET, *catalogue.NAMES)
IDIOMS = ("default", "snippet", "full")
"""What nginx is told in the step of the snippet: nothing, what is copied, and all that it needs."""
_INCIDENT = run_plan.Plan(trials=1, load=run_plan.Load(warmup_s=0.5, duration_s=5.0))
"""Long enough to pass half of the ports, which is where it shows."""
_SNIPPET_S = 1.0
"""Connections are counted, and a second has thousands of them."""
_TITLES = {
    INCIDENT: "Short connections and keep-alive",
    SNIPPET: "What is written into nginx.conf",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the run that it gave, or why there is none."""

    name: str
    scenario: Scenario | None = None
    """None: it is a run of the load generator."""
    run: RunRecord[Any] | None = None
    problem: str | None = None

    @property
    def title(self) -> str:
        """Return what it measures."""
        return _TITLES[self.name] if self.scenario is None else self.scenario.title

    @property
    def interrupted(self) -> bool:
        """Return whether it was ended early."""
        return self.run is not None and self.run.interrupted


def find_subject(name: str) -> str | None:
    """Return on which subject the step `name` measures first; None where its subjects are its cases."""
    if name == SNIPPET:
        return None
    if name == INCIDENT:
        return _INCIDENT.subject.name
    scenario = catalogue.load(name)
    return scenario.plan(dict(scenario.brief)).subjects[0]


def take(names: Sequence[str], lab_name: str, root: Path, progress: Progress) -> Iterator[Step]:
    """Yield the steps called `names` as they end, each recorded under `root`; an interrupted one is the last.

    A step that cannot be taken is yielded with the reason, and the tour goes on.
    """
    for name in names:
        step = Step(name, None if name in _TITLES else catalogue.load(name))
        try:
            step = replace(step, run=_perform(step, lab_name, root, progress))
        except BenchError as error:
            step = replace(step, problem=str(error))
        yield step
        if step.interrupted:
            return


def _perform(step: Step, lab_name: str, root: Path, progress: Progress) -> RunRecord[Any]:
    if step.name == SNIPPET:
        return _write_snippets(lab_name, root, progress)
    if step.scenario is None:
        return run.perform(_INCIDENT, run.LabStage(lab_name), root, progress)
    plan = step.scenario.plan(dict(step.scenario.brief))
    return scenario_runs.perform(step.scenario, plan, lab_name, root, progress)


def _write_snippets(lab_name: str, root: Path, progress: Progress) -> RunRecord[Any]:
    """Run every nginx that is here with each of IDIOMS; PlanError where none is."""
    wanted = [each for each in incident.entrants() if each.subject.idiom in IDIOMS]
    here, absent = incident.present(wanted)
    if not here:
        raise PlanError(absent[0])
    (done,) = incident.perform(
        here, 1, _SNIPPET_S, closes=incident.CLOSES[:1], lab_name=lab_name, root=root, progress=progress
    )
    return done
