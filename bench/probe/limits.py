"""What a probe may take of the server: connections, requests and time; and the count of what it took."""

from dataclasses import dataclass

MOST_CONNECTIONS = 20
DEFAULT_REQUESTS = 60
IDLE_CONNECTIONS = 8
"""That wait together, each begun later than the one before."""
HTTP2_REQUESTS = 4
"""The preface and a request, on two connections."""
SCOUT_REQUESTS = 8
"""Of the connection that asks after growing gaps."""
IDLE_REQUESTS = IDLE_CONNECTIONS + SCOUT_REQUESTS + 10
"""What the measurement of the idle time takes: one for each of those, those of the scout, and bisection."""
CASE_REQUESTS = 2
"""Of each case: its own, and one that shows whether the connection still works."""

CASES = 5
"""That each probe tries, beside those of further paths."""
_LEAST_COUNTED = 2
"""Requests on one connection: fewer do not show whether it is kept."""


def reserved_requests(more_paths: int) -> int:
    """Return how many requests a probe keeps for what comes after the count of those on one connection."""
    return CASE_REQUESTS * (CASES + more_paths) + HTTP2_REQUESTS + IDLE_REQUESTS


def least_requests(more_paths: int) -> int:
    """Return how many requests a probe with so many further paths has to be allowed."""
    return _LEAST_COUNTED + reserved_requests(more_paths)


@dataclass(frozen=True, slots=True)
class ProbeSettings:
    """How long and how often a probe asks."""

    max_s: float = 120.0
    """How long it waits for the end of idle connections."""
    most_requests: int = DEFAULT_REQUESTS
    patience_s: float = 10.0
    """How long an answer may take."""


class LimitReached(Exception):
    """What was about to be sent is more than the probe may send."""


class Budget:
    """Counts connections and requests, and refuses those beyond the bounds."""

    def __init__(self, most_requests: int, most_connections: int = MOST_CONNECTIONS) -> None:
        self.connections = 0
        self.requests = 0
        self._most_requests, self._most_connections = most_requests, most_connections

    @property
    def requests_left(self) -> int:
        """Return how many requests may still be sent."""
        return self._most_requests - self.requests

    @property
    def connections_left(self) -> int:
        """Return how many connections may still be opened."""
        return self._most_connections - self.connections

    def take_connection(self) -> None:
        """Count a connection; LimitReached where it would be one too many."""
        if self.connections_left <= 0:
            raise LimitReached
        self.connections += 1

    def take_request(self) -> None:
        """Count a request; LimitReached where it would be one too many."""
        if self.requests_left <= 0:
            raise LimitReached
        self.requests += 1
