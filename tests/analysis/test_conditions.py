"""Conditions that a comparison passes, fails, or cannot tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from bench.analysis import conditions
from bench.analysis.compare import Comparison, compare
from bench.analysis.conditions import REQUIRE, Verdict
from bench.analysis.sides import Side, split
from bench.errors import ExitCode, PlanError
from bench.plan import run_plan as plans
from bench.runs.record import Run, Trial
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, trial

STEADY = (100.0, 101.0, 102.0, 103.0, 104.0, 105.0)
DEARER = tuple(value * 1.08 for value in STEADY)


def with_figures(made: Trial, cost: float, failed: float) -> Trial:
    errors = {**made.errors, "reset": int(failed)}
    return replace(made, cpu_us_per_request={"proxy": cost}, errors=errors)


def side(name: str, costs: Sequence[float], errors: Sequence[float] = (0,) * 6) -> Side:
    trials = tuple(
        with_figures(trial(number, "keepalive", KEEPALIVE, 1.0)[0], cost, failed)
        for number, (cost, failed) in enumerate(zip(costs, errors, strict=False), 1)
    )
    return Side(name, "keepalive", Run(plans.build({}).to_json(), MACHINE, "2026", trials))


def verdicts(compared: Comparison, *texts: str, option: str = conditions.FAIL_ON) -> list[str]:
    judged = conditions.judge([conditions.parse(text, option) for text in texts], compared)
    return [each.verdict for each in judged]


@pytest.fixture(scope="module")
def compared() -> Comparison:
    """A later side that costs 8 % more, and has errors."""
    return compare([side("old", STEADY), side("new", DEARER, (3, 4, 5, 6, 7, 8))])


@pytest.mark.parametrize(
    ("text", "fail_on", "require"),
    [
        ("cpu_us_per_request.proxy>1.02", "failed", "passed"),
        ("cpu_us_per_request.proxy > 1.02x", "failed", "passed"),
        ("cpu_us_per_request.proxy>1.08", "cannot tell", "cannot tell"),
        ("cpu_us_per_request.proxy>1.20", "passed", "failed"),
        ("cpu_us_per_request.proxy<1.20", "failed", "passed"),
        ("cpu_us_per_request.proxy<1.02", "passed", "failed"),
        ("errors>1", "failed", "passed"),  # from none to some is beyond every ratio
        ("abs:errors>0", "failed", "passed"),
        ("abs:errors>100", "passed", "failed"),
        ("abs:errors<5", "cannot tell", "cannot tell"),
        ("abs:time_wait.backend.peak>0", "passed", "failed"),  # 0 in every trial
        ("memory_mib.proxy>1", "passed", "failed"),  # the same in every trial
        ("memory_mib.proxy>=1", "failed", "passed"),
        ("ports.rate_after>0.5", "cannot tell", "cannot tell"),  # not measured
    ],
)
def test_the_interval_decides_and_what_must_hold_is_what_must_not_turned_round(
    compared: Comparison, text: str, fail_on: str, require: str
) -> None:
    assert verdicts(compared, text) == [fail_on]
    assert verdicts(compared, text, option=REQUIRE) == [require]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "cpu_us_per_request.proxy>1.02",
            "failed: --fail-on 'cpu_us_per_request.proxy>1.02': new: cpu_us_per_request.proxy is 1.08x"
            " [1.05, 1.11]",
        ),
        (
            "errors>2",
            "failed: --fail-on 'errors>2': new: errors went from 0 to 6",
        ),
        (
            "ports.rate_after>0.5",
            "cannot tell: --fail-on 'ports.rate_after>0.5': new: ports.rate_after was not measured on both"
            " sides",
        ),
    ],
)
def test_a_verdict_names_the_condition_the_side_the_figure_and_its_interval(
    compared: Comparison, text: str, line: str
) -> None:
    (judged,) = conditions.judge([conditions.parse(text)], compared)
    assert str(judged).replace("x]", "]").replace("x,", ",") == line


def test_three_trials_cannot_tell_and_the_line_says_how_many_more_would() -> None:
    few = compare([side("old", STEADY[:3]), side("new", DEARER[:3])])
    (ratio,) = conditions.judge([conditions.parse("cpu_us_per_request.proxy>1.02")], few)
    assert ratio.verdict is Verdict.CANNOT_TELL
    assert ratio.reason == "cpu_us_per_request.proxy is 1.08x, without an interval: at least 1 more trial"
    (absolute,) = conditions.judge([conditions.parse("abs:cpu_us_per_request.proxy>1")], few)
    assert (
        absolute.reason == "cpu_us_per_request.proxy is 109.08, without an interval: at least 3 more trials"
    )


def test_one_trial_is_a_point_that_decides_nothing_and_two_equal_ones_are_equal() -> None:
    for count, verdict in ((1, "cannot tell"), (2, "failed")):
        alone = compare([side("only", STEADY[:1] * count, (3, 3))])
        assert verdicts(alone, "abs:errors>0") == [verdict]
    assert verdicts(alone, "abs:errors>3") == ["passed"]


def test_at_a_look_on_the_way_a_median_needs_the_more_trials_that_the_line_says() -> None:
    """At 1 % eight values are the fewest that give the interval of a median: 2 / 2^8 is below it."""
    looked_at = compare([side("only", STEADY)], alpha=0.01)
    (judged,) = conditions.judge([conditions.parse("abs:cpu_us_per_request.proxy>1")], looked_at)
    assert judged.reason == "cpu_us_per_request.proxy is 102.5, without an interval: at least 2 more trials"


def test_a_mean_over_the_cliff_is_refused_with_the_metric_to_take() -> None:
    modes = {"short": SHORT, "keepalive": KEEPALIVE}
    trials = [trial(n, mode, modes[mode], 6.0)[0] for n, mode in enumerate([*modes] * 6, 1)]
    run = Run(plans.build({}).to_json(), MACHINE, "2026", tuple(trials))
    (judged,) = conditions.judge([conditions.parse("requests_per_s<0.95")], compare(split(run)))
    assert judged.verdict is Verdict.CANNOT_TELL
    assert judged.reason == (
        "requests_per_s means nothing where half of the ports were passed; take ports.rate_before"
    )


def test_many_conditions_are_corrected_for_when_one_fails_and_not_when_all_pass() -> None:
    """Six a side give a p of 1/924 at the least: enough for 20 conditions at 2.5 %, not for 30."""
    compared = compare([side("old", STEADY), side("new", tuple(value * 2 for value in STEADY))])
    fails, passes = "cpu_us_per_request.proxy>1.1", "cpu_us_per_request.proxy>3"
    assert set(verdicts(compared, *[fails] * 20)) == {"failed"}
    assert set(verdicts(compared, *[fails] * 30)) == {"cannot tell"}
    assert set(verdicts(compared, *[passes] * 30)) == {"passed"}


def test_comparisons_of_the_same_runs_are_corrected_for_together_and_the_line_says_so() -> None:
    compared = compare([side("old", STEADY), side("new", tuple(value * 2 for value in STEADY))])
    fails = [conditions.parse("cpu_us_per_request.proxy>1.1")] * 15
    assert {each.verdict for each in conditions.judge(fails, compared)} == {"failed"}
    together = conditions.judge(fails, compared, compared)
    assert {each.verdict for each in together} == {"cannot tell"}
    assert together[0].reason.endswith("], not sure enough with 30 judged together")


@pytest.mark.parametrize(
    ("texts", "code"),
    [
        (["errors>1", "abs:errors<5"], ExitCode.FINDINGS),
        (["abs:errors>100", "abs:errors<5"], ExitCode.CANNOT_TELL),
        (["abs:errors>100"], ExitCode.OK),
        ([], ExitCode.OK),
    ],
)
def test_what_fails_outweighs_what_cannot_be_told(
    compared: Comparison, texts: list[str], code: ExitCode
) -> None:
    judged = conditions.judge([conditions.parse(text) for text in texts], compared)
    assert conditions.exit_code(judged) is code


def test_one_side_alone_is_held_against_absolute_bounds_only() -> None:
    alone = compare([side("only", STEADY)])
    assert verdicts(alone, "abs:cpu_us_per_request.proxy>90") == ["failed"]
    with pytest.raises(
        PlanError, match="'errors>1' is a ratio, and there is one side only; write abs:errors"
    ):
        verdicts(alone, "errors>1")


@pytest.mark.parametrize(
    "text",
    ["", "fast", "requests_per_s", "requests_per_s<", "requests_per_s<fast", "requests_per_s=1",
     "requests_per_s<-1", "abs:errors>1x", "requests_per_s<0.95 or errors>0"],
)  # fmt: skip
@pytest.mark.parametrize("option", [conditions.FAIL_ON, REQUIRE])
def test_nonsense_is_refused_with_an_example(text: str, option: str) -> None:
    with pytest.raises(PlanError, match=f"^{option} .* is no condition; write METRIC OP RATIO such as"):
        conditions.parse(text, option)


def test_an_unknown_metric_is_refused_with_those_there_are(compared: Comparison) -> None:
    with pytest.raises(
        PlanError, match=r"'rps' is no metric; there are requests_per_s, .*memory_mib.backend"
    ):
        conditions.judge([conditions.parse("rps<0.95")], compared)
