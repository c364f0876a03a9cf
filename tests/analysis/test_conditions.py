"""Conditions that fail a comparison."""

import pytest

from bench.analysis import conditions
from bench.analysis.compare import Comparison, compare
from bench.analysis.sides import split
from bench.errors import PlanError
from bench.plan import run_plan as plans
from bench.runs.record import Run
from tests.synthetic import KEEPALIVE, MACHINE, SHORT_NARROW, trial


@pytest.fixture(scope="module")
def compared() -> Comparison:
    """Keep-alive first: short is the regression."""
    modes = {"keepalive": KEEPALIVE, "short": SHORT_NARROW}
    trials = [trial(n, mode, modes[mode], 6.0)[0] for n, mode in enumerate([*modes] * 2, 1)]
    return compare(split(Run(plans.build({}).to_json(), MACHINE, "2026", tuple(trials))))


@pytest.mark.parametrize(
    ("text", "fails"),
    [
        ("requests_per_s<0.95", True),
        ("requests_per_s < 0.95x", True),
        ("requests_per_s>0.95", False),
        ("latency_ms.p99>1.1", True),
        ("upstream.requests_per_connection<=0.5", True),
        ("upstream.connections_opened>=1000", False),
        ("errors>1", True),  # from none to some
        ("abs:errors>0", True),
        ("abs:errors<1", False),
        ("abs:upstream.requests_per_connection<10", True),
        ("abs:time_wait.backend.peak>0", False),
        ("memory_mib.proxy>1", False),
        ("memory_mib.proxy>=1", True),
    ],
)
def test_a_condition_bounds_the_ratio_or_the_figure_itself(
    compared: Comparison, text: str, fails: bool
) -> None:
    assert bool(conditions.failures([conditions.parse(text)], compared)) is fails


def test_a_failure_names_the_side_the_figure_and_the_condition(compared: Comparison) -> None:
    failures = conditions.failures(
        [conditions.parse("abs:upstream.connections_opened>1500"), conditions.parse("errors>2")], compared
    )
    assert failures == [
        "short: upstream.connections_opened is 2,000, which fails abs:upstream.connections_opened>1500",
        "short: errors is new, which fails errors>2",
    ]


def test_what_cannot_be_judged_fails(compared: Comparison) -> None:
    assert conditions.failures([conditions.parse("ports.rate_after>0.5")], compared) == [
        "short: ports.rate_after>0.5 cannot be judged: ports.rate_after was not measured on both sides"
    ]


@pytest.mark.parametrize(
    "text",
    ["", "fast", "requests_per_s", "requests_per_s<", "requests_per_s<fast", "requests_per_s=1",
     "requests_per_s<-1", "abs:errors>1x", "requests_per_s<0.95 or errors>0"],
)  # fmt: skip
def test_nonsense_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(PlanError, match="is no condition; write METRIC OP RATIO such as"):
        conditions.parse(text)


def test_an_unknown_metric_is_refused_with_those_there_are(compared: Comparison) -> None:
    with pytest.raises(
        PlanError, match=r"'rps' is no metric; there are requests_per_s, .*memory_mib.backend"
    ):
        conditions.failures([conditions.parse("rps<0.95")], compared)
