"""Watch idle connections for their end: several, begun one after the other, so that a server's timer shows.

Nothing is asked of the server meanwhile, but by the scout (silence.py). The moment of each end is noted by
the connection itself; this loop only opens them, and sees when it is over.
"""

import asyncio
from dataclasses import dataclass

from bench.probe.client import NoConnection, ProbeClient
from bench.probe.connection import ProbeConnection
from bench.probe.exchange import NoAnswer, NoAnswerCause, ProbeRequest
from bench.probe.limits import LimitReached
from bench.probe.model import Ending
from bench.probe.progress import ProbeProgress, Report
from bench.probe.silence import Scout

_OFFSETS_S = (0.0, 0.15, 0.35, 0.7, 1.4, 3.0, 9.0, 25.0)
"""When waits begin. A timer that ends connections each second, or each half a minute, shows as a spread."""
_BLANK_OFFSETS_S = (0.1, 0.9)
"""When connections are opened that never get a request."""
_LEAST_WAITS = 4
"""So many are begun also where the first has ended."""
_MOST_FAILURES = 3
_TICK_S = 0.02
_RACE_S = 0.3
"""How long an end may be in coming that crosses a request of the scout."""
_BLANK_FACTOR, _BLANK_EXTRA_S = 2, 1.0
"""How long connections without a request are watched once the others have ended: by how long those took."""


@dataclass(slots=True)
class IdleWait:
    """One connection that waits."""

    connection: ProbeConnection
    since_s: float
    """When its last answer came, or when it was opened, on the clock of the loop."""

    @property
    def ended_s(self) -> float | None:
        """Return after how much idle time the server ended it; None: it has not."""
        ended = self.connection.ended
        return None if ended is None else max(0.0, ended.at_s - self.since_s)

    @property
    def ending(self) -> Ending | None:
        """Return how the server ended it."""
        return None if self.connection.ended is None else self.connection.ended.ending


