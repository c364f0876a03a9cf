"""What a source counts in all, over as many reads as it takes: servers count and log behind their answers."""

from __future__ import annotations

import time
from collections.abc import Iterable

from bench.watch.model import Direction, RequestFlow
from bench.watch.requests import RequestSource

Flow = tuple[Direction, int | None, str | None, int, int, int | None]
"""Direction, port, peer; requests, failed ones, connections."""
_PATIENCE_S = 60


def total(flows: Iterable[RequestFlow]) -> set[Flow]:
    """Return the flows of several reads as one for each hop; those without requests are left out."""
    found: dict[tuple[Direction, int | None, str | None], list[RequestFlow]] = {}
    for flow in flows:
        found.setdefault((flow.direction, flow.port, flow.peer), []).append(flow)
    return {
        (*hop, requests, sum(each.failed for each in own), _connections(own))
        for hop, own in found.items()
        if (requests := sum(each.requests for each in own))
    }


def _connections(flows: Iterable[RequestFlow]) -> int | None:
    counted = [flow.connections for flow in flows if flow.connections is not None]
    return sum(counted) if counted else None


def assert_counted(source: RequestSource, expected: set[Flow]) -> None:
    """Read until all that is expected has been counted, and find nothing else then."""
    deadline = time.monotonic() + _PATIENCE_S
    read = list(source.read())
    while total(read) != expected and time.monotonic() < deadline:
        time.sleep(0.005)
        read += source.read()
    assert total(read) == expected
    assert total(source.read()) == set()
