"""Sides held against the first: differences that show, that do not, and that cannot."""

import dataclasses
import json
import math
from collections.abc import Callable, Iterable

import msgspec
import pytest

from bench.analysis.answers import MARGIN, Answer
from bench.analysis.compare import compare
from bench.analysis.sides import Side, split
from bench.analysis.stats import Estimate
from bench.plan import run_plan as plans
from bench.runs.record import Run, Trial, TrialWarning
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, SHORT_BACKEND_CLOSES, Story, trial


def side(
    mode: str,
    story: Story,
    numbers: Iterable[int],
    name: str | None = None,
    change: Callable[[Trial], Trial] | None = None,
    **plan: object,
) -> Side:
    made = tuple(trial(number, mode, story, 1.0)[0] for number in numbers)
    if change:
        made = tuple(change(each) for each in made)
    run = Run(plans.build({"mode": mode, **plan}).to_json(), MACHINE, "2026", made)
    return Side(name or mode, mode, run)


def center(estimate: Estimate | None) -> float:
    """Return the centre of an estimate that there is."""
    assert estimate is not None
    return estimate.center


def interval(estimate: Estimate | None) -> tuple[float, float]:
    """Return the interval of an estimate that has one."""
    assert estimate is not None
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def test_four_trials_a_side_show_that_keep_alive_is_faster() -> None:
    short = side("short", SHORT_BACKEND_CLOSES, range(1, 5))
    compared = compare([short, side("keepalive", KEEPALIVE, range(5, 9))])
    cell = compared.row("requests_per_s").cells[1]
    assert cell.answer is Answer.BETTER
    low, high = interval(cell.ratio)
    assert 1 < low <= center(cell.ratio) <= high
    assert interval(cell.difference)[0] > 0
    less = compared.row("latency_ms.p99").cells[1]
    assert less.answer is Answer.BETTER
    assert interval(less.ratio)[1] < 1
    back = compare([compared.sides[1], compared.sides[0]])
    assert back.row("requests_per_s").cells[1].answer is Answer.WORSE


def test_three_trials_a_side_cannot_tell_and_one_more_would() -> None:
    short = side("short", SHORT_BACKEND_CLOSES, range(1, 4))
    compared = compare([short, side("keepalive", KEEPALIVE, range(5, 8))])
    cell = compared.row("requests_per_s").cells[1]
    assert (cell.answer, cell.p, cell.more_trials) == (Answer.CANNOT_TELL, None, 1)
    assert cell.ratio is not None
    assert (cell.ratio.low, cell.ratio.high) == (None, None)
    assert cell.ratio.center > 1


def test_samples_that_overlap_show_no_difference() -> None:
    compared = compare(
        [side("keepalive", KEEPALIVE, (1, 3, 5, 7)), side("keepalive", KEEPALIVE, (2, 4, 6, 8))]
    )
    cell = compared.row("requests_per_s").cells[1]
    assert cell.answer is Answer.NO_DIFFERENCE
    assert cell.p is not None
    assert cell.p > 0.05
    assert cell.no_more_than is not None
    low, high = interval(cell.ratio)
    assert cell.no_more_than == pytest.approx(max(1 - low, high - 1))


def test_a_wide_interval_cannot_tell_and_says_how_many_more_trials_would() -> None:
    rates = (900.0, 1400.0, 1000.0, 1500.0, 950.0, 1450.0)
    first, later = (
        side("keepalive", KEEPALIVE, numbers, change=lambda t: replace_rate(t, rates[(t.trial - 1) % 6]))
        for numbers in (range(1, 7), range(7, 13))
    )
    cell = compare([first, later]).row("requests_per_s").cells[1]
    assert cell.answer is Answer.CANNOT_TELL
    assert cell.more_trials is not None
    assert cell.no_more_than is not None
    assert cell.no_more_than > MARGIN
    # An interval narrows with the root of the number of trials.
    assert cell.more_trials == pytest.approx(
        6 * (math.log1p(cell.no_more_than) / math.log1p(MARGIN)) ** 2, rel=0.3
    )


