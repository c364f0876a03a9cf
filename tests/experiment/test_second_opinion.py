"""Another load generator beside ours: its figures stand apart, and it changes no count."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from bench.experiment.second_opinion import record
from bench.load.external import ToolRun
from bench.load.tools import ToolReport
from bench.plan.run_plan import Plan
from bench.report.run import tables
from bench.runs.record import Percentiles, Run, SecondOpinion, SubjectRecord, Trial
from tests import bench_process, needs
from tests.bench_process import codes, trials

BRIEF = ("--mode", "keepalive", "--trials", "1", "--warmup", "0", "--duration", "300ms", "-c", "8")


@pytest.mark.long
@needs.program("wrk")
def test_it_stands_beside_ours_and_opens_nothing_that_we_count(tmp_path: Path) -> None:
    (trial,) = trials(*BRIEF, "--second-opinion", "wrk", root=tmp_path)
    opinion, upstream = trial["second_opinion"], trial["upstream"]
    assert codes(trial) == set()
    assert (opinion["tool"], opinion["errors"]) == ("wrk", 0)
    assert opinion["requests"] > 0
    assert opinion["cpu_us_per_request"] > 0
    assert opinion["latency_ms"]["p50"] > 0
    assert {count for count in upstream["witnesses"].values() if count is not None} == {8}
    # Ours, and those under way when the window ended.
    assert upstream["requests_total"] <= trial["requests"] + 8


def test_where_it_fails_the_trial_stands_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "hey"
    broken.write_text("#!/bin/sh\necho out of order >&2\nexit 9\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (trial,) = trials(*BRIEF, "--second-opinion", "hey", root=tmp_path)
    assert codes(trial) == {"second-opinion"}
    (warning,) = [each for each in trial["warnings"] if each["code"] == "second-opinion"]
    assert "out of order" in warning["message"]
    assert trial["second_opinion"] is None
    assert trial["requests"] > 0


def test_where_it_is_not_installed_nothing_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    done = bench_process.run("run", *BRIEF, "-o", tmp_path / "results", "--second-opinion", "ab")
    assert done.returncode == 3
    assert done.stderr == "bench: ab: is not installed; install it or leave it out\n"
    assert not (tmp_path / "results").exists()


def test_tables_name_the_tool_of_a_second_opinion() -> None:
    stand_in = Trial(
        trial=1, mode="keepalive", closes_first=None, subject=SubjectRecord("asyncio", "1"), lab="loopback"
    )
    opinion = SecondOpinion("hey", 1000, 0, 500.0, 10.0)
    run = Run(Plan().to_json(), {}, "now", (replace(stand_in, second_opinion=opinion),))
    assert ("second opinion (hey), requests/s", "500") in tables.build_result_table(run).rows


def test_a_trial_keeps_what_the_tool_reported() -> None:
    report = ToolReport(1000, 3, {50.0: 1500.0, 99.0: 9000.0, 100.0: 12_000.0, 75.0: 1.0})
    assert record(ToolRun("wrk", report, wall_s=2.0, cpu_s=0.01)) == SecondOpinion(
        "wrk", 1000, 3, 500.0, 10.0, Percentiles(p50=1.5, p99=9.0, max=12.0)
    )
