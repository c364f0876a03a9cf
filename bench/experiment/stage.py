"""Where the trials of a run take place: in a lab of this machine (run.py), or on those of a cluster."""

from collections.abc import Sequence
from typing import Protocol

from bench.experiment.summary import Outcome
from bench.plan.run_plan import Mode, Plan
from bench.progress import Progress
from bench.runs.machine_record import MachineRecord
from bench.runs.record import Trial
from bench.runs.target_record import TargetRecord


class Stage(Protocol):
    """A place for the trials of some plans, which is open for as long as their run goes on."""

    @property
    def machines(self) -> Sequence[MachineRecord]:
        """Return the machines of a cluster; none where all is on this one."""

    def check(self, plan: Plan) -> None:
        """Raise BenchError where a plan cannot be carried out here; start no role."""

    def probe(self, plan: Plan) -> TargetRecord | None:
        """Return what answers at the target of a plan; None where it has none."""

    def perform(self, plan: Plan, number: int, mode: Mode, progress: Progress) -> Outcome[Trial]:
        """Run one trial of `mode`; KeyboardInterrupt ends it early, and it is then marked interrupted."""
