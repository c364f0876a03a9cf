"""Responses are read as in the corpus, and no ambiguous connection is reused."""

from typing import cast

import pytest

from proxy.dispatch import Dispatcher
from proxy.errors import ProxyError, UpstreamProtocolError, UpstreamReset
from proxy.exchange import Exchange
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.response import CompleteResponse, ResponseHead
from proxy.response_body import ResponseBody
from proxy.settings import Limits
from proxy.splice import PipePool
from proxy.transport import Transport
from proxy.upstream import UpstreamConnection
from tests.messages.corpus import RESPONSES, cuts
from tests.messages.model import Answer, Incomplete, Refuse, ResponseReading
from tests.proxy_parts import request_head


class FakeTransport:
    """A transport that records what is written, how, and whether it is closed."""

    def __init__(self) -> None:
        self.written: list[tuple[str, bytes]] = []
        self.unsent = b""
        self.is_deferred = False
        self.is_open = True
        self.was_aborted = False
        self.is_reading_ = True

    def send(self, data: bytes) -> None:
        self.written.append(("now", data))

    def write(self, data: bytes) -> None:
        self.written.append(("at the end of the turn", data))

    def write_careful(self, data: bytes) -> None:
        self.written.append(("after a look", data))

    def close(self) -> None:
        self.is_open = False

    def abort(self) -> None:
        self.is_open = False
        self.was_aborted = True

    def pause_reading(self) -> None:
        self.is_reading_ = False

    def resume_reading(self) -> None:
        self.is_reading_ = True


class Sides:
    """Plays the owner, the exchange and the response of one upstream connection, and records the calls."""

    limits = Limits()
    pipes: PipePool

    def __init__(
        self, *, takes_verbatim: bool = False, method: str = "GET", reads_chunks: bool = False
    ) -> None:
        self.request_done = True
        self.takes_verbatim = takes_verbatim
        self.reads_chunks = reads_chunks
        self.heads: list[ResponseHead] = []
        self.verbatim = b""
        self.received = b""
        self.interims: list[int] = []
        self.has_ended = False
        self.done = False
        self.error: ProxyError | None = None
        self.reusable: bool | None = None
        self.lost_error: ProxyError | None = None
        self.switched: bytes | None = None
        self.full = False
        self.transport = FakeTransport()
        self.connection = UpstreamConnection(cast(Dispatcher, self))
        self.connection.established(cast(Transport, self.transport))
        self.request(method)

    def request(self, method: str = "GET") -> None:
        """Send a request."""
        self.done = self.has_ended = False
        self.reusable = None
        head = request_head(f"{method} / HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        self.connection.send(b"request", cast(Exchange, self), head)

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
        raise AssertionError("nobody waits for the upstream to close")

    # As the sides.

    def forward_verbatim(self, data: bytes) -> bool:
        if not self.takes_verbatim:
            return False
        self.verbatim += data
        self.done = True
        return True

    def forward_complete(self, data: bytes, response: CompleteResponse) -> bool:
        if not self.takes_verbatim:
            return False
        self.done = True
        return True

    def forward_interim(self, head: ResponseHead) -> None:
        self.interims.append(head.status)

    def switch_protocols(self, head: ResponseHead, data: bytes) -> None:
        if head.upgrade != b"websocket":
            raise UpstreamProtocolError("a switch that was not offered")
        self.switched = data
        self.connection.detach_transport()

    def begin_response(self, head: ResponseHead, content: bytes) -> ResponseBody:
        self.heads.append(head)
        self.received += content
        return cast(ResponseBody, self)

    def finish(self) -> None:
        assert self.has_ended
        self.done = True

    def upstream_failed(self, connection: UpstreamConnection, error: ProxyError) -> None:
        self.error = error

    def pause_request_body(self) -> None:
        self.full = True

    def resume_request_body(self) -> None:
        self.full = False

    # As the body of the response.

    def write(self, content: bytes) -> None:
        assert content
        self.received += content

    def sink(self) -> Transport | None:
        return None

    def extend_deadline(self) -> None:
        raise AssertionError("there is no sink")

    def end(self) -> None:
        self.has_ended = True


def play(sides: Sides, pieces: list[bytes], ending: str) -> None:
    """Sends the pieces, and what follows once the connection is back in its pool, then ends as scripted."""
    for piece in pieces:
        sides.connection.data_received(piece)
    if ending == "close" and sides.transport.is_open:
        sides.connection.eof_received()
        sides.connection.connection_lost(None)
    elif ending == "reset" and sides.transport.is_open:
        sides.connection.connection_lost(ConnectionResetError())


def reading(sides: Sides) -> ResponseReading:
    framing = None
    if sides.heads:
        body = sides.heads[0].body
        framing = {CHUNKED: "chunked", UNTIL_CLOSE: "until-close", 0: "none"}.get(body, f"CL={body}")
    if sides.done:
        is_kept = sides.reusable is True and sides.lost_error is None
        status = sides.heads[0].status
        return Answer(status, framing or "none", sides.received, is_kept, interim=tuple(sides.interims))
    if isinstance(sides.error, UpstreamProtocolError):
        return Refuse((502,), sides.error.reason, in_body=bool(sides.heads))
    return Incomplete(framing, sides.received)


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
        sides = Sides(method=message.method)
        sides.request_done = not name.startswith("early_413") and not name.startswith("early_200")
        play(sides, pieces, message.ending)
        found = reading(sides)
        assert any(agree(found, expected) for expected in message.expected), (
            found,
            sides.error,
            message.expected,
        )


OK = b"HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 23:34:31 GMT\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED_OK = OK.partition(b"Content-Length")[0] + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        OK,
        OK.replace(b"Date", b"dAtE").replace(b"Content-Length", b"content-length"),
        OK.replace(b"Date", b"X-Y: z\r\nDate"),
        OK.replace(b"200 OK", b"404 "),
        OK.replace(b"Date", b"Connection: keep-alive\r\nDate"),
        OK.replace(b"5", b"0")[:-5],
    ],
)
def test_a_whole_response_goes_as_it_came(data: bytes) -> None:
    sides = Sides(takes_verbatim=True)
    sides.connection.data_received(data)
    assert (sides.verbatim, sides.done, sides.reusable) == (data, True, True)


