"""A comparison of scenarios, as text and as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis import conditions, sides
from bench.analysis.compare import Comparison, compare
from bench.analysis.metrics import Metric
from bench.report import comparison as report
from bench.report import comparison_page
from bench.report.html import Table
from bench.runs.record import ScenarioRun
from bench.runs.timeline import Series
from tests.scenarios.sample_scenario import SCENARIO, trial

METRICS = [Metric(column.key, column.unit) for column in SCENARIO.columns]
OLD = ScenarioRun(
    {"scenario": "tea", "settings": {"cups": 3, "pots": 1}},
    {"cores": 2},
    "",
    trials=(trial(1, "bag"), trial(2, "bag", "nginx")),
    directory="old",
)
NEW = replace(
    OLD,
    plan={"scenario": "tea", "settings": {"cups": 9, "pots": 2}},
    trials=(trial(3, "bag"), trial(4, "bag", "nginx")),
    directory="new",
)


@pytest.fixture
def compared() -> Sequence[Comparison]:
    matched = sides.match([sides.select(str(run.directory), run, Series()) for run in (OLD, NEW)])
    return [compare(each, METRICS) for each in matched]


def test_each_case_has_a_table_and_a_warning_stands_once(compared: Sequence[Comparison]) -> None:
    text = report.text(compared)
    assert "A: old, bag@direct, 1 trial\nB: new, bag@direct, 1 trial\n" in text
    assert "A: old, bag@nginx, 1 trial\nB: new, bag@nginx, 1 trial\n" in text
    assert text.count("times_ms.steep.p50") == 2
    assert text.count("! the sides differ in 2 things: plan.settings.cups (3 | 9)") == 1


def test_a_verdict_is_folded_as_the_table_is(
    compared: Sequence[Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    judged = conditions.judge([conditions.parse("times_ms.steep.p50>1.05")], *compared)
    lines = report.format_verdicts(judged).splitlines()
    assert max(map(len, lines)) <= 60
    assert sum(line.startswith("cannot tell: --fail-on 'times_ms.steep.p50>1.05'") for line in lines) == 2


def test_a_picture_names_the_figures_that_it_has_no_room_for(
    compared: Sequence[Comparison], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = " ".join(text.get_text() for text in report.draw(compared).texts)
    monkeypatch.setattr(report, "_MOST_PANELS", 1)
    cut = " ".join(text.get_text() for text in report.draw(compared).texts)
    assert "Not drawn" not in whole
    assert f"Not drawn, but in the table: {METRICS[1].key}" in cut


def test_the_picture_has_a_panel_for_each_metric_and_bars_for_each_case(
    compared: Sequence[Comparison],
) -> None:
    words = [text.get_text() for text in report.draw(compared).texts]
    assert "tea: A against B" in words
    (chart,) = (each for each in report.build_bars(compared) if each.title == "times_ms.steep.p50")
    assert [(bar.label, bar.value) for bar in chart.rows] == [
        ("bag: A", 100.0), ("bag: B", 300.0), ("bag@nginx: A", 200.0), ("bag@nginx: B", 400.0),
    ]  # fmt: skip
    assert "300 (3x)" in words


def test_one_picture_holds_all_cases(compared: Sequence[Comparison], tmp_path: Path) -> None:
    assert report.save(compared, tmp_path / "pair") == [tmp_path / "pair.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair.png", "pair.svg"]


def test_a_page_says_first_who_is_compared_and_has_every_figure(
    compared: Sequence[Comparison], tmp_path: Path
) -> None:
    assert comparison_page.save(compared, tmp_path / "pair.html") == [tmp_path / "pair.html"]
    page = comparison_page.build_page(compared)
    assert page.title == "A against B"
    (table,) = [block for block in page.sections[1].blocks if isinstance(block, Table)]
    assert ("times_ms.steep.p50", "A", "100", "") in table.rows
    assert [section.heading for section in page.sections[1:]] == [
        "Every figure: bag@direct",
        "Every figure: bag@nginx",
    ]
