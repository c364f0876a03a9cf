"""The window that all machines of a trial share: where some end earlier, figures of the others end there too.

Pure. A load worker counts by the second, so that a window can end with any second that all of them have.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.cluster.merge import MachinePart
from bench.load.counters import ERROR_KINDS
from bench.load.generator import Second, Totals

_TICK_NS = 100_000_000
"""Windows that end within it are one: the last workers have answered what was under way."""


def share_window(parts: Iterable[MachinePart]) -> list[MachinePart]:
    """Return the parts with the window ended by the last second that all clients have in theirs.

    Where one ended earlier, as with a number of requests, what the others did later is theirs alone, and no
    rate of the cluster. Where they have no whole second together, each keeps its window.
    """
    parts = list(parts)
    ends_ns = [part.result.totals.window_end_ns for part in parts if part.result.totals is not None]
    if not ends_ns or max(ends_ns) - min(ends_ns) < _TICK_NS:
        return parts
    end_ns = _last_common_end_ns(parts, min(ends_ns))
    return parts if end_ns is None else [_with_end(part, end_ns, is_cut_off=False) for part in parts]


def end_window(parts: Iterable[MachinePart], limit_ns: int) -> list[MachinePart]:
    """Return the parts of a trial that lost machines, which are known until `limit_ns`, with such a window.

    It is empty where they have no second of it together.
    """
    parts = list(parts)
    end_ns = _last_common_end_ns(parts, limit_ns, in_window=False)
    return [_with_end(part, end_ns or 0, is_cut_off=True) for part in parts]


def _last_common_end_ns(parts: Sequence[MachinePart], limit_ns: int, *, in_window: bool = True) -> int | None:
    """Return the last moment until `limit_ns` at which a second of all clients ends."""
    clients = [part.result.seconds for part in parts if part.role == "client"]
    ends = [{each.end_ns for each in seconds if each.in_window or not in_window} for seconds in clients]
    common = set.intersection(*ends) if ends else set[int]()
    return max((each for each in common if each <= limit_ns), default=None)


def _with_end(part: MachinePart, end_ns: int, *, is_cut_off: bool) -> MachinePart:
    """Return a part whose window ends at `end_ns`, if not before."""
    result = part.result
    if result.totals is None:
        return part
    seconds = tuple(
        replace(each, in_window=each.in_window and each.end_ns <= end_ns) for each in result.seconds
    )
    end_ns = min(result.totals.window_end_ns, max(end_ns, result.totals.first_connect_ns))
    totals = totals_of(result.totals, seconds, end_ns)
    totals = replace(totals, interrupted=totals.interrupted or is_cut_off)
    return replace(part, result=replace(result, totals=totals, seconds=seconds))


def totals_of(totals: Totals, seconds: Sequence[Second], end_ns: int) -> Totals:
    """Return `totals` with a window of those of `seconds` that are in it, which ends at `end_ns`."""
    window = [second for second in seconds if second.in_window]

    def total(name: str) -> int:
        return sum(getattr(second, name) for second in window)

    return replace(
        totals,
        window_start_ns=min(totals.window_start_ns, end_ns),
        window_end_ns=end_ns,
        requests=total("requests"),
        errors={kind: sum(second.errors.get(kind, 0) for second in window) for kind in ERROR_KINDS},
        statuses=_statuses(window),
        opened=total("opened"),
        bytes=total("bytes"),
        late=total("late"),
        never_started=total("never_started"),
        queued=total("queued"),
    )


def _statuses(window: Sequence[Second]) -> dict[str, int]:
    found = sorted({status for second in window for status in second.statuses})
    return {status: sum(second.statuses.get(status, 0) for second in window) for status in found}
