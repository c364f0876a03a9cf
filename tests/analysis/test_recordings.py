"""Two recordings beside each other: which hops are compared, what the test says, and what it cannot know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis import recordings
from bench.runs import read
from bench.runs.watch_trial import WatchPlan
from bench.watch import verdict
from bench.watch.model import Direction, HopFlow, HostFlow, PeerHop, RequestFlow, Snapshot, Source
from bench.watch.recording import Recorder
from tests import command_line
from tests.watch.made_up import UPSTREAM, Row, hop, short, watched
from tests.watch.scripted import look

SECOND = PeerHop(Direction.OUTGOING, "10.0.0.3", 8080)


def record(folder: Path, snapshots: Sequence[Snapshot]) -> Path:
    recorder = Recorder(folder, WatchPlan("this host", "exact", 1.0, 10.0), verdict.judge, print)
    for end in range(1, len(snapshots) + 1):
        recorder(look(snapshots[max(0, end - 2) : end]))
    written = recorder.close()
    assert written is not None
    return written


def churn(per_s: int, seconds: int = 60) -> list[Row]:
    """Return seconds of a hop that churns a little more and a little less, with twice as many requests."""
    rows = []
    for at, row in enumerate(short(UPSTREAM, per_s, seconds)):
        opened = per_s + at // 10 % 3
        flow = replace(row.hops[0].flow, opened=opened)
        requests = (RequestFlow("log", 200, port=8080),)
        hops = (replace(row.hops[0], flow=flow),)
        rows.append(Row(hops, HostFlow(active_opens=opened), row.host, requests))
    return rows


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two recordings of a minute: 200 connections/s, then 5."""
    root = tmp_path_factory.mktemp("recordings")
    return record(root / "before", watched(churn(200))), record(root / "after", watched(churn(5)))


def test_a_change_shows_hop_by_hop_with_its_interval(pair: tuple[Path, Path]) -> None:
    done = command_line.run("compare", "--json", *pair, "-o", pair[0].parent / "picture")
    answer = json.loads(done.stdout)
    assert [each["sides"][0]["case"] for each in answer["comparisons"]] == ["host", "10.0.0.2:8080"]
    assert [side["name"] for side in answer["comparisons"][0]["sides"]] == ["before", "after"]
    rows = {row["metric"]: row["cells"][1] for row in answer["comparisons"][1]["rows"]}
    assert rows["opened_per_s"]["answer"] == "better"
    assert rows["opened_per_s"]["ratio"]["high"] < 0.05
    assert rows["requests_per_connection"]["answer"] == "better"
    assert rows["time_wait.host.peak"]["answer"] == "better"
    assert rows["requests_per_s"]["answer"] == "no difference"


def test_what_a_test_cannot_know_is_said_once(pair: tuple[Path, Path]) -> None:
    said = " ".join(command_line.run("compare", *pair, "-o", pair[0].parent / "picture").stdout.split())
    assert said.count("the recordings follow each other in time") == 1
    assert said.count("neighbouring stretches") == 1
    assert "6 stretches" in said
    assert " trial" not in said.partition("[low, high]")[0]


def test_a_comparison_begins_with_the_hops_that_changed(pair: tuple[Path, Path]) -> None:
    printed = command_line.run("compare", *pair, "-o", pair[0].parent / "picture").stdout
    hops = "host from 201 to 6.00 (better); 10.0.0.2:8080 from 201 to 6.00 (better)"
    assert " ".join(printed.partition("\n\n")[0].split()) == f"Connections opened per second: {hops}."
    same = command_line.run("compare", pair[0], pair[0], "-o", pair[0].parent / "picture").stdout
    assert same.startswith("Connections opened per second: no change.\n")


def test_where_ports_were_short_the_failed_connects_are_compared(tmp_path: Path) -> None:
    starved = [
        replace(
            row,
            hops=tuple(
                replace(each, flow=replace(each.flow, failed_opens=290 + at % 5, no_port=290 + at % 5))
                for each in row.hops
            ),
        )
        for at, row in enumerate(churn(1))
    ]
    sides = (("before", starved), ("after", churn(7)))
    folders = [record(tmp_path / name, watched(rows)) for name, rows in sides]
    printed = command_line.run("compare", *folders, "-o", tmp_path / "picture").stdout
    first = " ".join(printed.partition("\n\n")[0].split())
    assert first.startswith("Connects that failed per second: 10.0.0.2:8080 from 292 to 0")
    assert "(better). How many are opened says nothing of 10.0.0.2:8080" in first
    assert "worse" not in first