@pytest.mark.parametrize(
    "data",
    [
        OK + b"more",
        OK[:-1],
        OK.replace(b"Date", b"Dat"),
        OK.replace(b"Date", b"Connection: close\r\nDate"),
        OK.replace(b"Date", b"Keep-Alive: timeout=5\r\nDate"),
        OK.replace(b"Date", b"Content-Length: 5\r\nDate"),
        OK.replace(b": 5", b": 05"),
        OK.replace(b"Date", b"transfer-encoding: chunked\r\nDate"),
        OK.replace(b"Date", b"Upgrade: x\r\nDate"),
        OK.replace(b"\r\nDate", b"\nDate"),
        OK.replace(b"200", b"204"),
        OK.replace(b"200", b"304"),
        OK.replace(b"200", b"103"),
        OK.replace(b"1.1", b"1.0"),
        OK.replace(b"1.1", b"1.2"),
        OK.replace(b" OK", b""),
        OK.replace(b"Date", b"A: b\r\n" * 100 + b"Date"),
        OK.replace(b"Date", b"A: " + b"b" * 33_000 + b"\r\nDate"),
    ],
)
def test_no_other_does(data: bytes) -> None:
    sides = Sides(takes_verbatim=True)
    sides.connection.data_received(data)
    assert sides.verbatim == b""


def test_a_response_to_head_has_no_content() -> None:
    sides = Sides(takes_verbatim=True, method="HEAD")
    sides.connection.data_received(OK)
    assert (sides.verbatim, sides.received, sides.reusable) == (b"", b"", False)


