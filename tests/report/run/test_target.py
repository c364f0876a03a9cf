"""A run at a target says whose connections its modes are, and what it did not measure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bench.plan import run_plan
from bench.report.html import render
from bench.report.run import finding, text
from bench.report.run.page import build_page
from bench.runs.record import ROLES, Run, SubjectRecord, TimeWait, Trial, Upstream
from bench.runs.target_record import BehindTarget, TargetRecord

URL = "http://127.0.0.1:8080/"
UNKNOWN = TimeWait(None, None)
NOT_COUNTED = Upstream(None, None, None)


def run(behind: BehindTarget, time_wait: TimeWait = UNKNOWN, *modes: str, subject: str = "target") -> Run:
    """Return a run at a target, kept connections served twice as fast as new ones."""
    plan = run_plan.build(
        {"trials": 1, "subject": {"target": URL} if subject == "target" else {"name": subject}}
    )
    trials = tuple(
        Trial(
            trial=number,
            mode=mode,
            closes_first=None,
            subject=SubjectRecord(subject, "-"),
            lab="loopback",
            warmup_s=1.0,
            duration_s=6.0,
            requests=1000 * number,
            requests_per_s=1000.0 * number,
            upstream=NOT_COUNTED,
            mode_side="client",
            behind_target=behind,
            time_wait=dict.fromkeys(ROLES, time_wait),
        )
        for number, mode in enumerate(modes or ("short", "keepalive"), 1)
    )
    made: dict[str, Any] = plan.to_json()
    return Run(made, {}, "2026-03-14T15:09:26+00:00", trials, "results/x")


SEEN = BehindTarget(("127.0.0.1:9000",), 990, 1010, 0.99)


def test_the_modes_are_the_clients_own_and_keep_alive_upstream_is_not_judged() -> None:
    done = run(SEEN, TimeWait(7, 7))
    said = finding.summarize(done)
    gain = "kept client connections served 2x the requests per second of new client connections"
    assert f"In this trial of each, {gain}" in said
    assert "New and kept are the clients' own connections" in said
    assert finding.format_title(done).startswith(
        "Kept client connections in this trial of each: 2x the requests per second"
    )
    shown = text.format_run(done)
    assert "new client connections (1 trial)" in shown
    assert "keepalive" not in shown.replace("--mode keepalive", "")
    assert "Keep-alive" not in shown


@pytest.mark.parametrize(
    ("behind", "said"),
    [
        (SEEN, "opened 990 to 1,010 connections to 127.0.0.1:9000, about one per request: it keeps none"),
        (
            BehindTarget(("b:1",), 8, 9, 0.008),
            "opened 8 to 9 connections to b:1, 0.008 per request: it keeps",
        ),
        (BehindTarget(("b:1",), 500, None, 0.5), "at least 500 connections to b:1, at least 0.5 per request"),
        (
            BehindTarget((), 0, 30, 0.0),
            "no connection that the target opened was seen; the kernel counted 30 at",
        ),
        (BehindTarget(), "Its own connections were not measured: it is not on this host, or its processes"),
        # The kernel's counters alone say nothing about whose the connections are.
        (BehindTarget(None, None, 30), "Its own connections were not measured"),
    ],
)
def test_what_the_target_opens_is_told_as_far_as_it_was_seen(behind: BehindTarget, said: str) -> None:
    assert said in finding.summarize(run(behind, UNKNOWN, "keepalive"))


def test_what_was_not_measured_is_neither_nothing_nor_none() -> None:
    shown = text.format_run(run(BehindTarget()))
    rows = {line[:28].strip(): line[28:].split() for line in shown.splitlines() if line.startswith(" ")}
    for row in ("TIME_WAIT target, peak", "TIME_WAIT behind it, peak", "opened behind it, at least"):
        assert rows[row] == ["not", "measured", "not", "measured"]


def test_what_was_measured_is_shown_zero_too() -> None:
    shown = text.format_run(run(BehindTarget((), 0, 0, 0.0), TimeWait(0, 0)))
    assert "not measured" not in shown


def test_the_cpu_is_that_of_the_target_on_its_page_too() -> None:
    done = run(SEEN)
    cost: dict[str, float | None] = {"proxy": 20.0}
    costly = tuple(
        replace(trial, cpu_us_per_request=cost, cpu_us_per_request_before_cliff=cost) for trial in done.trials
    )
    page = build_page(replace(done, trials=costly, directory=None))
    assert "CPU of the target per request, to new client connections: 1x" in page.certainty
    assert "CPU of the proxy" not in render(page)


def test_the_answer_of_the_target_stands_first_and_the_next_command_names_it() -> None:
    done = run(SEEN, UNKNOWN, "short")
    known = Run(
        done.plan,
        {},
        done.started,
        done.trials,
        "x",
        target=TargetRecord(URL, "127.0.0.1:8080", "HTTP/1.1", 200),
    )
    shown = text.format_run(known)
    assert shown.startswith(f"target:  {URL} answers 200 (HTTP/1.1)\n")
    assert f"next:    bench run --target {URL} --mode keepalive" in shown


def test_without_a_proxy_the_modes_are_the_clients_own_too() -> None:
    said = finding.summarize(run(SEEN, UNKNOWN, subject="direct"))
    assert "kept client connections served 2x the requests per second of new client connections" in said
    assert "target" not in said
