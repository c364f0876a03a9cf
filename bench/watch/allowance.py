"""Bound what may be left out by its cost: it comes as often as a share of a core allows."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Allowance:
    """A share of a core for one kind of work on the calling thread."""

    def __init__(self, share: float) -> None:
        self.share = share
        self.spent_s = 0.0
        """CPU seconds that it took in all."""
        self._due_s = 0.0

    @property
    def is_left(self) -> bool:
        """Return whether the work may be done again."""
        return time.monotonic() >= self._due_s

    @contextmanager
    def spending(self) -> Iterator[None]:
        """Count the CPU time of the block."""
        before_s = time.thread_time()
        try:
            yield
        finally:
            cost_s = time.thread_time() - before_s
            self.spent_s += cost_s
            self._due_s = max(self._due_s, time.monotonic()) + cost_s / self.share