class IdleWatch:
    """Opens the connections of one measurement and waits for their ends."""

    def __init__(
        self,
        client: ProbeClient,
        request: ProbeRequest,
        scout: Scout | None,
        others: list[IdleWait],
        report: Report,
    ) -> None:
        """Begin the time of the watch; `others` are connections that wait already."""
        self.waits: list[IdleWait] = []
        self.blanks: list[IdleWait] = []
        """Those that never had a request."""
        self.others = others
        self.scout = scout
        self.notes: list[str] = []
        self.lateness_s = 0.0
        """How late this process was at most, as its machine was busy: the error of each moment."""
        self._client, self._request, self._report = client, request, report
        self._clock = asyncio.get_running_loop().time
        self._began_s = self._clock()
        self.until_s = self._began_s + client.settings.max_s
        """When the watch is over at the latest."""
        self._failures = 0
        self._race_s: float | None = None
        self._planned = sorted(
            [(offset, True) for offset in _OFFSETS_S] + [(offset, False) for offset in _BLANK_OFFSETS_S]
        )

    @property
    def ended(self) -> list[IdleWait]:
        """Return those of the waits after a response that the server has ended, that of the scout too."""
        scout = self.scout
        if scout is None or scout.connection is None or scout.failed_s is not None:
            return self._ended_waits()
        return [
            wait
            for wait in [*self.waits, IdleWait(scout.connection, scout.since_s)]
            if wait.ended_s is not None
        ]

    def _ended_waits(self) -> list[IdleWait]:
        return [wait for wait in self.waits if wait.ended_s is not None]

    @property
    def is_silent(self) -> bool:
        """Return whether connections are dropped without an end that could be seen."""
        return self.scout is not None and self.scout.failed_s is not None and not self.ended

    async def run(self) -> None:
        """Watch until all have ended, the time is over, or they turn out to be dropped in silence."""
        while not self._is_over():
            now_s = self._clock()
            if self._planned and now_s >= self._began_s + self._planned[0][0]:
                _, has_request = self._planned.pop(0)
                if has_request and self._is_another_wanted():
                    await self._begin_wait()
                elif not has_request:
                    await self._begin_blank()
            elif self.scout is not None and not self.scout.is_over and now_s >= self.scout.due_s:
                await self.scout.ask()
                self._race_s = self._clock() + _RACE_S
            else:
                await self._tick()

    def close(self) -> None:
        """Close what is still open."""
        for wait in [*self.waits, *self.blanks, *self.others]:
            wait.connection.close()
        if self.scout is not None and self.scout.connection is not None:
            self.scout.connection.close()

    def tick(self) -> None:
        """Report where the watch is."""
        every = [*self.waits, *self.blanks, *self.others]
        ended = sum(wait.ended_s is not None for wait in every)
        elapsed_s, max_s = self._clock() - self._began_s, self._client.settings.max_s
        self._report(ProbeProgress("idle connections", elapsed_s, max_s, len(every) - ended, ended))

    async def _tick(self) -> None:
        self.tick()
        before_s = self._clock()
        await asyncio.sleep(_TICK_S)
        self.lateness_s = max(self.lateness_s, self._clock() - before_s - _TICK_S)

    def _is_another_wanted(self) -> bool:
        return self._failures < _MOST_FAILURES and (not self.ended or len(self.waits) < _LEAST_WAITS)

    def _is_over(self) -> bool:
        now_s = self._clock()
        if now_s >= self.until_s:
            return True
        if self.is_silent:
            return self._race_s is not None and now_s >= self._race_s
        if any(has_request for _, has_request in self._planned) and self._is_another_wanted():
            return False
        ended = self._ended_waits()
        if len(ended) < len(self.waits):
            return False
        longest_s = max((wait.ended_s or 0.0 for wait in ended), default=0.0)
        return all(
            wait.ended_s is not None or now_s - wait.since_s > _BLANK_FACTOR * longest_s + _BLANK_EXTRA_S
            for wait in [*self.blanks, *self.others]
        )

    async def _begin_wait(self) -> None:
        try:
            await self._begin()
        except NoAnswer as failure:
            blocking = [wait for wait in self.blanks if wait.ended_s is None]
            if failure.cause is NoAnswerCause.SILENT and blocking:
                await self._begin_without_blanks(blocking)
            else:
                self._failed(str(failure))
        except (NoConnection, LimitReached) as failure:
            self._failed(str(failure))

    async def _begin(self) -> None:
        connection = await self._client.open()
        # In the list before its request: it is closed with the others whatever comes.
        wait = IdleWait(connection, self._clock())
        try:
            answer = await self._client.ask(connection, self._request)
        except BaseException:
            connection.close()
            raise
        wait.since_s = answer.at_s
        if not answer.keeps:
            connection.close()
            self._failed(f"the response to a request (status {answer.status}) ends the connection")
            return
        self.waits.append(wait)
        if len(self.waits) == 1:
            self.until_s = wait.since_s + self._client.settings.max_s
            if self.scout is not None:
                await self.scout.start()

    async def _begin_without_blanks(self, blanks: list[IdleWait]) -> None:
        """Close the connections without a request, and try again: some servers serve one at a time."""
        for wait in blanks:
            wait.connection.close()
            self.blanks.remove(wait)
        self._planned = [each for each in self._planned if each[1]]
        try:
            await self._begin()
        except (NoAnswer, NoConnection, LimitReached) as failure:
            self._failed(str(failure))
        else:
            self.notes.append("a connection without a request keeps this server from answering others")

    async def _begin_blank(self) -> None:
        try:
            connection = await self._client.open()
        except (NoConnection, LimitReached):
            return
        self.blanks.append(IdleWait(connection, self._clock()))

    def _failed(self, reason: str) -> None:
        self._failures += 1
        self.notes.append(f"of the idle connections one did not come up: {reason}")