def replace_rate(made: Trial, per_s: float) -> Trial:
    return dataclasses.replace(made, requests_per_s=per_s)


def test_where_half_of_the_ports_were_passed_a_mean_over_both_sides_of_it_is_refused() -> None:
    short = side("short", SHORT, range(1, 7), change=keep)
    compared = compare([short, side("keepalive", KEEPALIVE, range(7, 13))])
    rate = compared.row("requests_per_s").cells[1]
    assert (rate.answer, rate.instead, rate.ratio) == (Answer.REFUSED, "ports.rate_before", None)
    assert compared.row("requests_per_s").cells[0].estimate is None, (
        "an average over the cliff is quoted nowhere"
    )
    assert rate.estimate is not None, "this side met no cliff"
    cost = compared.row("cpu_us_per_request.proxy").cells[1]
    assert (cost.answer, cost.instead) == (Answer.REFUSED, "cpu_us_per_request_before_cliff.proxy")
    assert compared.row("cpu_us_per_request_before_cliff.proxy").cells[1].answer is Answer.BETTER
    # The rate before the cliff of a side without one is its whole rate.
    before = compared.row("ports.rate_before").cells[1]
    assert before.answer is Answer.BETTER
    whole = compared.row("requests_per_s").cells[1]
    assert center(before.estimate) == center(whole.estimate)


def test_trials_of_the_same_blocks_are_compared_in_pairs() -> None:
    """A machine that slows down from block to block spoils the trials' ranks, and not those of pairs."""
    drift = [1.3**block for block in range(12)]
    trials: list[Trial] = []
    for block, factor in enumerate(drift, 1):
        for mode, cost in (("short", 100.0), ("keepalive", 97.0)):
            made = trial(len(trials) + 1, mode, SHORT_BACKEND_CLOSES, 1.0)[0]
            us: dict[str, float | None] = {"proxy": cost * factor * (1 + 0.001 * block)}
            trials.append(dataclasses.replace(made, block=block, cpu_us_per_request=us))
    run = Run(plans.build({}).to_json(), MACHINE, "2026", tuple(trials))
    cell = compare(split(run)).row("cpu_us_per_request.proxy").cells[1]
    assert (cell.answer, cell.pairs) == (Answer.BETTER, 12)
    assert interval(cell.ratio) == pytest.approx((0.97, 0.97))
    apart = Run(run.plan, MACHINE, "2026", tuple(dataclasses.replace(each, block=None) for each in trials))
    cell = compare(split(apart)).row("cpu_us_per_request.proxy").cells[1]
    assert (cell.answer, cell.pairs) == (Answer.CANNOT_TELL, None)


def test_figures_that_are_the_same_in_every_trial_need_no_test() -> None:
    compared = compare([side("keepalive", KEEPALIVE, (1, 2)), side("keepalive", KEEPALIVE, (3, 4))])
    cell = compared.row("upstream.connections_opened").cells[1]
    assert (cell.answer, cell.no_more_than) == (Answer.NO_DIFFERENCE, 0)
    assert (center(cell.difference), center(cell.ratio)) == (0, 1)


def test_figures_of_no_side_get_no_row_and_only_errors_matter_at_0() -> None:
    compared = compare([side("keepalive", KEEPALIVE, (1, 2)), side("keepalive", KEEPALIVE, (3, 4))])
    assert "ports.rate_before" not in [row.metric.key for row in compared.rows]
    assert compared.row("ports.rate_before").cells[1].answer is Answer.NOT_MEASURED
    assert compared.row("errors").is_telling
    assert not compared.row("late").is_telling
    assert not compared.row("ports.rate_before").is_telling


