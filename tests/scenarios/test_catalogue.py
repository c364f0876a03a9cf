"""Every scenario says all that the command, the tables, the pictures and the tour need of it."""

from __future__ import annotations

import dataclasses

import pytest

from bench.errors import PlanError
from bench.experiment.definition import Bars, Column, Scenario
from bench.runs.record import ScenarioTrial
from bench.scenarios import catalogue

SCENARIOS = catalogue.load_all()
TRIAL_KEYS = {each.name for each in dataclasses.fields(ScenarioTrial)}


@pytest.fixture(params=SCENARIOS, ids=lambda scenario: scenario.name)
def scenario(request: pytest.FixtureRequest) -> Scenario:
    chosen: Scenario = request.param
    return chosen


def test_its_default_plan_and_its_brief_form_are_plans(scenario: Scenario) -> None:
    whole, brief = scenario.plan({}), scenario.plan(dict(scenario.brief))
    assert whole.cases
    assert brief.cases
    assert {case.variant for case in brief.cases} <= {case.variant for case in whole.cases}


def test_it_compares_at_least_two_ways_each_told_in_words(scenario: Scenario) -> None:
    assert len({variant.name for variant in scenario.variants}) == len(scenario.variants) >= 2
    assert all(variant.summary for variant in scenario.variants)
    assert scenario.claim.endswith(".")


def test_its_columns_and_bars_name_figures_of_a_trial(scenario: Scenario) -> None:
    keys = [each.key for each in (*scenario.columns, *scenario.panels) if isinstance(each, Column | Bars)]
    assert keys
    assert {key.partition(".")[0] for key in keys} <= TRIAL_KEYS


def test_its_settings_refuse_what_makes_no_sense(scenario: Scenario) -> None:
    numbers = {
        each.name: -1
        for each in dataclasses.fields(scenario.settings)
        if isinstance(each.default, int | float) and not isinstance(each.default, bool)
    }
    assert numbers
    for name in numbers:
        with pytest.raises(PlanError, match=rf"settings\.{name} = -1 must be"):
            scenario.plan({"settings": {name: -1}})


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(PlanError, match="'pull' is not one of push"):
        catalogue.load("pull")
