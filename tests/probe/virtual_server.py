"""A server in virtual time: the clock of its loop jumps to the next event, so that 120 s take no time."""

from __future__ import annotations

import asyncio
import math
import selectors
import ssl
from collections.abc import Coroutine
from typing import Any, TypeVar

from bench.probe.client import ProbeClient
from bench.probe.connection import ProbeConnection
from bench.probe.exchange import NoAnswer, NoAnswerCause, ProbeAnswer, ProbeRequest
from bench.probe.limits import Budget, ProbeSettings
from bench.probe.model import Ending
from bench.probe.target import parse_target

Returned = TypeVar("Returned")


class _VirtualSelector(selectors.DefaultSelector):
    """Waits for nothing: the clock is set forward by as much as it should have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self.now_s += max(0.0, timeout or 0.0)
        return super().select(0)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _VirtualSelector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now_s


def run(coroutine: Coroutine[Any, Any, Returned]) -> Returned:
    """Run a coroutine in virtual time."""
    with asyncio.Runner(loop_factory=_VirtualLoop) as runner:
        return runner.run(coroutine)


class VirtualClient(ProbeClient):
    """A client whose server answers at once, and ends idle connections."""

    def __init__(
        self,
        idle_s: float = math.inf,
        ending: Ending = Ending.FIN,
        every_s: float = 0.0,
        max_s: float = 120.0,
    ) -> None:
        """`every_s` is how often the server looks at its connections; 0: a timer for each."""
        target = parse_target("127.0.0.1:1")
        super().__init__(target, ("127.0.0.1", 1), ProbeSettings(max_s=max_s), Budget(60))
        self._idle_s, self._ending, self._every_s = idle_s, ending, every_s
        self._ends: dict[ProbeConnection, tuple[float, asyncio.TimerHandle | None]] = {}

    async def open(self, context: ssl.SSLContext | None = None) -> ProbeConnection:
        """Open a connection."""
        self.budget.take_connection()
        return ProbeConnection()

    async def ask(
        self, connection: ProbeConnection, request: ProbeRequest, patience_s: float | None = None
    ) -> ProbeAnswer:
        """Answer, unless the connection has been dropped."""
        self.budget.take_request()
        loop = asyncio.get_running_loop()
        end_s, timer = self._ends.get(connection, (math.inf, None))
        if timer is not None:
            timer.cancel()
        if connection.ended is not None or loop.time() >= end_s:
            raise NoAnswer(NoAnswerCause.ENDED, ended=connection.ended)
        end_s = loop.time() + self._idle_s
        if self._every_s:
            end_s = math.ceil(end_s / self._every_s) * self._every_s
        timer = None
        if self._ending is not Ending.SILENCE and math.isfinite(end_s):
            timer = loop.call_at(end_s, connection.note_end, self._ending)
        self._ends[connection] = end_s, timer
        return ProbeAnswer("HTTP/1.1", 200, True, loop.time(), 0.0)
