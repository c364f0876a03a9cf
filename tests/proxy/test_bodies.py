"""Request bodies in transit, in any pieces and as slow as is allowed; response bodies as they are framed."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from proxy.bodies import RequestBody, ResponseBody
from proxy.errors import ClientProtocolError
from proxy.http11.grammar import CHUNKED
from proxy.http11.response import ResponseHead, match_response, read_response
from proxy.settings import Limits
from proxy.transport import Transport
from tests.messages.corpus import cuts


class Clock:
    """What a body knows of the worker; the time is set by the test."""

    def __init__(self, limits: Limits | None = None, body_until: float = 60.0) -> None:
        self.limits = limits or Limits()
        self.body_until = body_until


def send(body: RequestBody, pieces: list[bytes]) -> tuple[bytes, bytes]:
    framed = b""
    rest = b""
    for piece in pieces:
        if body.done:
            rest += piece
        else:
            framed += body.feed(piece)
    return framed, body.rest + rest


def test_a_counted_body_goes_as_it_comes() -> None:
    for pieces in cuts(b"helloNEXT"):
        body = RequestBody(5, Clock())
        assert send(body, pieces) == (b"hello", b"NEXT")
        assert body.done


def test_a_chunked_body_goes_as_it_comes_but_for_what_belongs_to_one_hop() -> None:
    data = b"3;x\r\nhel\r\n02\r\nlo\r\n0\r\nX: 1\r\n\r\nNEXT"
    for pieces in cuts(data):
        body = RequestBody(CHUNKED, Clock())
        assert send(body, pieces) == (b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"NEXT")
        assert body.done


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
@pytest.mark.parametrize("spools", [False, True])
def test_a_chunked_body_may_be_too_long(data: bytes, spools: bool) -> None:
    body = RequestBody(CHUNKED, Clock(Limits(body_bytes=10)), spools=spools)
    with pytest.raises(ClientProtocolError) as caught:
        body.feed(data)
    assert caught.value.status == 413


def test_a_body_is_spooled_if_its_length_must_come_first() -> None:
    data = b"3;x\r\nhel\r\n2\r\nlo\r\n0\r\nX: 1\r\n\r\nNEXT"
    for pieces in cuts(data):
        body = RequestBody(CHUNKED, Clock(), spools=True)
        assert send(body, pieces) == (b"", b"NEXT")
        assert body.spool is not None
        assert (body.spool.size, body.spool.prepend(b"head ")) == (5, b"head hello")
    assert RequestBody(5, Clock(), spools=True).spool is None, "a body of known length is streamed"


@pytest.mark.parametrize("data", [b"b\r\n", b"5\r\nhello\r\n6\r\nworlds\r\n"])
def test_a_body_may_be_too_long_to_be_spooled(data: bytes) -> None:
    body = RequestBody(CHUNKED, Clock(Limits(spool_bytes=10)), spools=True)
    with pytest.raises(ClientProtocolError) as caught:
        body.feed(data)
    assert caught.value.status == 411


# How slow a body may be: 60 s without a byte, and 100 bytes a second beyond one such pause.


@pytest.mark.parametrize("length", [100_000, CHUNKED])
@pytest.mark.parametrize(
    ("rate", "received", "now", "deadline"),
    [
        (100, 0, 0.0, 60.0),
        (100, 1, 50.0, 60.01),
        (100, 5000, 50.0, 110.0),
        (100, 5000, 40.0, 100.0),
        (100, 5000, 51.0, 110.0),
        (0, 1, 1000.0, 1060.0),
    ],
    ids=["nothing yet", "a crumb", "at the rate", "above the rate", "below the rate", "any rate"],
)
def test_a_body_must_come_at_the_lowest_rate(
    length: int, rate: int, received: int, now: float, deadline: float
) -> None:
    clock = Clock(Limits(min_body_rate=rate))
    body = RequestBody(length, clock)
    clock.body_until = now + 60.0
    data = b"x" * received if length >= 0 else b"1869f\r\n" + b"x" * (received - 7)
    if received:
        body.feed(data[:received])
    assert body.deadline == deadline


def test_who_was_held_back_is_measured_anew() -> None:
    clock = Clock(Limits(min_body_rate=100))
    body = RequestBody(100_000, clock)
    body.feed(b"x")
    clock.body_until = 1000.0
    assert body.deadline == 60.01
    body.restart_rate()
    assert (body.deadline, body.received) == (1000.0, 0)


# Responses.


class Client:
    """A transport that notes what is sent now and what at the end of the turn."""

    def __init__(self) -> None:
        self.data = b""
        self.is_closing = False
        self.unsent = b""

    def send(self, data: bytes) -> None:
        self.data += data

    write = send


def response(fields: bytes) -> ResponseHead:
    data = b"HTTP/1.1 200 OK\r\nDate: d\r\n" + fields + b"\r\n"
    head = read_response(data, Limits(), 0, match_response(data), to_head=False)
    assert head is not None
    return head


@pytest.mark.parametrize(
    ("fields", "to_http10", "content", "ends_by_close"),
    [
        (b"", False, b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", False),
        (b"", True, b"hello", True),
        (b"Content-Length: 5\r\n", False, b"hello", False),
        (b"Content-Length: 5\r\n", True, b"hello", False),
        (b"Transfer-Encoding: chunked\r\n", False, b"hello", False),
        (b"Transfer-Encoding: chunked\r\n", True, b"hello", True),
    ],
    ids=["until close", "until close, old", "counted", "counted, old", "framed already", "unframed, old"],
)
def test_content_is_framed_for_its_reader(
    fields: bytes, to_http10: bool, content: bytes, ends_by_close: bool
) -> None:
    client = Client()
    body = ResponseBody(response(fields), client, to_http10=to_http10)  # type: ignore[arg-type]
    body.begin(b"he", keep_alive=True, date=b"")
    body.write(b"llo")
    body.end()
    head, _, rest = client.data.partition(b"\r\n\r\n")
    assert (rest, body.ends_by_close) == (content, ends_by_close)
    assert (b"Transfer-Encoding" in head) is (not to_http10 and b"Length" not in fields)


def test_content_is_spliced_only_after_what_is_unsent() -> None:
    transport = Mock(Transport, unsent=b"", is_closing=False)
    body = ResponseBody(response(b"Content-Length: 5\r\n"), transport, to_http10=False)
    assert body.sink() is transport
    transport.unsent = b"head"
    assert body.sink() is None
    transport.unsent, transport.is_closing = b"", True
    assert body.sink() is None
