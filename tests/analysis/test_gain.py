"""What keep-alive gains: the comparison's own estimate everywhere, and no more claimed than it can tell."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from bench.analysis import compare, gain
from bench.analysis.answers import Answer
from bench.analysis.sides import Side, split
from bench.plan import run_plan
from bench.report import certainty, comparison
from bench.report.run import finding, gain_text
from bench.runs.record import Run, Trial
from tests import synthetic
from tests.synthetic import KEEPALIVE, SHORT, SHORT_BACKEND_CLOSES, Story

LEAST_FOR_AN_ANSWER = 7


def make_run(trials: int, short: Story = SHORT, keepalive: Story = KEEPALIVE) -> Run:
    stories = {"short": short, "keepalive": keepalive}
    modes = [mode for _ in range(trials) for mode in stories]
    found = tuple(synthetic.trial(number, mode, stories[mode])[0] for number, mode in enumerate(modes, 1))
    return Run(run_plan.build({"trials": trials}).to_json(), synthetic.MACHINE, "2026", found)


RATES = {"short": (7_265.0, 7_501.0, 7_809.0), "keepalive": (21_847.0, 27_336.0, 27_592.0)}
"""Of which the ratio of the medians is 3.64, and the median of the ratios 3.53."""


def skew(run: Run) -> Run:
    """Return the run with rates by which the two estimates part."""
    return replace(run, trials=tuple(with_rate(each, (each.trial - 1) // 2 % 3) for each in run.trials))


def with_rate(trial: Trial, block: int) -> Trial:
    rate = RATES[trial.mode][block]
    ports = replace(trial.ports, rate_before=rate) if trial.mode == "short" else trial.ports
    return replace(trial, requests_per_s=rate, ports=ports)


def modes_of(run: Run) -> tuple[Side, Side]:
    short, keepalive = split(run)
    return short, keepalive


def ratios_of(text: str) -> list[str]:
    return re.findall(r"\d[\d.]*x", text)


@pytest.mark.parametrize("trials", [1, 3, LEAST_FOR_AN_ANSWER])
def test_each_text_quotes_the_ratio_of_the_comparison(trials: int) -> None:
    run = skew(make_run(trials))
    sides = modes_of(run)
    cell = compare.compare(sides).row("ports.rate_before").cells[1]
    assert cell.ratio is not None
    shown = comparison.format_cell(cell, "1/s")[1].partition("x")[0] + "x"
    texts = (
        finding.format_title(run),
        finding.summarize(run),
        finding.state_cliff(sides)[0].text,
        certainty.compare_modes(sides),
    )
    assert [ratios_of(text)[0] for text in texts] == [shown] * 4
    if trials == 3:
        assert shown == "3.53x", "and not 3.64x, the ratio of the medians"


def test_a_few_trials_claim_no_difference_and_say_what_was_seen() -> None:
    found = gain.find(*modes_of(make_run(3)))
    assert found.rate.answer is Answer.CANNOT_TELL
    assert found.is_too_few
    assert gain_text.format_trials(found) == "in these 3 trials each"
    assert gain_text.format_limit(found) == ""
    assert "In these 3 trials each, before half" in finding.summarize(make_run(3))


def test_enough_trials_say_it_flatly() -> None:
    run = make_run(LEAST_FOR_AN_ANSWER)
    found = gain.find(*modes_of(run))
    assert found.rate.answer is Answer.BETTER
    assert not found.open_cells
    assert "trials" not in finding.format_title(run)
    assert "Before half of the ports were used, keepalive served 1.31x" in finding.summarize(run)


def test_what_enough_trials_cannot_tell_is_said_to_be_open() -> None:
    noisy = make_run(LEAST_FOR_AN_ANSWER, SHORT_BACKEND_CLOSES, replace(KEEPALIVE, rate=5_250.0))
    numbered = enumerate(noisy.trials)
    factors = {"short": (0.6, 1.4, 1.0, 1.3, 0.7, 1.2, 0.9), "keepalive": (1.3, 0.7, 1.1, 0.8, 1.2, 1.0, 0.9)}
    spread = tuple(
        replace(each, requests_per_s=each.requests_per_s * factors[each.mode][at // 2])
        for at, each in numbered
    )
    said = finding.summarize(replace(noisy, trials=spread))
    assert "In these 7 trials each, keepalive served" in said
    assert said.endswith("they cannot tell whether that is a difference.")


def test_equal_sides_are_called_the_same_with_what_would_have_been_missed() -> None:
    same = make_run(LEAST_FOR_AN_ANSWER, SHORT_BACKEND_CLOSES, replace(KEEPALIVE, rate=5_200.0))
    said = finding.summarize(same)
    assert re.search(r"Keepalive served the same requests per second of short \(within \d", said), said


def test_counts_of_connections_stand_without_trials() -> None:
    assert "Keepalive opened 64 connections for" in finding.summarize(make_run(1))
