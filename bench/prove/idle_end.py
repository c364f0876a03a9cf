"""What happens to a request when the server's idle time is over: it closes just then, or has sent a PING."""

import time
from dataclasses import dataclass, replace
from typing import TypedDict

from bench.prove.backend_kinds import BackendKind
from bench.prove.inventory import Location
from bench.prove.requests import Request
from bench.prove.testbed import NginxTestbed
from nginx.upstreams import Pool

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
    """Empty where nginx closes first: nothing is lost then."""

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


def measure_idle_end(
    testbed: NginxTestbed, location: Location, request: Request, kind: BackendKind, pool: Pool
) -> IdleTest:
    """Let the servers' idle time be over while nginx still has connections, and send requests.

    The servers do at once what they would do then: close when the next request is on its way (it and the
    close cross), or send a PING.
    """
    assert kind.idle_s is not None
    test = IdleTest(kind, pool.idle_timeout_s)
    if pool.idle_timeout_s is not None and pool.idle_timeout_s < kind.idle_s:
        return test
    series = [request]
    if request.method == "GET" and location.pass_location.protocol != "memcached":
        series.append(replace(request, method="POST", body=b"bench"))
    found = [each for each in (_end_idling(testbed, location, each, kind) for each in series) if each]
    return replace(test, requests=tuple(found))


def _end_idling(
    testbed: NginxTestbed, location: Location, request: Request, kind: BackendKind
) -> IdleEnd | None:
    """Send a request, end the idle time, and send another; None where the first one does not arrive."""
    before = testbed.counts_of(location.number)
    testbed.send(location, [request])
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
