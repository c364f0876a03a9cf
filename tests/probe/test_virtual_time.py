"""The idle time of servers that keep connections for minutes, in virtual time: exact, and within bounds."""

from __future__ import annotations

import asyncio
import math

import pytest

from bench.probe.exchange import ProbeRequest
from bench.probe.idle import IdleFindings, measure_idle
from bench.probe.model import Ending, IdleTimeout
from bench.probe.progress import tell_nobody
from tests.probe.virtual_server import VirtualClient, run


def measured(client: VirtualClient, max_requests: int | None = None) -> tuple[IdleTimeout, float]:
    """Return what the watch finds, and how long it took."""

    async def measure() -> tuple[IdleFindings, float]:
        found = await measure_idle(client, ProbeRequest("/"), max_requests, [], tell_nobody)
        return found, asyncio.get_running_loop().time()

    found, took_s = run(measure())
    assert found.after_response is not None
    assert client.budget.connections <= 20
    assert client.budget.requests <= 60
    return found.after_response, took_s


@pytest.mark.parametrize("ending", [Ending.FIN, Ending.RST])
@pytest.mark.parametrize("idle_s", [0.05, 0.5, 1.0, 2.0, 5.0, 33.0, 75.0, 90.0])
def test_a_timer_is_found_exactly(idle_s: float, ending: Ending) -> None:
    idle, took_s = measured(VirtualClient(idle_s, ending))
    assert idle.high_s is not None
    assert idle.low_s <= idle_s <= idle.high_s
    assert idle.high_s - idle.low_s < 0.1
    assert idle.ending is ending
    assert took_s <= 121


@pytest.mark.parametrize(("idle_s", "every_s"), [(2.0, 1.0), (5.0, 1.0), (60.0, 30.0), (75.0, 15.0)])
def test_a_sweep_shows_as_a_spread_that_holds_the_idle_time(idle_s: float, every_s: float) -> None:
    idle, _ = measured(VirtualClient(idle_s, every_s=every_s))
    assert idle.high_s is not None
    slack_s = max(0.05 * idle_s, 0.5)
    assert idle.low_s <= idle_s + slack_s
    assert idle.high_s >= idle_s
    assert idle_s <= min(idle.seen_s)
    assert max(idle.seen_s) <= idle_s + every_s


@pytest.mark.parametrize("idle_s", [0.15, 0.5, 2.0, 5.0, 11.0, 20.0])
def test_silence_is_bisected(idle_s: float) -> None:
    idle, took_s = measured(VirtualClient(idle_s, Ending.SILENCE))
    assert idle.ending is Ending.SILENCE
    assert idle.high_s is not None
    assert idle.low_s <= idle_s <= idle.high_s
    assert idle.high_s - idle.low_s <= max(0.1 * idle_s, 0.5)
    assert took_s <= 121


@pytest.mark.parametrize("idle_s", [45.0, 70.0, 119.0])
def test_silence_that_leaves_no_time_to_bisect_has_wide_bounds(idle_s: float) -> None:
    idle, took_s = measured(VirtualClient(idle_s, Ending.SILENCE))
    assert idle.ending is Ending.SILENCE
    assert idle.high_s is not None
    assert idle.low_s <= idle_s <= idle.high_s <= 121
    assert took_s <= 121


@pytest.mark.parametrize("ending", list(Ending))
def test_what_lasts_longer_than_the_watch_is_not_claimed(ending: Ending) -> None:
    idle, took_s = measured(VirtualClient(math.inf, ending))
    assert (idle.high_s, idle.ending) == (None, None)
    assert 120 <= idle.low_s <= took_s <= 121


def test_without_a_scout_silence_is_seen_at_the_end() -> None:
    idle, _ = measured(VirtualClient(50.0, Ending.SILENCE), max_requests=3)
    assert (idle.low_s, idle.ending) == (0.0, Ending.SILENCE)
    assert idle.high_s is not None
    assert idle.high_s >= 120
