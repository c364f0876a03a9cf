"""Find after how much idle time connections are dropped in silence: no FIN comes, and the next request fails.

A scout asks on one connection after gaps that double. Once a gap is too long, several connections wait
different times between the last gap that was fine and this one, and send one request each.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from bench.probe import estimate
from bench.probe.client import NoConnection, ProbeClient
from bench.probe.connection import ProbeConnection
from bench.probe.exchange import NoAnswer, ProbeRequest
from bench.probe.limits import LimitReached
from bench.probe.model import Ending

_FIRST_GAP_S = 0.1
_GAPS = 7
"""Doublings from the first gap to the time that the probe has: their sum is that time."""
_AT_ONCE = 5
_FINE, _FINE_S = 0.05, 0.05
"""How close is close enough: a part of the time, or seconds."""
_TICK_S = 0.25
_LEAST_PATIENCE_S = 1.0
_SLOWER = 10
"""How many times the slowest answer so far one may take here, before it counts as none."""


class Scout:
    """One connection that asks again after longer and longer gaps."""

    def __init__(self, client: ProbeClient, request: ProbeRequest, max_s: float) -> None:
        self.lasted_s = 0.0
        """The longest gap that the connection survived."""
        self.failed_s: float | None = None
        """The gap after which a request got no answer, though no FIN had come."""
        self.is_over = False
        self.connection: ProbeConnection | None = None
        self.since_s = 0.0
        """When its last answer came."""
        self._client, self._request = client, request
        self._gap_s = max(_FIRST_GAP_S, max_s / (1 << _GAPS))

    async def start(self) -> None:
        """Open the connection and ask for the first time."""
        try:
            self.connection = await self._client.open()
            self.since_s = (await self._client.ask(self.connection, self._request)).at_s
        except (NoConnection, NoAnswer, LimitReached):
            self.is_over = True

    @property
    def due_s(self) -> float:
        """Return when it asks next, on the clock of the loop."""
        return self.since_s + self._gap_s

    async def ask(self) -> None:
        """Ask, and note what the gap did."""
        connection = self.connection
        if connection is None or connection.ended is not None:
            self.is_over = True
            return
        waited_s = asyncio.get_running_loop().time() - self.since_s
        try:
            answer = await self._client.ask(connection, self._request, patience_s(self._client))
        except LimitReached:
            self.is_over = True
        except NoAnswer as failure:
            self.is_over = True
            # A FIN that crosses the request is no silence.
            if failure.ended is None or failure.ended.ending is not Ending.FIN:
                self.failed_s = waited_s
        else:
            self.lasted_s, self.since_s = waited_s, answer.at_s
            self._gap_s *= 2
            if not answer.keeps:
                # What ends now had no time to idle.
                connection.close()
                self.is_over, self.connection = True, None


def patience_s(client: ProbeClient) -> float:
    """Return how long an answer may take before the connection counts as dropped."""
    return min(client.settings.patience_s, max(_LEAST_PATIENCE_S, _SLOWER * client.slowest_s))


async def bisect(
    client: ProbeClient,
    request: ProbeRequest,
    bounds_s: tuple[float, float],
    until_s: float,
    tick: Callable[[], None],
) -> tuple[float, float]:
    """Return narrower bounds of the idle time after which a connection is dropped.

    `until_s` is when it has to be over, on the clock of the loop; `tick` is called now and then.
    """
    low_s, high_s = bounds_s
    clock = asyncio.get_running_loop().time
    alive: list[ProbeConnection] = []
    try:
        while high_s - low_s > max(_FINE * high_s, _FINE_S) and clock() + high_s < until_s:
            count = min(
                _AT_ONCE, client.budget.connections_left + len(alive), client.budget.requests_left // 2
            )
            if count <= 0:
                break
            waits = await _begin(client, request, estimate.waits(low_s, high_s, count), alive)
            tries = await _try(client, request, waits, tick)
            if not tries:
                break
            alive = [wait.connection for wait, is_answered in tries if is_answered]
            shown = [(wait.waited_s, is_answered) for wait, is_answered in tries]
            low_s, high_s = estimate.narrow(low_s, high_s, shown)
    finally:
        for connection in alive:
            connection.close()
    return low_s, high_s


@dataclass(slots=True)
class _TimedWait:
    """A connection that is asked on after a time of its own."""

    connection: ProbeConnection
    since_s: float
    due_s: float
    waited_s: float = 0.0
    """In fact."""


async def _begin(
    client: ProbeClient, request: ProbeRequest, times_s: list[float], alive: list[ProbeConnection]
) -> list[_TimedWait]:
    """Begin to wait on a connection for each time, first on those of `alive`; return the waits."""
    begun = []
    for time_s in times_s:
        try:
            connection = alive.pop() if alive else await client.open()
            since_s = (await client.ask(connection, request)).at_s
        except (NoConnection, NoAnswer, LimitReached):
            continue
        begun.append(_TimedWait(connection, since_s, since_s + time_s))
    return sorted(begun, key=lambda wait: wait.due_s)


async def _try(
    client: ProbeClient, request: ProbeRequest, waits: list[_TimedWait], tick: Callable[[], None]
) -> list[tuple[_TimedWait, bool]]:
    """Ask on each connection when it is due; return the waits, each with whether it was answered."""
    clock = asyncio.get_running_loop().time
    tries = []
    for wait in waits:
        while (left_s := wait.due_s - clock()) > 0:
            tick()
            await asyncio.sleep(min(left_s, _TICK_S))
        wait.waited_s = clock() - wait.since_s
        try:
            await client.ask(wait.connection, request, patience_s(client))
        except (NoAnswer, LimitReached):
            wait.connection.close()
            tries.append((wait, False))
        else:
            tries.append((wait, True))
    return tries
