"""The sentence of a push run: on one server stack, and a limit with what sets it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.analysis.cases import Summary
from bench.runs.record import Percentiles, ScenarioRun, TrialWarning
from bench.scenarios.push.conclusion import conclude
from tests.scenarios.sample_scenario import trial


def summary(*trials: tuple[str, str, dict[str, float], float]) -> Summary:
    """Return the summary of made-up trials: way, subject, figures, server CPU."""
    made = tuple(
        trial(
            number,
            variant,
            subject,
            figures=figures,
            times_ms={"delay": Percentiles(10.0 * number, None, None, None, None)},
            cpu_us_per_unit={"backend": cpu},
            bytes_per_unit={"front": 100.0 * cpu},
        )
        for number, (variant, subject, figures, cpu) in enumerate(trials, 1)
    )
    return Summary.of(ScenarioRun({"scenario": "push"}, {}, "", trials=made))


def test_pushing_is_compared_with_polling_on_the_same_server() -> None:
    polls, pushes = {"requests_per_delivery": 2.0}, {"requests_per_delivery": 0.0}
    said = conclude(
        summary(
            ("short-poll-new", "direct", polls, 200.0),
            ("websocket", "direct", pushes, 50.0),
            ("websocket-picows", "direct", pushes, 5.0),
        )
    )
    assert said == (
        "By short-poll-new a message comes after 10 ms with 2 requests;"
        " by websocket a message comes after 20 ms with no request:"
        " pushing takes 25% of the server CPU and 25% of the bytes."
    )


def test_where_delays_do_not_count_the_requests_are_said() -> None:
    busy = TrialWarning("machine-shared", "others", voids=True)
    made = summary(("long-poll", "direct", {"requests_per_delivery": 1.2}, 50.0))
    rows = [
        replace(row, trials=tuple(replace(each, valid=False, warnings=(busy,)) for each in row.trials))
        for row in made.rows
    ]
    said = "By long-poll a message takes 1.2 requests, and its delay does not count."
    assert conclude(Summary(tuple(rows))) == said


LIMIT = {"limit_per_s": 20_000.0, "limit_reached": 1}


@pytest.mark.parametrize(
    ("subject", "figures", "said"),
    [
        (
            "nginx",
            LIMIT
            | {"cores_at_limit_client": 0.5, "cores_at_limit_proxy": 0.5, "cores_at_limit_backend": 0.45},
            "nginx and the server had filled the core that they share",
        ),
        (
            "direct",
            LIMIT | {"cores_at_limit_client": 0.97, "cores_at_limit_backend": 0.6},
            "the clients had no core left to use",
        ),
        (
            "direct",
            LIMIT | {"cores_at_limit_client": 0.2, "cores_at_limit_backend": 0.1},
            "no role had used up a core (the clients 0.20, the server 0.10 cores)",
        ),
        ("direct", {"limit_per_s": 20_000.0, "limit_reached": 0}, "and was not driven further"),
        ("direct", {"limit_reached": 1}, "was late at the first rate already"),
    ],
)
def test_a_limit_is_named(subject: str, figures: dict[str, float], said: str) -> None:
    assert said in conclude(summary(("sse", subject, figures, 10.0)))
