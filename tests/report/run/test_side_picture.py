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
from bench.report import style
from bench.report.run import side_picture
from bench.report.run.lines import _move_apart
from bench.report.style import ColouredSides
from bench.runs import read, timeline
from bench.runs.record import TrialWarning
from tests.synthetic import KEEPALIVE, SHORT, SHORT_BACKEND_CLOSES, SHORT_LOOPBACK, SHORT_NARROW, Story, write

CLIFF = {"short": SHORT, "keepalive": KEEPALIVE}


def drawn(directory: Path) -> Figure:
    return side_picture.draw(sides.split(read.read(directory), timeline.read(directory)))


def words(figure: Figure) -> str:
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return "\n".join(text.get_text() for text in texts)


def measure_bars(axes: Axes) -> list[float]:
    return [patch.get_height() for patch in axes.patches if isinstance(patch, Rectangle)]


@pytest.fixture(scope="module")
def cliff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("cliff"), CLIFF, trials=2)


@pytest.fixture(scope="module")
def figure(cliff: Path) -> Figure:
    return drawn(cliff)


def test_the_title_is_the_finding(figure: Figure) -> None:
    assert figure.texts[0].get_text() == (
        "keepalive: 12,919 requests/s on 64 connections; short: 9,997 requests/s until half of the 28,232\n"
        "ports were used after 1.5 s, then 398/s"
    )


def test_both_ways_over_the_ports_are_marked_and_labelled(figure: Figure) -> None:
    rate, time_wait = figure.axes[:2]
    assert "half of the ports used\nafter 1.5 s" in [text.get_text() for text in rate.texts]
    lines = [np.unique(np.asarray(line.get_ydata())) for line in time_wait.lines]
    marks = [float(values[0]) for values in lines if len(values) == 1]
    assert {14_116, 28_232} <= set(marks)
    assert "half of the 28,232 ports used: connect() slows down" in words(figure)
    assert "all ports used: connect() fails" in words(figure)


def test_exhausted_ports_are_marked_in_time(tmp_path: Path) -> None:
    stories = {"short": SHORT_NARROW, "keepalive": KEEPALIVE}
    said = words(drawn(write(tmp_path, stories, hosts={"ports": 2000})))
    assert "all ports used\nafter 3.5 s" in said
    assert "short\nerrors only" in said
    assert "no correct response" not in said
    assert "and nothing but errors after 3.5 s" in said.replace("\n", " ")


def test_a_cliff_has_bars_before_and_after(figure: Figure) -> None:
    bars = figure.axes[3]
    heights = [round(height, -2) for height in measure_bars(bars)]
    assert heights == [10_000, 400, 12_900]
    assert {"before", "after"} <= {text.get_text() for text in bars.texts}


def test_without_a_cliff_there_is_one_bar_a_side_and_the_price_in_the_title(tmp_path: Path) -> None:
    figure = drawn(
        write(tmp_path, {"short": SHORT_BACKEND_CLOSES, "keepalive": KEEPALIVE}, closes_first="backend")
    )
    assert len(figure.axes[3].patches) == 2
    assert "of proxy CPU each" in words(figure)
    assert "short\non the backend" in words(figure)
    assert "connect() slows down" not in words(figure)


def test_connections_are_told_per_thousand_requests(figure: Figure) -> None:
    assert [round(height, 1) for height in measure_bars(figure.axes[4])] == [1000, 0.7]


def test_cpu_is_stacked_by_role(figure: Figure) -> None:
    assert len(figure.axes[5].patches) == 6
    assert {"proxy", "backend", "client"} <= {text.get_text() for text in figure.axes[5].texts}


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
    assert len(drawn(directory).axes) == 6


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


@pytest.mark.parametrize(
    ("wanted", "heights", "placed"),
    [
        ([0.2, 0.8], [0.1, 0.1], [0.2, 0.8]),
        ([0.5, 0.5], [0.1, 0.1], [0.5, 0.6]),
        ([0.97, 0.98], [0.1, 0.1], [0.85, 0.95]),
        ([0.0, 0.0], [0.2, 0.2], [0.08, 0.28]),
        ([], [], []),
    ],
)
def test_labels_are_moved_move_apart(wanted: list[float], heights: list[float], placed: list[float]) -> None:
    assert _move_apart(wanted, heights) == pytest.approx(placed)


@pytest.mark.parametrize(("errors", "said"), [(0, "398/s"), (7, "errors only")])
def test_a_rate_of_nothing_is_not_always_errors(cliff: Path, errors: int, said: str) -> None:
    run, measured = read.read(cliff), timeline.read(cliff)
    silent = tuple(
        dataclasses.replace(row, requests=0, errors=errors)
        if row.mode == "short" and row.host == "client" and row.t_s > 5
        else row
        for row in measured.moments
    )
    figure = side_picture.draw(sides.split(run, dataclasses.replace(measured, moments=silent)))
    assert f"short\n{said}" in words(figure)


def test_a_side_without_a_latency_says_why(cliff: Path) -> None:
    run, measured = read.read(cliff), timeline.read(cliff)
    answered = tuple(each for each in measured.latencies if each.mode == "keepalive")
    said = words(side_picture.draw(sides.split(run, dataclasses.replace(measured, latencies=answered))))
    assert "short: no correct response in the window" in said
    assert "keepalive: no correct response in the window" not in said


def test_the_small_print_of_many_differences_stays_on_the_picture(tmp_path: Path) -> None:
    runs = []
    for number in range(1, 5):
        asked = {
            "load": {"connections": 64 * number, "workers": number},
            "hosts": {"proxy_addresses": number},
        }
        directory = write(tmp_path / str(number), {"short": SHORT}, trials=1, duration_s=0.5, **asked)
        runs.append(f"{directory}:short")
    figure = side_picture.draw(sides.match([select(run) for run in runs])[0])
    small_print = figure.texts[1].get_window_extent()
    assert small_print.x1 < figure.bbox.x1
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    assert small_print.y1 < min(box.y0 for box in boxes if box is not None)


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
    assert [text.get_text() for text in figure.texts[2:]] == ([] if stamp is None else [stamp])
    if stamp is not None:
        assert "requests/s" not in figure.texts[0].get_text(), "no void figure is in the title"
        hatched = [patch.get_hatch() for patch in figure.axes[3].patches]
        assert hatched
        assert all(hatched)
