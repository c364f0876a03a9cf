"""Requests in flight at once: how many of them find an idle connection in the pool.

The backends keep all responses back until every request is there, so that as many are in flight as asked for,
on a machine of any speed.
"""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypedDict

from bench.prove.balancing import is_round_robin
from bench.prove.http_client import FAILURES, Client, Responses, connect
from bench.prove.inventory import Location
from bench.prove.requests import Request
from bench.prove.rewrite import Listeners
from bench.prove.testbed import NginxTestbed
from nginx.pool_share import NEARLY_ALL, rounds_counted, total_weight
from nginx.verdict import Verdict

_MOST_WARM_ROUNDS = 24
_NO_PROGRESS_S = 0.5
"""Requests that are not there after so long without another one do not come."""
_TIMEOUT_S, _TIMEOUT_AFTER_ANOTHER_S = 3.0, 0.01
_POLL_S = 0.002


class InFlightJson(TypedDict):
    """What requests at the same time did, in the JSON of a proof."""

    in_flight: int
    workers: int
    requests: int
    connections: int
    share: float | None
    statuses: dict[str, int]
    unanswered: int


@dataclass(frozen=True, slots=True)
class InFlight:
    """What requests in flight at once did to the pool of one location."""

    in_flight: int
    requests: int
    """Requests that the backends answered, once the pool was filled."""
    connections: int
    """Connections that they accepted for them."""
    predicted: Verdict
    servers: int = 1
    is_in_turn: bool = True
    """Whether requests go to the servers in turn: else the share depends on chance, or on the requests."""
    statuses: Mapping[int, int] = field(default_factory=dict)
    """How often the clients received each status, from the first round on."""
    unanswered: int = 0
    """Requests that the clients got no answer to."""
    workers: int = 1
    """The workers of nginx that they were spread over, by the kernel."""

    @property
    def share(self) -> float | None:
        """The part of the requests that found an idle connection; None where none was answered."""
        return 1 - min(1.0, self.connections / self.requests) if self.requests else None

    @property
    def disagreement(self) -> str | None:
        """How traffic differs from the verdict for so many in flight, if it does."""
        if self.share is None or self.unanswered:
            return None
        least, most = self._expected()
        if least <= self.share <= most:
            return None
        wanted = f"{100 * least:.0f} %" if most == 1 else f"{100 * least:.0f} to {100 * most:.0f} %"
        at = f"with {self.in_flight} in flight"
        return f"check expects {wanted} of requests {at} to reuse, traffic shows {100 * self.share:.0f} %"

    def _expected(self) -> tuple[float, float]:
        answer, share = self.predicted.answer, self.predicted.share
        if answer == "not reused":
            return 0.0, 0.0
        if not self.is_in_turn:
            return 0.0, 1.0
        if answer == "reused":
            return NEARLY_ALL, 1.0
        if share is None or self.predicted.pool is None:
            return 0.0, 1.0
        # Which connections a pool keeps depends on the order in which the requests end.
        any_order = min(self.predicted.pool.idle, self.in_flight // self.servers) / self.in_flight
        return min(share.least, any_order) - 1e-9, share.most

    def to_json(self) -> InFlightJson:
        """Return the counts as plain values."""
        return {
            "in_flight": self.in_flight,
            "workers": self.workers,
            "requests": self.requests,
            "connections": self.connections,
            "share": None if self.share is None else round(self.share, 4),
            "statuses": {str(status): count for status, count in self.statuses.items()},
            "unanswered": self.unanswered,
        }


def measure_in_flight(
    testbed: NginxTestbed,
    location: Location,
    request: Request,
    in_flight: int,
    predicted: Verdict,
    *,
    workers: int = 1,
) -> InFlight:
    """Send rounds of requests that are in flight together; count those after the pool is filled.

    Where requests get no answer, all are counted.
    """
    host, listeners = testbed.lab.hosts["client"], testbed.listeners[location.server.number]
    testbed.prepare(request)
    responses, before = Responses(), testbed.counts_of(location.number)
    servers = max(1, len(location.upstream.servers_in_use)) if location.upstream else 1
    turns = total_weight(location.upstream) if location.upstream else 1
    warm_rounds = min(_MOST_WARM_ROUNDS, 1 + -(-turns // in_flight))
    clients = host.call(_connect_all, listeners, request, in_flight, responses)
    try:
        for turn in range(warm_rounds + rounds_counted(in_flight)):
            if turn == warm_rounds:
                before = testbed.counts_of(location.number)
            if responses.failed:
                break
            testbed.backends.command(location.number, "hold")
            host.call(_send_all, clients, request, responses)
            _wait_until_held(testbed, location, in_flight)
            testbed.backends.command(location.number, "release")
            host.call(_receive_all, clients, responses)
    finally:
        host.call(_close_all, clients)
    counts = testbed.counts_of(location.number)
    added = counts.since(before)
    return InFlight(
        in_flight,
        added.requests,
        added.accepted,
        predicted,
        servers,
        workers == 1 and (location.upstream is None or is_round_robin(location.upstream)),
        Counter(responses.statuses),
        responses.failed,
        workers,
    )


def _wait_until_held(testbed: NginxTestbed, location: Location, in_flight: int) -> None:
    """Wait until all requests are held, or as many as a server with so many processes accepts."""
    kind = testbed.backends.kinds.get(location.number)
    limit = None if kind is None or kind.processes is None else kind.processes
    servers = len(next(iter(testbed.backends.addresses[location.number].values())))
    wanted = in_flight if limit is None else min(in_flight, limit * servers)
    held, since_s = 0, time.monotonic()
    while held < wanted and time.monotonic() - since_s < _NO_PROGRESS_S:
        time.sleep(_POLL_S)
        if (now := testbed.counts_of(location.number).held) != held:
            held, since_s = now, time.monotonic()


# What runs on the clients' host


def _connect_all(listeners: Listeners, request: Request, count: int, responses: Responses) -> list[Client]:
    clients = []
    try:
        clients = [connect(listeners, request) for _ in range(count)]
    except FAILURES as error:
        responses.record(error)
    return clients


def _send_all(clients: list[Client], request: Request, responses: Responses) -> None:
    for client in clients:
        try:
            client.send(request)
        except FAILURES as error:
            responses.record(error)


def _receive_all(clients: list[Client], responses: Responses) -> None:
    timeout_s = _TIMEOUT_S
    for client in clients:
        try:
            client.receive(responses, timeout_s)
        except FAILURES as error:
            responses.record(error)
            timeout_s = _TIMEOUT_AFTER_ANOTHER_S  # it has waited for as long as the one before


def _close_all(clients: list[Client]) -> None:
    for client in clients:
        client.close()
