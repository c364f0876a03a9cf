"""The picture: that each panel says what the run says. How it looks is for eyes, not for tests."""

import dataclasses
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from bench.analysis import sides
from bench.commands.compare import select
from bench.errors import ResultsError
from bench.report.canvas import Drawn
from bench.report.run import picture
from bench.report.run.panels import _apart
from bench.runs import read, timeline
from synthetic import KEEPALIVE, SHORT, SHORT_BACKEND_CLOSES, SHORT_LOOPBACK, SHORT_NARROW, write

CLIFF = {"short": SHORT, "keepalive": KEEPALIVE}


def drawn(folder):
    return picture.draw(sides.split(read.read(folder), timeline.read(folder)))


def words(figure: Figure) -> str:
    texts = [*figure.texts, *(text for axes in figure.axes for text in axes.texts)]
    return "\n".join(text.get_text() for text in texts)


@pytest.fixture(scope="module")
def cliff(tmp_path_factory):
    return write(tmp_path_factory.mktemp("cliff"), CLIFF, trials=2)


@pytest.fixture(scope="module")
def figure(cliff):
    return drawn(cliff)


def test_the_title_is_the_finding(figure):
    assert figure.texts[0].get_text() == (
        "keepalive: 12,919 requests/s on 64 connections; short: 9,997 requests/s until half of the 28,232\n"
        "ports were used after 1.5 s, then 398/s"
    )


def test_both_ways_over_the_ports_are_marked_and_labelled(figure):
    rate, time_wait = figure.axes[:2]
    assert "half of the ports used\nafter 1.5 s" in [text.get_text() for text in rate.texts]
    marks = [line.get_ydata()[0] for line in time_wait.lines if len(set(line.get_ydata())) == 1]
    assert {14_116, 28_232} <= set(marks)
    assert "half of the 28,232 ports used: connect() slows down" in words(figure)
    assert "all ports used: connect() fails" in words(figure)


def test_exhausted_ports_are_marked_in_time(tmp_path):
    stories = {"short": SHORT_NARROW, "keepalive": KEEPALIVE}
    said = words(drawn(write(tmp_path, stories, hosts={"ports": 2000})))
    assert "all ports used\nafter 3.5 s" in said
    assert "short\nerrors only" in said
    assert "no correct response" not in said
    assert "and nothing but errors after 3.5 s" in said.replace("\n", " ")


def test_a_cliff_has_bars_before_and_after(figure):
    bars = figure.axes[3]
    heights = [round(patch.get_height(), -2) for patch in bars.patches]
    assert heights == [10_000, 400, 12_900]
    assert {"before", "after"} <= {text.get_text() for text in bars.texts}


def test_without_a_cliff_there_is_one_bar_a_side_and_the_price_in_the_title(tmp_path):
    figure = drawn(
        write(tmp_path, {"short": SHORT_BACKEND_CLOSES, "keepalive": KEEPALIVE}, closes_first="backend")
    )
    assert len(figure.axes[3].patches) == 2
    assert "of proxy CPU each" in words(figure)
    assert "short\non the backend" in words(figure)
    assert "connect() slows down" not in words(figure)


def test_connections_are_told_per_thousand_requests(figure):
    assert [round(patch.get_height(), 1) for patch in figure.axes[4].patches] == [1000, 0.7]


def test_cpu_is_stacked_by_role(figure):
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
def test_a_run_gets_a_png_and_an_svg(tmp_path, stories, plan):
    folder = write(tmp_path, stories, **{"trials": 2, "duration_s": 1.0, **plan})
    png, svg = picture.save_run(folder)
    assert png.read_bytes().startswith(b"\x89PNG")
    assert ElementTree.parse(svg).getroot().tag.endswith("svg")


@pytest.mark.parametrize("missing", ["timeline.csv", "latency.hlog"])
def test_a_run_without_its_series_still_gets_a_picture(tmp_path, missing):
    folder = write(tmp_path, CLIFF, trials=1, duration_s=1.0)
    (folder / missing).unlink()
    assert len(drawn(folder).axes) == 6


def test_trials_of_no_length_still_get_a_picture(tmp_path):
    assert picture.save_run(write(tmp_path, CLIFF, trials=1, duration_s=0.1))[0].exists()


def test_a_picture_that_cannot_be_written_is_named(cliff, tmp_path):
    (tmp_path / "file").write_text("")
    pair = sides.split(read.read(cliff), timeline.read(cliff))
    with pytest.raises(ResultsError, match=r"cannot be written: .*; choose another path with -o"):
        picture.save(pair, tmp_path / "file" / "picture")


def test_a_mode_keeps_its_colour_and_several_runs_have_one_each(tmp_path):
    pair = sides.split(read.read(write(tmp_path, CLIFF, trials=1, duration_s=0.5)))
    short, keepalive = Drawn.of(pair).colours
    assert Drawn.of(pair[::-1]).colours == (keepalive, short)
    assert Drawn.of(pair[1:]).colours == (keepalive,)
    assert len(set(Drawn.of([pair[0]] * 3).colours)) == 3


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
def test_labels_are_moved_apart(wanted, heights, placed):
    assert _apart(wanted, heights) == pytest.approx(placed)


@pytest.mark.parametrize(("errors", "said"), [(0, "0.0/s"), (7, "errors only")])
def test_a_rate_of_nothing_is_not_always_errors(cliff, errors, said):
    run, measured = read.read(cliff), timeline.read(cliff)
    silent = tuple(
        dataclasses.replace(row, requests=0, errors=errors)
        if row.mode == "short" and row.host == "client" and row.t_s > 5
        else row
        for row in measured.moments
    )
    figure = picture.draw(sides.split(run, dataclasses.replace(measured, moments=silent)))
    assert f"short\n{said}" in words(figure)


def test_a_side_without_a_latency_says_why(cliff):
    run, measured = read.read(cliff), timeline.read(cliff)
    answered = tuple(each for each in measured.latencies if each.mode == "keepalive")
    said = words(picture.draw(sides.split(run, dataclasses.replace(measured, latencies=answered))))
    assert "short: no correct response in the window" in said
    assert "keepalive: no correct response in the window" not in said


def test_the_small_print_of_many_differences_stays_on_the_picture(tmp_path):
    runs = []
    for number in range(1, 5):
        asked = {
            "load": {"connections": 64 * number, "workers": number},
            "hosts": {"proxy_addresses": number},
        }
        folder = write(tmp_path / str(number), {"short": SHORT}, trials=1, duration_s=0.5, **asked)
        runs.append(f"{folder}:short")
    figure = picture.draw(sides.match([select(run) for run in runs])[0])
    small_print = figure.texts[1].get_window_extent(figure.canvas.get_renderer())
    assert small_print.x1 < figure.bbox.x1
    panels_end = min(axes.get_tightbbox(figure.canvas.get_renderer()).y0 for axes in figure.axes)
    assert small_print.y1 < panels_end
