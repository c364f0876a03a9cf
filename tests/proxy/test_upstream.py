"""Responses are read as in the corpus, and no ambiguous connection is reused."""

from typing import cast

import pytest

from proxy.errors import ProxyError, UpstreamProtocolError, UpstreamReset
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.response import ResponseHead
from proxy.settings import Limits
from proxy.splice import PipePool
from proxy.transport import Transport
from proxy.upstream import UpstreamConnection
from tests.messages.corpus import RESPONSES, cuts
from tests.messages.model import Answer, Incomplete, Refuse, ResponseReading


class FakeTransport:
    """A transport that records what is written, and whether it is closed."""

    def __init__(self) -> None:
        self.written = b""
        self.unsent = b""
        self.is_deferred = False
        self.is_open = True
        self.was_aborted = False
        self.is_reading_ = True

    def send(self, data: bytes) -> None:
        self.written += data

    defer = send

    def close(self) -> None:
        self.is_open = False

    def abort(self) -> None:
        self.is_open = False
        self.was_aborted = True

    def pause_reading(self) -> None:
        self.is_reading_ = False

    def resume_reading(self) -> None:
        self.is_reading_ = True


class Exchange:
    """Plays both the owner and the client of one upstream connection, and records the calls."""

    limits = Limits()
    pipes: PipePool

    def __init__(self, *, takes_usual: bool = False, to_head: bool = False) -> None:
        self.request_done = True
        self.takes_usual = takes_usual
        self.is_head_request = to_head
        self.heads: list[ResponseHead] = []
        self.passed_on = b""
        self.dated: list[bool] = []
        self.received = b""
        self.interims: list[int] = []
        self.done = False
        self.error: ProxyError | None = None
        self.reusable: bool | None = None
        self.lost_error: ProxyError | None = None
        self.switched: bytes | None = None
        self.full = False
        self.transport = FakeTransport()
        self.connection = UpstreamConnection(self)
        self.connection.connection_made(cast(Transport, self.transport))
        self.connection.send(b"request", self)

    # As the owner.

    def opened(self, connection: UpstreamConnection) -> None:
        assert not connection.request_count

    def failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        raise AssertionError("it was established")

    def release(self, connection: UpstreamConnection) -> None:
        self.reusable = True

    def retire(self, connection: UpstreamConnection) -> None:
        self.reusable = False

    def lost(self, connection: UpstreamConnection, error: ProxyError) -> None:
        self.lost_error = error

    def discard(self, connection: UpstreamConnection) -> None:
        self.reusable = False

    def ended(self, connection: UpstreamConnection) -> None:
        assert (
            not self.transport.is_reading_
            or not self.transport.is_open
            or self.reusable is not None
            or self.error
        )

    # As the client.

    def use_connection(self, connection: UpstreamConnection) -> None:
        raise AssertionError("no connection was requested")

    def no_connection(self, error: ProxyError) -> None:
        raise AssertionError("no connection was requested")

    def forward_verbatim(self, data: bytes, date_at: int) -> bool:
        if self.is_head_request or not self.takes_usual:
            return False
        self.passed_on += data
        self.dated.append(date_at == 0)
        self.done = True
        return True

    def forward_interim(self, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def switch_protocols(self, head: ResponseHead, data: bytes) -> None:
        if head.upgrade != b"websocket":
            raise UpstreamProtocolError("a switch that was not offered")
        self.switched = data
        self.connection.detach_transport()

    def begin_response(self, head: ResponseHead, content: bytes) -> None:
        self.heads.append(head)
        self.received += content

    def forward_content(self, content: bytes) -> None:
        assert content
        self.received += content

    def sink(self) -> Transport | None:
        return None

    def content_spliced(self) -> None:
        raise AssertionError("there is no sink")

    def end_response(self) -> None:
        self.done = True

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        self.error = error

    def pause_request_body(self) -> None:
        self.full = True

    def resume_request_body(self) -> None:
        self.full = False


def play(exchange: Exchange, pieces: list[bytes], ending: str) -> None:
    """Sends the pieces, and what follows once the connection is back in its pool, then ends as scripted."""
    for piece in pieces:
        exchange.connection.data_received(piece)
    if ending == "close" and exchange.transport.is_open:
        exchange.connection.eof_received()
        exchange.connection.connection_lost(None)
    elif ending == "reset" and exchange.transport.is_open:
        exchange.connection.connection_lost(ConnectionResetError())


def reading(exchange: Exchange) -> ResponseReading:
    framing = None
    if exchange.heads:
        body = exchange.heads[0].body
        framing = {CHUNKED: "chunked", UNTIL_CLOSE: "until-close", 0: "none"}.get(body, f"CL={body}")
    if exchange.done:
        is_kept = exchange.reusable is True and exchange.lost_error is None
        status = exchange.heads[0].status
        return Answer(status, framing or "none", exchange.received, is_kept, interim=tuple(exchange.interims))
    if isinstance(exchange.error, UpstreamProtocolError):
        return Refuse((502,), exchange.error.reason, in_body=bool(exchange.heads))
    return Incomplete(framing, exchange.received)


def agree(found: ResponseReading, expected: ResponseReading) -> bool:
    """Whether a response was read as expected; framings count only where there is content."""
    if isinstance(found, Refuse) or isinstance(expected, Refuse):
        return type(found) is type(expected)
    if isinstance(found, Incomplete) or isinstance(expected, Incomplete):
        return type(found) is type(expected) and found.body == expected.body
    same = (found.status, found.body, found.interim) == (expected.status, expected.body, expected.interim)
    return same and found.reusable == (expected.reusable and not expected.trailing)


@pytest.mark.parametrize("name", RESPONSES)
def test_corpus(name: str) -> None:
    message = RESPONSES[name]
    for pieces in cuts(message.data) if message.data else [[]]:
        exchange = Exchange(to_head=message.method == "HEAD")
        exchange.request_done = not name.startswith("early_413") and not name.startswith("early_200")
        play(exchange, pieces, message.ending)
        found = reading(exchange)
        assert any(agree(found, expected) for expected in message.expected), (
            found,
            exchange.error,
            message.expected,
        )


OK = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 23:34:31 GMT\r\nContent-Length: 5\r\n\r\nhello"


def test_a_usual_response_is_passed_on_as_it_is() -> None:
    exchange = Exchange(takes_usual=True)
    exchange.connection.data_received(OK)
    assert (exchange.passed_on, exchange.dated) == (OK, [True])
    assert (exchange.done, exchange.reusable) == (True, True)


def test_a_usual_response_without_a_date_is_forwarded_and_reported() -> None:
    exchange = Exchange(takes_usual=True)
    data = OK.replace(b"Date", b"Dat")
    exchange.connection.data_received(data)
    assert (exchange.passed_on, exchange.dated) == (data, [False])


@pytest.mark.parametrize(
    "data",
    [
        OK + b"more",
        OK[:-1],
        OK.replace(b"Date", b"Connection: close\r\nDate"),
        OK.replace(b"Date", b"Content-Length: 5\r\nDate"),
        OK.replace(b"Date", b"transfer-encoding: chunked\r\nDate"),
        OK.replace(b"Date", b"Upgrade: x\r\nDate"),
        OK.replace(b"\r\nDate", b"\nDate"),
        OK.replace(b"200", b"204"),
        OK.replace(b"200", b"304"),
        OK.replace(b"1.1", b"1.0"),
    ],
)
def test_an_unusual_response_is_not_passed_on(data: bytes) -> None:
    exchange = Exchange(takes_usual=True)
    exchange.connection.data_received(data)
    assert exchange.passed_on == b""


def test_a_response_to_head_has_no_content() -> None:
    exchange = Exchange(takes_usual=True, to_head=True)
    exchange.connection.data_received(OK)
    assert (exchange.passed_on, exchange.received, exchange.reusable) == (b"", b"", False)


def test_bytes_on_an_idle_connection_end_it() -> None:
    exchange = Exchange()
    exchange.connection.data_received(OK)
    assert exchange.reusable
    exchange.connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert isinstance(exchange.lost_error, UpstreamProtocolError)
    assert not exchange.transport.is_open


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_an_idle_connection_may_end(error: Exception | None) -> None:
    exchange = Exchange()
    exchange.connection.data_received(OK)
    if error is None:
        exchange.connection.eof_received()
    exchange.connection.connection_lost(error)
    assert isinstance(exchange.lost_error, UpstreamReset)


def test_a_response_that_comes_before_its_request_has_left_is_none() -> None:
    exchange = Exchange(takes_usual=True)
    exchange.transport.unsent, exchange.transport.is_deferred = b"request", True
    exchange.connection.data_received(OK)
    assert isinstance(exchange.error, UpstreamProtocolError)
    assert exchange.passed_on == b""
    assert not exchange.connection.has_response


def test_a_response_that_comes_before_the_rest_of_its_request_has_left_is_early() -> None:
    exchange = Exchange(takes_usual=True)
    exchange.transport.unsent = b"uest"
    exchange.connection.data_received(OK)
    assert (exchange.passed_on, exchange.received, exchange.reusable) == (b"", b"hello", False)
    exchange.connection.close()
    assert exchange.transport.was_aborted


@pytest.mark.parametrize("data", [OK, OK.replace(b"Date", b"X")])
def test_a_response_to_half_a_request_costs_the_connection(data: bytes) -> None:
    exchange = Exchange()
    exchange.request_done = False
    exchange.connection.data_received(data)
    assert (exchange.done, exchange.received, exchange.reusable) == (True, b"hello", False)


def test_endless_progress_is_refused() -> None:
    exchange = Exchange()
    exchange.connection.data_received(b"HTTP/1.1 102 Processing\r\n\r\n" * 65)
    assert len(exchange.interims) == 64
    assert isinstance(exchange.error, UpstreamProtocolError)


def test_a_switch_hands_the_transport_over() -> None:
    exchange = Exchange()
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    exchange.connection.data_received(head + b"frame")
    assert exchange.switched == b"frame"
    assert exchange.transport.is_open


def test_a_paused_connection_is_resumed_before_it_is_idle() -> None:
    exchange = Exchange()
    exchange.connection.data_received(OK[:-2])
    exchange.connection.pause()
    assert not exchange.transport.is_reading_
    exchange.connection.data_received(OK[-2:])
    assert exchange.transport.is_reading_
    assert exchange.reusable


def test_an_abandoned_exchange_ends_the_connection() -> None:
    exchange = Exchange()
    exchange.connection.data_received(OK[:-2])
    exchange.connection.abandon()
    exchange.connection.data_received(OK[-2:])
    assert (exchange.transport.is_open, exchange.done, exchange.reusable) == (False, False, False)


def test_a_full_connection_tells_its_exchange() -> None:
    exchange = Exchange()
    exchange.connection.pause_writing()
    assert exchange.full
    exchange.connection.resume_writing()
    assert not exchange.full
