"""What the trials of a case amount to, and how a run is formatted as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis.cases import CaseTrials, Spread, Summary
from bench.analysis.metrics import figure
from bench.report.scenario import text as report
from bench.runs.record import Refused, ScenarioRun, ScenarioTrial, SubjectRecord, TrialWarning
from tests.scenarios.sample_scenario import SCENARIO, trial

RUN = ScenarioRun(
    plan={"scenario": "tea"},
    machine={},
    started="2026-03-14T15:09:26+00:00",
    refused=(Refused("loose-leaf", "nginx", "has no kettle"),),
    trials=(
        trial(1, "bag"),
        trial(2, "loose-leaf"),
        trial(4, "bag"),
        trial(3, "bag"),
        trial(9, "bag", interrupted=True),
    ),
)


def test_a_row_is_the_median_over_the_trials_that_ended_by_themselves() -> None:
    summary = Summary.of(RUN)
    assert [(row.variant, len(row.trials), len(row.counted)) for row in summary.rows] == [
        ("bag", 4, 3),
        ("loose-leaf", 1, 1),
    ]
    row = summary.row("bag")
    assert row is not None
    assert row.spread("figures.spilt") == Spread(3, 1, 4)
    assert row.spread("figures.unheard_of") is None
    assert summary.value("times_ms.steep.p50", "bag", "direct") == 300.0
    assert summary.value("times_ms.steep.p50", "bag", "nginx") is None


def test_a_figure_is_found_by_its_keys_and_is_a_number() -> None:
    one = trial(1, "bag")
    assert figure(one, "hops.front.opened") == 10
    assert figure(one, "hops.back.opened") is None
    assert figure(one, "roles.proxy.cpu_s") is None
    assert figure(one, "valid") is None
    assert figure(one, "variant") is None


def test_the_text_holds_table_refusals_warnings_and_the_sentence() -> None:
    text = report.format_run(SCENARIO, RUN)
    assert "bag (3 trials)   300 (100 to 400)" in text
    assert "- loose-leaf on nginx: has no kettle\n" in text
    assert "! trial 1, 2, 4, 3, 9: made up" in text
    assert "trial 9: interrupted; left out of the table" in text
    assert "A bag takes 300 ms." in text
    assert "never measured" not in text
    assert "to the kitchen" not in text


def test_warnings_that_differ_in_their_figures_only_are_printed_once() -> None:
    warnings = [TrialWarning("late", f"{count} were late", "be quicker") for count in (3, 3, 5)]
    warnings.append(TrialWarning("late", "7 were late", "be quicker", voids=True))
    trials = tuple(trial(at, "bag", warnings=(each,)) for at, each in enumerate(warnings, 1))
    assert report.summarize_warnings(ScenarioRun(RUN.plan, {}, RUN.started, trials=trials)) == [
        "trial 1, 2 (similar: 3): 3 were late; be quicker",
        "trial 4: 7 were late; be quicker (invalid)",
    ]


def test_what_shares_a_reason_is_refused_in_one_line() -> None:
    refused = [
        Refused(variant, subject, "has no kettle") for subject in ("nginx", "caddy") for variant in ("a", "b")
    ]
    refused.append(Refused("a", "c", "no"))
    run = ScenarioRun({"scenario": "tea", "variants": ["a", "b"]}, {}, RUN.started, refused=tuple(refused))
    assert report.summarize_refusals(run) == ["every variant on nginx, caddy: has no kettle", "a on c: no"]


def test_a_run_without_a_whole_trial_claims_nothing() -> None:
    cut = ScenarioRun(RUN.plan, {}, RUN.started, trials=(trial(1, "bag", interrupted=True),))
    assert report.summarize(SCENARIO, cut) == "Nothing was measured to the end."


def void(at: int, variant: str, code: str) -> ScenarioTrial:
    return replace(
        trial(at, variant), valid=False, warnings=(TrialWarning(code, "seen", "do something", voids=True),)
    )


def test_what_does_not_count_is_in_no_sentence_and_named() -> None:
    def said(*trials: ScenarioTrial) -> str:
        return report.summarize(SCENARIO, ScenarioRun(RUN.plan, {}, RUN.started, trials=trials))

    assert said(void(1, "bag", "lost")) == "No trial counts, since messages were lost."
    assert said(trial(1, "bag"), void(2, "loose-leaf", "lost")) == (
        "A bag takes 100 ms. Not counted: loose-leaf, since messages were lost."
    )
    assert said(trial(1, "bag"), void(2, "loose-leaf", "machine-shared")).startswith(
        "This machine was too busy for rates and times; counts and CPU stand. "
    )


def test_a_ratio_of_two_cases_is_that_of_a_comparison_and_not_of_their_medians() -> None:
    def case(variant: str, values: tuple[float, ...]) -> CaseTrials:
        trials = [
            ScenarioTrial(
                trial=number,
                variant=variant,
                subject=SubjectRecord("direct", "1"),
                lab="x",
                figures={"calls": each},
            )
            for number, each in enumerate(values, 1)
        ]
        return CaseTrials(variant, "direct", tuple(trials))

    short, pool = case("short", (7265.0, 7501.0, 7809.0)), case("pool", (21847.0, 27336.0, 27592.0))
    assert pool.ratio_to(short, "figures.calls") == pytest.approx(3.533, abs=0.001)
    assert pool.ratio_to(short, "figures.other") is None
    assert pool.ratio_to(case("none", (0.0,)), "figures.calls") is None
