"""Runs of one scenario side by side: which cases, which ratios, which warnings."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import scenario_compare
from bench.errors import PlanError
from bench.report.scenario import text as report
from bench.runs.record import ScenarioRun
from scenarios.made_up import SCENARIO, trial

PLAN = {"scenario": "tea", "settings": {"cups": 3}}
OLD = ScenarioRun(PLAN, {"cores": 2}, "", trials=(trial(2, "bag"), trial(4, "loose-leaf")), directory="old")
NEW = ScenarioRun(PLAN, {"cores": 2}, "", trials=(trial(6, "bag"),), directory="new")


def test_only_cases_of_all_runs_are_compared_and_the_ratio_is_to_the_first() -> None:
    compared = scenario_compare.compare(SCENARIO, [OLD, NEW])
    assert {line.case for line in compared.lines} == {"bag"}
    steep = next(line for line in compared.lines if line.column.key == "times_ms.steep.p50")
    assert steep.ratios == (3.0,)
    assert compared.warnings == ()
    assert "3x" in report.comparison(compared)


def test_a_figure_that_was_0_has_no_ratio() -> None:
    nothing = replace(OLD, trials=(trial(0, "bag"),))
    compared = scenario_compare.compare(SCENARIO, [nothing, NEW])
    spilt = next(line for line in compared.lines if line.column.key == "figures.spilt")
    assert spilt.ratios == (None,)


def test_what_else_differs_is_a_warning() -> None:
    other = replace(NEW, machine={"cores": 64}, plan={"scenario": "tea", "settings": {"cups": 9}})
    assert scenario_compare.compare(SCENARIO, [OLD, other]).warnings == (
        "A and B ran on different machines or versions: cores differ",
        "A and B were asked for different things: cups 3 and 9",
    )


def test_runs_without_a_case_in_common_are_refused() -> None:
    with pytest.raises(PlanError, match="no case in common"):
        scenario_compare.compare(SCENARIO, [NEW, replace(OLD, trials=(trial(1, "loose-leaf"),))])
