"""The machines of a cluster in texts, pages and pictures, held against the texts in golden/cluster-*.txt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis import sides
from bench.analysis.sides import Side
from bench.report.charts import Charts
from bench.report.html import Glance, Page, Table, render
from bench.report.run import charts, finding, machine_charts, machines, side_picture, text
from bench.report.run.page import build_page
from bench.runs import read, timeline
from bench.runs.record import Run
from tests import synthetic
from tests.report.layout import list_faults
from tests.synthetic import KEEPALIVE, SHORT, SHORT_BACKEND_CLOSES, Story
from tests.synthetic_cluster import Fleet, write

GOLDEN = Path(__file__).parent / "golden"
BOTH = {"short": SHORT, "keepalive": KEEPALIVE}
NEWER = {
    "kernel": "6.12.5",
    "cores": 8,
    "sysctls": {"net.ipv4.ip_local_port_range": "1024 65535"},
}
FLEETS: dict[str, tuple[dict[str, Story], Fleet]] = {
    "cluster-1-1-1": (BOTH, Fleet(1, 1, 1)),
    "cluster-2-2-2": (BOTH, Fleet(2, 2, 2, unlike={"proxy-2": NEWER})),
    "cluster-4-1-1": (
        {"short": SHORT_BACKEND_CLOSES, "keepalive": KEEPALIVE},
        Fleet(4, 1, 1, lost={"client-2": 3}),
    ),
}


def make(name: str, root: Path) -> Path:
    stories, fleet = FLEETS[name]
    return write(root / name, stories, fleet)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return read.read(make("cluster-2-2-2", tmp_path_factory.mktemp("run")))


def load_sides(run: Run) -> tuple[Side, ...]:
    return sides.split(run, timeline.read(Path(str(run.directory))))


@pytest.mark.parametrize("name", FLEETS)
def test_a_run_of_a_cluster_names_its_machines(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    told = text.format_run(read.read(make(name, Path("results"))))
    assert max(map(len, told.split("\nresults: ")[0].splitlines())) <= 80
    assert told == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def test_a_run_on_one_machine_says_nothing_of_machines(tmp_path: Path) -> None:
    run = read.read(synthetic.write(tmp_path, BOTH, trials=1))
    assert machines.format_machines(run) == ""
    assert machines.list_losses(run) == []
    page = build_page(run)
    assert "machines" not in "".join(section.heading.lower() for section in page.sections)
    assert "on one machine." in render(page)


def test_a_table_of_many_machines_with_large_figures_keeps_to_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    folder = write(tmp_path, {"keepalive": KEEPALIVE}, Fleet(16, 4, 12), trials=1, load={"connections": 512})
    run = read.read(folder)
    large = {"requests": 9_876_543, "opened": 12_345_678, "accepted": 12_345_678, "time_wait_peak": 262_144}
    (trial,) = run.trials
    grown = tuple(
        replace(each, **large, ports_used_peak=112_896 if each.role == "proxy" else None)
        for each in trial.machines
    )
    lines = machines.format_machines(replace(run, trials=(replace(trial, machines=grown),))).splitlines()
    assert max(map(len, lines)) <= 80
    (row,) = [line for line in lines if line.startswith(" client-16") and "10.83" not in line]
    assert row.split() == ["client-16", "1,646,090", "12,345,678", "262,144", "-", "0.01", "16%,"]  # folded


def test_a_machine_that_was_lost_in_every_trial_of_a_mode_has_no_figures_there(tmp_path: Path) -> None:
    fleet = Fleet(2, 1, 1, lost={"client-2": 1})
    run = read.read(write(tmp_path, {"keepalive": KEEPALIVE}, fleet, trials=1))
    (side,) = sides.split(run)
    rows = {name: cells for name, *cells in machines.build_figures(side).rows}
    assert rows["client-2"][:2] == ["lost", "-"]
    assert "lost" not in rows["client-1"]
    places = machines.build_places(run)
    assert [row[-1] for row in places.rows] == ["-", "in trial 1", "-", "-"]


def test_a_clock_that_is_hardly_behind_has_no_sign(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, {"keepalive": KEEPALIVE}, Fleet(1, 1, 1), trials=1))
    (trial,) = run.trials
    offsets = {"client-1": -0.004, "proxy-1": -0.006, "backend-1": 0.0}
    seen = tuple(replace(each, clock_offset_ms=offsets[each.name]) for each in trial.machines)
    places = machines.build_places(replace(run, trials=(replace(trial, machines=seen),)))
    assert [row[2] for row in places.rows] == ["0.00", "-0.01", "0.00"]


def test_a_loss_that_no_warning_of_the_trial_names_is_told(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, {"keepalive": KEEPALIVE}, Fleet(2, 1, 1, lost={"client-2": 1}), trials=1))
    assert machines.list_losses(run) == []
    silent = replace(run, trials=tuple(replace(trial, warnings=()) for trial in run.trials))
    assert text.summarize_warnings(silent) == ["trial 1, keepalive: client-2 was lost: its worker ended"]


def test_what_is_said_of_ports_names_the_machine_that_is_fullest(run: Run) -> None:
    assert "On proxy-2 it used half of its 56,464 ports after 2.9 s" in finding.summarize(run)
    (headline,) = [line for line in finding.format_headline(load_sides(run)) if line.startswith("short")]
    assert "until half of the 56,464 ports of proxy-2 were used after 2.9 s" in headline
    assert next(machines.summarize(run)) == (
        "short: ports are fullest on proxy-2, which used 29,890 of 56,464"
    )


def test_the_page_draws_each_machine_and_tells_all_of_its_figures(run: Run) -> None:
    page = build_page(run)
    (section,) = [each for each in page.sections if each.heading == "Machine by machine"]
    (glance,) = [block for block in section.blocks if isinstance(block, Glance)]
    bars = {chart.title: [(bar.label, bar.text) for bar in chart.rows] for chart in glance.blocks}
    assert bars["Ports used, by machine"] == [
        ("proxy-1, short", "79 %"),
        ("proxy-1, keepalive", "0 %"),
        ("proxy-2, short", "106 %"),
        ("proxy-2, keepalive", "0 %"),
    ]
    assert [label for label, _ in bars["Requests, by machine"]] == [
        f"{name}, keepalive" for name in ("client-1", "client-2")
    ]
    (drawn,) = [block for block in section.blocks if isinstance(block, Charts)]
    assert [chart.title for chart in drawn.charts] == ["proxy-1: ports used", "proxy-2: ports used"]
    tables = find_tables(page, "The figures of each machine")
    assert [len(table.rows) for table in tables] == [6, 6]
    assert {"answered", "opened", "accepted", "waited", "idle"} <= set(tables[0].columns)
    assert "on 2 clients, 2 proxies, 2 backends." in render(page)


def find_tables(page: Page, heading: str) -> list[Table]:
    return [
        block
        for section in page.sections
        if section.heading == heading
        for block in section.blocks
        if isinstance(block, Table)
    ]


def test_a_backend_that_holds_time_wait_is_drawn_by_that(tmp_path: Path) -> None:
    stories = {"short": SHORT_BACKEND_CLOSES}
    run = read.read(write(tmp_path, stories, Fleet(1, 1, 2), trials=1))
    drawn = machine_charts.build_charts(load_sides(run))
    titles = ["backend-1: TIME_WAIT", "backend-2: TIME_WAIT"]
    assert [chart.title for chart in drawn.charts] == titles  # the proxy's 64 ports are no matter
    assert [chart.marks for chart in drawn.charts] == [[], []]


def test_the_only_machine_of_a_role_has_the_rows_of_the_role(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, {"short": SHORT}, Fleet(1, 1, 1), trials=1))
    sides = load_sides(run)
    assert {row.host for row in sides[0].series.moments} == {"client", "proxy", "backend"}
    (chart,) = machine_charts.build_charts(sides).charts
    assert chart.title == "proxy-1: ports used"
    assert max(y for _, y in chart.lines[-1].points) == run.trials[0].machines[1].ports_used_peak


def test_a_sum_over_machines_is_not_held_against_the_ports_of_one(tmp_path: Path) -> None:
    marks = {}
    for proxies in (1, 2):
        run = read.read(write(tmp_path / str(proxies), {"short": SHORT}, Fleet(1, proxies, 1), trials=1,
                              load={"workers": 2}))  # fmt: skip
        (drawn,) = [
            chart for chart in charts.build_charts(load_sides(run)).charts if chart.title == "TIME_WAIT"
        ]
        marks[proxies] = len(drawn.marks)
    assert marks == {1: 2, 2: 0}


def test_of_many_machines_those_with_the_most_are_drawn(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, {"short": SHORT}, Fleet(1, 12, 1), trials=1, load={"workers": 12}))
    drawn = machine_charts.build_charts(load_sides(run))
    assert [chart.title for chart in drawn.charts] == [f"proxy-{n}: ports used" for n in range(4, 13)]
    run = read.read(write(tmp_path, BOTH, Fleet(1, 40, 1), trials=1, load={"workers": 40}))
    (ports, *_) = machine_charts.build_glance(load_sides(run)).blocks
    assert ports.unit.endswith("; the 16 highest of 17 machines")  # the others used almost none
    assert [bar.label for bar in ports.rows][:2] == ["proxy-25, short", "proxy-25, keepalive"]


@pytest.mark.parametrize(
    ("name", "chart"),
    [("cluster-2-2-2", "proxy-1: ports used"), ("cluster-4-1-1", "backend-1: TIME_WAIT")],
)
def test_in_the_picture_of_a_cluster_no_text_covers_another(name: str, chart: str, tmp_path: Path) -> None:
    figure = side_picture.draw(load_sides(read.read(make(name, tmp_path))))
    assert list_faults(figure) == []
    titles = {each.get_text() for each in figure.texts}
    assert {"CPU, by machine", chart} <= titles
