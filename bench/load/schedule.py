"""The schedule of a load: due times in open loop, warm-up, window, and seconds. Pure.

Requests are due at a constant rate, whatever the server does. The queue of due requests without a
connection is a range of numbers, so it takes no memory however long the server stalls; it is served first
come, first served. Seconds count from the start and are cut at both edges of the window, so that each lies
on one side.
"""

from dataclasses import dataclass

SECOND_NS = 1_000_000_000
TICK_NS = 100_000_000

LATE_NS = 1_000_000
"""A request is late when it starts more than this after its due time: less is timer resolution."""


class Pacer:
    """Yields the due times of requests 0, 1, 2..., each once, in order, when they have come."""

    __slots__ = ("_end_ns", "_interval_ns", "_start_ns", "taken")

    def __init__(self, start_ns: int, rate: float, phase: float = 0.0, end_ns: int | None = None) -> None:
        """Begin with request 0, `phase` intervals after `start_ns`; end at `end_ns`, where none is due."""
        self._interval_ns = 1e9 / rate
        self._start_ns = start_ns + phase * self._interval_ns
        self._end_ns = end_ns
        self.taken = 0
        """Requests taken or dropped so far."""

    @property
    def next_due_ns(self) -> int:
        """Return the due time of the next request; in the past if it waits already."""
        # From the number, not from the last due time: rounding errors do not accumulate.
        return int(self._start_ns + self.taken * self._interval_ns)

    def take_due(self, now_ns: int) -> int | None:
        """Return the due time of the oldest waiting request at `now_ns`; None if none waits."""
        due_ns = self.next_due_ns
        if due_ns > now_ns or (self._end_ns is not None and due_ns >= self._end_ns):
            return None
        self.taken += 1
        return due_ns

    def drop_due(self, before_ns: int) -> int:
        """Drop the waiting requests that were due before `before_ns`; return how many."""
        dropped = 0
        if self._end_ns is not None:
            before_ns = min(before_ns, self._end_ns)
        if self.next_due_ns < before_ns:
            dropped = self._due_before(before_ns) - self.taken
            self.taken += dropped
        return dropped

    def _due_before(self, before_ns: int) -> int:
        """Return how many requests are due before `before_ns`."""
        count = max(0, int((before_ns - self._start_ns) / self._interval_ns))
        while int(self._start_ns + count * self._interval_ns) < before_ns:
            count += 1
        return count


@dataclass(frozen=True, slots=True)
class Span:
    """A period of at most a second that lies completely inside the window or outside of it."""

    second: int
    start_ns: int
    end_ns: int
    in_window: bool


class Phases:
    """The window of a run; it may be ended early."""

    __slots__ = ("start_ns", "window_end_ns", "window_start_ns")

    def __init__(self, start_ns: int, warmup_s: float, duration_s: float) -> None:
        self.start_ns = start_ns
        self.window_start_ns = start_ns + round(warmup_s * SECOND_NS)
        self.window_end_ns = self.window_start_ns + round(duration_s * SECOND_NS)

    def end_window(self, now_ns: int) -> None:
        """End the window at `now_ns`; during the warm-up, that leaves a window of no length."""
        self.window_end_ns = min(self.window_end_ns, max(now_ns, self.start_ns))
        self.window_start_ns = min(self.window_start_ns, self.window_end_ns)

    def span(self, from_ns: int) -> Span:
        """Return the period that begins at `from_ns`."""
        second = (from_ns - self.start_ns) // SECOND_NS
        ends = [self.start_ns + (second + 1) * SECOND_NS]
        ends += [edge for edge in (self.window_start_ns, self.window_end_ns) if edge > from_ns]
        in_window = self.window_start_ns <= from_ns < self.window_end_ns
        return Span(second, from_ns, min(ends), in_window)
