"""Runs of one scenario against the first of them: case by case, figure by figure. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.analysis.cases import Row, Spread, Summary
from bench.errors import PlanError
from bench.experiment.definition import Column, Scenario
from bench.runs.record import ScenarioRun

_MACHINE = ("system", "kernel", "architecture", "cpu_model", "cores", "memory_mib", "sysctls", "versions")
"""What of a machine makes runs incomparable where it differs."""


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of one case, in every run."""

    case: str
    column: Column
    spreads: tuple[Spread | None, ...]

    @property
    def ratios(self) -> tuple[float | None, ...]:
        """Return each later median over the first; None where either is missing or the first is 0."""
        first = self.spreads[0]
        return tuple(
            None if first is None or spread is None or first.median == 0 else spread.median / first.median
            for spread in self.spreads[1:]
        )


@dataclass(frozen=True, slots=True)
class Comparison:
    """The sides by name and folder, a line for each figure that any of them has, and the warnings."""

    sides: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the object that `bench scenario compare --json` prints."""
        return {
            "sides": [{"name": name, "directory": directory} for name, directory in self.sides],
            "figures": [
                {
                    "case": line.case,
                    "key": line.column.key,
                    "medians": [None if spread is None else spread.median for spread in line.spreads],
                    "ratios": list(line.ratios),
                }
                for line in self.lines
            ],
            "warnings": list(self.warnings),
        }


def compare(scenario: Scenario, runs: Sequence[ScenarioRun]) -> Comparison:
    """Hold `runs`, two or more of `scenario`, against the first; PlanError where no case is in all."""
    summaries = [Summary.of(run) for run in runs]
    cases = [
        row for row in summaries[0].rows if all(each.row(row.variant, row.subject) for each in summaries[1:])
    ]
    if not cases:
        raise PlanError("compare: the runs have no case in common; name runs of the same ways and subjects")
    sides = tuple((chr(ord("A") + index), str(run.directory)) for index, run in enumerate(runs))
    lines = tuple(line for case in cases for line in _lines(scenario, case, summaries))
    return Comparison(sides, lines, tuple(_warnings(runs)))


def _lines(scenario: Scenario, case: Row, summaries: Sequence[Summary]) -> Iterator[Line]:
    rows = [row for each in summaries if (row := each.row(case.variant, case.subject)) is not None]
    for column in scenario.columns:
        spreads = tuple(row.spread(column.key) for row in rows)
        if any(spread is not None for spread in spreads):
            yield Line(case.name, column, spreads)


def _warnings(runs: Sequence[ScenarioRun]) -> Iterator[str]:
    first = runs[0]
    for index, run in enumerate(runs[1:], 1):
        name = chr(ord("A") + index)
        machine = [key for key in _MACHINE if run.machine.get(key) != first.machine.get(key)]
        if machine:
            yield f"A and {name} ran on different machines or versions: {', '.join(machine)} differ"
        settings = list(_different(first.plan.get("settings", {}), run.plan.get("settings", {})))
        if settings:
            yield f"A and {name} were asked for different things: {'; '.join(settings)}"


def _different(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            yield f"{key} {old.get(key)} and {new.get(key)}"
