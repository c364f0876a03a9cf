"""What the subscribers of all variants share: their job, what they received, and when they connect.

A message is `NUMBER MOMENT ...`: its number from 1 on, and the moment at which it was due; the last one
of a trial says END after that.
"""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from time import monotonic_ns
from typing import Any, Protocol

from bench.load.counters import TimeHistogram
from bench.scenarios.client.process import Go

END = b"end"
_FOLD_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class PushJob:
    """What one client process is to do."""

    variant: str
    address: str
    subscribers: int
    messages_per_s: float
    message_bytes: int
    poll_every_s: float
    retry_s: float
    stalled: int
    frame_limit_bytes: int
    publishes: bool
    step_s: float | None
    """Raise the rate each so many seconds until it is too much; None: keep to one rate."""


class SubscriberCounts:
    """Counts what reaches subscribers 0 to `count` - 1; the first `stalled` of them do not read at first."""

    def __init__(
        self, go: Go, count: int, stalled: int, step_ns: int | None, finished: Callable[[], None]
    ) -> None:
        self.last = [0] * count
        """The highest number that each has."""
        self.doubled = self.gaps = 0
        self.requests = self.reconnects = self.refused = self.too_large = self.stalled_delivered = 0
        self.delays = TimeHistogram()
        self.steps: dict[int, TimeHistogram] = {}
        """Delays by step of a rising rate."""
        self._window_ns = go.window_ns
        self._end_ns = go.end_ns
        self._add = self.delays.add
        self._stalled = stalled
        self._step_ns = step_ns
        self._left = set(range(count))
        """Those without the last message."""
        self._awaited = set(range(count))
        """Those that may still receive it."""
        self._finished = finished

    def receive(self, subscriber: int, number: int, text: bytes) -> None:
        """Count one message that reaches a subscriber now. The hot path of every client."""
        now_ns = monotonic_ns()
        last = self.last
        if number != last[subscriber] + 1:
            if number <= last[subscriber]:
                self.doubled += 1
                return
            self.gaps += number - last[subscriber] - 1
        last[subscriber] = number
        moment, _, rest = text.partition(b" ")
        published_ns = int(moment)
        if rest == END:
            self.leave(subscriber)
        elif subscriber < self._stalled:
            self.stalled_delivered += 1
        elif self._window_ns <= published_ns < self._end_ns:
            self._add(now_ns - published_ns)
            if self._step_ns is not None:
                step = (published_ns - self._window_ns) // self._step_ns
                self.steps.setdefault(step, TimeHistogram()).add(now_ns - published_ns)

    def leave(self, subscriber: int) -> None:
        """Record that a subscriber expects nothing more."""
        self._left.discard(subscriber)
        self._expect_no_more(subscriber)

    def count_too_large(self, subscriber: int) -> None:
        """Record that a message was too large for a subscriber: it has left for good, and stays behind."""
        self.too_large += 1
        self._expect_no_more(subscriber)

    def _expect_no_more(self, subscriber: int) -> None:
        self._awaited.discard(subscriber)
        if not self._awaited:
            self._finished()

    def count_request(self) -> None:
        """Record a request that is sent now."""
        self.requests += self._window_ns <= monotonic_ns() < self._end_ns

    def fold(self) -> None:
        """Fold the latest delays into the histograms, so that memory does not grow with the run."""
        for times in (self.delays, *self.steps.values()):
            times.fold()

    def event(self) -> dict[str, Any]:
        """Return all of it as the keys of a `done` event."""
        counts = ("doubled", "gaps", "requests", "reconnects", "refused", "too_large", "stalled_delivered")
        return {
            "delivered": self.delays.total(),
            **{name: getattr(self, name) for name in counts},
            "behind": [self.last[subscriber] for subscriber in sorted(self._left)],
            "delay_us": self.delays.histogram(),
            "steps_us": {str(step): times.histogram() for step, times in sorted(self.steps.items())},
        }


class Subscriber(Protocol):
    """One subscriber: it connects, and again when its connection ends, until it is closed."""

    def connect(self) -> None:
        """Connect, and follow from where it is."""

    def resume_reading(self) -> None:
        """Read again, where it had stopped reading."""

    def close(self) -> None:
        """End for good."""


class SubscriberGroup:
    """The subscribers of one process."""

    def __init__(
        self,
        job: PushJob,
        go: Go,
        counts: SubscriberCounts,
        make: "Callable[[int, SubscriberGroup], Subscriber]",
        tasks: asyncio.TaskGroup,
    ) -> None:
        self.job = job
        self.counts = counts
        self.host, _, port = job.address.rpartition(":")
        self.port = int(port)
        self._go = go
        self._subscribers = [make(number, self) for number in range(job.subscribers)]
        self._task_group = tasks
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        """Have them connect one after another over a part of the warm-up, so that none has to be refused."""
        loop = asyncio.get_running_loop()
        span_s = (self._go.window_ns - self._go.start_ns) / 1e9 * 0.4
        for place, subscriber in enumerate(self._subscribers):
            loop.call_later(span_s * place / len(self._subscribers), subscriber.connect)
        loop.call_later(_FOLD_EVERY_S, self._fold)

    def _fold(self) -> None:
        self.counts.fold()
        asyncio.get_running_loop().call_later(_FOLD_EVERY_S, self._fold)

    def is_stalled(self, number: int) -> bool:
        """Return whether a subscriber is one of those that do not read until the window ends."""
        return number < self.job.stalled

    def reconnect(self, subscriber: Subscriber, *, refused: bool = False) -> None:
        """Have a subscriber connect anew after a while: its connection ended, or there never was one."""
        if refused:
            self.counts.refused += 1
        else:
            self.counts.reconnects += 1
        asyncio.get_running_loop().call_later(self.job.retry_s, subscriber.connect)

    def spawn(self, act: Coroutine[Any, Any, None]) -> None:
        """Run a task until it ends or the group is closed."""
        task = self._task_group.create_task(act)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def resume_reading(self) -> None:
        """Have those that had stopped reading read again."""
        for subscriber in self._subscribers[: self.job.stalled]:
            subscriber.resume_reading()

    def close(self) -> None:
        """End every subscriber."""
        for subscriber in self._subscribers:
            subscriber.close()
        for task in tuple(self._tasks):
            task.cancel()
