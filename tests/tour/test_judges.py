"""What the run shows decides: each claim with figures that bear it out, contradict it, or do both in part."""

from __future__ import annotations

import re

import pytest

from bench.report import tour as report
from bench.tour.evidence import ClaimVerdict
from bench.tour.ruling import RuledClaim
from tests.tour.made_up_claims import BUSY, BY_NAME, Values, rule_on
from tests.tour.rulings import (
    BORNE_OUT,
    DEPENDS,
    FALSE,
    RULINGS,
    TRUE,
    called,
    delivered,
    handshakes,
    multiplexed,
    over_socket,
    reused,
    timed,
)

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


def rule_busy(name: str, values: Values) -> RuledClaim:
    return rule_on(name, values, valid=False, warnings=(BUSY,))


@pytest.mark.parametrize("name", ["cliff", "streaming", "http2-speed", "broker"])
def test_a_busy_machine_voids_what_rests_on_times(name: str) -> None:
    ruled = rule_busy(name, BORNE_OUT[name])
    assert ruled.ruling.verdict is ClaimVerdict.UNMEASURED
    assert "counts for nothing, since others used the machine" in report.explain(ruled)


@pytest.mark.parametrize("name", ["time-wait", "websocket", "chat", "http2", "tls", "migration", "registry"])
def test_counts_and_cpu_that_stand_decide_and_say_so(name: str) -> None:
    ruled = rule_busy(name, BORNE_OUT[name])
    assert (ruled.ruling.verdict, ruled.ruling.is_partial) == (TRUE, False)
    assert report.explain(ruled).endswith(
        "Rates and times are void, since others used the machine; counts and CPU stand, and bear the verdict."
    )
    assert "void" not in report.explain(rule_on(name, BORNE_OUT[name]))


@pytest.mark.parametrize(
    ("name", "values", "verdict"),
    [
        ("keepalive", reused(20, 32_000), TRUE),
        ("keepalive", reused(80, 32_000), FALSE),
        ("polling", delivered((2.0, 207), (1.2, 8), (0.0, 3)), TRUE),
        ("polling", delivered((1.0, 207), (1.2, 8), (0.0, 3)), FALSE),
        ("long-poll", delivered((2.0, 207), (1.2, 8), (0.0, 3)), TRUE),
        ("long-poll", delivered((1.2, 207), (1.2, 8), (0.0, 3)), FALSE),
        ("rpc", called(8), TRUE),
    ],
)
def test_of_two_parts_the_one_that_stands_decides_and_the_other_is_named(
    name: str, values: Values, verdict: ClaimVerdict
) -> None:
    ruled = rule_busy(name, values)
    assert (ruled.ruling.verdict, ruled.ruling.is_partial) == (verdict, True)
    text = report.explain(ruled)
    assert "counts for nothing, since others used the machine. The verdict is on the " in text
    assert "void" not in text
    assert "207" not in text
    assert not rule_on(name, values).ruling.is_partial


def test_what_slow_calls_do_cannot_help_a_connection_that_is_dearer() -> None:
    ruled = rule_busy("rpc", called(20))
    assert (ruled.ruling.verdict, ruled.ruling.is_partial) == (DEPENDS, False)


def test_http2_is_compared_on_connections_without_a_proxy_and_behind_nginx() -> None:
    text = report.explain(rule_on("http2", multiplexed(1, 393, behind=101)))
    assert "without a proxy: 1 by HTTP/2, 101 by HTTP/1.1. Behind nginx" in text
    assert text.endswith(
        " nginx does not multiplex requests to its servers: behind it HTTP/2 saves no connection."
    )
    assert "multiplex" not in report.explain(rule_on("http2", multiplexed(1, 393)))


def test_times_of_http2_are_those_without_a_proxy_unless_they_are_void() -> None:
    both = {**timed((20, 26)), **timed((30, 36), behind=", nginx")}
    assert report.explain(rule_on("http2-speed", both)).startswith("Without a proxy, ")
    alone = {case: {} if case == "h2" else values for case, values in both.items()}
    assert report.explain(rule_on("http2-speed", alone)).startswith("Behind nginx, ")


def test_tls_names_the_side_that_saves() -> None:
    text = report.explain(rule_on("tls", handshakes(631, 455, 23, server=620)))
    assert "Resuming clearly saved CPU of nginx. Keeping clearly saved CPU of nginx and the server." in text
    same = report.explain(rule_on("tls", handshakes(611, 611, 611)))
    assert "Resuming clearly saved CPU of neither side." in same


def test_the_snippet_is_neither_true_nor_false_where_one_side_of_the_change_ran() -> None:
    old = report.explain(rule_on("snippet", {"nginx 1.22.1 snippet": {"per_connection": 1.0}}))
    assert "False of each nginx that ran, all of them old. Before 1.29.7 " in old
    new = report.explain(rule_on("snippet", {"nginx 1.29.7 snippet": {"per_connection": 600}}))
    assert "True of each nginx that ran, all of them new. Before 1.29.7 " in new
