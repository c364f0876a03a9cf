"""The counters and histograms of one worker over a stretch of time. Pure.

The hot loop appends nanoseconds to arrays; `fold` turns them into counts ten times a second. Memory is
bounded by the rate and by the number of distinct values, not by the length of a run.
"""

from array import array
from collections import Counter
from collections.abc import Iterable
from itertools import repeat
from operator import floordiv
from typing import Any

ERROR_KINDS = ("connect", "tls", "timeout", "reset", "protocol", "status", "body", "mismatch")


def round_us(value_us: int) -> int:
    """Return `value_us` rounded half up to three significant digits."""
    if value_us < 1000:
        return value_us
    unit: int = 10 ** (len(str(value_us)) - 3)
    return (value_us + unit // 2) // unit * unit


def sparse_histogram(counts: dict[int, int]) -> list[list[int]]:
    """Return a histogram as ascending [value, count] pairs with three significant digits."""
    pairs: dict[int, int] = {}
    for value_us, count in counts.items():
        rounded = round_us(value_us)
        pairs[rounded] = pairs.get(rounded, 0) + count
    return [[value_us, pairs[value_us]] for value_us in sorted(pairs)]


class TimeHistogram:
    """Times of one kind: raw nanoseconds since the last fold, and counts of microseconds before it."""

    __slots__ = ("_counts", "add", "raw")

    def __init__(self) -> None:
        self.raw: array[int] = array("q")
        self.add = self.raw.append
        """Add one time in nanoseconds. Always the same method: the hot loop keeps a reference."""
        self._counts: Counter[int] = Counter()

    def fold(self) -> int:
        """Move the times added since the last fold into the counts; return how many there were."""
        folded = len(self.raw)
        if folded:
            self._counts.update(map(floordiv, self.raw, repeat(1000)))
            del self.raw[:]
        return folded

    def counts(self) -> dict[int, int]:
        """Return how many times there were of each value in microseconds."""
        self.fold()
        return dict(self._counts)

    def total(self) -> int:
        """Return how many times were added."""
        return len(self.raw) + self._counts.total()

    def histogram(self) -> list[list[int]]:
        """Return all counts as a sparse histogram."""
        self.fold()
        return sparse_histogram(self._counts)

    def flush(self) -> list[list[int]]:
        """Return all counts as a sparse histogram, and reset."""
        flushed = self.histogram()
        self._counts.clear()
        return flushed


class LoadCounters:
    """The counters of the current stretch. Totals are the sums of the flushed stretches."""

    __slots__ = (
        "_folded",
        "_other_correct",
        "body_bytes",
        "connect",
        "errors",
        "handshake",
        "late",
        "latency",
        "never_started",
        "opened",
        "pacing",
        "queued",
        "service",
        "statuses",
        "ticks",
    )

    def __init__(self) -> None:
        self.latency = TimeHistogram()
        self.service = TimeHistogram()
        self.connect = TimeHistogram()
        self.handshake = TimeHistogram()
        """TLS handshakes."""
        self.pacing = TimeHistogram()
        """Open loop: from the due time of a request until it was sent."""
        self.errors = dict.fromkeys(ERROR_KINDS, 0)
        self.statuses: dict[int, int] = {}
        """Responses by status, but for those of the ordinary kind: correct, and of status 200."""
        self._clear()

    def _clear(self) -> None:
        self.ticks: list[int] = []
        self._folded = self._other_correct = 0
        self.statuses.clear()
        self.body_bytes = 0
        self.opened = 0
        self.late = 0
        self.queued = 0
        self.never_started = 0
        for kind in ERROR_KINDS:
            self.errors[kind] = 0

    @property
    def requests(self) -> int:
        """Return the correct responses of this stretch: each has added one latency."""
        return self._folded + len(self.latency.raw)

    @property
    def exchanges(self) -> int:
        """Return the exchanges that ended in this stretch, correct or not."""
        return self.requests + sum(self.errors.values())

    def count_status(self, status: int, is_right: bool = True) -> None:
        """Count a response that is not of the ordinary kind."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self._other_correct += is_right

    def _all_statuses(self) -> dict[str, int]:
        """Return the responses by status, as JSON has them; the hot loop leaves out those of 200."""
        ordinary = self.requests - self._other_correct
        counts = {**self.statuses, 200: self.statuses.get(200, 0) + ordinary}
        return {str(status): count for status, count in sorted(counts.items()) if count}

    def tick(self) -> None:
        """End a tenth of a second."""
        self.service.fold()
        self.connect.fold()
        self.handshake.fold()
        self.pacing.fold()
        folded = self.latency.fold()
        self._folded += folded
        self.ticks.append(folded)

    def flush(self, open_loop: bool) -> dict[str, Any]:
        """Return the stretch with the keys of a `second` event, and start a new one."""
        flushed: dict[str, Any] = {
            "ticks": self.ticks,
            "requests": self.requests,
            "errors": dict(self.errors),
            "statuses": self._all_statuses(),
            "opened": self.opened,
            "bytes": self.body_bytes,
            "late": self.late,
            "queued": self.queued,
            "never_started": self.never_started,
            "latency_us": self.latency.flush(),
            "connect_us": self.connect.flush(),
        }
        service, pacing, handshake = self.service.flush(), self.pacing.flush(), self.handshake.flush()
        if open_loop:
            flushed |= {"service_us": service, "pacing_us": pacing}
        if handshake:
            flushed["handshake_us"] = handshake
        self._clear()
        return flushed


_SUMMED = ("requests", "opened", "bytes", "late", "queued", "never_started")


class LoadSums:
    """Sums of stretches."""

    __slots__ = ("counts", "errors", "statuses")

    def __init__(self) -> None:
        self.counts = dict.fromkeys(_SUMMED, 0)
        self.errors = dict.fromkeys(ERROR_KINDS, 0)
        self.statuses: Counter[str] = Counter()

    @property
    def exchanges(self) -> int:
        """Return the exchanges that ended, correct or not."""
        return self.counts["requests"] + sum(self.errors.values())

    def add(self, counts: dict[str, Any]) -> None:
        """Add the counters of `counts`: a flushed stretch, or the event of another worker."""
        for name in _SUMMED:
            self.counts[name] += counts[name]
        add_errors(self.errors, counts["errors"])
        self.statuses.update(counts["statuses"])


def add_errors(total: dict[str, int], errors: dict[str, int]) -> None:
    """Add `errors` by kind to `total`."""
    for kind, count in errors.items():
        total[kind] += count


def merge_histograms(histograms: Iterable[Iterable[Iterable[int]]]) -> dict[int, int]:
    """Return the sum of sparse histograms, as value -> count."""
    total: dict[int, int] = {}
    for histogram in histograms:
        add_counts(total, histogram)
    return total


def add_counts(total: dict[int, int], histogram: Iterable[Iterable[int]]) -> None:
    """Add a sparse histogram to `total`, value -> count."""
    for value_us, count in histogram:
        total[value_us] = total.get(value_us, 0) + count
