"""How often comparisons are wrong, by simulation with a fixed seed: coverage, false alarms, and power."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from bench.analysis import conditions, stats
from bench.analysis.answers import Answer
from bench.analysis.compare import Comparison, compare
from bench.analysis.conditions import Verdict
from bench.analysis.metrics import Metric, named
from bench.analysis.sides import split
from bench.plan import run_plan as plans
from bench.runs.record import Run, Trial
from tests.synthetic import KEEPALIVE, MACHINE, SHORT_BACKEND_CLOSES, trial

COST = named("cpu_us_per_request.proxy")
MADE = {
    "short": trial(1, "short", SHORT_BACKEND_CLOSES, 0.3)[0],
    "keepalive": trial(2, "keepalive", KEEPALIVE, 0.3)[0],
}


def drawn(
    source: random.Random, trials: int, factor: float, *, drift: float = 0.0, metric: Metric = COST
) -> Comparison:
    """Return two sides in blocks compared, the second `factor` times the first, on a noisy machine."""
    made: list[Trial] = []
    for block in range(1, trials + 1):
        machine = source.lognormvariate(0, drift)
        for mode, level in (("short", 100.0), ("keepalive", 100.0 * factor)):
            cost = level * machine * source.lognormvariate(0, 0.025)
            made.append(
                replace(MADE[mode], trial=len(made) + 1, block=block, cpu_us_per_request={"proxy": cost})
            )
    return compare(split(Run(plans.build({}).to_json(), MACHINE, "2026", tuple(made))), [metric])


def share(verdict: Verdict, text: str, comparisons: list[Comparison]) -> float:
    """Return the share of comparisons in which a gate has that verdict."""
    gate = [conditions.parse(text)]
    return sum(conditions.judge(gate, each)[0].verdict is verdict for each in comparisons) / len(comparisons)


@pytest.mark.parametrize(("trials", "drift"), [(5, 0.0), (6, 0.2), (10, 0.0), (12, 0.2)])
def test_on_equal_sides_a_gate_fails_once_in_forty_times_at_the_most(trials: int, drift: float) -> None:
    source = random.Random(trials)
    comparisons = [drawn(source, trials, 1.0, drift=drift) for _ in range(200)]
    assert share(Verdict.FAILED, f"{COST.key}>1", comparisons) <= 0.05
    assert share(Verdict.FAILED, f"{COST.key}<1", comparisons) <= 0.05
    called = [each.row(COST.key).cells[1].answer.differs for each in comparisons]
    assert sum(called) / len(called) <= 0.07


def test_five_percent_are_found_with_ten_trials_a_side_where_trials_scatter_by_half_of_that() -> None:
    source = random.Random(5)
    for drift in (0.0, 0.2):
        comparisons = [drawn(source, 10, 1.05, drift=drift) for _ in range(100)]
        found = [each.row(COST.key).cells[1].answer is Answer.WORSE for each in comparisons]
        assert sum(found) / len(found) >= 0.9
        assert share(Verdict.FAILED, f"{COST.key}>1", comparisons) >= 0.9


@pytest.mark.parametrize("n", [4, 6, 10, 60])
def test_intervals_hold_the_truth_as_often_as_they_say(n: int) -> None:
    source, runs, held = random.Random(n), 300, 0
    for _ in range(runs):
        old, new = ([source.lognormvariate(0, 0.3) for _ in range(n)] for _ in range(2))
        ratio = stats.ratio(old, new)
        assert ratio.low is not None
        assert ratio.high is not None
        held += ratio.low <= 1 <= ratio.high
    assert held / runs >= 0.925
