"""What the subscribers of a process got: whether each saw every number of the feed once, and when.

A message is `NUMBER MOMENT ...`: its number from 1 on, and the moment at which it was due; the last one
of a trial says END after that.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from bench.scenarios.client.process import Go, Times

END = b"end"
_NEVER_NS = 1 << 62


class Tally:
    """Counts what reaches subscribers 0 to `count` - 1; the first `stalled` of them do not read at first."""

    def __init__(
        self, go: Go, count: int, stalled: int, step_ns: int | None, finished: Callable[[], None]
    ) -> None:
        self.last = [0] * count
        """The highest number that each has."""
        self.doubled = self.gaps = 0
        self.requests = self.reconnects = self.refused = self.too_large = self.stalled_delivered = 0
        self.delays = Times()
        self.steps: dict[int, Times] = {}
        """Delays by step of a rising rate."""
        self._window_ns = go.window_ns
        self._end_ns = _NEVER_NS if go.end_ns is None else go.end_ns
        self._add = self.delays.add
        self._stalled = stalled
        self._step_ns = step_ns
        self._left = set(range(count))
        """Who has not had the last message."""
        self._awaited = set(range(count))
        """Who may still get it."""
        self._finished = finished

    def take(self, who: int, number: int, text: bytes) -> None:
        """Record one message that reaches a subscriber now. The hot path of every client."""
        now_ns = monotonic_ns()
        last = self.last
        if number != last[who] + 1:
            if number <= last[who]:
                self.doubled += 1
                return
            self.gaps += number - last[who] - 1
        last[who] = number
        moment, _, rest = text.partition(b" ")
        published_ns = int(moment)
        if rest == END:
            self.leave(who)
        elif who < self._stalled:
            self.stalled_delivered += 1
        elif self._window_ns <= published_ns < self._end_ns:
            self._add(now_ns - published_ns)
            if self._step_ns is not None:
                step = (published_ns - self._window_ns) // self._step_ns
                self.steps.setdefault(step, Times()).add(now_ns - published_ns)

    def leave(self, who: int) -> None:
        """Record that a subscriber expects nothing more."""
        self._left.discard(who)
        self._await_no_longer(who)

    def outgrown(self, who: int) -> None:
        """Record that a message was too large for a subscriber: it has left for good, and stays behind."""
        self.too_large += 1
        self._await_no_longer(who)

    def _await_no_longer(self, who: int) -> None:
        self._awaited.discard(who)
        if not self._awaited:
            self._finished()

    def asked(self) -> None:
        """Record a request that is sent now."""
        self.requests += self._window_ns <= monotonic_ns() < self._end_ns

    def fold(self) -> None:
        """Fold the delays of late into the histograms: what is kept does not grow with the run."""
        for times in (self.delays, *self.steps.values()):
            times.fold()

    def event(self) -> dict[str, Any]:
        """Return all of it as the keys of a `done` event."""
        return {
            "delivered": self.delays.total(),
            "doubled": self.doubled,
            "gaps": self.gaps,
            "behind": [self.last[who] for who in sorted(self._left)],
            "requests": self.requests,
            "reconnects": self.reconnects,
            "refused": self.refused,
            "too_large": self.too_large,
            "stalled_delivered": self.stalled_delivered,
            "delay_us": self.delays.histogram(),
            "steps_us": {str(step): times.histogram() for step, times in sorted(self.steps.items())},
        }
