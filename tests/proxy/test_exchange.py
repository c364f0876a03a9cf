"""One exchange with scripted client, dispatcher and upstream: time-outs, retries, both ways at once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.errors import UpstreamProtocolError, UpstreamReset
from proxy.settings import Limits
from tests.proxy_parts import Connection, Worker, request_head, response_head

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED_POST = POST + b"Transfer-Encoding: chunked\r\n\r\n"
LONG_POST = POST + b"Content-Length: 100000\r\n\r\n" + b"x" * 20_000
OK = b"HTTP/1.1 200 OK\r\nDate: d\r\nContent-Length: 5\r\n\r\n"


def asked(method: str = "GET", worker: Worker | None = None) -> Worker:
    """Return a worker whose client has sent a whole request."""
    worker = worker or Worker()
    worker.exchange.begin(request_head(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode()), b"")
    return worker


# Time-outs.


def test_an_upstream_that_still_takes_a_long_body_is_not_late() -> None:
    worker = Worker(to_http10=True)
    worker.begin(CHUNKED_POST + b"186a0\r\n" + b"x" * 100_000 + b"\r\n0\r\n\r\n")
    connection = worker.connect()
    for left in (100_000, 50_000, 49_999):
        connection.transport.unsent = b"x" * left
        worker.client.deadline = 0.0
        worker.exchange.timed_out(client_stalled=False)
        assert worker.client.deadline == worker.context.response_until
    worker.client.response_sent.assert_not_called()
    worker.exchange.timed_out(client_stalled=False)
    worker.client.response_sent.assert_called_once()
    timeouts = worker.context.counters.upstream
    assert timeouts["timeout"] == 1
    worker.exchange.begin(request_head(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"), b"")
    worker.connect()
    worker.exchange.timed_out(client_stalled=False)
    assert timeouts["timeout"] == 2, "what the first had left says nothing of the next"


@pytest.mark.parametrize("is_half_closed", [False, True])
def test_a_silent_stream_to_a_client_that_may_be_gone_has_less_time(is_half_closed: bool) -> None:
    worker = asked()
    worker.connect()
    worker.client.is_half_closed = is_half_closed
    context = worker.context
    deadline = context.half_closed_until if is_half_closed else context.response_until
    body = worker.exchange.begin_response(response_head(b"HTTP/1.1 200 OK\r\n\r\n"), b"")
    assert worker.client.deadline == deadline
    events: tuple[Callable[[], None], ...] = (lambda: body.write(b"x"), worker.exchange.extend_deadline)
    for event in events:
        worker.client.deadline = 0.0
        event()
        assert worker.client.deadline == deadline


@pytest.mark.parametrize(
    ("unsent", "status", "client", "upstream"),
    [(b"", b"408", [408], 0), (b"x", b"504", [], 1)],
    ids=["the client sends no more", "the upstream reads no more"],
)
def test_a_body_that_stops_is_charged_to_who_stops_it(
    unsent: bytes, status: bytes, client: list[int], upstream: int
) -> None:
    worker = Worker()
    worker.begin(LONG_POST)
    connection = worker.connect()
    connection.transport.unsent = unsent
    worker.exchange.timed_out(client_stalled=False)
    assert worker.answer[9:12] == status
    assert worker.errors == client
    assert worker.context.counters.upstream["timeout"] == upstream
    connection.abandon.assert_called_once()


def test_a_body_that_is_not_collected_in_time_is_the_clients_fault() -> None:
    worker = Worker()
    worker.begin(POST + b"Content-Length: 5\r\n\r\nh")
    worker.exchange.timed_out(client_stalled=False)
    assert worker.errors == [408]
    assert not worker.waits


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 103 Early\r\nLink: a\r\n\r\n"]
)
def test_an_interim_response_ends_a_silence(interim: bytes) -> None:
    worker = asked()
    worker.connect()
    worker.client.deadline = 0.0
    worker.exchange.forward_interim(response_head(interim))
    assert worker.client.deadline == worker.context.response_until
    assert worker.answer == interim


def test_an_interim_response_gives_a_body_no_more_time() -> None:
    worker = Worker()
    worker.begin(LONG_POST)
    worker.connect()
    worker.client.deadline = 1.0
    worker.exchange.forward_interim(response_head(b"HTTP/1.1 100 Continue\r\n\r\n"))
    assert worker.client.deadline == 1.0


@pytest.mark.parametrize("client_stalled", [True, False])
def test_a_response_that_stops_is_charged_to_who_stops_it(client_stalled: bool) -> None:
    worker = asked()
    connection = worker.connect()
    worker.exchange.begin_response(response_head(OK), b"he")
    worker.exchange.timed_out(client_stalled=client_stalled)
    counters = worker.context.counters
    assert (counters.client["timeout"], counters.upstream["timeout"]) == (client_stalled, not client_stalled)
    worker.client.abort_response.assert_called_once()
    connection.abandon.assert_called_once()


# Connections that end without a response.


def fail(worker: Worker, connection: Connection, error: Exception | None = None) -> bool:
    """Let the connection end; return whether the request goes to another one."""
    worker.exchange.upstream_failed(connection, error or UpstreamReset("reset"))  # type: ignore[arg-type]
    calls: int = worker.context.dispatcher.renew.call_count
    assert calls + worker.context.dispatcher.lost.call_count == 1
    return calls == 1


@pytest.mark.parametrize(
    ("method", "request_count", "was_sent", "has_response", "goes_on"),
    [
        ("GET", 2, True, False, True),
        ("PUT", 2, True, False, True),
        ("GET", 2, True, True, False),
        ("GET", 1, True, False, False),
        ("POST", 2, True, False, False),
        ("PATCH", 2, True, False, False),
        ("POST", 2, False, False, True),
        ("PATCH", 2, False, False, True),
        ("GET", 2, False, False, True),
    ],
)
def test_what_goes_to_another_connection(
    method: str, request_count: int, was_sent: bool, has_response: bool, goes_on: bool
) -> None:
    """What may be repeated, if the end of a used connection may be a race; anything that was never sent."""
    worker = asked(method)
    connection = worker.connect(request_count)
    connection.has_response = has_response
    connection.never_sent = None if was_sent else connection.sent
    assert fail(worker, connection) is goes_on
    if goes_on:
        assert worker.answer == b""
        assert worker.connect().sent == connection.sent
    else:
        assert worker.answer.startswith(b"HTTP/1.1 502 ")


def test_the_start_of_a_body_that_was_never_sent_goes_to_another_connection() -> None:
    """And what follows it; what has been sent may not go again."""
    worker = Worker()
    worker.begin(LONG_POST)
    connection = worker.connect(request_count=2)
    request = connection.never_sent = connection.sent
    assert fail(worker, connection)
    worker.exchange.receive_body(b"more")
    other = worker.connect()
    worker.exchange.receive_body(b"and more")
    assert other.sent == request + b"moreand more"


def test_the_start_of_a_body_that_was_sent_is_lost() -> None:
    worker = Worker()
    worker.begin(LONG_POST.replace(b"POST", b"PUT"))
    assert not fail(worker, worker.connect(request_count=2))
    assert worker.answer.startswith(b"HTTP/1.1 502 ")
    assert worker.client.close_after_response


def test_unsolicited_bytes_on_a_used_connection_are_counted() -> None:
    worker = asked("POST")
    connection = worker.connect(request_count=2)
    connection.never_sent = connection.sent
    assert fail(worker, connection, UpstreamProtocolError("a response before its request"))
    assert worker.context.counters.upstream["protocol"] == 1


def test_a_response_that_is_cut_is_seen_to_be_cut() -> None:
    worker = asked()
    connection = worker.connect(request_count=2)
    connection.has_response = True
    worker.exchange.begin_response(response_head(OK), b"he")
    assert not fail(worker, connection)
    worker.client.abort_response.assert_called_once()


# Both ways at once.


def test_a_body_goes_on_while_its_response_has_begun() -> None:
    worker = Worker()
    worker.begin(LONG_POST)
    connection = worker.connect()
    worker.exchange.begin_response(response_head(OK), b"he")
    worker.exchange.receive_body(b"more")
    assert connection.sent.endswith(b"xmore")


def test_a_malformed_body_cuts_a_response_that_has_begun() -> None:
    worker = Worker()
    worker.begin(CHUNKED_POST + b"5000\r\n" + b"x" * 0x5000)
    worker.connect()
    worker.exchange.begin_response(response_head(OK), b"he")
    worker.exchange.receive_body(b"no end of a chunk")
    assert worker.errors == [400]
    worker.client.abort_response.assert_called_once()


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_response_before_the_end_of_its_request_is_the_last(is_whole: bool) -> None:
    worker = asked() if is_whole else Worker()
    if not is_whole:
        worker.begin(LONG_POST)
    worker.connect()
    assert worker.exchange.forward_verbatim(OK + b"hello") is is_whole
    if not is_whole:
        worker.exchange.begin_response(response_head(OK), b"hello")
        worker.exchange.finish()
        assert b"\r\nConnection: close\r\n" in worker.answer
    assert worker.client.close_after_response is not is_whole
    worker.client.response_sent.assert_called_once()


# Responses of the proxy itself.


def test_max_forwards_of_zero_goes_no_further() -> None:
    worker = Worker()
    worker.exchange.begin(request_head(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n"), b"")
    assert not worker.waits
    assert worker.answer.startswith(b"HTTP/1.1 200 ")
    worker.begin(b"OPTIONS * HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\nContent-Length: 5\r\n\r\n")
    assert not worker.waits
    assert worker.client.close_after_response, "its body may come as it likes"


def test_nothing_is_answered_with_content_to_head() -> None:
    worker = asked("HEAD")
    worker.exchange.respond(503, "why")
    assert worker.answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("offered", "agreed", "is_switched"),
    [
        (b"websocket,foo", b"foo", True),
        (b"websocket,foo", b"WebSocket", True),
        (b"websocket ,\tfoo", b"foo", True),
        (b"websocket, foo", b"websocket, foo", False),
        (b"websocket,foo", b"bar", False),
        (b"websocket,foo", b"", False),
        (b"websocket,h2c/1", b"h2c/1", False),
    ],
)
def test_a_switch_is_to_one_protocol_that_was_offered(
    offered: bytes, agreed: bytes, is_switched: bool
) -> None:
    worker = Worker(Limits())
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: %b\r\n\r\n" % offered
    worker.exchange.begin(request_head(request), b"")
    worker.connect().detach_transport = lambda: None  # type: ignore[attr-defined]
    worker.client.detach.return_value = (worker.client.transport, b"early")
    switch = response_head(b"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: %b\r\n\r\n" % agreed)
    if is_switched:
        worker.exchange.switch_protocols(switch, b"frame")
        assert worker.answer.endswith(b"\r\n\r\nframe")
        assert worker.context.open_tunnel.call_args.args[1] == b"early"
    else:
        with pytest.raises(UpstreamProtocolError):
            worker.exchange.switch_protocols(switch, b"frame")
