"""Count requests by nginx's access log, of clients and of each server behind.

A line is one request of a client, written when it ends; each address in $upstream_addr is one request to a
server, tried again or redirected ones included. Of clients' connections it counts those whose first request
ended ($connection_requests is 1). Of connections to servers it counts none: $upstream_connect_time is 0.000
for a reused connection and for one that was made within a millisecond, and the sockets show them anyhow.
Subrequests (auth_request, mirror) are in the log only with `log_subrequest on`.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from bench import units
from bench.watch.model import Direction, RequestFlow
from bench.watch.requests.counting import CountedHop, Counts, server_hop
from bench.watch.requests.log_format import LogLine, parse_format
from bench.watch.requests.log_tail import LogTail
from bench.watch.requests.source import SourceError

_FAILED = frozenset({"502", "504"})
"""What nginx notes of a server that cannot be reached, resets, or is too slow, beside those of its own."""
_SEPARATOR = re.compile(", | : ")


class AccessLogSource:
    """A source of requests that follows an access log."""

    def __init__(self, path: str, log_format: str | None) -> None:
        """Go to the end of the log; SourceError where it cannot be read, or its format is not known."""
        tail = LogTail(Path(path))
        try:
            if log_format is None:
                raise SourceError("has a format that is not known here", "give it with --log-format")
            self._format = parse_format(log_format)
        except SourceError:
            tail.close()
            raise
        self._label = f"nginx access log {path}"
        self._tail = tail
        self._notes: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what limits the last answer."""
        return self._notes

    def read(self) -> tuple[RequestFlow, ...]:
        """Return the requests in the lines since the last read."""
        text, notes = self._tail.read()
        fitting = self._format.find_lines(text)
        lines = Counter(fitting)
        counts: dict[CountedHop, Counts] = defaultdict(lambda: Counts(0, 0))
        unserved = 0
        for groups, times in lines.items():
            line = self._format.describe(groups)
            counts[_client_hop(line)] += Counts(times, times * line.is_first)
            for hop, is_failed in _attempts(line):
                if hop is None:
                    unserved += times
                else:
                    counts[hop] += Counts(times, 0, times * is_failed)
        unfitting = text.count(b"\n") - len(fitting)
        self._notes = (*self._limits(unfitting, len(fitting), unserved), *notes)
        return tuple(self._flow(hop, each) for hop, each in sorted(counts.items(), key=str))

    def close(self) -> None:
        """Close the log."""
        self._tail.close()

    def _flow(self, hop: CountedHop, counts: Counts) -> RequestFlow:
        counted = hop.direction is Direction.INCOMING and self._format.has("connection_requests")
        connections = counts.connections if counted else None
        return RequestFlow(
            self._label, counts.requests, hop.port, hop.direction, hop.peer, counts.failed, connections
        )

    def _limits(self, unfitting: int, fitting: int, unserved: int) -> Iterator[str]:
        if unfitting:
            yield f"{self._label}: {unfitting} of {unfitting + fitting} lines do not fit its format"
        if not self._format.has("upstream_addr"):
            yield f"{self._label}: its format has no $upstream_addr, so it counts requests of clients only"
        if unserved:
            requests = units.plural(unserved, "request")
            yield f"{self._label}: {requests} found no server of their upstream {{}} alive"


def _client_hop(line: LogLine) -> CountedHop:
    return CountedHop(Direction.INCOMING, int(line.server_port) if line.server_port else None)


def _attempts(line: LogLine) -> Iterator[tuple[CountedHop | None, bool]]:
    """Yield the hop of each request to a server, None where none was left, and whether it failed.

    A Unix socket is no hop: there is no TCP on it.
    """
    if line.upstream_addr in {"", "-"}:
        return
    addresses, statuses = _SEPARATOR.split(line.upstream_addr), _SEPARATOR.split(line.upstream_status)
    for address, status in zip_longest(addresses, statuses[: len(addresses)], fillvalue=""):
        if not address.startswith("unix:"):
            yield server_hop(address), status in _FAILED
