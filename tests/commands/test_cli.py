"""The commands as people type them: answers, refusals, exit codes. What a run measures: test_run.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench.cli import bench
from tests import bench_process, needs

REFERENCE = Path(__file__).parent.parent.parent / "results" / "reference"


@needs.in_namespaces
def test_what_the_machine_does_not_have_is_one_line_and_code_3_and_leaves_nothing(tmp_path: Path) -> None:
    done = bench_process.run("run", "--sysctl", "net.ipv4.no_such_thing=1", "-o", tmp_path / "results")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (3, "", 1)
    assert "net.ipv4.no_such_thing=1: a network namespace of this kernel has no such setting" in done.stderr
    assert list((tmp_path / "results").iterdir()) == []


def test_the_effective_plan_reads_back_as_itself(tmp_path: Path) -> None:
    flags = ["--mode", "short", "--rate", "500", "--sysctl", "net.ipv4.tcp_tw_reuse=1", "--no-pin"]
    printed = CliRunner().invoke(bench, ["plan", *flags]).output
    path = tmp_path / "plan.toml"
    path.write_text(printed)
    assert CliRunner().invoke(bench, ["plan", str(path)]).output == printed
    asked = json.loads(CliRunner().invoke(bench, ["plan", str(path), "--json"]).output)
    assert (asked["load"]["rate"], asked["hosts"]["pin"]) == (500.0, False)


@pytest.mark.parametrize("name", ["a.html", "there.html"])
def test_a_report_is_one_file_and_says_where(name: str, tmp_path: Path) -> None:
    (tmp_path / "there.html").write_text("an older one")
    done = CliRunner().invoke(bench, ["report", str(REFERENCE), "-o", str(tmp_path / name)])
    assert (done.exit_code, done.output) == (0, f"report: {tmp_path / name}\n")
    written = (tmp_path / name).read_text(encoding="utf-8")
    assert written.startswith("<!doctype html>")
    assert "short" in written
    assert "keepalive" in written
    assert {file.name for file in tmp_path.iterdir()} == {name, "there.html"}


def test_an_empty_results_folder_lists_nothing(tmp_path: Path) -> None:
    done = CliRunner().invoke(bench, ["list", "-o", str(tmp_path), "--json"])
    assert (done.exit_code, json.loads(done.output)) == (0, [])


def test_the_doctor_answers_in_json() -> None:
    done = CliRunner().invoke(bench, ["doctor", "--json"])
    assert done.exit_code == 0
    assert {"lab namespaces", "port range"} <= {check["name"] for check in json.loads(done.output)}


def test_the_size_of_pools_is_computed() -> None:
    asked = ["size", "--rate", "5000", "--latency", "5ms", "--keepalive", "0"]
    done = CliRunner().invoke(bench, asked)
    assert done.exit_code == 0
    told = " ".join(done.output.split())
    assert (
        "used up first: half of the ports, from 235/s on (connect() slows down); at 5,000/s after 2.8 s"
        in told
    )
    values = json.loads(CliRunner().invoke(bench, [*asked, "--json"]).output)
    assert {remedy["name"]: remedy["holds"] for remedy in values["remedies"]}["as it is"] is False
    assert values["remedies"][-1]["requests_per_s"] is None
