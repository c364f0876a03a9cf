"""Fresh connections whose client has gone while they were opened, with scripted sockets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal
from unittest.mock import Mock

import pytest

from proxy.counters import Counters
from proxy.dispatch import Dispatcher
from proxy.errors import ConnectFailed
from proxy.interfaces import Downstream
from proxy.poller import Poller
from proxy.settings import Settings
from proxy.transport import Transport
from proxy.upstream import UpstreamConnection


class Connector:
    """Opens nothing: the test decides the result of each connection."""

    def __init__(self) -> None:
        self.opened: list[UpstreamConnection] = []

    def open(self, connection: UpstreamConnection, now: float) -> None:
        self.opened.append(connection)

    def establish(self) -> UpstreamConnection:
        connection = self.opened.pop(0)
        connection.connection_made(Mock(Transport))
        return connection


@pytest.fixture
def poller() -> Iterator[Poller]:
    poller = Poller()
    yield poller
    poller.close()


def dispatcher(poller: Poller, mode: Literal["short", "keepalive"]) -> tuple[Dispatcher, Connector]:
    """Return a dispatcher with a single place, taken by a connection that is about to be renewed."""
    settings = Settings(("127.0.0.1", 0), (("127.0.0.1", 1),), mode=mode, pool_max=1)
    found = Dispatcher(settings, Counters(), poller)
    found._connector = connector = Connector()  # type: ignore[assignment]
    return found, connector


def exchange() -> Mock:
    return Mock(Downstream)


def renewing(found: Dispatcher, connector: Connector) -> Mock:
    """Return an exchange with a stale connection: a fresh one is being opened for it."""
    client = exchange()
    found.acquire(client)
    stale = connector.establish()
    found.renew(stale, client)
    client.use_connection.reset_mock()
    return client


def test_a_renewed_connection_serves_its_own_exchange(poller: Poller) -> None:
    found, connector = dispatcher(poller, "keepalive")
    client, other = renewing(found, connector), exchange()
    found.acquire(other)
    fresh = connector.establish()
    client.use_connection.assert_called_once_with(fresh)
    other.use_connection.assert_not_called()


@pytest.mark.parametrize("mode", ["short", "keepalive"])
def test_a_client_that_has_gone_leaves_its_renewed_connection_to_others(
    mode: Literal["short", "keepalive"], poller: Poller
) -> None:
    found, connector = dispatcher(poller, mode)
    client, other = renewing(found, connector), exchange()
    found.acquire(other)
    found.cancel(client)
    fresh = connector.establish()
    client.use_connection.assert_not_called()
    if mode == "short":
        # It carried no request, but short mode reuses none: its place is free, and a new one is opened.
        fresh = connector.establish()
    other.use_connection.assert_called_once_with(fresh)


def test_a_client_that_has_gone_is_not_called(poller: Poller) -> None:
    found, connector = dispatcher(poller, "keepalive")
    client, other = renewing(found, connector), exchange()
    found.acquire(other)
    found.cancel(client)
    connector.opened.pop().connection_failed(ConnectFailed("refused", 111))
    client.no_connection.assert_not_called()
    assert len(connector.opened) == 1, "the place is free again for the waiter"
