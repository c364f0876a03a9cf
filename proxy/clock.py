"""The coarse clock of one worker: it stands still between two sweeps, and saves a call per exchange."""

import time


class Clock:
    """A clock that never makes a wait seem longer than it is, so that no timeout fires early.

    A wait begins at `latest`, which is no earlier than the true time, and has lasted until `now`, which is
    no later. When the loop is kept from a sweep, the clock falls behind by what is missing.

    Attributes:
        now: seconds, as of the last sweep.
        latest: the same as of the next sweep.

    Args:
        sweep_s: seconds between two sweeps.
    """

    def __init__(self, sweep_s: float) -> None:
        self.sweep_s = sweep_s
        self.now = 0.0
        self.latest = sweep_s
        self._read_at = time.monotonic()

    def advance(self) -> None:
        """Note that a sweep begins."""
        read_at = time.monotonic()
        self.now += min(read_at - self._read_at, self.sweep_s)
        self.latest = self.now + self.sweep_s
        self._read_at = read_at
