"""What the subscribers of a process got: whether each saw every number of the feed once, and when. Pure.

A message is `NUMBER MOMENT ...`: its number from 1 on, and the moment at which it was published; the last one
of a trial says END after that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.scenarios.client import Go, Times

END = b"end"


class Tally:
    """Counts what reaches subscribers 0 to `count` - 1; the first `stalled` of them do not read at first."""

    def __init__(
        self, go: Go, count: int, stalled: int, step_ns: int | None, finished: Callable[[], None]
    ) -> None:
        self.last = [0] * count
        """The highest number that each has."""
        self.delivered = self.doubled = self.gaps = 0
        self.requests = self.reconnects = self.refused = self.too_large = self.stalled_delivered = 0
        self.delays = Times()
        self.steps: dict[int, Times] = {}
        """Delays by step of a rising rate."""
        self._go = go
        self._stalled = stalled
        self._step_ns = step_ns
        self._left = set(range(count))
        self._finished = finished

    def take(self, who: int, number: int, text: bytes, now_ns: int) -> None:
        """Record one message that reached a subscriber."""
        last = self.last[who]
        if number <= last:
            self.doubled += 1
            return
        self.gaps += number - last - 1
        self.last[who] = number
        moment, _, rest = text.partition(b" ")
        published_ns = int(moment)
        if who < self._stalled:
            self.stalled_delivered += 1
        elif self._go.is_in_window(published_ns) and rest != END:
            self.delivered += 1
            self.delays.add(now_ns - published_ns)
            if self._step_ns is not None:
                step = (published_ns - self._go.window_ns) // self._step_ns
                self.steps.setdefault(step, Times()).add(now_ns - published_ns)
        if rest == END:
            self.leave(who)

    def leave(self, who: int) -> None:
        """Record that a subscriber expects nothing more."""
        self._left.discard(who)
        if not self._left:
            self._finished()

    def asked(self, now_ns: int) -> None:
        """Record one request."""
        self.requests += self._go.is_in_window(now_ns)

    def event(self) -> dict[str, Any]:
        """Return all of it as the keys of a `done` event."""
        return {
            "delivered": self.delivered,
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
