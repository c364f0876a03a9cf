"""A trial of a sweep: that of a run, in one cell of the grid. Values only.

A sweep is a run whose header has a grid; its trials have the keys of `run.jsonl`, kind `sweep`
(results/README.md).
"""

from dataclasses import dataclass, fields
from typing import Any, TypeAlias

from bench.runs.record import RunRecord, ScenarioTrial, Trial, TrialRecord
from bench.runs.watch_trial import WatchTrial


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTrial(Trial):
    """One trial of a sweep."""

    cell: dict[str, Any]
    """The plan keys that are varied, each with its value here."""
    case: str
    """The cell's name, with the mode where cells have both."""

    @classmethod
    def of(cls, trial: Trial, cell: dict[str, Any], case: str) -> "SweepTrial":
        """Return a trial of a run as one of a cell."""
        values = {each.name: getattr(trial, each.name) for each in fields(trial)}
        return cls(**values, cell=cell, case=case)


SweepRun: TypeAlias = RunRecord[SweepTrial]


def case_of(trial: TrialRecord) -> str:
    """Return the mode of `trial`; of a scenario its variant, of a sweep its cell, of a watch its hop."""
    if isinstance(trial, SweepTrial | WatchTrial):
        return trial.case
    if isinstance(trial, ScenarioTrial):
        return trial.variant
    assert isinstance(trial, Trial), "there are four kinds of trials"
    return trial.mode
