"""Runs of scenarios compared: which cases are matched, by which figures, with which warnings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from bench.analysis import conditions, sides
from bench.analysis.answers import Answer
from bench.analysis.compare import Comparison, compare
from bench.analysis.metrics import Metric
from bench.errors import PlanError
from bench.plan import run_plan as plans
from bench.report import comparison as report
from bench.runs.record import Run, RunRecord, ScenarioRun, TrialWarning
from bench.runs.timeline import Series
from tests.scenarios.sample_scenario import SCENARIO, trial
from tests.synthetic import KEEPALIVE, MACHINE
from tests.synthetic import trial as load_trial

PLAN = {"scenario": "tea", "settings": {"cups": 3}}
OLD = ScenarioRun(PLAN, {"cores": 2}, "", trials=(trial(2, "bag"), trial(4, "loose-leaf")), directory="old")
NEW = ScenarioRun(PLAN, {"cores": 2}, "", trials=(trial(6, "bag"),), directory="new")
METRICS = [Metric(column.key, column.unit) for column in SCENARIO.columns]
STEEP = "times_ms.steep.p50"


def match(*picked: tuple[RunRecord[Any], str]) -> tuple[tuple[sides.AnySide, ...], ...]:
    return sides.match([sides.select(str(run.directory), run, Series(), case) for run, case in picked])


def compared(*picked: tuple[RunRecord[Any], str]) -> Sequence[Comparison]:
    return [compare(each, METRICS) for each in match(*picked)]


def cases(groups: tuple[tuple[sides.AnySide, ...], ...]) -> list[list[str]]:
    return [[side.case for side in group] for group in groups]


def test_only_cases_of_all_runs_are_compared_and_the_ratio_is_to_the_first() -> None:
    (only,) = compared((OLD, ""), (NEW, ""))
    assert [(side.name, side.case) for side in only.sides] == [("A", "bag@direct"), ("B", "bag@direct")]
    ratio = only.row(STEEP).cells[1].ratio
    assert ratio is not None
    assert ratio.center == pytest.approx(3.0)
    assert only.warnings == ()
    assert "3x" in report.text([only])


def test_a_figure_that_was_0_has_no_ratio() -> None:
    nothing = replace(OLD, trials=(trial(0, "bag"),))
    (only,) = compared((nothing, ""), (NEW, ""))
    assert only.row("figures.spilt").cells[1].ratio is None


def test_the_statistics_are_those_of_every_comparison() -> None:
    old = replace(OLD, trials=tuple(trial(number, "bag") for number in (1, 2, 3, 4)))
    new = replace(NEW, trials=tuple(trial(number, "bag") for number in (11, 12, 13, 14)))
    (only,) = compared((old, ""), (new, ""))
    assert only.row(STEEP).cells[1].answer is Answer.HIGHER
    (few,) = compared((OLD, ""), (NEW, ""))
    assert few.row(STEEP).cells[1].answer is Answer.CANNOT_TELL


def test_conditions_name_the_figures_of_the_scenario() -> None:
    old = replace(OLD, trials=tuple(trial(number, "bag") for number in (1, 2, 3, 4)))
    new = replace(NEW, trials=tuple(trial(number, "bag") for number in (11, 12, 13, 14)))
    (only,) = compared((old, ""), (new, ""))
    (failed,) = conditions.judge([conditions.parse(f"{STEEP}>1.1")], only)
    assert (failed.side, failed.verdict) == ("B, bag@direct", conditions.Verdict.FAILED)
    with pytest.raises(PlanError, match="'requests_per_s' is no metric; there are "):
        conditions.judge([conditions.parse("requests_per_s<1")], only)


def test_variants_and_subjects_are_selected_and_matched() -> None:
    both = [trial(1, "bag"), trial(2, "bag", "nginx"), trial(3, "pot"), trial(4, "pot", "nginx")]
    run = replace(OLD, trials=tuple(both))
    assert cases(match((run, ""), (run, ""))) == [
        ["bag@direct"] * 2, ["bag@nginx"] * 2, ["pot@direct"] * 2, ["pot@nginx"] * 2,
    ]  # fmt: skip
    assert cases(match((run, "bag"), (run, "pot"))) == [
        ["bag@direct", "pot@direct"],
        ["bag@nginx", "pot@nginx"],
    ]
    assert cases(match((run, "bag@nginx"), (run, "pot@direct"))) == [["bag@nginx", "pot@direct"]]
    (pair,) = match((run, "bag"))
    assert [side.name for side in pair] == ["direct", "nginx"]
    assert list(sides.differences(pair)) == ["subject"]


def test_what_else_differs_is_a_warning() -> None:
    other = replace(NEW, machine={"cores": 64}, plan={"scenario": "tea", "settings": {"cups": 9}})
    (only,) = compared((OLD, ""), (other, ""))
    assert only.warnings == (
        "the sides differ in 2 things: plan.settings.cups (3 | 9); machine.cores (2 | 64)",
    )
    assert [side.name for side in only.sides] == ["3 cups", "9 cups"]


def test_trials_that_do_not_count_are_left_out_and_named() -> None:
    void = replace(trial(8, "bag"), valid=False, warnings=(TrialWarning("late", "came late", voids=True),))
    (only,) = compared((OLD, ""), (replace(NEW, trials=(*NEW.trials, void)), ""))
    assert only.warnings == ("B: trial 8 is left out (late)",)


def test_runs_without_a_case_in_common_are_refused() -> None:
    other = replace(OLD, trials=(trial(1, "loose-leaf"), trial(2, "pot")))
    with pytest.raises(PlanError, match="no case in common"):
        match((NEW, ""), (other, ""))


def test_one_run_of_a_scenario_needs_cases_to_compare() -> None:
    with pytest.raises(PlanError, match="old: name a second run, or two of its cases"):
        match((OLD, ""))
    with pytest.raises(PlanError, match="old: one case only"):
        match((OLD, "bag"))
    with pytest.raises(PlanError, match="old: no trial of that case; the run has bag@direct and loose"):
        match((OLD, "pot"))


def test_runs_of_different_kinds_are_refused_in_one_line() -> None:
    load = Run(plans.build({}).to_json(), MACHINE, "", (load_trial(1, "keepalive", KEEPALIVE)[0],), "load")
    coffee = replace(OLD, plan={**PLAN, "scenario": "coffee"}, directory="coffee")
    with pytest.raises(PlanError, match="old is a run of the scenario tea, load is a run of the load"):
        match((OLD, ""), (load, ""))
    with pytest.raises(PlanError, match="coffee is a run of the scenario coffee; runs of one kind"):
        match((OLD, ""), (coffee, ""))
