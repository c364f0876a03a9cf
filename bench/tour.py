"""The tour: a short form of everything, step by step from short connections to QUIC, in a few minutes.

Decides which steps there are and runs them; each is an ordinary run in a folder of its own. What people read
of it is bench/report/tour.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.experiment import run
from bench.experiment import scenario_run as scenario_runs
from bench.experiment.definition import Scenario
from bench.plan import run_plan
from bench.progress import Progress
from bench.runs.record import Run, RunRecord, ScenarioRun
from bench.scenarios import catalogue

INCIDENT = "incident"
NAMES = (INCIDENT, *catalogue.NAMES)
INCIDENT_CLAIM = (
    "A proxy with short connections to its upstream fills up with TIME_WAIT and stops at a throughput that no"
    " hardware lifts; keep-alive connections lift it at once."
)
_INCIDENT = run_plan.Plan(trials=1, load=run_plan.Load(warmup_s=0.5, duration_s=5.0))
"""Long enough to pass half of the ports, which is where it shows."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: the run that it gave, or why there is none."""

    name: str
    incident: Run | None = None
    scenario: Scenario | None = None
    measured: ScenarioRun | None = None
    problem: str | None = None

    @property
    def runs(self) -> tuple[RunRecord[Any], ...]:
        """Return the run, where there is one."""
        return tuple(done for done in (self.incident, self.measured) if done is not None)

    @property
    def interrupted(self) -> bool:
        """Return whether it was ended early."""
        return any(done.interrupted for done in self.runs)


def take(names: Sequence[str], lab_name: str, root: Path, progress: Progress) -> Iterator[Step]:
    """Yield the steps called `names` as they end, each recorded under `root`; an interrupted one is the last.

    A step that cannot be taken is yielded with the reason, and the tour goes on.
    """
    for name in names:
        step = Step(name, scenario=None if name == INCIDENT else catalogue.load(name))
        try:
            step = _take(step, lab_name, root, progress)
        except BenchError as error:
            step = replace(step, problem=str(error))
        yield step
        if step.interrupted:
            return


def _take(step: Step, lab_name: str, root: Path, progress: Progress) -> Step:
    if step.scenario is None:
        return replace(step, incident=run.perform(_INCIDENT, lab_name, root, progress))
    plan = step.scenario.plan(dict(step.scenario.brief))
    return replace(step, measured=scenario_runs.perform(step.scenario, plan, lab_name, root, progress))
