"""For how long connections had been idle, as the last look that asked the kernel knew it."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.watch.columns import U64, matches


@dataclass(frozen=True, slots=True)
class IdleTable:
    """Connections, ordered by the hash of their tuple (SocketColumns.tuples)."""

    tuples: U64 = field(default_factory=lambda: np.empty(0, np.uint64))
    idle_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """NaN where the kernel did not say it."""
    looked_ms: float = 0.0
    """When it was asked, by the monotonic clock."""

    def at(self, tuples: U64, moment_ms: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how long each of `tuples` had been idle at its moment, in seconds; NaN: nobody knows.

        What happened since the look is not known. So it says nothing of a connection that was idle for less
        time than has passed since, nor of one that was used after its moment.
        """
        at, is_known = matches(self.tuples, tuples)
        idle_s = np.full(len(tuples), np.nan)
        at, later_ms = at[is_known], moment_ms[is_known] - self.looked_ms
        seen_ms = self.idle_ms[at]
        is_told = (seen_ms >= later_ms) & (seen_ms + later_ms >= 0)
        idle_s[is_known] = np.where(is_told, (seen_ms + later_ms) / 1e3, np.nan)
        return idle_s
