"""Tables and sentences, held against the texts in tests/report/run/golden: read those first."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.analysis import sides
from bench.analysis.compare import compare
from bench.commands.compare import select
from bench.report import comparison
from bench.report.run import finding, text
from bench.runs import read
from bench.runs.record import UNSEEN, TimeWait, Trial, TrialWarning, Upstream
from tests.synthetic import KEEPALIVE, SHORT, SHORT_BACKEND_CLOSES, SHORT_LOOPBACK, SHORT_NARROW, Story, write

Make = Callable[..., Path]
"""Writes the run called so, with changes of its plan, and returns its directory."""

GOLDEN = Path(__file__).parent / "golden"
RUNS: dict[str, tuple[dict[str, Story], dict[str, Any]]] = {
    "cliff": ({"short": SHORT, "keepalive": KEEPALIVE}, {}),
    "exhausted": ({"short": SHORT_NARROW, "keepalive": KEEPALIVE}, {"hosts": {"ports": 2000}}),
    "backend-closes": ({"short": SHORT_BACKEND_CLOSES, "keepalive": KEEPALIVE}, {"closes_first": "backend"}),
    "loopback": ({"short": SHORT_LOOPBACK, "keepalive": KEEPALIVE}, {"lab": "loopback"}),
    "short-only": ({"short": SHORT}, {"trials": 1}),
}


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make(name: str, **plan: Any) -> Path:
        stories, more = RUNS[name]
        return write(Path("results", name), stories, **{**more, **plan})

    # Where a line is folded must not depend on where the tests run.
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    return make


def check(name: str, text: str) -> None:
    assert text == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


def compared(*specs: str) -> str:
    """Return what `bench compare` prints of `specs`."""
    return comparison.text([compare(each) for each in sides.match([select(spec) for spec in specs])])


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_told_in_a_table_a_sentence_and_the_next_command(directory: Make, name: str) -> None:
    check(name, text.format_run(read.read(directory(name))))


def test_a_comparison_of_two_modes_with_enough_trials_has_intervals_and_tests(directory: Make) -> None:
    check("compare-4", compared(str(directory("cliff", trials=4))))


def test_a_comparison_with_too_few_trials_says_how_many_are_needed(directory: Make) -> None:
    assert "cannot tell; at least 1 more trial would" in compared(str(directory("cliff")))


def test_three_runs_are_compared_side_by_side_with_the_warnings_below(directory: Make) -> None:
    runs = [str(directory("cliff")), str(directory("backend-closes")), str(directory("exhausted"))]
    check("compare-3-runs", compared(*(f"{run}:short" for run in runs)))


def test_warnings_are_told_once_with_the_trials_that_carry_them(directory: Make) -> None:
    run = read.read(directory("cliff"))
    warning = TrialWarning("busy", "the load generator waited", "use fewer connections", voids=True)
    first, second, third = run.trials[:3]
    spoilt = (
        dataclasses.replace(first, warnings=(warning,), valid=False),
        second,
        dataclasses.replace(third, warnings=(warning,), valid=False, interrupted=True),
    )
    run = dataclasses.replace(run, trials=spoilt)
    assert text.summarize_warnings(run) == [
        "trial 1, 3, short (invalid): the load generator waited; use fewer connections",
        "trial 3, short: interrupted; left out of comparisons",
    ]
    assert "short (0 of 2 trials)" in text.format_run(run)


def test_warnings_with_one_remedy_stand_together_and_those_of_all_are_told_once(directory: Make) -> None:
    run = read.read(directory("cliff", trials=1))
    lab = TrialWarning("lab", "ports are used again after a second")
    first = dataclasses.replace(run.trials[0], warnings=(lab, TrialWarning("busy", "it waited 9%", "rest")))
    second = dataclasses.replace(
        run.trials[1], mode="short", warnings=(lab, TrialWarning("busy", "it waited 7%", "rest"))
    )
    assert text.summarize_warnings(dataclasses.replace(run, trials=(first, second))) == [
        "every trial: ports are used again after a second",
        "trial 1, short: it waited 9%; trial 2, short: it waited 7%; rest",
    ]


def test_what_was_not_measured_has_no_row(directory: Make) -> None:
    run = read.read(directory("loopback"))
    blind = tuple(
        dataclasses.replace(trial, time_wait=dict.fromkeys(("client", "proxy", "backend"), UNSEEN))
        for trial in run.trials
    )
    assert "TIME_WAIT" in text.format_run(run)
    assert "TIME_WAIT" not in text.format_run(dataclasses.replace(run, trials=blind))


def test_a_run_without_a_trial_has_nothing_to_tell(directory: Make) -> None:
    run = dataclasses.replace(read.read(directory("cliff")), trials=())
    assert "No trial was finished, so there is nothing to tell." in text.format_run(run)
    assert finding.suggest_command(run) == "bench doctor"


def busy(trial: Trial, share: int, voids: bool = True) -> Trial:
    message = f"other processes used {share}% of the time of all cores, most of it make"
    warning = TrialWarning("machine-shared", message, "run one at a time", voids=voids)
    return dataclasses.replace(trial, valid=not voids, warnings=(warning,))


def test_a_busy_machine_is_one_line_with_the_count_of_trials_and_the_worst(directory: Make) -> None:
    run = read.read(directory("cliff"))
    shares = (30, 55, 12, 81, 28, 44)
    trials = tuple(busy(each, share, share > 25) for each, share in zip(run.trials, shares, strict=True))
    assert text.summarize_warnings(dataclasses.replace(run, trials=trials)) == [
        "6 of 6 trials, 5 invalid; the worst, trial 4, keepalive: other processes used 81% of the time of all"
        " cores, most of it make; run one at a time"
    ]
    alone = (busy(run.trials[0], 30), *run.trials[1:])
    assert text.summarize_warnings(dataclasses.replace(run, trials=alone)) == [
        "trial 1, short (invalid): other processes used 30% of the time of all cores, most of it make;"
        " run one at a time"
    ]


TRIANGULAR = (0, 1, 3, 6, 10)
"""Of which the first and the third, and the second and the fourth, have a half between them."""


def test_an_even_number_of_trials_has_no_half_connection_in_table_and_sentence(directory: Make) -> None:
    run = read.read(directory("cliff", trials=2))
    few = tuple(
        dataclasses.replace(
            each,
            upstream=dataclasses.replace(each.upstream, connections_opened=4 + TRIANGULAR[each.trial]),
            time_wait={**each.time_wait, "backend": TimeWait(5 + TRIANGULAR[each.trial], 0)},
        )
        for each in run.trials
    )
    shown = text.format_run(dataclasses.replace(run, trials=few))
    sentences = shown.replace("\n", " ")
    assert "opened 8 connections for" in sentences
    assert "opened 11 connections for" in sentences
    assert re.search(r"upstream connections +8 \(5 to 10\) +11 \(7 to 14\)", shown), shown
    assert re.search(r"TIME_WAIT backend, peak +9 \(6 to 11\) +12 \(8 to 15\)", shown), shown


def test_half_of_the_ports_that_can_be_taken_again_is_no_cliff(directory: Make) -> None:
    run = read.read(directory("cliff"))
    free = {"reuses": True, "rate_before": None, "rate_after": None}
    trials = tuple(
        dataclasses.replace(each, ports=dataclasses.replace(each.ports, **free)) for each in run.trials
    )
    said = text.format_run(dataclasses.replace(run, trials=trials))
    assert "mixed" not in said
    assert "before half" not in said.partition("\n\n")[2].replace("\n", " ")
    sentence = "Half of its 28,232 ports were in use after 1.5 s, but most can be taken again (tcp_tw_reuse)."
    assert sentence in said.replace("\n", " ")


def test_a_scenario_is_listed_in_one_table_with_the_other_runs_in_their_order(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, {"short": SHORT}, trials=1))
    chat = dataclasses.replace(run, plan={"scenario": "chat"}, trials=())
    listed = [read.Listed(Path(name), each) for name, each in (("a", run), ("b", chat), ("c", run))]
    said = text.format_list(listed, tmp_path)
    assert said.count("measured") == 1
    assert re.findall(r"^ ([abc]) ", said, re.MULTILINE) == ["a", "b", "c"]
    assert re.search(r"^ b .*the scenario chat$", said, re.MULTILINE)


def test_runs_are_listed_with_what_cannot_be_read(tmp_path: Path) -> None:
    write(tmp_path, {"short": SHORT, "keepalive": KEEPALIVE}, trials=1)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.jsonl").write_text("?")
    said = text.format_list(read.runs(tmp_path), tmp_path)
    (row,) = [line for line in said.splitlines() if "20260314T150926Z-both-asyncio" in line]
    assert re.search(
        r"2026-03-14T15:09:26\+00:00        2   short 9,\d+ requests/s before half of its ports", row
    )
    assert f"! {tmp_path / 'x' / 'run.jsonl'}:1: not the header of a run: no JSON (Expecting value" in said
    assert text.format_list([], tmp_path) == f"{tmp_path} holds no run; `bench run` makes one\n"


def test_a_cliff_that_not_every_trial_met_is_told_as_such(directory: Make) -> None:
    run = read.read(directory("cliff"))
    first = run.trials[0]
    ports = dataclasses.replace(first.ports, half_range_passed_s=None, rate_before=None, rate_after=None)
    spared = dataclasses.replace(first, ports=ports)
    run = dataclasses.replace(run, trials=(spared, *run.trials[1:]))
    said = finding.summarize(run)
    assert "half of its 28,232 ports after 1.5 s (in 2 of 3 trials), and its rate went from" in said


@pytest.mark.parametrize(
    ("lost", "failed", "said"),
    [
        (0, 0, "at 13,025/s."),
        (12, 0, "at 13,025/s. The backend ended 12 of those connections."),
        (12, 1, "The backend ended 12 of those connections, and 1 request failed."),
        (12, 7, "The backend ended 12 of those connections, and 7 requests failed."),
    ],
)
def test_what_keep_alive_cost_is_told(tmp_path: Path, lost: int, failed: int, said: str) -> None:
    run = read.read(write(tmp_path, {"keepalive": KEEPALIVE}, trials=1))
    (trial,) = run.trials
    upstream = dataclasses.replace(trial.upstream, lost=lost)
    trial = dataclasses.replace(trial, upstream=upstream, errors={**trial.errors, "status": failed})
    assert said in finding.summarize(dataclasses.replace(run, trials=(trial,)))


def test_nothing_is_said_of_connections_that_nobody_counted(tmp_path: Path) -> None:
    run = read.read(write(tmp_path, {"keepalive": KEEPALIVE}, trials=1))
    uncounted = dataclasses.replace(run.trials[0], upstream=Upstream(None, None, None))
    run = dataclasses.replace(run, trials=(uncounted,))
    assert finding.summarize(run) == "Keepalive was answered at 13,025/s."
    assert "connection" not in text.format_run(run)


def test_reading_and_telling_needs_no_heavy_library() -> None:
    """`bench list` and `bench show` start at once: heavy libraries come in where they are used."""
    heavy = "{'numpy', 'scipy', 'matplotlib', 'rich', 'hdrh', 'jinja2'}"
    rooms = "runs.read machine.describe analysis.conditions report.comparison report.run.page report.live"
    code = "; ".join(f"import bench.{room}" for room in rooms.split())
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import sys; print(sorted({heavy} & set(sys.modules)))"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("mode", "story", "is_said"),
    [
        ("short", Story(rate=1_100.0), True),
        ("short", Story(rate=100.0), False),
        ("short", Story(rate=10_100.0, cliff=True), False),
        ("short", Story(rate=1_100.0, holder="backend"), False),
        ("keepalive", KEEPALIVE, False),
    ],
    ids=["on the way", "far from it", "cliff", "backend closes", "keepalive"],
)
def test_that_no_cliff_shows_is_told_where_somebody_may_have_expected_it(
    tmp_path: Path, mode: str, story: Story, is_said: bool
) -> None:
    said = finding.summarize(read.read(write(tmp_path, {mode: story}, trials=1)))
    sentence = r"It used 7,\d{3} of its 28,232 ports, less than half, so that no cliff shows;"
    assert bool(re.search(sentence, said)) is is_said, said
