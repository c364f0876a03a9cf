"""Time-outs of an exchange, with scripted client, dispatcher and upstream."""

from collections.abc import Callable
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
def context() -> Mock:
    writer = RequestWriter(Limits(), is_http10=True, keep_alive=True, request_close=False)
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
    return Mock(added_fields=b"X-Forwarded-Host: ", close_after_response=False, is_half_closed=False)


def test_an_upstream_that_still_takes_a_long_body_is_not_late(context: Mock, client: Mock) -> None:
    exchange = Exchange(context, client)
    head = read_request(CHUNKED_POST, Limits())
    assert head is not None
    exchange.begin(head, b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n")
    connection = Mock(unsent=100_000)
    exchange.use_connection(connection)
    for connection.unsent in (100_000, 50_000, 49_999):
        client.deadline = 0.0
        exchange.timed_out(client_stalled=False)
        assert client.deadline == context.response_until
    client.response_sent.assert_not_called()
    exchange.timed_out(client_stalled=False)
    client.response_sent.assert_called_once()
    assert context.counters.upstream["timeout"] == 1
    exchange.send_request(b"the next request")
    exchange.use_connection(Mock(unsent=0))
    exchange.timed_out(client_stalled=False)
    assert context.counters.upstream["timeout"] == 2, "what the first had left says nothing of the next"


@pytest.mark.parametrize(("is_half_closed", "deadline"), [(False, 60.0), (True, 10.0)])
def test_a_silent_stream_to_a_client_that_may_be_gone_has_less_time(
    is_half_closed: bool, deadline: float, context: Mock, client: Mock
) -> None:
    exchange = Exchange(context, client)
    exchange.send_request(b"request")
    exchange.use_connection(Mock())
    client.is_half_closed = is_half_closed
    head = read_response(b"HTTP/1.1 200 OK\r\n\r\n", Limits(), to_head=False)
    assert head is not None
    events: tuple[Callable[[], None], ...] = (
        lambda: exchange.begin_response(head, b""),
        lambda: exchange.forward_content(b"x"),
        exchange.content_spliced,
    )
    for event in events:
        client.deadline = 0.0
        event()
        assert client.deadline == deadline
