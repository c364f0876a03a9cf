"""`bench tour`: steps are taken, their claims are told, and the page leads through them."""

from __future__ import annotations

import io
import re
import signal
from pathlib import Path

import pytest

from bench.report.live import show_live
from bench.scenarios import catalogue
from bench.tour import article, steps
from bench.tour.ruling import NOT_REACHED
from tests import bench_process


def test_every_scenario_is_a_step_after_the_incident_and_the_snippet() -> None:
    assert ("incident", "snippet", *catalogue.NAMES) == steps.NAMES


def test_a_step_that_cannot_be_taken_stops_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.incident.present", lambda _: ([], ["nginx is not installed"]))
    monkeypatch.setattr("bench.experiment.run.perform", lambda *_: None)
    with show_live(io.StringIO(), silent=True) as shown:
        taken = list(steps.take(["snippet", "incident"], "loopback", tmp_path, shown))
    assert [(step.name, step.problem) for step in taken] == [
        ("snippet", "nginx is not installed"),
        ("incident", None),
    ]


@pytest.mark.long
def test_a_step_is_taken_from_the_command_line_and_its_claims_are_told(tmp_path: Path) -> None:
    done = bench_process.run("tour", "--step", "push", "-o", tmp_path)
    assert done.returncode in (0, 1, 4), done.stderr  # a busy machine may spoil it
    (written,) = tmp_path.glob("*-tour/tour.html")
    headings = [claim.heading for claim in article.select(["push"])]
    assert [line[19:] for line in done.stdout.splitlines()[: len(headings)]] == headings
    text = written.read_text(encoding="utf-8")
    assert re.findall(r'href="#s\d+">\d+\. ([^<]+)<', text) == headings
    assert len(list(written.parent.glob("*-scenario-push/run.jsonl"))) == 1


@pytest.mark.long
def test_what_was_measured_before_ctrl_c_is_kept_and_shown(tmp_path: Path) -> None:
    with bench_process.started("tour", "--step", "push", "--step", "broker", "-o", tmp_path) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # push is over, and the broker's trials begin
        process.send_signal(signal.SIGINT)
        rest, talk = process.communicate(timeout=bench_process.TIMEOUT_S)
    assert process.returncode == 130, talk
    (written,) = tmp_path.glob("*-tour/tour.html")
    assert article.select(["push"])[0].heading in first
    assert "Not measured here  RocketMQ" in rest
    assert f"broker: {NOT_REACHED}" in rest or "the trial was interrupted" in rest
    text = written.read_text(encoding="utf-8")
    assert all(claim.heading in text for claim in article.select(["push", "broker"]))
    assert "From one publisher to many subscribers" in text
    assert "Traceback" not in talk


def test_an_unknown_step_is_refused_before_anything_starts(tmp_path: Path) -> None:
    done = bench_process.run("tour", "--step", "coffee", "-o", tmp_path)
    assert done.returncode == 2
    assert "--step coffee is not one of incident, snippet, push" in done.stderr
    assert list(tmp_path.iterdir()) == []
