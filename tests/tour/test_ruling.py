"""Where a run cannot decide, the claim is not measured here, and it is said why."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.analysis.metrics import figure
from bench.report import tour as report
from bench.runs import read
from bench.runs.record import Refused
from bench.scenarios import catalogue
from bench.tour.article import CLAIMS, select
from bench.tour.evidence import ClaimVerdict
from bench.tour.ruling import NOT_REACHED, ArticleClaim, gather, rule
from bench.tour.steps import IDIOMS, INCIDENT, NAMES, SNIPPET, Step, find_subject
from tests.tour.made_up_claims import BUSY, BY_NAME, WRONG, rule_on, take_step
from tests.tour.rulings import BORNE_OUT, cliff

ROOT = Path(__file__).parents[2]
UNMEASURED = ClaimVerdict.UNMEASURED
DECIDED = [claim for claim in CLAIMS if claim.judge is not None]
DOCUMENTED = [claim for claim in CLAIMS if claim.documented is not None]


def name(claim: ArticleClaim) -> str:
    return claim.name


@pytest.mark.parametrize("claim", DECIDED, ids=name)
def test_without_a_case_there_is_no_verdict(claim: ArticleClaim) -> None:
    for case in claim.cases:
        rest = {each: values for each, values in BORNE_OUT[claim.name].items() if each != case}
        ruled = rule_on(claim.name, rest)
        if any(figure.is_needed_of(case) for figure in claim.figures.values()):
            assert ruled.ruling.verdict is UNMEASURED
            assert report.explain(ruled) in (f"There is no trial of {case}.", NOT_REACHED)


@pytest.mark.parametrize("claim", DECIDED, ids=name)
def test_what_is_invalid_decides_nothing(claim: ArticleClaim) -> None:
    ruled = rule_on(claim.name, BORNE_OUT[claim.name], valid=False, warnings=(WRONG,))
    assert ruled.ruling.verdict is UNMEASURED
    assert "since connections were used again" in report.explain(ruled)


@pytest.mark.parametrize("claim", DECIDED, ids=name)
def test_what_was_interrupted_decides_nothing(claim: ArticleClaim) -> None:
    ruled = rule_on(claim.name, BORNE_OUT[claim.name], interrupted=True)
    assert ruled.ruling.verdict is UNMEASURED
    assert "the trial was interrupted" in report.explain(ruled)


@pytest.mark.parametrize("claim", DECIDED, ids=name)
def test_a_step_that_was_not_taken_says_why(claim: ArticleClaim) -> None:
    taken = Step(claim.step, problem="nginx is not installed: {sorry[x]}")
    for steps, said in (
        ([], NOT_REACHED),
        ([taken], "Its run could not be made: nginx is not installed: {sorry[x]}"),
    ):
        (ruled,) = rule([claim], steps)
        assert (ruled.ruling.verdict, report.explain(ruled)) == (UNMEASURED, said)


def test_what_could_not_be_measured_says_what_it_needs() -> None:
    claim = BY_NAME["migration"]
    step = take_step(claim, {"sse": BORNE_OUT["migration"]["sse"]})
    assert step.run is not None
    refused = tuple(Refused(case, "direct", "needs aioquic: install it") for case in ("quic-probe", "quic"))
    (ruled,) = rule([claim], [replace(step, run=replace(step.run, refused=refused))])
    assert ruled.ruling.verdict is UNMEASURED
    assert report.explain(ruled) == "There is no trial of quic-probe: needs aioquic: install it."


def test_a_busy_machine_voids_the_rates_around_the_cliff_and_no_count() -> None:
    busy = {"valid": False, "warnings": (BUSY,)}
    assert rule_on("time-wait", BORNE_OUT["time-wait"], **busy).ruling.verdict is ClaimVerdict.TRUE
    ruled = rule_on("cliff", cliff(345), **busy)
    assert ruled.ruling.verdict is UNMEASURED
    assert report.explain(ruled) == (
        "The figure 'requests/s before half of them were in use' of short counts for nothing,"
        " since others used the machine."
    )


def test_without_a_cliff_nothing_is_said_of_it() -> None:
    values = {"short": {**cliff(345)["short"], "before": None, "after": None, "used": 9_000}}
    ruled = rule_on("cliff", values)
    assert ruled.ruling.verdict is UNMEASURED
    assert "half of the ports were never in use" in report.explain(ruled)
    busy = rule_on("cliff", values, valid=False, warnings=(BUSY,))
    assert report.explain(busy).endswith(
        "is missing: half of the ports were never in use (on loopback they are free after a second);"
        " others used the machine."
    )


def test_what_is_documented_needs_no_run_and_names_its_documents() -> None:
    for claim in DOCUMENTED:
        (ruled,) = rule([claim], [])
        assert ruled.ruling.verdict is not UNMEASURED
        assert claim.documents
        assert all(document.url.startswith("https://") for document in claim.documents)
    push = BY_NAME["http2-push"].documented
    assert push is not None
    assert push.verdict is ClaimVerdict.FALSE
    for said in (
        "no message reaches an application",
        "RFC 9113",
        "Chrome 106",
        "Firefox 132",
        "nginx 1.25.1",
    ):
        assert said in push.why


def test_each_step_has_a_claim_and_each_claim_a_step_and_one_who_decides() -> None:
    assert {claim.step for claim in CLAIMS} == set(NAMES)
    assert [claim.name for claim in CLAIMS if (claim.judge is None) == (claim.documented is None)] == []
    assert len(BY_NAME) == len(CLAIMS)
    assert {claim.step for claim in select(["push", "tls"])} == {"push", "tls"}


@pytest.mark.parametrize("claim", DECIDED, ids=name)
def test_a_claim_asks_for_what_its_step_measures_and_draws(claim: ArticleClaim) -> None:
    if claim.step in (INCIDENT, SNIPPET):
        return
    scenario = catalogue.load(claim.step)
    plan = scenario.plan(dict(scenario.brief))
    first = plan.subjects[0]
    assert find_subject(claim.step) == first
    known = {
        each.variant + ("" if each.subject_name == first else f", {each.subject_name}") for each in plan.cases
    }
    assert set(claim.cases) <= known
    assert set(claim.pictures) <= {panel.title for panel in scenario.panels}


def test_the_cases_of_a_run_stand_in_the_order_of_their_names() -> None:
    values = {f"nginx 1.{minor} {idiom}": {"per_connection": 1.0} for minor, idiom in
              ((31, "snippet"), (22, "snippet"), (31, "default"))}  # fmt: skip
    assert list(rule_on("snippet", values).evidence.cases) == [
        "nginx 1.22 snippet",
        "nginx 1.31 default",
        "nginx 1.31 snippet",
    ]


def test_a_part_of_the_nginx_versions_decides_nothing() -> None:
    claim, values = BY_NAME["snippet"], {"nginx 1.22.1 snippet": {"per_connection": 1.0}}
    step = take_step(claim, values)
    assert step.run is not None
    for part in (replace(step.run, interrupted=True), replace(step.run, problem="nginx died")):
        (ruled,) = rule([claim], [replace(step, run=part)])
        assert ruled.ruling.verdict is UNMEASURED
    unasked = rule_on("snippet", {"nginx 1.22.1 full": {"per_connection": 600}})
    assert unasked.ruling.verdict is UNMEASURED


REFERENCE = {INCIDENT: "reference", SNIPPET: "reference-incident-at-once"}


@pytest.mark.parametrize("claim", DECIDED, ids=name)
def test_each_figure_of_a_claim_is_one_that_trials_have(claim: ArticleClaim) -> None:
    run = read.read(ROOT / "results" / REFERENCE.get(claim.step, f"reference-{claim.step}"))
    evidence = gather(claim, run)
    assert evidence.trials
    for case, trials in evidence.cases.items():
        for each in claim.figures.values():
            if each.is_needed_of(case):
                keys = [key for key in (each.key, each.instead) if key is not None]
                assert any(figure(trial, key) is not None for trial in trials for key in keys), (
                    case,
                    each.label,
                )


def test_the_snippet_is_told_to_nginx_beside_nothing_and_all() -> None:
    assert IDIOMS == ("default", "snippet", "full")
