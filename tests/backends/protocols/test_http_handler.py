"""HTTP/1.1 served by a function: answered now or later, one request at a time, in order."""

from __future__ import annotations

import asyncio
from typing import Any

from backends.answering import BODY_MAX, Answer, PlainServer, Reply, Request
from backends.counters import Counters

GET = b"GET /a?x=1&y=%20z HTTP/1.1\r\nHost: h\r\n\r\n"


class Written(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.data = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


class Asked:
    """A server whose requests are kept, with a connection to it."""

    def __init__(self) -> None:
        self.requests: list[tuple[Request, Reply]] = []
        self.counters = Counters()
        self.connection = PlainServer(lambda *asked: self.requests.append(asked), self.counters)()
        self.transport = Written()
        self.connection.connection_made(self.transport)


def test_a_request_is_handed_over_with_its_query_and_body() -> None:
    asked = Asked()
    for byte in b"POST /p?q=a%26b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc":
        asked.connection.data_received(bytes([byte]))
    assert [request for request, _ in asked.requests] == [Request(b"POST", "/p", {"q": "a&b"}, b"abc")]


async def test_the_next_request_waits_for_the_answer_to_the_one_before() -> None:
    asked = Asked()
    asked.connection.data_received(GET + GET)
    assert len(asked.requests) == 1
    asked.requests[0][1](Answer(b"one"))
    await asyncio.sleep(0)
    assert len(asked.requests) == 2
    assert (
        asked.transport.data == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\none"
    )


def test_a_client_that_wants_the_connection_closed_has_it_closed() -> None:
    asked = Asked()
    asked.connection.data_received(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert not asked.transport.closed
    asked.requests[0][1](Answer(status=204))
    assert asked.transport.data == b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    assert asked.transport.closed


def test_an_answer_that_comes_after_the_client_left_is_written_nowhere() -> None:
    asked = Asked()
    asked.connection.data_received(GET)
    asked.transport.closed = True
    asked.requests[0][1](Answer(b"late"))
    assert (asked.transport.data, asked.counters.requests) == (b"", 0)


def test_what_is_no_request_is_refused_and_the_connection_closed() -> None:
    asked = Asked()
    asked.connection.data_received(b"NONSENSE\r\n\r\n")
    assert asked.transport.data.startswith(b"HTTP/1.1 400 ")
    assert (asked.transport.closed, asked.counters.errors.protocol, asked.requests) == (True, 1, [])


def test_a_body_beyond_the_limit_is_refused() -> None:
    asked = Asked()
    asked.connection.data_received(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 1)
    )
    asked.connection.data_received(bytes(BODY_MAX + 1))
    assert asked.transport.data.startswith(b"HTTP/1.1 413 ")
