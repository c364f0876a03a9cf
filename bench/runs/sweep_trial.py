"""A trial of a sweep: that of a run, in one cell of the grid. Values only.

A sweep is a run whose header has a grid; its trials have the keys of `run.jsonl`, kind `sweep`
(results/README.md).
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

from bench.runs.record import RunRecord, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTrial(Trial):
    """One trial of a sweep."""

    cell: dict[str, Any]
    """The plan keys that are varied, each with its value here."""
    case: str
    """The cell's name, with the mode where cells have both."""


SweepRun: TypeAlias = RunRecord[SweepTrial]
