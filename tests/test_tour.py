"""The tour: its steps, what its page says, and that a step that cannot be taken stops no other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench import tour
from bench.report import html
from bench.report import tour as report
from bench.runs.record import ScenarioRun
from bench.scenarios import catalogue
from bench.tour import Step
from tests import bench_process
from tests.scenarios.sample_scenario import SCENARIO, trial

MEASURED = ScenarioRun({"scenario": "tea"}, {}, "", trials=(trial(1, "bag"), trial(2, "loose-leaf")))


def test_every_scenario_is_a_step_after_the_incident() -> None:
    assert ("incident", *catalogue.NAMES) == tour.NAMES


def test_the_page_holds_claim_sentence_picture_and_figures_of_each_step() -> None:
    steps = [
        Step("tea", scenario=SCENARIO, measured=MEASURED),
        Step("push", scenario=replace(SCENARIO, title="Coffee"), problem="no <water>"),
    ]
    text = html.render(report.build_page(steps, {"cores": 2}, "2026-03-14"))
    for said in (
        "1 of 2 steps were measured",
        "1. Tea: in the bag and loose",
        "Commonly said: Loose tea takes longer.",
        "Measured: A bag takes 100 ms.",
        '<figure class="bars',
        "<td>200</td>",
        "Coffee: no &lt;water&gt;",
    ):
        assert said in text
    assert [report.format_step(step) for step in steps] == ["tea: A bag takes 100 ms.", "push: no <water>"]


@pytest.mark.long
def test_a_step_is_taken_from_the_command_line(tmp_path: Path) -> None:
    done = bench_process.run("tour", "--step", "push", "-o", tmp_path)
    assert done.returncode in (0, 1, 4), done.stderr  # a busy machine may spoil it
    (written,) = tmp_path.glob("*-tour/tour.html")
    assert "From one publisher to many subscribers" in written.read_text()
    assert len(list(written.parent.glob("*-scenario-push/run.jsonl"))) == 1


def test_an_unknown_step_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = bench_process.run("tour", "--step", "coffee", "-o", tmp_path)
    assert done.returncode == 2
    assert "--step coffee is not one of incident, push" in done.stderr
    assert list(tmp_path.iterdir()) == []
