"""A scenario's picture: illustrations stand in the table, and here only where there is nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.experiment.definition import Way
from bench.report.scenario import picture
from bench.runs.scenario_record import ScenarioRun
from scenarios.made_up import SCENARIO, trial

ILLUSTRATED = replace(SCENARIO, ways=(Way("bag", "a bag a cup"), Way("loose-leaf", "a pot", (), True)))


@pytest.mark.parametrize(
    ("ways", "drawn"),
    [(("bag", "loose-leaf"), {"bag"}), (("loose-leaf",), {"loose-leaf"})],
)
def test_an_illustration_is_drawn_only_where_there_is_nothing_else(
    ways: tuple[str, ...], drawn: set[str]
) -> None:
    trials = tuple(trial(number, way) for number, way in enumerate(ways, 1))
    scenario = replace(ILLUSTRATED, conclude=lambda summary: "Tea.")
    figure = picture.draw(scenario, ScenarioRun({"scenario": "tea"}, {}, "now", trials))
    names = {label.get_text() for axes in figure.axes for label in axes.get_yticklabels()}
    assert names & set(ways) == drawn
