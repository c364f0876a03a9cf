"""What the clients of a push trial told becomes its figures: what was lost, and where the limit lay."""

from __future__ import annotations

from typing import Any

import pytest

from bench.experiment.trial_result import MeterReading, SaturationReading, TrialResult
from bench.observe.host_observer import HostSample
from bench.scenarios.push.figures import compute_figures
from bench.scenarios.push.settings import PushSettings

IN_TIME = [[1000, 100]]
LATE = [[200_000, 100]]


def result(
    *clients: dict[str, Any], interrupted: bool = False, samples: tuple[HostSample, ...] = ()
) -> TrialResult:
    """Return a trial whose clients told no more than `clients` say, over a window of ten seconds."""
    silent: dict[str, Any] = {"published": 5, "published_total": 6, "published_steps": {}, "behind": []}
    silent |= dict.fromkeys(("delivered", "gaps", "doubled", "reconnects", "refused", "requests"), 0)
    silent |= {"too_large": 0, "stalled_delivered": 0, "delay_us": [], "steps_us": {}}
    first, last = (
        MeterReading(s * 10**9, SaturationReading(s * 10**9, [0.0], 0.0), {}, None, None) for s in (1, 11)
    )
    done = tuple({**silent, **told} for told in clients)
    return TrialResult(0, first, last, done, samples, {}, (), 0.0, interrupted)


def limit_of(published: dict[str, int], delays: dict[str, list[list[int]]], **how: Any) -> tuple[Any, Any]:
    """Return (most carried, whether more was too much) of ten subscribers, from 10/s in steps of 2 s."""
    settings = PushSettings(subscribers=10, messages_per_s=10.0, find_limit=True)
    told = {"published_steps": published, "steps_us": delays}
    figures = compute_figures(result(told, **how), settings).figures
    return figures["limit_per_s"], figures["limit_reached"]


def test_what_one_missed_in_between_and_what_it_never_had_are_both_lost() -> None:
    told = [{"gaps": 2, "behind": [4, 6], "delivered": 30}, {"behind": [1], "delivered": 20}]
    found = compute_figures(result(*told), PushSettings(subscribers=10, client_processes=2))
    assert found.figures["lost"] == 2 + (6 - 4) + (6 - 6) + (6 - 1)
    assert (found.units, found.figures["delivered_per_s"]) == (50, 5.0)
    assert [(warning.code, warning.voids) for warning in found.warnings] == [("lost", True)]


def test_a_step_that_was_late_is_the_limit() -> None:
    steps = {"0": IN_TIME, "1": IN_TIME, "2": LATE}
    assert limit_of({"0": 20, "1": 30, "2": 45}, steps) == (10 * 30 / 2.0, 1)


def test_a_step_whose_publisher_fell_behind_is_the_limit_however_soon_the_rest_came() -> None:
    assert limit_of({"0": 20, "1": 17}, {"0": IN_TIME, "1": IN_TIME}) == (10 * 20 / 2.0, 1)
    assert limit_of({"0": 17}, {"0": IN_TIME}) == (None, 1)
    assert limit_of({"0": 20}, {"0": IN_TIME}) == (10 * 20 / 2.0, 1)  # behind before the next one began


def test_a_rise_that_was_stopped_met_no_limit() -> None:
    assert limit_of({"0": 20, "1": 17}, {"0": IN_TIME, "1": IN_TIME}, interrupted=True) == (100.0, 0)
    assert limit_of({}, {}, interrupted=True) == (None, 0)


@pytest.mark.parametrize(
    ("published", "cores"), [({"0": 20, "1": 30}, 0.75), ({"0": 20}, 0.25), ({"0": 17}, 0.25)]
)
def test_the_cores_at_the_limit_are_those_of_the_last_step_that_was_tried(
    published: dict[str, int], cores: float
) -> None:
    used = [min(at_s, 2.0) * 0.25 + max(0.0, at_s - 2.0) * 0.75 for at_s in range(11)]
    samples = [HostSample(t_ns=(at + 1) * 10**9, host="client", cpu_s=1 + cpu) for at, cpu in enumerate(used)]
    settings = PushSettings(subscribers=10, messages_per_s=10.0, find_limit=True)
    told = {"published_steps": published, "steps_us": {"0": IN_TIME, "1": LATE}}
    figures = compute_figures(result(told, samples=tuple(samples)), settings).figures
    assert figures["cores_at_limit_client"] == pytest.approx(cores)


def test_over_a_rising_rate_no_delay_is_told_but_that_of_the_last_step_that_was_carried() -> None:
    told = {"published_steps": {"0": 20, "1": 45}, "steps_us": {"0": IN_TIME, "1": LATE}}
    rising = compute_figures(result(told), PushSettings(subscribers=10, messages_per_s=10.0, find_limit=True))
    assert "delay" not in rising.times_us
    assert rising.figures["limit_p99_ms"] is not None
    steady = compute_figures(result({}), PushSettings(subscribers=10))
    assert "delay" in steady.times_us
