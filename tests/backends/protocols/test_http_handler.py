"""HTTP/1.1 served by a function: answered now or later, one request at a time, in order."""

from __future__ import annotations

import asyncio
from typing import Any

from backends.protocols.http_handler import BODY_MAX, Answer, Reply, Request, handler_backend
from backends.role.counters import Counters

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


class Served:
    """A server whose requests are kept, with a connection to it."""

    def __init__(self) -> None:
        self.requests: list[tuple[Request, Reply]] = []
        self.counters = Counters()
        self.connection = handler_backend(lambda *served: self.requests.append(served), self.counters)()
        self.transport = Written()
        self.connection.connection_made(self.transport)


def test_a_request_is_passed_on_with_its_query_and_body() -> None:
    served = Served()
    for byte in b"POST /p?q=a%26b HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc":
        served.connection.data_received(bytes([byte]))
    assert [request for request, _ in served.requests] == [Request(b"POST", "/p", {"q": "a&b"}, b"abc")]


async def test_the_next_request_waits_for_the_answer_to_the_one_before() -> None:
    served = Served()
    served.connection.data_received(GET + GET)
    assert len(served.requests) == 1
    served.requests[0][1](Answer(b"one"))
    await asyncio.sleep(0)
    assert len(served.requests) == 2
    assert (
        served.transport.data
        == b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\none"
    )


def test_a_client_that_wants_the_connection_closed_has_it_closed() -> None:
    served = Served()
    served.connection.data_received(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert not served.transport.closed
    served.requests[0][1](Answer(status=204))
    assert served.transport.data == b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"
    assert served.transport.closed


def test_an_answer_that_comes_after_the_client_left_is_written_nowhere() -> None:
    served = Served()
    served.connection.data_received(GET)
    served.transport.closed = True
    served.requests[0][1](Answer(b"late"))
    assert (served.transport.data, served.counters.requests) == (b"", 0)


def test_what_is_no_request_is_refused_and_the_connection_closed() -> None:
    served = Served()
    served.connection.data_received(b"NONSENSE\r\n\r\n")
    assert served.transport.data.startswith(b"HTTP/1.1 400 ")
    assert (served.transport.closed, served.counters.errors.protocol, served.requests) == (True, 1, [])


def test_a_body_beyond_the_limit_is_refused() -> None:
    served = Served()
    served.connection.data_received(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n" % (BODY_MAX + 1)
    )
    served.connection.data_received(bytes(BODY_MAX + 1))
    assert served.transport.data.startswith(b"HTTP/1.1 413 ")
