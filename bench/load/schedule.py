"""When the requests of an open loop are due: a constant rate, whatever the server does. Pure.

The queue of requests that are due and have no connection yet is a range of numbers, so it takes no
memory, however long the server stalls. They are taken first come, first served.
"""

from __future__ import annotations

LATE_NS = 1_000_000
"""A request is late when it starts more than this after its due time: below, it is the timer's grain."""


class Pacer:
    """Hands out the due times of requests 0, 1, 2..., each once, in order, when they have come."""

    __slots__ = ("_end_ns", "_interval_ns", "_start_ns", "taken")

    def __init__(self, start_ns: int, rate: float, phase: float = 0.0, end_ns: int | None = None) -> None:
        """Let request 0 be due `phase` intervals after `start_ns`, and none at or after `end_ns`."""
        self._interval_ns = 1e9 / rate
        self._start_ns = start_ns + phase * self._interval_ns
        self._end_ns = end_ns
        self.taken = 0
        """Requests handed out or given up so far."""

    @property
    def next_due_ns(self) -> int:
        """Return the due time of the next request, in the past where it waits already."""
        # From the number, not from the last due time: rounding does not add up.
        return int(self._start_ns + self.taken * self._interval_ns)

    def take(self, now_ns: int) -> int | None:
        """Return the due time of the oldest request that waits at `now_ns`; None where none waits."""
        due_ns = self.next_due_ns
        if due_ns > now_ns or (self._end_ns is not None and due_ns >= self._end_ns):
            return None
        self.taken += 1
        return due_ns

    def give_up(self, before_ns: int) -> int:
        """Drop the requests that were due before `before_ns` and still wait; return how many."""
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
