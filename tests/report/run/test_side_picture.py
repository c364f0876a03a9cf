"""The picture: that each panel says what the run says. How it looks is for eyes, not for tests."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from bench.analysis import sides
from bench.commands.compare import select
from bench.errors import ResultsError
from bench.report import panels, style
from bench.report.charts import Chart, ChartSide, Line
from bench.report.run import finding, side_picture
from bench.report.style import WARNING, ColouredSides
from bench.runs import read, timeline
from bench.runs.record import TrialWarning
from tests.synthetic import KEEPALIVE, SHORT, SHORT_BACKEND_CLOSES, SHORT_LOOPBACK, SHORT_NARROW, Story, write

CLIFF = {"short": SHORT, "keepalive": KEEPALIVE}


def drawn(directory: Path) -> Figure:
    return side_picture.draw(sides.split(read.read(directory), timeline.read(directory)))


def words(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.texts)


def measure_bars(axes: Axes) -> list[float]:
    return [round(patch.get_width(), 1) for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.fixture(scope="module")
def cliff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("cliff"), CLIFF, trials=2)


@pytest.fixture(scope="module")
def figure(cliff: Path) -> Figure:
    return drawn(cliff)


def test_the_ratio_before_the_cliff_and_the_cliff_are_two_statements(figure: Figure) -> None:
    first, rates, second, moment = [text.get_text() for text in figure.texts[:4]]
    assert first == "Before the cliff: keepalive served 1.29x the requests/s"
    assert rates == (
        "keepalive 12,919 requests/s, short 9,997/s; at 24 % of the proxy CPU per request; in these 2 trials"
        " each"
    )
    assert second == "The cliff: short fell from 9,997/s to 398/s"
    assert moment == "after 1.5 s half of the 28,232 ports were in use; keepalive has no cliff"


def test_the_statements_are_read_where_the_picture_is_as_wide_as_a_phone(figure: Figure) -> None:
    phone, least = 390, 10
    for statement in (figure.texts[0], figure.texts[2]):
        pixels = float(statement.get_fontsize()) / 72 * phone / figure.get_figwidth()
        assert pixels >= least


def test_where_both_have_a_cliff_a_ratio_before_it_says_nothing(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, CLIFF, trials=1))
    (short,) = [trial for trial in run.trials if trial.mode == "short"]
    both = tuple(dataclasses.replace(trial, ports=short.ports) for trial in run.trials)
    assert finding.state_cliff(sides.split(dataclasses.replace(run, trials=both))) == []


@pytest.mark.parametrize("void", ["short", "keepalive"])
def test_without_both_rates_there_is_no_statement(tmp_path: Path, void: str) -> None:
    run = read.read(write(tmp_path, CLIFF, trials=1))
    warned = tuple(
        dataclasses.replace(trial, valid=False, warnings=(TrialWarning("machine-shared", "x", voids=True),))
        if trial.mode == void
        else trial
        for trial in run.trials
    )
    assert finding.state_cliff(sides.split(dataclasses.replace(run, trials=warned))) == []


def test_both_ways_over_the_ports_are_marked_and_labelled(figure: Figure) -> None:
    lines = [np.unique(np.asarray(line.get_ydata())) for line in figure.axes[1].lines]
    marks = [float(values[0]) for values in lines if len(values) == 1]
    assert {14_116, 28_232} <= set(marks)
    assert "vertical line: half of the ports used after 1.5 s" in words(figure)
    assert "dashed line: half of the 28,232 ports: connect() slows down" in words(figure)
    assert "dashed line: all 28,232 ports: connect() fails" in words(figure)


def test_ports_that_can_be_taken_again_are_not_said_to_slow_connect_down(cliff: Path) -> None:
    run = read.read(cliff)
    free = {"reuses": True, "rate_before": None, "rate_after": None}
    trials = tuple(
        dataclasses.replace(each, ports=dataclasses.replace(each.ports, **free)) for each in run.trials
    )
    said = words(
        side_picture.draw(sides.split(dataclasses.replace(run, trials=trials), timeline.read(cliff)))
    )
    assert "vertical line: half of the ports in use, but most can be taken again after 1.5 s" in said
    assert "dashed line: half of the 28,232 ports, but most can be taken again" in said
    assert "connect()" not in said


def test_without_a_warm_up_nothing_is_grey(cliff: Path) -> None:
    run = read.read(cliff)
    assert "grey: warm-up" in words(drawn(cliff))
    trials = tuple(dataclasses.replace(each, warmup_s=0.0004) for each in run.trials)
    pair = sides.split(dataclasses.replace(run, trials=trials), timeline.read(cliff))
    assert "grey" not in words(side_picture.draw(pair))


@pytest.mark.parametrize(
    ("low", "high", "labels"),
    [
        (0.4, 900.0, ["1", "10", "100"]),
        (2.1, 8.7, ["5"]),
        (2.1, 2.9, []),
        (1.5, 30.0, ["2", "5", "10", "20"]),
    ],
)
def test_a_logarithmic_axis_has_numbers(low: float, high: float, labels: list[str]) -> None:
    line = Line(0, [(1.0, low), (100.0, high)])
    chart = Chart("Latency", "ms", [line], x="percentile", y="log")
    figure = Figure()
    axes = figure.subplots()
    panels.draw_chart(axes, chart, [ChartSide("short", 0)])
    figure.draw_without_rendering()
    bottom, top = axes.get_ylim()
    ticks = zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
    shown = [label.get_text() for at, label in ticks if bottom <= at <= top]
    assert len([text for text in shown if text]) >= 2
    assert set(labels) <= set(shown)


def test_exhausted_ports_are_marked_in_time(tmp_path: Path) -> None:
    stories = {"short": SHORT_NARROW, "keepalive": KEEPALIVE}
    said = words(drawn(write(tmp_path, stories, hosts={"ports": 2000})))
    assert "vertical line: all ports used after 3.5 s" in said
    assert "then had no port left" in said
    assert "and no port left after 3.5 s, and 12,708 requests failed" in said


def test_magnitudes_are_bars_from_zero_and_latencies_dots_between_powers_of_ten(figure: Figure) -> None:
    rates, connections, cpu, latencies = figure.axes[3:]
    assert measure_bars(rates) == pytest.approx([77, 3.1, 99.4], abs=0.5)
    assert measure_bars(connections) == pytest.approx([100, 0.1], abs=0.1)
    assert len(measure_bars(cpu)) == 2
    assert {each.get_extents().x0 for axes in (rates, connections, cpu) for each in axes.patches} == {
        axes.transData.transform((0, 0))[0] for axes in (rates, connections, cpu)
    }
    assert measure_bars(latencies) == []
    assert [label.get_text() for label in latencies.get_xticklabels()] == ["1", "10"]
    assert "mixed" in words(figure)


def test_without_a_cliff_there_is_one_bar_a_side_and_the_price_in_the_title(tmp_path: Path) -> None:
    figure = drawn(
        write(tmp_path, {"short": SHORT_BACKEND_CLOSES, "keepalive": KEEPALIVE}, closes_first="backend")
    )
    assert len(measure_bars(figure.axes[3])) == 2
    assert "of proxy CPU per request" in words(figure)
    assert "dashed: on the backend" in words(figure)
    assert "connect() slows down" not in words(figure)


def test_what_does_not_count_is_hatched_and_bears_no_figure(cliff: Path) -> None:
    run = read.read(cliff)
    trials = tuple(dataclasses.replace(trial, valid=trial.mode == "short") for trial in run.trials)
    figure = side_picture.draw(sides.split(dataclasses.replace(run, trials=trials), timeline.read(cliff)))
    assert [bool(patch.get_hatch()) for patch in figure.axes[4].patches] == [False, True]
    assert "12,919" not in words(figure)
    assert "keepalive (void)" in words(figure)


def list_lines(axes: Axes) -> set[tuple[str, float]]:
    """Return the dashes and the opacity of the lines of data; marks have none of the colours of sides."""
    coloured = [line for line in axes.lines if line.get_color() in style.PALETTE]
    drawn = [line for line in coloured if np.size(line.get_xdata()) > 2]
    return {(str(line.get_linestyle()), line.get_alpha() or 1.0) for line in drawn}


@pytest.mark.parametrize(
    ("code", "held", "legend"),
    [
        ("machine-shared", {("-", 0.5), ("-", 1.0)}, "solid: on the proxy"),
        ("no-traffic", {("-", 0.3)}, "solid: on the proxy; pale: no trial counts"),
    ],
)
def test_lines_that_do_not_count_keep_the_dashes_of_their_host(
    cliff: Path, code: str, held: set[tuple[str, float]], legend: str
) -> None:
    run = read.read(cliff)
    void = {"valid": False, "warnings": (TrialWarning(code, "seen", voids=True),)}
    trials = tuple(dataclasses.replace(trial, **void) for trial in run.trials)
    figure = side_picture.draw(sides.split(dataclasses.replace(run, trials=trials), timeline.read(cliff)))
    assert {alpha for _, alpha in list_lines(figure.axes[0])} == {0.5}
    assert list_lines(figure.axes[1]) == held
    texts = [text.get_text() for text in figure.texts]
    assert legend in texts
    assert texts.count("dotted: no trial counts") == 2, "of the rates and of the latencies"


def test_some_trials_that_do_not_count_are_called_so(cliff: Path) -> None:
    run = read.read(cliff)
    first = dataclasses.replace(run.trials[0], valid=False)
    run = dataclasses.replace(run, trials=(first, *run.trials[1:]))
    said = words(side_picture.draw(sides.split(run, timeline.read(cliff))))
    assert "dotted: trials that do not count" in said
    assert "pale: trials that do not count" in said


@pytest.mark.parametrize(
    ("stories", "plan"),
    [
        (CLIFF, {}),
        ({"short": SHORT}, {"trials": 1}),
        ({"keepalive": KEEPALIVE}, {"trials": 1}),
        ({"short": SHORT_LOOPBACK, "keepalive": KEEPALIVE}, {"lab": "loopback"}),
    ],
)
def test_a_run_gets_a_png_and_an_svg(tmp_path: Path, stories: dict[str, Story], plan: dict[str, Any]) -> None:
    directory = write(tmp_path, stories, **{"trials": 2, "duration_s": 1.0, **plan})
    png, svg = side_picture.save_run(directory)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


@pytest.mark.parametrize("missing", ["timeline.csv", "latency.hlog"])
def test_a_run_without_its_series_still_gets_a_picture(tmp_path: Path, missing: str) -> None:
    directory = write(tmp_path, CLIFF, trials=1, duration_s=1.0)
    (directory / missing).unlink()
    assert len(drawn(directory).axes) >= 5


def test_trials_of_no_length_still_get_a_picture(tmp_path: Path) -> None:
    assert side_picture.save_run(write(tmp_path, CLIFF, trials=1, duration_s=0.1))[0].exists()


def test_a_picture_that_cannot_be_written_is_named(cliff: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    pair = sides.split(read.read(cliff), timeline.read(cliff))
    with pytest.raises(ResultsError, match=r"cannot be written: .*; choose another path with -o"):
        style.save_figure(tmp_path / "file" / "picture", side_picture.draw, pair)


def test_a_mode_keeps_its_colour_and_several_runs_have_one_each(tmp_path: Path) -> None:
    pair = sides.split(read.read(write(tmp_path, CLIFF, trials=1, duration_s=0.5)))
    short, keepalive = ColouredSides.of(pair).colours
    assert ColouredSides.of(pair[::-1]).colours == (keepalive, short)
    assert ColouredSides.of(pair[1:]).colours == (keepalive,)
    assert len(set(ColouredSides.of([pair[0]] * 3).colours)) == 3


def test_a_value_that_is_not_set_is_named_so(tmp_path: Path) -> None:
    runs = []
    for number, load in enumerate(({"connections": 8}, {"connections": 64, "rate": 500.0})):
        directory = write(tmp_path / str(number), {"short": SHORT}, trials=1, duration_s=0.5, load=load)
        runs.append(f"{directory}:short")
    said = words(side_picture.draw(sides.match([select(run) for run in runs])[0]))
    assert "load.rate not set" in said
    assert "None" not in said


@pytest.mark.parametrize(
    ("voided", "code", "stamp"),
    [
        (2, "machine-shared", "rates and times are void"),
        (2, "no-traffic", "void"),
        (1, "no-traffic", None),
    ],
)
def test_a_picture_in_which_no_rate_counts_is_stamped(
    cliff: Path, voided: int, code: str, stamp: str | None
) -> None:
    run = read.read(cliff)
    modes = sorted({trial.mode for trial in run.trials})[:voided]
    void = {"valid": False, "warnings": (TrialWarning(code, "seen", voids=True),)}
    trials = (dataclasses.replace(trial, **(void if trial.mode in modes else {})) for trial in run.trials)
    figure = side_picture.draw(
        sides.split(dataclasses.replace(run, trials=tuple(trials)), timeline.read(cliff))
    )
    first = figure.texts[0]
    assert (first.get_text(), first.get_color()) == (stamp, WARNING) or stamp is None
    if stamp is not None:
        assert "requests/s" not in figure.texts[1].get_text(), "no void figure is in the title"
        hatched = [patch.get_hatch() for patch in figure.axes[3].patches]
        assert hatched
        assert all(hatched)
    else:
        assert first.get_color() != WARNING
