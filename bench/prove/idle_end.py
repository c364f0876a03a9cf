"""What happens to a request when the server's idle time is over: it closes just then, or has sent a PING."""

import time
from dataclasses import dataclass, replace
from itertools import repeat
from typing import TypedDict

from bench.prove.backend_kinds import BackendKind
from bench.prove.balancing import request_count
from bench.prove.inventory import Location
from bench.prove.requests import Request
from bench.prove.testbed import NginxTestbed

MOST_AT_END = 2
"""Requests that are sent when the idle time is over: a GET and a POST."""
_PING_TIMEOUT_S = 2.0
_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class IdleEnd:
    """One request that follows the end of the idle time."""

    method: str
    status: int | None
    """None where the client got no answer."""
    connections: int
    """New connections that it took."""

    @property
    def is_failed(self) -> bool:
        """Whether the client got an error for it."""
        return self.status is None or self.status >= 500


class IdleRequestJson(TypedDict):
    """A request after the idle time, in the JSON of a proof."""

    method: str
    status: int | None
    connections: int


class IdleTestJson(TypedDict):
    """What happened when idle connections ended, in the JSON of a proof."""

    server: str
    server_idle_s: float | None
    nginx_idle_s: float | None
    pings: bool
    requests: list[IdleRequestJson]


@dataclass(frozen=True, slots=True)
class IdleTest:
    """What follows the end of the idle time of a location's servers."""

    kind: BackendKind
    nginx_idle_s: float | None
    """How long nginx keeps an idle connection; None for ever."""
    requests: tuple[IdleEnd, ...] = ()
    """Empty where nginx closes first, since nothing is lost then, or where no request arrived."""

    @property
    def is_nginx_first(self) -> bool:
        """Whether nginx closes before the servers do."""
        assert self.kind.idle_s is not None
        return self.nginx_idle_s is not None and self.nginx_idle_s < self.kind.idle_s

    def add(self, end: IdleEnd) -> "IdleTest":
        """Return the test with one request more."""
        return replace(self, requests=(*self.requests, end))

    @property
    def failed(self) -> tuple[IdleEnd, ...]:
        """The requests that became an error."""
        return tuple(each for each in self.requests if each.is_failed)

    def to_json(self) -> IdleTestJson:
        """Return the test as plain values."""
        requests: list[IdleRequestJson] = [
            {"method": each.method, "status": each.status, "connections": each.connections}
            for each in self.requests
        ]
        return {
            "server": self.kind.name,
            "server_idle_s": self.kind.idle_s,
            "nginx_idle_s": self.nginx_idle_s,
            "pings": self.kind.pings,
            "requests": requests,
        }


def requests_at_end(location: Location, request: Request) -> list[Request]:
    """Return what is sent when the idle time is over: a GET, and a POST, which nginx does not send again."""
    if request.method == "GET" and location.pass_location.protocol != "memcached":
        return [request, replace(request, method="POST", body=b"bench")]
    return [request]


def end_idling(
    testbed: NginxTestbed, location: Location, request: Request, kind: BackendKind
) -> IdleEnd | None:
    """Fill the pool, end the idle time, and send a request; None where none of the first ones arrives.

    The servers do at once what they would do then: one closes as the next request is on its way (it and the
    close cross), or all send a PING. A close crosses a request within a network's delay, so that two servers
    do not meet the same one.
    """
    before = testbed.counts_of(location.number)
    # So many that each server has a connection that idles, whichever is next.
    testbed.send(location, repeat(request, request_count(location, 1)))
    warm = testbed.counts_of(location.number)
    if warm.requests == before.requests:
        return None
    testbed.backends.command(location.number, "expire")
    if kind.pings:
        _wait_until_closed(testbed, location)
    responses = testbed.send(location, [request])
    added = testbed.counts_of(location.number).since(warm)
    return IdleEnd(request.method, next(iter(responses.statuses), None), added.accepted)


def _wait_until_closed(testbed: NginxTestbed, location: Location) -> None:
    """Wait until nginx has closed what a PING came over."""
    deadline_s = time.monotonic() + _PING_TIMEOUT_S
    while testbed.counts_of(location.number).open and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