@pytest.mark.parametrize("ends", [b"", b"NEXT"])
def test_chunks_are_forwarded_as_they_came_to_who_reads_them(ends: bytes) -> None:
    """But for what belongs to one hop; however they are cut."""
    data = CHUNKED_OK + b"3;x=y\r\nhel\r\n2\r\nlo\r\n00\r\nX: 1\r\n\r\n"
    for pieces in cuts(data):
        for reads_chunks, received in ((True, b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"), (False, b"hello")):
            sides = Sides(reads_chunks=reads_chunks)
            for piece in (*pieces[:-1], pieces[-1] + ends):
                sides.connection.data_received(piece)
            assert (sides.done, sides.received, sides.reusable) == (True, received, not ends)


def test_whole_chunks_are_one_response() -> None:
    sides = Sides(reads_chunks=True)
    sides.connection.data_received(CHUNKED_OK + b"5\r\nhello\r\n0\r\n\r\n")
    assert (sides.done, sides.reusable) == (True, True)


# How a request is sent.


@pytest.mark.parametrize(
    ("method", "way"),
    [
        ("GET", "at the end of the turn"),
        ("PUT", "at the end of the turn"),
        ("POST", "after a look"),
        ("PATCH", "after a look"),
        ("FETCH", "after a look"),
    ],
)
def test_a_used_connection_is_read_before_a_request_is_sent(method: str, way: str) -> None:
    sides = Sides(method=method)
    sides.connection.data_received(OK)
    sides.request(method)
    assert [way for way, _ in sides.transport.written] == ["now", way]


@pytest.mark.parametrize("unsent", [b"request", b"uest"])
def test_a_request_that_was_never_sent_is_told(unsent: bytes) -> None:
    """All of it: of a part nobody can tell what has become."""
    sides = Sides()
    sides.connection.data_received(OK)
    sides.request("POST")
    sides.transport.unsent, sides.transport.is_deferred = unsent, unsent == b"request"
    sides.connection.eof_received()
    assert isinstance(sides.error, UpstreamReset)
    assert sides.connection.never_sent == (unsent if unsent == b"request" else None)


def test_a_request_that_was_sent_is_not_called_unsent() -> None:
    sides = Sides()
    sides.connection.eof_received()
    assert sides.connection.never_sent is None


def test_bytes_on_an_idle_connection_end_it() -> None:
    sides = Sides()
    sides.connection.data_received(OK)
    assert sides.reusable
    sides.connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
    assert isinstance(sides.lost_error, UpstreamProtocolError)
    assert not sides.transport.is_open


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_an_idle_connection_may_end(error: Exception | None) -> None:
    sides = Sides()
    sides.connection.data_received(OK)
    if error is None:
        sides.connection.eof_received()
    sides.connection.connection_lost(error)
    assert isinstance(sides.lost_error, UpstreamReset)


def test_a_response_that_comes_before_its_request_has_left_is_none() -> None:
    sides = Sides(takes_verbatim=True)
    sides.transport.unsent, sides.transport.is_deferred = b"request", True
    sides.connection.data_received(OK)
    assert isinstance(sides.error, UpstreamProtocolError)
    assert (sides.verbatim, sides.connection.never_sent) == (b"", b"request")
    assert not sides.connection.has_response


def test_a_response_that_comes_before_the_rest_of_its_request_has_left_is_early() -> None:
    sides = Sides(takes_verbatim=True)
    sides.transport.unsent = b"uest"
    sides.connection.data_received(OK)
    assert (sides.verbatim, sides.received, sides.reusable) == (b"", b"hello", False)
    sides.connection.close()
    assert sides.transport.was_aborted


@pytest.mark.parametrize("data", [OK, OK.replace(b"Date", b"X")])
def test_a_response_to_half_a_request_costs_the_connection(data: bytes) -> None:
    sides = Sides()
    sides.request_done = False
    sides.connection.data_received(data)
    assert (sides.done, sides.received, sides.reusable) == (True, b"hello", False)


@pytest.mark.parametrize("together", [True, False])
def test_endless_progress_is_refused(together: bool) -> None:
    sides = Sides()
    progress = [b"HTTP/1.1 102 Processing\r\n\r\n"] * 65
    for piece in [b"".join(progress)] if together else progress:
        sides.connection.data_received(piece)
    assert len(sides.interims) == 64
    assert isinstance(sides.error, UpstreamProtocolError)


def test_the_number_of_interim_responses_is_limited_for_each_request() -> None:
    sides = Sides(takes_verbatim=True)
    for _ in range(65):
        sides.connection.data_received(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        sides.connection.data_received(OK)
        assert sides.done
        sides.request()
    assert sides.error is None


def test_a_switch_hands_the_transport_over() -> None:
    sides = Sides()
    head = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    sides.connection.data_received(head + b"frame")
    assert sides.switched == b"frame"
    assert sides.transport.is_open


def test_a_paused_connection_is_resumed_before_it_is_idle() -> None:
    sides = Sides()
    sides.connection.data_received(OK[:-2])
    sides.connection.pause()
    assert not sides.transport.is_reading_
    sides.connection.data_received(OK[-2:])
    assert sides.transport.is_reading_
    assert sides.reusable


def test_an_abandoned_exchange_ends_the_connection() -> None:
    sides = Sides()
    sides.connection.data_received(OK[:-2])
    sides.connection.abandon()
    sides.connection.data_received(OK[-2:])
    assert (sides.transport.is_open, sides.done, sides.reusable) == (False, False, False)


def test_a_full_connection_tells_its_exchange() -> None:
    sides = Sides()
    sides.connection.pause_writing()
    assert sides.full
    sides.connection.resume_writing()
    assert not sides.full
