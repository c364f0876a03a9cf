"""In no picture does a text cover another or a line, or leave the canvas, with one to eight sides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis import sides
from bench.analysis.sides import Side
from bench.report import sheet
from bench.report.charts import Bar, BarChart
from bench.report.run import incident, side_picture
from bench.report.scenario import case_picture
from bench.report.sweep import picture as sweep_picture
from bench.report.sweep import text
from bench.runs import read, timeline
from bench.runs.record import Run, ScenarioRun
from tests.made_up_sweep import run as sweep
from tests.report.incident_trials import make_trial
from tests.report.layout import list_faults
from tests.scenarios.sample_scenario import SCENARIO, trial
from tests.synthetic import KEEPALIVE, SHORT, SHORT_NARROW, write

NAMES = (
    "A", "keepalive", "0.25 time wait s", "nginx 1.29.7 pool-http11", "W" * 70, "short",
    "a name of many words that nobody would type but a file may well have", "$x_1$ \\frac",
)  # fmt: skip
SMALL = [1, 4]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Side, ...]:
    """Eight sides: with a cliff, with the ports exhausted, and with neither; every third is void."""
    root = tmp_path_factory.mktemp("layout")
    found: list[Side] = []
    for story in (SHORT, SHORT_NARROW):
        directory = write(root / str(story.tuples), {"short": story, "keepalive": KEEPALIVE}, trials=2)
        found += sides.split(read.read(directory), timeline.read(directory))
    every = [replace(found[index % 4], name=name) for index, name in enumerate(NAMES)]
    return tuple(_void(side) if index % 3 == 2 else side for index, side in enumerate(every))


def _void(side: Side) -> Side:
    trials = tuple(replace(each, valid=False) for each in side.run.trials)
    return replace(side, run=replace(side.run, trials=trials))


@pytest.mark.parametrize(
    "count", [pytest.param(n, marks=[] if n in SMALL else [pytest.mark.long]) for n in range(1, 9)]
)
def test_a_run_of_so_many_sides(measured: tuple[Side, ...], count: int) -> None:
    assert list_faults(side_picture.draw(measured[:count])) == []


def test_an_incident_of_many_configurations() -> None:
    trials = [make_trial(n, NAMES[n - 1], 10.0**n, 1000, (900, 100)) for n in range(1, 9)]
    runs = [
        Run({"backend": {"close": close}}, {}, "now", tuple(trials)) for close in ("at-once", "linger:50ms")
    ]
    assert list_faults(incident.draw(runs)) == []


def test_a_scenario_of_many_cases() -> None:
    trials = [trial(2 * n, "bag", NAMES[n]) for n in range(8)]
    trials += [trial(2 * n + 1, "loose-leaf", NAMES[n]) for n in range(8)]
    run = ScenarioRun({"scenario": "tea"}, {}, "now", tuple(trials))
    said = replace(SCENARIO, conclude=lambda summary: "A sentence that goes on and on. " * 20)
    assert list_faults(case_picture.draw(said, run)) == []


def test_a_sweep_of_many_cells() -> None:
    """What stands in the cells of a heat map is inside its panel: nowhere else is a text."""
    swept = sweep(
        {"subject.pool_idle": [*range(12), 64, 1024], "load.connections": [1, 2, 3, 1000]},
        change=lambda each: each if each.cell["subject.pool_idle"] else replace(each, valid=False),
    )
    for axis in text.list_pictures(swept).values():
        faults = list_faults(sweep_picture.draw(swept, axis))
        assert [fault for fault in faults if axis or not fault.endswith("inside a panel")] == []


def test_a_picture_of_a_sweep_leaves_no_curve_out() -> None:
    """Fourteen pools at two rates: fourteen lines along the rates, in eight colours and two dashes."""
    swept = sweep({"subject.pool_idle": [*range(1, 15)], "load.connections": [64, 128]})
    (drawn,) = (axis for name, axis in text.list_pictures(swept).items() if name == "axis-connections")
    figure = sweep_picture.draw(swept, drawn)
    looks = {
        (line.get_color(), str(line.get_linestyle()))
        for line in figure.axes[0].lines
        if line.get_linewidth() > 2
    }
    assert len(looks) == 14
    assert {f"pool-idle={pool}" for pool in range(1, 15)} <= {each.get_text() for each in figure.texts}


def test_a_text_over_another_is_seen() -> None:
    figure = sheet.compose(["A title"], "", None, [BarChart("a", "b", [Bar("c", 1.0, "d")])])
    assert list_faults(figure) == []
    title = figure.texts[0]
    figure.text(*title.get_position(), "over it", va="top")
    figure.text(0.99, 0.5, "beyond the edge of the canvas")
    panel = figure.axes[0].get_position()
    figure.text(panel.x0 + panel.width / 2, panel.y0 + panel.height / 2, "in it", va="center")
    faults = "\n".join(list_faults(figure))
    assert "'A title' over 'over it'" in faults
    assert "'beyond the edge of the canvas' leaves the canvas" in faults
    assert "'in it' inside a panel" in faults


@pytest.mark.parametrize("text", ["", "word", "W" * 400, "two words " * 40, "a\nb"])
def test_lines_are_no_wider_than_their_room_and_lose_no_letter(text: str) -> None:
    figure = sheet.begin()
    lines = sheet.wrap(figure, text, 9, 3.0)
    assert all(sheet.measure(figure, line, 9) <= 3.0 for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


def test_a_name_that_is_too_long_keeps_its_begin_and_its_end() -> None:
    figure = sheet.begin()
    assert sheet.elide(figure, "short", 9, 2.0) == "short"
    cut = sheet.elide(figure, "W" * 70 + ", p99", 9, 2.0)
    assert cut.startswith("WWW")
    assert cut.endswith(", p99")
    assert sheet.measure(figure, cut, 9, "bold") <= 2.0
