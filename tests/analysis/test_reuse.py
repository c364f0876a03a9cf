"""A figure of connections that the rate moves is a change of reuse only where each request opens more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from bench.analysis.answers import Answer
from bench.analysis.compare import Comparison, compare
from bench.analysis.metrics import WATCHED
from bench.analysis.sides import Side
from bench.plan import run_plan as plans
from bench.report import comparison
from bench.runs.record import Run, RunRecord, SubjectRecord, TrialRecord, Upstream
from bench.runs.sweep_trial import SweepTrial
from bench.runs.watch_trial import WatchTrial
from tests import synthetic
from tests.synthetic import KEEPALIVE, MACHINE

OPENED, CARRIED = "upstream.connections_opened", "upstream.requests_per_connection"
TRIALS = 8
Made = tuple[str, int, int]
"""Mode, connections opened, requests."""


def make_side(name: str, made: Made, **plan: Any) -> Side:
    """Return a side of trials of about so many connections and requests."""
    mode, opened, requests = made
    trials = []
    for number in range(TRIALS):
        total = requests + 7 * number
        extra = 0 if opened <= 64 * 4 else 3 * number
        count = total if mode == "short" else opened + extra
        trial, _, _ = synthetic.trial(number, mode, KEEPALIVE, 1.0)
        upstream = Upstream(total, count, 64, total / count)
        trials.append(dataclasses.replace(trial, upstream=upstream))
    run = Run(plans.build({"mode": mode, **plan}).to_json(), MACHINE, "2026", tuple(trials))
    return Side(name, mode, run)


def answers_of(old: Made, new: Made, **plan: Any) -> tuple[Answer, Answer]:
    """Return the answers on connections, and on the requests on each."""
    compared = compare([make_side("A", old, **plan), make_side("B", new, **plan)])
    return compared.row(OPENED).cells[1].answer, compared.row(CARRIED).cells[1].answer


@pytest.mark.parametrize(
    ("old", "new", "opened", "carried"),
    [
        (("keepalive", 64, 90_000), ("keepalive", 64, 60_000), Answer.NO_DIFFERENCE, Answer.LOWER),
        (("keepalive", 64, 60_000), ("keepalive", 64, 90_000), Answer.NO_DIFFERENCE, Answer.HIGHER),
        (("short", 0, 90_000), ("short", 0, 60_000), Answer.LOWER, Answer.NO_DIFFERENCE),
        (("short", 0, 60_000), ("short", 0, 90_000), Answer.HIGHER, Answer.NO_DIFFERENCE),
        (("short", 0, 60_000), ("keepalive", 64, 90_000), Answer.BETTER, Answer.BETTER),
        (("keepalive", 64, 90_000), ("short", 0, 60_000), Answer.WORSE, Answer.WORSE),
        # Faster and with a limit of requests: more connections than before, and still reused.
        (("short", 0, 2_000), ("keepalive", 9_000, 90_000), Answer.HIGHER, Answer.BETTER),
        (("keepalive", 64, 90_000), ("keepalive", 2_000, 90_000), Answer.WORSE, Answer.WORSE),
        (("keepalive", 2_000, 90_000), ("keepalive", 64, 60_000), Answer.BETTER, Answer.BETTER),
        # Half the requests, and nearly as many connections: each request is likelier to need a new one.
        (("keepalive", 2_000, 90_000), ("keepalive", 1_900, 45_000), Answer.LOWER, Answer.WORSE),
    ],
)
def test_connections_are_judged_by_what_each_request_opens(
    old: Made, new: Made, opened: Answer, carried: Answer
) -> None:
    assert answers_of(old, new) == (opened, carried)


@pytest.mark.parametrize(
    ("plan", "begun"),
    [
        ({"load": {"connections": 100}}, 100),
        ({"load": {"connections": 10, "http2": True, "streams": 8}}, 80),
        ({"hosts": {"backend_addresses": 2}, "subject": {"name": "nginx"}}, 128),
        ({"hosts": {"backend_addresses": 2}, "subject": {"name": "asyncio"}}, 64),
        ({"hosts": {"proxy_addresses": 2}, "subject": {"name": "haproxy"}}, 128),
        ({"hosts": {"proxy_addresses": 2}, "subject": {"name": "nginx"}}, 64),
    ],
)
def test_what_a_pool_of_all_clients_begins_with_is_no_loss(plan: dict[str, Any], begun: int) -> None:
    made = ("keepalive", begun, 90_000), ("keepalive", begun, 60_000)
    assert answers_of(*made, **plan)[1] is Answer.LOWER
    more = ("keepalive", begun, 90_000), ("keepalive", 4 * begun + 100, 60_000)
    assert answers_of(*more, **plan)[1] is Answer.WORSE


@pytest.mark.parametrize(
    ("cell", "begun"),
    [
        ({"load.connections": 100}, 100),
        ({"subject.name": "nginx@/opt/nginx", "hosts.backend_addresses": 2}, 128),
    ],
)
def test_a_cell_of_a_sweep_has_the_clients_and_pools_of_its_own(cell: dict[str, Any], begun: int) -> None:
    def make(name: str, requests: int) -> Side:
        side = make_side(name, ("keepalive", begun, requests))
        trials = tuple(SweepTrial.of(trial, cell, name) for trial in side.run.trials)
        return Side(name, name, dataclasses.replace(side.run, trials=trials))

    assert compare([make("A", 90_000), make("B", 60_000)]).row(CARRIED).cells[1].answer is Answer.LOWER


def test_a_plan_of_another_version_has_no_second_figure() -> None:
    def make(name: str, requests: int) -> Side:
        side = make_side(name, ("keepalive", 64, requests))
        return Side(name, "keepalive", dataclasses.replace(side.run, plan={"load": {"no_such_key": 1}}))

    assert compare([make("A", 90_000), make("B", 60_000)]).row(CARRIED).cells[1].answer is Answer.WORSE


def test_trials_without_these_counts_are_judged_as_before() -> None:
    def blind(side: Side) -> Side:
        upstream = Upstream(None, None, None, None)
        trials = [dataclasses.replace(each, upstream=upstream) for each in side.run.trials]
        return dataclasses.replace(side, run=dataclasses.replace(side.run, trials=tuple(trials)))

    sides = [blind(make_side(name, ("keepalive", 64, 90_000))) for name in "AB"]
    assert compare(sides).row(CARRIED).cells[1].answer is Answer.NOT_MEASURED


def test_the_text_says_that_it_follows_from_the_rate() -> None:
    slower = compare([make_side("A", ("keepalive", 64, 90_000)), make_side("B", ("keepalive", 64, 60_000))])
    said = " ".join(comparison.text([slower]).split())
    assert "this follows from the rate of requests, and is no change of reuse" in said
    fixed = compare([make_side("A", ("short", 0, 60_000)), make_side("B", ("keepalive", 64, 90_000))])
    assert "follows from the rate" not in comparison.text([fixed])


def compare_watches(old: tuple[float, float | None], new: tuple[float, float | None]) -> Comparison:
    """Compare recordings with so many connections and requests a second."""

    def make(name: str, opened: float, requests: float | None) -> Any:
        trials: list[TrialRecord] = []
        for number in range(TRIALS):
            per_s = opened * (1 + number / 1000)
            counted = None if requests is None else requests * (1 + number / 1000 + number % 2 / 1000)
            trials.append(
                WatchTrial(
                    trial=number, subject=SubjectRecord("host", ""), lab="production", case="10.0.0.2:80",
                    t_s=60.0 * number, window_s=60.0, source="exact", opened_per_s=per_s,
                    requests_per_s=counted,
                    requests_per_connection=None if counted is None else counted / per_s,
                    opened_per_request=None if counted is None else per_s / counted,
                )
            )  # fmt: skip
        run: RunRecord[Any] = RunRecord({"watch": {}}, MACHINE, "2026", tuple(trials))
        return Side(name, "10.0.0.2:80", run)

    return compare([make("A", *old), make("B", *new)], WATCHED)


@pytest.mark.parametrize(
    ("old", "new", "answers"),
    [
        ((5, 900), (5, 300), (Answer.NO_DIFFERENCE, Answer.LOWER, Answer.HIGHER)),
        ((300, 300), (900, 900), (Answer.HIGHER, Answer.NO_DIFFERENCE, Answer.NO_DIFFERENCE)),
        ((300, 300), (5, 900), (Answer.BETTER, Answer.BETTER, Answer.BETTER)),
        ((5, 900), (300, 300), (Answer.WORSE, Answer.WORSE, Answer.WORSE)),
    ],
)
def test_a_recording_is_judged_by_both_what_a_second_and_what_a_request_opens(
    old: tuple[float, float], new: tuple[float, float], answers: tuple[Answer, ...]
) -> None:
    compared = compare_watches(old, new)
    keys = ("opened_per_s", "requests_per_connection", "opened_per_request")
    assert tuple(compared.row(key).cells[1].answer for key in keys) == answers


def test_where_no_requests_are_counted_fewer_connections_are_better() -> None:
    assert compare_watches((300, None), (5, None)).row("opened_per_s").cells[1].answer is Answer.BETTER
