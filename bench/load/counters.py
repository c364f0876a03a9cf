"""What one worker counted in one stretch of time, and its histograms. Pure.

The hot loop appends nanoseconds to arrays; `fold` turns them into counts ten times a second. What
is kept is bounded by the rate and by the number of distinct values, never by the length of a run.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from operator import floordiv
from typing import Any

ERROR_KINDS = ("connect", "timeout", "reset", "protocol", "status", "body", "mismatch")


def quantised_us(value_us: int) -> int:
    """Return `value_us` to three significant digits, rounded half up."""
    if value_us < 1000:
        return value_us
    unit: int = 10 ** (len(str(value_us)) - 3)
    return (value_us + unit // 2) // unit * unit


def sparse(counts: dict[int, int]) -> list[list[int]]:
    """Return a histogram as [value, count] pairs with three significant digits, values ascending."""
    merged: dict[int, int] = {}
    for value_us, count in counts.items():
        quantised = quantised_us(value_us)
        merged[quantised] = merged.get(quantised, 0) + count
    return [[value_us, merged[value_us]] for value_us in sorted(merged)]


class Times:
    """Times of one kind: raw nanoseconds since the last fold, and counts of microseconds before it."""

    __slots__ = ("_counts", "add", "raw")

    def __init__(self) -> None:
        self.raw: array[int] = array("q")
        self.add = self.raw.append
        """Takes one time in nanoseconds. Stays the same method for good: the hot loop holds it."""
        self._counts: Counter[int] = Counter()

    def fold(self) -> int:
        """Move what was added since the last fold into the counts; return how many that were."""
        folded = len(self.raw)
        if folded:
            self._counts.update(map(floordiv, self.raw, repeat(1000)))
            del self.raw[:]
        return folded

    def take(self) -> list[list[int]]:
        """Return all counts as a sparse histogram, and begin anew."""
        self.fold()
        taken = sparse(self._counts)
        self._counts.clear()
        return taken


class Tally:
    """The counters of the current stretch. Totals are the sums of the stretches that were taken."""

    __slots__ = (
        "_folded",
        "body_bytes",
        "connect",
        "errors",
        "late",
        "latency",
        "never_started",
        "opened",
        "service",
        "ticks",
    )

    def __init__(self) -> None:
        self.latency = Times()
        self.service = Times()
        self.connect = Times()
        self.errors = dict.fromkeys(ERROR_KINDS, 0)
        self._clear()

    def _clear(self) -> None:
        self.ticks: list[int] = []
        self._folded = 0
        self.body_bytes = 0
        self.opened = 0
        self.late = 0
        self.never_started = 0
        for kind in ERROR_KINDS:
            self.errors[kind] = 0

    @property
    def requests(self) -> int:
        """Return the correct responses of this stretch: each has added one latency."""
        return self._folded + len(self.latency.raw)

    @property
    def answered(self) -> int:
        """Return the exchanges that ended in this stretch, rightly or not."""
        return self.requests + sum(self.errors.values())

    def tick(self) -> None:
        """End a tenth of a second."""
        self.service.fold()
        self.connect.fold()
        folded = self.latency.fold()
        self._folded += folded
        self.ticks.append(folded)

    def take(self, open_loop: bool) -> dict[str, Any]:
        """Return the stretch with the keys of a `second` event, and begin a new one."""
        taken: dict[str, Any] = {
            "ticks": self.ticks,
            "requests": self.requests,
            "errors": dict(self.errors),
            "opened": self.opened,
            "bytes": self.body_bytes,
            "late": self.late,
            "never_started": self.never_started,
            "latency_us": self.latency.take(),
            "connect_us": self.connect.take(),
        }
        service = self.service.take()
        if open_loop:
            taken["service_us"] = service
        self._clear()
        return taken


_SUMMED = ("requests", "opened", "bytes", "late", "never_started")


class Sums:
    """Sums of stretches."""

    __slots__ = ("counts", "errors")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_SUMMED, 0)
        self.errors = dict.fromkeys(ERROR_KINDS, 0)

    @property
    def answered(self) -> int:
        """Return the exchanges that ended, rightly or not."""
        return self.counts["requests"] + sum(self.errors.values())

    def add(self, stretch: dict[str, Any]) -> None:
        """Add the counters of `stretch`, as `Tally.take` or another worker's event gave them."""
        for name in _SUMMED:
            self.counts[name] += stretch[name]
        add_errors(self.errors, stretch["errors"])


def add_errors(total: dict[str, int], errors: dict[str, int]) -> None:
    """Add `errors` by kind to `total`."""
    for kind, count in errors.items():
        total[kind] += count


def merged(histograms: Iterable[Iterable[Iterable[int]]]) -> dict[int, int]:
    """Return the sum of sparse histograms, as value -> count."""
    total: dict[int, int] = {}
    for histogram in histograms:
        add_counts(total, histogram)
    return total


def add_counts(total: dict[int, int], histogram: Iterable[Iterable[int]]) -> None:
    """Add a sparse histogram to `total`, value -> count."""
    for value_us, count in histogram:
        total[value_us] = total.get(value_us, 0) + count
