"""When ports ran out, and what that cost: also of trials whose rates are void."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.analysis import exhaustion
from bench.analysis.exhaustion import Exhaustion
from bench.analysis.sides import Side
from bench.plan.run_plan import Plan
from bench.report.run import finding
from bench.runs.record import Run, Trial, TrialWarning
from tests import synthetic
from tests.synthetic import KEEPALIVE, MACHINE, SHORT, SHORT_NARROW, STARTED, Story

FAILED = 1_200


def make_trial(number: int, story: Story) -> Trial:
    """Return a trial of short connections; where it exhausts its ports, all failures are of status 502."""
    made, _, _ = synthetic.trial(number, "short", story)
    if not story.exhausts:
        return made
    ports = replace(made.ports, exhausted_s=3.0 + number)
    answered = {"status": FAILED + number}
    return replace(made, ports=ports, errors={**made.errors, **answered}, statuses={"502": FAILED + number})


def make_side(stories: list[Story], change: Callable[[Trial], Trial] = lambda trial: trial) -> Side:
    trials = [change(make_trial(number, story)) for number, story in enumerate(stories)]
    return Side("short", "short", Run(Plan().to_json(), MACHINE, STARTED.isoformat(), tuple(trials)))


def voided(code: str) -> Callable[[Trial], Trial]:
    warning = TrialWarning(code, "it was seen", voids=True)
    return lambda trial: replace(trial, valid=False, warnings=(warning,))


def test_the_moment_and_the_failures_are_those_of_the_trials_without_a_port_left() -> None:
    side = make_side([SHORT, SHORT_NARROW, SHORT_NARROW])
    assert exhaustion.find(side) == Exhaustion(2, 3, 4.5, FAILED + 2, "502", is_only_status=True)


def test_a_cliff_alone_is_no_end() -> None:
    assert exhaustion.find(make_side([SHORT])) is None


def test_a_busy_machine_voids_the_moment_and_not_the_fact() -> None:
    found = exhaustion.find(make_side([SHORT_NARROW], voided("machine-shared")))
    assert found == Exhaustion(1, 1, None, FAILED, "502", is_only_status=True)


def test_an_empty_window_voids_neither() -> None:
    found = exhaustion.find(make_side([SHORT_NARROW], voided("empty-window")))
    assert found is not None
    assert (found.after_s, found.failed) == (3.0, FAILED)


def test_of_a_trial_of_which_nothing_counts_nothing_is_known() -> None:
    assert exhaustion.find(make_side([SHORT_NARROW], voided("mode-not-short"))) is None


def test_failures_without_an_answer_are_not_those_of_a_status() -> None:
    def reset(trial: Trial) -> Trial:
        return replace(trial, errors={**trial.errors, "reset": 3})

    found = exhaustion.find(make_side([SHORT_NARROW], reset))
    assert found is not None
    assert (found.status, found.is_only_status) == ("502", False)
    assert finding.format_end(found) == (
        "no port left after 3.0 s, and 1,203 requests failed (most with status 502)"
    )


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Exhaustion(2, 2, 3.5, 12_708), "no port left after 3.5 s, and 12,708 requests failed"),
        (Exhaustion(1, 2, 3.5, 1), "no port left after 3.5 s (in 1 of 2 trials), and 1 request failed"),
        (
            Exhaustion(2, 2, None, 9, "502", is_only_status=True),
            "no port left, and 9 requests failed (status 502)",
        ),
        (Exhaustion(2, 2, None, 0), "no port left"),
    ],
)
def test_it_is_said_in_half_a_sentence(found: Exhaustion, said: str) -> None:
    assert finding.format_end(found) == said


@pytest.mark.parametrize("code", ["", "machine-shared", "empty-window"])
def test_title_headline_and_finding_say_that_ports_ran_out_and_how_many_requests_failed(code: str) -> None:
    side = make_side([SHORT_NARROW] * 3, voided(code) if code else lambda trial: trial)
    said = "1,201 requests failed (status 502)"
    short = finding.format_title(side.run), finding.summarize(side.run), *finding.format_headline([side])
    kept = [synthetic.trial(number, "keepalive", KEEPALIVE)[0] for number in range(3, 6)]
    both = dataclasses.replace(side.run, trials=(*side.run.trials, *kept))
    for text in (*short, finding.format_title(both), finding.summarize(both)):
        assert "no port left" in text
        assert said in text
