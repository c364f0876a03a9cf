"""When a run ends before its last trial."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from bench.analysis import conditions, looks
from bench.analysis.metrics import METRICS
from bench.analysis.sides import AnySide
from bench.errors import PlanError
from bench.experiment.stopping import Stopping, groups_of, parse_until
from bench.plan import run_plan as plans
from bench.runs.record import Run, Trial
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, SHORT_BACKEND_CLOSES, Story, trial

MOST = 40
COST = "cpu_us_per_request.proxy"


def run_of(blocks: int, change: Callable[[Trial], Trial], short: Story = SHORT_BACKEND_CLOSES) -> Run:
    stories = {"short": short, "keepalive": KEEPALIVE}
    trials: list[Trial] = []
    for block in range(1, blocks + 1):
        for mode, story in stories.items():
            made = trial(len(trials) + 1, mode, story, 1.0)[0]
            trials.append(change(replace(made, block=block)))
    return Run(plans.build({}).to_json(), MACHINE, "2026", tuple(trials), most_blocks=MOST)


def costing(old: float, new: float, spread: float) -> Callable[[Trial], Trial]:
    """Return what gives the trials of both modes their cost: around a centre, now above it and now below."""

    def change(made: Trial) -> Trial:
        assert made.block is not None
        factor = 1 + spread * ((made.block * 7 + (made.mode == "short") * 3) % 11 - 5) / 5
        cost = (old if made.mode == "short" else new) * factor
        return replace(made, cpu_us_per_request={"proxy": cost})

    return change


def blocks_of(stopping: Stopping, whole: Run) -> int:
    """Return after how many blocks the trials of `whole` would have ended."""
    for block in range(1, MOST + 1):
        trials = tuple(each for each in whole.trials if each.block is not None and each.block <= block)
        part = replace(whole, trials=trials)

        def groups(part: Run = part) -> Sequence[Sequence[AnySide]]:
            return groups_of([part])

        if not stopping.go_on(block, MOST, groups):
            return block
    raise AssertionError("it never ends")


def test_it_ends_at_a_look_once_the_interval_is_narrow() -> None:
    stopping = Stopping(until=parse_until(f"{COST}=5%"))
    ended = blocks_of(stopping, run_of(MOST, costing(100, 50, 0.03)))
    assert ended in looks.looks(MOST)[:-1]
    assert stopping.is_narrow
    assert stopping.reason == f"the interval of {COST} is within 5 %"


def test_a_wide_interval_goes_on_to_the_last_trial_and_says_nothing_else() -> None:
    stopping = Stopping(until=parse_until(f"{COST}=1%"))
    assert blocks_of(stopping, run_of(MOST, costing(100, 50, 0.3))) == MOST
    assert (stopping.is_narrow, stopping.reason) == (False, "")


def test_a_requirement_that_has_failed_ends_it_and_one_that_holds_does_not() -> None:
    whole = run_of(MOST, costing(100, 110, 0.02))
    failed = Stopping(required=[conditions.parse(f"{COST}<1.02", conditions.REQUIRE)])
    assert blocks_of(failed, whole) < MOST
    assert failed.reason == f"--require '{COST}<1.02' has failed"
    held = Stopping(required=[conditions.parse(f"{COST}<1.5", conditions.REQUIRE)])
    assert blocks_of(held, whole) == MOST
    assert held.reason == ""


def test_what_can_never_be_met_ends_at_the_first_look_with_the_metric_to_take() -> None:
    stopping = Stopping(until=parse_until("requests_per_s=5%"))
    assert blocks_of(stopping, run_of(6, lambda made: made, SHORT)) == looks.FIRST
    assert stopping.reason == ("--until cannot be met: requests_per_s refused; take ports.rate_before")


def test_the_time_limit_ends_it_after_a_block() -> None:
    stopping = Stopping(time_limit_s=0.0)
    assert blocks_of(stopping, run_of(1, lambda made: made)) == 1
    assert stopping.reason == "the time limit of 0 s has been reached"


def test_without_rules_every_trial_is_run() -> None:
    assert blocks_of(Stopping(), run_of(1, lambda made: made)) == MOST


@pytest.mark.parametrize("text", ["", "5", "%", "0%", "101%", "cost=", "=5%", "5 % of it"])
def test_what_is_no_width_is_refused(text: str) -> None:
    with pytest.raises(PlanError, match=r"^--until .* is no width; write 5%, or METRIC=5%"):
        parse_until(text)


@pytest.mark.parametrize(
    ("stopping", "message"),
    [
        (Stopping(until=parse_until("5%")), "--until is about a ratio"),
        (
            Stopping(required=[conditions.parse("errors<2", conditions.REQUIRE)]),
            "'errors<2' is a ratio, and there is one case; write abs:errors<2",
        ),
        (Stopping(until=parse_until("rps=5%")), "'rps' is no metric"),
    ],
)
def test_a_rule_that_makes_no_sense_for_one_case_is_refused(stopping: Stopping, message: str) -> None:
    assert stopping.known is METRICS
    with pytest.raises(PlanError, match=message):
        stopping.check(cases=1)