def test_of_recordings_that_are_too_short_it_says_so_and_what_would_do(tmp_path: Path) -> None:
    sides = (("one", 200), ("two", 150))
    folders = [record(tmp_path / name, watched(churn(per_s, seconds=13))) for name, per_s in sides]
    said = " ".join(command_line.run("compare", *folders, "-o", tmp_path / "picture").stdout.split())
    assert said.startswith("Connections opened per second: cannot tell of host, 10.0.0.2:8080.")
    assert "at least 3 more stretches would" in said
    assert said.count("! one: the last stretch is left out: it lasted 3 s only") == 1


def test_one_hop_may_be_named_although_its_name_has_a_colon(pair: tuple[Path, Path]) -> None:
    specs = [f"{folder}:10.0.0.2:8080" for folder in pair]
    done = command_line.run("compare", "--json", *specs, "-o", pair[0].parent / "picture")
    assert [each["sides"][0]["case"] for each in json.loads(done.stdout)["comparisons"]] == ["10.0.0.2:8080"]


def test_a_page_of_a_comparison_has_each_hop(pair: tuple[Path, Path]) -> None:
    page = pair[0].parent / "page.html"
    assert command_line.run("compare", *pair, "-o", page).exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert "Every figure: 10.0.0.2:8080" in text
    assert "Connections opened per second: host from 201 to 6.00 (better)" in text
    assert "before: 6 stretches; after: 6 stretches<" in text


def test_a_condition_may_gate_a_change(pair: tuple[Path, Path]) -> None:
    picture = ("-o", pair[0].parent / "picture")
    assert command_line.run("compare", *pair, *picture, "--fail-on", "opened_per_s>0.5").exit_code == 0
    back = (pair[1], pair[0])
    assert command_line.run("compare", *back, *picture, "--fail-on", "opened_per_s>1.5").exit_code == 1


@pytest.mark.parametrize(
    ("specs", "said"),
    [
        (("before",), "before: name a second recording to compare it with"),
        (("before:nothing", "after"), "no trial of that hop; the run has host and 10.0.0.2:8080"),
        (("before", "RUN"), "is a run of a watch, "),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(
    specs: tuple[str, ...], said: str, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pair[0].parent)
    reference = Path(__file__).parents[2] / "results" / "reference"
    done = command_line.run("compare", *(str(reference) if spec == "RUN" else spec for spec in specs))
    assert (done.exit_code, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def test_a_hop_of_one_recording_only_is_named_and_not_compared(tmp_path: Path) -> None:
    both = [
        Row((*row.hops, hop(SECOND, HopFlow(opened=50))), row.flow, row.host, row.requests)
        for row in churn(5)
    ]
    folders = record(tmp_path / "before", watched(both)), record(tmp_path / "after", watched(churn(5)))
    done = command_line.run("compare", *folders)
    assert "after has no connection of 10.0.0.3:8080: not compared" in " ".join(done.stdout.split())


def test_a_lower_bound_is_said_beside_its_figure(tmp_path: Path) -> None:
    rows = [Row(row.hops, HostFlow(active_opens=900)) for row in short(UPSTREAM, 50, 60, closed_there=True)]
    before = record(tmp_path / "before", watched(rows, Source.SAMPLED))
    done = command_line.run("compare", before, record(tmp_path / "after", watched(churn(5))))
    said = " ".join(done.stdout.split())
    assert "before: opened_per_s of 10.0.0.2:8080 is a lower bound" in said
    assert "after: opened_per_s of 10.0.0.2:8080 is a lower bound" not in said


def test_the_hops_that_open_or_hold_most_are_compared_where_none_is_named(tmp_path: Path) -> None:
    hops = [PeerHop(Direction.OUTGOING, f"10.1.0.{at}", 80) for at in range(9)]
    row = Row(
        (
            *(hop(each, HopFlow(opened=at)) for at, each in enumerate(hops)),
            hop(SECOND, HopFlow(), time_wait=6_000),
        )
    )
    run = read.read(record(tmp_path / "run", watched([row] * 10)))
    expected = ["host", "10.0.0.3:8080", *(f"10.1.0.{at}:80" for at in (8, 7, 6, 5))]
    assert sorted(recordings.choose_hops([run, run])) == sorted(expected)
