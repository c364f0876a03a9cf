"""What the run shows decides: each claim with figures that bear it out, contradict it, or do both in part."""

from __future__ import annotations

import re

import pytest

from bench.report import tour as report
from bench.tour.evidence import ClaimVerdict
from tests.tour.made_up_claims import BUSY, BY_NAME, Values, rule_on
from tests.tour.rulings import DEPENDS, FALSE, RULINGS, TRUE, over_socket, reused

NO_FIGURES = re.compile(r"HTTP/[\d.]+|TLS 1\.3|1\.29\.7|p99|99 %|60 s")
"""What stands in a reason and was not measured."""


@pytest.mark.parametrize(("name", "values", "verdict"), RULINGS)
def test_the_figures_decide(name: str, values: Values, verdict: ClaimVerdict) -> None:
    assert rule_on(name, values).ruling.verdict is verdict


def test_each_claim_that_a_run_decides_can_come_out_either_way() -> None:
    decided = {name for name, claim in BY_NAME.items() if claim.judge is not None}
    assert {name for name, _, verdict in RULINGS if verdict is TRUE} == decided
    assert {name for name, _, verdict in RULINGS if verdict is FALSE} == decided


@pytest.mark.parametrize(("name", "values", "verdict"), RULINGS)
def test_a_reason_says_nothing_that_the_table_below_does_not(
    name: str, values: Values, verdict: ClaimVerdict
) -> None:
    ruled = rule_on(name, values)
    shown = {cell for row in report.build_table(ruled.evidence).rows for cell in row}
    quoted = report.CELL.findall(ruled.ruling.why)
    assert quoted
    for case, figure in quoted:
        median = report.format_median(ruled.evidence, case, figure)
        assert median in {cell.partition(" (")[0] for cell in shown}
        assert any(sign.isdigit() for sign in median), f"{figure} of {case} is void or missing"
    rest = report.CELL.sub("", NO_FIGURES.sub("", ruled.ruling.why))
    rest = re.sub(r"nginx [\d.]+", "", rest)  # the names of cases
    assert not re.search(r"\d", rest), rest


def test_of_several_trials_all_have_to_differ() -> None:
    first, second = over_socket(0.0, 301), over_socket(0.0, 640)
    assert rule_on("websocket", first, first).ruling.verdict is TRUE
    assert rule_on("websocket", first, second).ruling.verdict is DEPENDS


def test_a_busy_machine_voids_what_rests_on_a_rate_and_nothing_that_rests_on_counts() -> None:
    busy = {"valid": False, "warnings": (BUSY,)}
    assert rule_on("keepalive", reused(20, 32_000), **busy).ruling.verdict is ClaimVerdict.UNMEASURED
    assert rule_on("websocket", over_socket(0.0, 301), **busy).ruling.verdict is TRUE
