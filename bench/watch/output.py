"""What `bench watch --json` prints on a line: a snapshot, and what it amounts to."""

from datetime import UTC, datetime
from typing import TypedDict

from bench.watch.model import HopSnapshot, HostFlow, HostState, RequestFlow, Source
from bench.watch.session import Look
from bench.watch.verdict import WatchVerdictJson


class WatchLineJson(TypedDict):
    """One line: the keys of a snapshot, when it was made, and the verdict on the last minutes."""

    at: str
    """When the interval ended, ISO 8601, UTC."""
    t_s: float
    """The same from when the watch began."""
    duration_s: float
    source: Source
    hops: tuple[HopSnapshot, ...]
    host_flow: HostFlow
    host: HostState
    requests: tuple[RequestFlow, ...]
    notes: tuple[str, ...]
    cost_s: float
    """CPU time that the interval took the watcher."""
    verdict: WatchVerdictJson
    """What wastes connections, what hurts first at the top."""
    verdict_age_s: float
    """How much older the verdict is than this snapshot: with thousands of hops it is made more seldom."""


def build_line(look: Look, at: datetime | None = None) -> WatchLineJson:
    """Return what stands on the line of a look that ended `at`, or now."""
    snapshot = look.snapshot
    return {
        "at": (at or datetime.now(UTC)).isoformat(timespec="milliseconds"),
        "t_s": snapshot.t_s,
        "duration_s": snapshot.duration_s,
        "source": snapshot.source,
        "hops": snapshot.hops,
        "host_flow": snapshot.host_flow,
        "host": snapshot.host,
        "requests": snapshot.requests,
        "notes": snapshot.notes,
        "cost_s": snapshot.cost_s,
        "verdict": look.verdict.to_json(),
        "verdict_age_s": round(look.verdict_age_s, 3),
    }