def test_a_figure_of_one_side_only_is_not_compared() -> None:
    compared = compare([side("short", SHORT, (1, 2), change=keep), side("keepalive", KEEPALIVE, (3, 4))])
    first, second = compared.row("time_wait.proxy.peak").cells
    assert center(first.estimate) > 0
    assert (center(second.estimate), second.ratio) == (0, None)  # no ratio to or from 0
    assert compared.row("ports.half_range_passed_s").cells[1].estimate is None


def keep(made: Trial) -> Trial:
    return dataclasses.replace(made, ports=dataclasses.replace(made.ports, half_range_passed_s=1.0))


@pytest.mark.parametrize(
    ("change", "warning"),
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
def test_trials_that_do_not_count_are_left_out_and_named(
    change: Callable[[Trial], Trial], warning: str
) -> None:
    compared = compare(
        [side("short", SHORT, (1, 2, 3), change=change), side("keepalive", KEEPALIVE, (4, 5, 6))]
    )
    assert warning in compared.warnings
    assert len(compared.row("requests_per_s").cells[0].values) == 2


def test_a_busy_load_generator_voids_rates_and_times_but_neither_counts_nor_cpu() -> None:
    busy = TrialWarning("generator-saturated", "it waited", "", voids=True)
    spoilt = side(
        "short", SHORT, (1, 2), change=lambda t: dataclasses.replace(t, valid=False, warnings=(busy,))
    )
    compared = compare([spoilt, side("keepalive", KEEPALIVE, (3, 4))])
    assert compared.row("requests_per_s").cells[0].estimate is None
    assert compared.row("latency_ms.p50").cells[0].estimate is None
    assert len(compared.row("cpu_us_per_request.proxy").cells[0].values) == 2
    assert len(compared.row("upstream.connections_opened").cells[0].values) == 2
    assert "short: trial 1 is left out of rates and times (generator-saturated)" in compared.warnings


def test_a_side_without_a_trial_that_counts_is_named() -> None:
    spoilt = side("short", SHORT, (1,), change=lambda t: dataclasses.replace(t, valid=False))
    compared = compare([spoilt, side("keepalive", KEEPALIVE, (2,))])
    assert "short: no trial counts; there are no rates and times to compare" in compared.warnings
    assert compared.row("requests_per_s").cells[0].estimate is None


def test_sides_that_differ_in_one_thing_raise_no_warning_in_more_they_do() -> None:
    first = side("short", SHORT, (1, 2))
    one = side("short", SHORT_BACKEND_CLOSES, (3, 4), "B", closes_first="backend")
    two = side("short", SHORT_BACKEND_CLOSES, (3, 4), "B", closes_first="backend", load={"connections": 9})
    assert compare([first, one]).warnings == ()
    (warning,) = compare([first, two]).warnings
    assert warning == (
        "the sides differ in 2 things: plan.closes_first (proxy | backend); plan.load.connections (64 | 9)"
    )


def test_damage_is_a_warning_once() -> None:
    trials = (trial(1, "short", KEEPALIVE, 0.5)[0], trial(2, "keepalive", KEEPALIVE, 0.5)[0])
    warnings = compare(split(Run({}, {}, "", trials, damage=("run.jsonl:7: not a trial",)))).warnings
    assert [line for line in warnings if "run.jsonl" in line] == ["run.jsonl:7: not a trial"]


def test_a_comparison_is_plain_values_too() -> None:
    short = side("short", SHORT_BACKEND_CLOSES, range(1, 5))
    compared = compare([short, side("keepalive", KEEPALIVE, range(5, 9))])
    values = json.loads(msgspec.json.encode(compared.to_json()))
    assert [each["name"] for each in values["sides"]] == ["short", "keepalive"]
    assert [each["trials"] for each in values["sides"]] == [4, 4]
    (first, second) = next(row["cells"] for row in values["rows"] if row["metric"] == "requests_per_s")
    assert first["answer"] == "baseline"
    assert second["answer"] == "better"
    assert second["ratio"]["low"] <= second["ratio"]["center"] <= second["ratio"]["high"]
    assert values["warnings"] == []
