"""A scenario's picture: illustrations stand in the table, and here only where there is nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.experiment.definition import Variant
from bench.report.scenario import case_picture, page
from bench.runs.record import ScenarioRun
from tests.scenarios.sample_scenario import SCENARIO, trial

ILLUSTRATED = replace(
    SCENARIO, variants=(Variant("bag", "a bag a cup"), Variant("loose-leaf", "a pot", illustrates="Assam"))
)


@pytest.mark.parametrize(
    ("variants", "drawn"),
    [(("bag", "loose-leaf"), {"bag"}), (("loose-leaf",), {"loose-leaf"})],
)
def test_an_illustration_is_drawn_only_where_there_is_nothing_else(
    variants: tuple[str, ...], drawn: set[str]
) -> None:
    trials = tuple(trial(number, variant) for number, variant in enumerate(variants, 1))
    scenario = replace(ILLUSTRATED, conclude=lambda summary: "Tea.")
    figure = case_picture.draw(scenario, ScenarioRun({"scenario": "tea"}, {}, "now", trials))
    names = {text.get_text() for text in figure.texts}
    assert names & set(variants) == drawn


def test_the_page_says_how_many_trials_stand_behind_each_case() -> None:
    trials = (trial(1, "bag"), trial(2, "bag"), trial(3, "loose-leaf"))
    scenario = replace(ILLUSTRATED, conclude=lambda summary: "Tea.")
    built = page.build_page(scenario, ScenarioRun({"scenario": "tea"}, {}, "now", trials))
    assert built.certainty.startswith("3 of 3 trials count in full: 1 to 2 of each of 2 cases. Figures are")
