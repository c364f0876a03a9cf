"""What an exchange does about time, with client, dispatcher and upstream scripted."""

from unittest.mock import Mock

import pytest

from proxy.counters import Counters
from proxy.exchange import Exchange
from proxy.forwarding import RequestWriter
from proxy.http11.request import read_request
from proxy.http11.response import read_response
from proxy.settings import Limits

CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def service() -> Mock:
    writer = RequestWriter(Limits(), is_10=True, keep_alive=True, ask_close=False)
    return Mock(
        writer=writer,
        limits=Limits(),
        counters=Counters(),
        default_host=b"up:1",
        response_until=60.0,
        half_closed_until=10.0,
        date=b"Date: now\r\n",
    )


@pytest.fixture
def client() -> Mock:
    return Mock(tail=b"X-Forwarded-Host: ", closes=False, has_ended=False)


def test_an_upstream_that_still_takes_a_long_body_is_not_late(service: Mock, client: Mock) -> None:
    exchange = Exchange(service, client)
    head = read_request(CHUNKED_POST, Limits())
    assert head is not None
    exchange.begin(head, b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n")
    connection = Mock(unsent=100_000)
    exchange.use(connection)
    for connection.unsent in (100_000, 50_000, 49_999):
        client.deadline = 0.0
        exchange.timed_out(of_client=False)
        assert client.deadline == service.response_until
    client.answered.assert_not_called()
    exchange.timed_out(of_client=False)
    client.answered.assert_called_once()
    assert service.counters.upstream["timeout"] == 1
    exchange.ask(b"the next request")
    exchange.use(Mock(unsent=0))
    exchange.timed_out(of_client=False)
    assert service.counters.upstream["timeout"] == 2, "what the first had left says nothing of the next"


@pytest.mark.parametrize(("has_ended", "deadline"), [(False, 60.0), (True, 10.0)])
def test_a_silent_stream_to_a_client_that_may_be_gone_has_less_time(
    has_ended: bool, deadline: float, service: Mock, client: Mock
) -> None:
    exchange = Exchange(service, client)
    exchange.ask(b"request")
    exchange.use(Mock())
    client.has_ended = has_ended
    head = read_response(b"HTTP/1.1 200 OK\r\n\r\n", Limits(), to_head=False)
    assert head is not None
    for happens in (
        lambda: exchange.respond(head, b""),
        lambda: exchange.content(b"x"),
        exchange.content_moved,
    ):
        client.deadline = 0.0
        happens()
        assert client.deadline == deadline
