"""Sides held against the first: differences that show, that do not, and that cannot."""

import dataclasses
import json

import pytest

from bench.analysis.compare import Answer, compare
from bench.analysis.sides import Side, split
from bench.plan import run_plan as plans
from bench.runs.record import Run, TrialWarning
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, SHORT_BACKEND_CLOSES, trial


def side(mode, story, numbers, name=None, change=None, **plan):
    made = tuple(trial(number, mode, story, 1.0)[0] for number in numbers)
    if change:
        made = tuple(change(each) for each in made)
    run = Run(plans.build({"mode": mode, **plan}).to_json(), MACHINE, "2026", made)
    return Side(name or mode, mode, run)


def test_four_trials_a_side_show_that_keep_alive_is_faster():
    compared = compare([side("short", SHORT, range(1, 5)), side("keepalive", KEEPALIVE, range(5, 9))])
    cell = compared.row("requests_per_s").cells[1]
    assert cell.answer is Answer.DIFFERS
    assert cell.p == pytest.approx(2 / 70)
    assert cell.ratio.low <= cell.ratio.center <= cell.ratio.high
    assert cell.ratio.low > 1
    assert cell.difference > 0
    assert compared.row("latency_ms.p99").cells[1].ratio.high < 1


def test_three_trials_a_side_are_too_few_and_say_so():
    compared = compare([side("short", SHORT, range(1, 4)), side("keepalive", KEEPALIVE, range(5, 8))])
    cell = compared.row("requests_per_s").cells[1]
    assert (cell.answer, cell.p, cell.ratio.low) == (Answer.TOO_FEW, None, None)
    assert cell.ratio.center > 1


def test_samples_that_overlap_show_no_difference():
    compared = compare(
        [side("keepalive", KEEPALIVE, (1, 3, 5, 7)), side("keepalive", KEEPALIVE, (2, 4, 6, 8))]
    )
    assert compared.row("requests_per_s").cells[1].answer is Answer.SAME
    assert compared.row("requests_per_s").cells[1].p > 0.05


def test_figures_that_are_the_same_in_every_trial_need_no_test():
    compared = compare([side("keepalive", KEEPALIVE, (1, 2)), side("keepalive", KEEPALIVE, (3, 4))])
    cell = compared.row("upstream.connections_opened").cells[1]
    assert (cell.answer, cell.difference, cell.ratio.center) == (Answer.SAME, 0, 1)


def test_figures_that_nobody_has_get_no_row_and_only_errors_tell_at_0():
    compared = compare([side("keepalive", KEEPALIVE, (1, 2)), side("keepalive", KEEPALIVE, (3, 4))])
    assert "ports.rate_before" not in [row.metric.key for row in compared.rows]
    assert compared.row("ports.rate_before").cells[1].answer is Answer.UNMEASURED
    assert compared.row("errors").is_telling
    assert not compared.row("late").is_telling
    assert not compared.row("ports.rate_before").is_telling


def test_a_figure_of_one_side_only_is_not_compared():
    compared = compare([side("short", SHORT, (1, 2), change=keep), side("keepalive", KEEPALIVE, (3, 4))])
    first, second = compared.row("time_wait.proxy.peak").cells
    assert first.estimate.center > 0
    assert (second.estimate.center, second.ratio) == (0, None)  # no ratio to or from 0
    assert compared.row("ports.half_range_passed_s").cells[1].estimate is None


def keep(made):
    return dataclasses.replace(made, ports=dataclasses.replace(made.ports, half_range_passed_s=1.0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: dataclasses.replace(t, interrupted=t.trial == 2),
            "short: trial 2 is left out (interrupted)",
        ),
        (
            lambda t: dataclasses.replace(
                t, valid=t.trial != 2, warnings=(TrialWarning("reuse", "it reused", "", t.trial == 2),)
            ),
            "short: trial 2 is left out (reuse)",
        ),
    ],
)
def test_trials_that_do_not_count_are_left_out_and_named(change, said):
    compared = compare(
        [side("short", SHORT, (1, 2, 3), change=change), side("keepalive", KEEPALIVE, (4, 5, 6))]
    )
    assert said in compared.warnings
    assert compared.row("requests_per_s").cells[0].estimate.n == 2


def test_a_busy_load_generator_voids_rates_and_times_but_neither_counts_nor_cpu():
    busy = TrialWarning("generator-saturated", "it waited", "", voids=True)
    spoilt = side(
        "short", SHORT, (1, 2), change=lambda t: dataclasses.replace(t, valid=False, warnings=(busy,))
    )
    compared = compare([spoilt, side("keepalive", KEEPALIVE, (3, 4))])
    assert compared.row("requests_per_s").cells[0].estimate is None
    assert compared.row("latency_ms.p50").cells[0].estimate is None
    assert compared.row("cpu_us_per_request.proxy").cells[0].estimate.n == 2
    assert compared.row("upstream.connections_opened").cells[0].estimate.n == 2
    assert "short: trial 1 is left out of rates and times (generator-saturated)" in compared.warnings


def test_a_side_without_a_trial_that_counts_is_named():
    spoilt = side("short", SHORT, (1,), change=lambda t: dataclasses.replace(t, valid=False))
    compared = compare([spoilt, side("keepalive", KEEPALIVE, (2,))])
    assert "short: no trial counts; there are no rates and times to compare" in compared.warnings
    assert compared.row("requests_per_s").cells[0].estimate is None


def test_sides_that_differ_in_one_thing_raise_no_warning_in_more_they_do():
    first = side("short", SHORT, (1, 2))
    one = side("short", SHORT_BACKEND_CLOSES, (3, 4), "B", closes_first="backend")
    two = side("short", SHORT_BACKEND_CLOSES, (3, 4), "B", closes_first="backend", load={"connections": 9})
    assert compare([first, one]).warnings == ()
    (said,) = compare([first, two]).warnings
    assert said == (
        "the sides differ in 2 things: plan.closes_first (proxy | backend); plan.load.connections (64 | 9)"
    )


def test_damage_is_told_once():
    trials = (trial(1, "short", KEEPALIVE, 0.5)[0], trial(2, "keepalive", KEEPALIVE, 0.5)[0])
    warnings = compare(split(Run({}, {}, "", trials, damage=("run.jsonl:7: not a trial",)))).warnings
    assert [line for line in warnings if "run.jsonl" in line] == ["run.jsonl:7: not a trial"]


def test_a_comparison_is_plain_values_too():
    compared = compare([side("short", SHORT, range(1, 5)), side("keepalive", KEEPALIVE, range(5, 9))])
    values = json.loads(json.dumps(compared.to_json()))
    assert [each["name"] for each in values["sides"]] == ["short", "keepalive"]
    assert [each["trials"] for each in values["sides"]] == [4, 4]
    (first, second) = next(row["cells"] for row in values["rows"] if row["metric"] == "requests_per_s")
    assert first["answer"] == "-"
    assert second["answer"] == "differs"
    assert second["ratio"]["low"] <= second["ratio"]["center"] <= second["ratio"]["high"]
    assert values["warnings"] == []
