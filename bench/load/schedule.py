"""The schedule of a load: warm-up, window, and seconds. Pure; pacing.py has the due times of an open loop.

Seconds count from the start and are cut at both edges of the window, so that each lies on one side.
"""

from dataclasses import dataclass

SECOND_NS = 1_000_000_000
TICK_NS = 100_000_000


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
