"""The page of a run says all that a colleague would ask, and the trials stand in it whole."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from bench.analysis.sides import split
from bench.plan import run_plan as plans
from bench.plan import toml
from bench.plan.convert import convert
from bench.report.charts import BarChart, Charts
from bench.report.html import Code, FactList, Glance, Page, Prose, Section, Table, render
from bench.report.run.charts import build_glance
from bench.report.run.page import build_page
from bench.runs import read
from bench.runs.record import Run, Trial, TrialWarning
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, write


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    stories = {"short": SHORT, "keepalive": KEEPALIVE}
    return read.read(write(tmp_path_factory.mktemp("run"), stories, trials=2, load={"connections": 32}))


def section(page: Page, heading: str) -> Section:
    (found,) = [each for each in page.sections if each.heading.startswith(heading)]
    return found


def test_the_finding_comes_first(run: Run) -> None:
    page = build_page(run)
    assert page.title == (
        "Keep-alive upstream connections in these 2 trials each: 1.29x the requests per second at 24 % of the"
        " proxy CPU per request before half of the ports are used; after it short falls to 398/s"
    )
    assert page.sentence.startswith("Short opened 16,")
    assert page.certainty.startswith(
        "2 of 2 trials of short count; 2 of 2 trials of keepalive count. Requests per second, to short:"
        " 1.29x: cannot tell; at least 2 more trials would. CPU of the proxy per request, to short: 0.239x:"
        " cannot tell"
    )
    assert page.warnings == []
    glance, drawn = page.sections[0].blocks
    assert isinstance(glance, Glance)
    bars = {
        each.title: [bar.text for bar in each.rows] for each in glance.blocks if isinstance(each, BarChart)
    }
    assert bars["Requests"] == ["9,997", "398", "12,919"]
    assert isinstance(drawn, Charts)
    assert [chart.title for chart in drawn.charts] == ["Throughput", "TIME_WAIT", "Latency by percentile"]


def test_a_bar_says_what_the_table_says(run: Run) -> None:
    page = build_page(run)
    glance = page.sections[0].blocks[0]
    assert isinstance(glance, Glance)
    (table,) = _tables(page, "The figures")
    cells = {cell.split(" (")[0] for row in table.rows for cell in row[1:]}
    shown = [bar.text for bars in glance.blocks if isinstance(bars, BarChart) for bar in bars.rows]
    assert [text for text in shown if text not in cells] == [
        "1,000",
        "0.71",
    ]  # per 1,000 requests: drawn only


def test_a_bar_of_nothing_bears_a_zero(run: Run) -> None:
    """After the last port was used nothing may be served at all."""
    trials = tuple(
        dataclasses.replace(trial, ports=dataclasses.replace(trial.ports, rate_after=0.0))
        for trial in run.trials
        if trial.mode == "short"
    )
    rates = build_glance(split(dataclasses.replace(run, trials=trials))).blocks[0]
    assert "0.00" in [bar.text for bar in rates.rows if bar.label == "short, after"]


def test_what_does_not_count_is_marked_as_void(run: Run) -> None:
    trials = tuple(dataclasses.replace(trial, valid=trial.mode == "short") for trial in run.trials)
    glance, drawn = build_page(dataclasses.replace(run, trials=trials)).sections[0].blocks
    assert isinstance(glance, Glance)
    assert isinstance(drawn, Charts)
    bars = [bar for each in glance.blocks if isinstance(each, BarChart) for bar in each.rows]
    assert {bar.label.split(",")[0]: bar.is_void for bar in bars} == {"short": False, "keepalive": True}
    assert [(side.name, side.is_void) for side in drawn.sides] == [("short", False), ("keepalive", True)]
    lines = [line for chart in drawn.charts for line in chart.lines]
    assert {(line.side, line.is_void) for line in lines} == {(0, False), (1, True)}


def test_the_trials_can_be_read_back(run: Run) -> None:
    (code,) = section(build_page(run), "Every trial as data").blocks
    assert isinstance(code, Code)
    trials = tuple(convert(json.loads(line), Trial, "trial") for line in code.text.splitlines())
    assert trials == run.trials


@pytest.mark.long
def test_trials_that_are_too_many_are_left_to_their_file(run: Run) -> None:
    page = build_page(dataclasses.replace(run, trials=run.trials * 200))
    (prose,) = section(page, "Every trial as data").blocks
    assert prose == Prose("800 trials are too many for a page: see run.jsonl.")
    assert len(render(page)) < 2 << 20


def test_the_plan_can_be_run_again(run: Run, tmp_path: Path) -> None:
    page = build_page(run)
    (command, _) = section(page, "How to measure it again").blocks
    assert command == Code("bench run --trials 2 --connections 32")
    (written,) = section(page, "The whole plan").blocks
    assert isinstance(written, Code)
    file = tmp_path / "plan.toml"
    file.write_text(written.text)
    assert plans.build(toml.load(file)).to_json() == run.plan


def test_a_plan_that_flags_cannot_say_is_a_file(run: Run) -> None:
    asked = {**run.plan, "subject": {**run.plan["subject"], "idiom": "snippet"}}
    prose, command, _ = section(
        build_page(dataclasses.replace(run, plan=asked)), "How to measure it again"
    ).blocks
    assert isinstance(prose, Prose)
    assert command == Code("bench run plan.toml")


def test_the_machine_is_told_to_the_last_sysctl(run: Run) -> None:
    (facts,) = section(build_page(run), "The machine").blocks
    assert isinstance(facts, FactList)
    told = dict(facts.pairs)
    assert told["kernel"] == MACHINE["kernel"]
    assert told["sysctl net.ipv4.ip_local_port_range"] == "32768 60999"
    assert told["load average"] == "0.1, 0.1, 0.1"


def test_every_trial_has_a_row_and_says_when_it_does_not_count(run: Run) -> None:
    trials = (dataclasses.replace(run.trials[0], valid=False), *run.trials[1:])
    page = build_page(dataclasses.replace(run, trials=trials))
    (table,) = _tables(page, "Every trial")
    assert [row[0] for row in table.rows] == ["1 short, invalid", "2 keepalive", "3 short", "4 keepalive"]
    assert {row[-1] for row in table.rows} == {"3 agree"}
    assert len({len(row) for row in table.rows} | {len(table.columns)}) == 1


def _tables(page: Page, heading: str) -> list[Table]:
    return [
        block
        for each in page.sections
        for block in each.blocks
        if each.heading == heading and isinstance(block, Table)
    ]


def test_a_run_whose_trials_do_not_count_says_so_in_its_title(run: Run) -> None:
    trials = tuple(dataclasses.replace(trial, valid=False) for trial in run.trials)
    page = build_page(dataclasses.replace(run, trials=trials))
    assert page.title == "; ".join(
        f"{mode}: nothing counts, since the trial is invalid" for mode in ("Keepalive", "short")
    )


def test_a_run_without_a_trial_has_a_page_too(run: Run) -> None:
    page = build_page(dataclasses.replace(run, trials=(), damage=("run.jsonl:2: cut off",)))
    assert page.title == "No trial was finished"
    assert (page.warnings, page.certainty) == (["run.jsonl:2: cut off"], "")


def test_a_run_of_many_subjects_tells_them_apart(run: Run) -> None:
    names = ("nginx 1.22.1 default", "nginx 1.22.1 default", "nginx 1.22.1 full", "nginx 1.22.1 full")
    trials = tuple(
        dataclasses.replace(trial, subject=dataclasses.replace(trial.subject, name=name))
        for trial, name in zip(run.trials, names, strict=True)
    )
    page = build_page(dataclasses.replace(run, trials=trials))
    assert page.title == "2 configurations side by side; the backend closes at once"
    assert page.certainty == (
        "4 of 4 trials count in full: 2 of each of 2 configurations. Figures are medians; differences between"
        " configurations are not tested."
    )
    (table,) = _tables(page, "The figures")
    assert [row[0] for row in table.rows] == ["nginx 1.22.1 default", "nginx 1.22.1 full"]
    command = section(page, "How to measure it again").blocks[0]
    assert command == Code("bench incident --trials 2 --duration 2.5")


def test_a_name_or_a_warning_never_becomes_markup(run: Run) -> None:
    hostile = "<script>alert(1)</script>"
    trials = tuple(
        dataclasses.replace(trial, warnings=(TrialWarning("lab", hostile, hostile),)) for trial in run.trials
    )
    machine = {**run.machine, "cpu_model": hostile, hostile: hostile}
    document = render(build_page(dataclasses.replace(run, machine=machine, trials=trials)))
    assert "<script>alert" not in document
    assert document.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 4
