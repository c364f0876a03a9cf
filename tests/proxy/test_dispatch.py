"""Fresh connections whose client has gone while they were opened, and waits; with scripted sockets."""

from __future__ import annotations

from typing import Literal
from unittest.mock import Mock

import pytest

from proxy.clock import Clock
from proxy.counters import Counters
from proxy.dispatch import Dispatcher
from proxy.errors import ConnectFailed
from proxy.exchange import Exchange
from proxy.send_queue import SendQueue
from proxy.settings import Limits, Settings
from proxy.transport import Transport
from proxy.upstream import UpstreamConnection


class Connector:
    """Opens nothing: the test decides the result of each connection."""

    def __init__(self) -> None:
        self.opened: list[UpstreamConnection] = []

    def open(self, connection: UpstreamConnection) -> None:
        self.opened.append(connection)

    def sweep(self, now: float) -> None:
        """Nothing takes too long."""

    def establish(self) -> UpstreamConnection:
        connection = self.opened.pop(0)
        connection.established(Mock(Transport))
        return connection


def dispatcher(
    mode: Literal["short", "keepalive"] = "keepalive", clock: Clock | None = None
) -> tuple[Dispatcher, Connector]:
    """Return a dispatcher with a single place."""
    limits = Limits(queue_timeout_s=10.0)
    settings = Settings(("127.0.0.1", 0), (("127.0.0.1", 1),), mode=mode, pool_max=1, limits=limits)
    found = Dispatcher(settings, Counters(), SendQueue(Mock()), clock or Clock(1.0))
    found._connector = connector = Connector()  # type: ignore[assignment]
    return found, connector


def exchange() -> Mock:
    return Mock(Exchange)


def renewing(found: Dispatcher, connector: Connector) -> Mock:
    """Return an exchange with a stale connection: a fresh one is being opened for it."""
    client = exchange()
    found.acquire(client)
    connector.establish()
    found.renew(client)
    client.use_connection.reset_mock()
    return client


def test_a_renewed_connection_serves_its_own_exchange() -> None:
    found, connector = dispatcher("keepalive")
    client, other = renewing(found, connector), exchange()
    found.acquire(other)
    fresh = connector.establish()
    client.use_connection.assert_called_once_with(fresh)
    other.use_connection.assert_not_called()


@pytest.mark.parametrize("mode", ["short", "keepalive"])
def test_a_client_that_has_gone_leaves_its_renewed_connection_to_others(
    mode: Literal["short", "keepalive"],
) -> None:
    found, connector = dispatcher(mode)
    client, other = renewing(found, connector), exchange()
    found.acquire(other)
    found.cancel(client)
    fresh = connector.establish()
    client.use_connection.assert_not_called()
    if mode == "short":
        # It carried no request, but short mode reuses none: its place is free, and a new one is opened.
        fresh = connector.establish()
    other.use_connection.assert_called_once_with(fresh)


def test_a_client_that_has_gone_is_not_called() -> None:
    found, connector = dispatcher("keepalive")
    client, other = renewing(found, connector), exchange()
    found.acquire(other)
    found.cancel(client)
    connector.opened.pop().connection_failed(ConnectFailed(111))
    client.respond.assert_not_called()
    assert len(connector.opened) == 1, "the place is free again for the waiter"


class Time:
    """The true time."""

    def __init__(self) -> None:
        self.s = 1000.0

    def monotonic(self) -> float:
        return self.s


def test_nobody_is_refused_before_the_wait_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who begins to wait just before a sweep waits as long as anybody."""
    time = Time()
    monkeypatch.setattr("proxy.clock.time", time)
    clock = Clock(1.0)
    found, connector = dispatcher(clock=clock)
    found.acquire(exchange())
    connector.establish()
    client = exchange()
    time.s += 0.99
    found.acquire(client)
    began = time.s
    while not client.respond.called:
        time.s += 1.0 if time.s > began else 0.01
        clock.advance()
        found.sweep()
    assert 10.0 <= time.s - began <= 12.0
    assert client.respond.call_args.args[0] == 503
