"""What one client cannot do to the others: hold connections, fill memory, lose what was never sent.

What such clients cost in time and memory is measured by `make attacks`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import DATE, TIMEOUT_S, Listener, Upstream, accepts_more, read_exactly, reset, until

OK = b"HTTP/1.1 200 OK\r\n" + DATE + b"Content-Length: 2\r\n\r\nok"
GET = b"GET /g HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST /slow HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1 << 20
KERNEL_MIB = 16
"""More than the buffers of four sockets hold (tcp_rmem, tcp_wmem: 6 and 4 MiB at most)."""


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as listener:
        yield listener


def taken(sock: socket.socket, data: bytes, at_most: int) -> int:
    """Send `data` again and again until nobody takes more for a while, or more than allowed was taken.

    A connection that is ended takes no more either.
    """
    sock.settimeout(0.4)
    sent = 0
    unsent = data
    try:
        while sent <= at_most:
            count = sock.send(unsent)
            unsent = unsent[count:] or data
            sent += count
    except (TimeoutError, ConnectionError):
        pass
    sock.settimeout(TIMEOUT_S)
    return sent


def test_pipelined_requests_are_taken_only_as_they_are_answered(listener: Listener) -> None:
    with running(listener) as proxy, Client(proxy) as client:
        most = KERNEL_MIB * MIB
        assert taken(client.sock, GET * 1000, most) <= most
        with listener.accept() as upstream:
            for _ in range(200):
                until(upstream, b"\r\n\r\n")
                upstream.sendall(OK)
                until(client.sock, b"ok")
            assert taken(client.sock, GET * 1000, 4 * MIB) <= 4 * MIB


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        pytest.param(b"Content-Length: 1000\r\n\r\nx", b"x" * 999),
        pytest.param(b"Content-Length: 1000\r\n\r\n", b"x" * 1000),
        pytest.param(CHUNKED + b"3e8\r\nx", b"x" * 999 + b"\r\n0\r\n\r\n"),
        pytest.param(CHUNKED + b"3e8\r\n" + b"x" * 1000 + b"\r\n", b"0\r\n\r\n"),
        pytest.param(b"X-Slow: y", b"\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1000),
    ],
    ids=["length", "length-nothing-yet", "chunk", "last-chunk", "head"],
)
def test_a_request_that_is_not_whole_holds_no_upstream_connection(
    begin: bytes, end: bytes, upstream: Upstream
) -> None:
    with running(upstream) as proxy, contextlib.ExitStack() as stack:
        slow = [stack.enter_context(Client(proxy)) for _ in range(5)]
        for client in slow:
            client.sock.sendall(POST + begin)
        with Client(proxy) as good:
            assert good.request("/good").content == b"/good"
            assert proxy.count()["opened"] == 1
        for client in slow:
            client.sock.sendall(end)
            response = client.read("POST")
            assert response is not None
            assert response.content == b"/slow"
        contents = [request.content for request in upstream.requests if request.target == b"/slow"]
        assert contents == [b"x" * 1000] * 5


def test_a_long_body_is_passed_on_before_it_is_whole(listener: Listener) -> None:
    with running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(POST + b"Content-Length: 1000000\r\n\r\n" + b"x" * 200_000 + b"y")
        with listener.accept() as upstream:
            until(upstream, b"y")
            upstream.sendall(OK)
            response = client.read("POST")
            assert response is not None
            assert response.status == 200


Step = Callable[[], object]


def stopped(proxy: ProxyProcess, *steps: Step) -> None:
    """Take steps while the proxy is stopped, so that it sees all of them at once, and in this order."""
    os.kill(proxy.pid, signal.SIGSTOP)
    while Path(f"/proc/{proxy.pid}/stat").read_bytes().rpartition(b") ")[2][:1] != b"T":
        pass
    for step in steps:
        step()
    os.kill(proxy.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("method", "is_request_first"),
    [
        ("GET", True),
        *(pytest.param(method, True) for method in ("POST", "PUT", "PATCH")),
        *((method, False) for method in ("GET", "POST")),
    ],
)
def test_what_was_never_sent_goes_to_another_connection(
    method: str, is_request_first: bool, upstream: Upstream
) -> None:
    body = b"" if method == "GET" else b"hello"
    length = b"Content-Length: %d\r\n" % len(body) if body else b""
    request = b"%b /once HTTP/1.1\r\nHost: a\r\n%b\r\n%b" % (method.encode(), length, body)
    with running(upstream) as proxy, Client(proxy) as client:
        assert client.request("/before").status == 200
        steps: list[Step] = [lambda: client.sock.sendall(request), upstream.hang_up]
        stopped(proxy, *(steps if is_request_first else steps[::-1]))
        response = client.read(method)
        assert response is not None
        assert (response.status, response.content) == (200, b"/once")
    once = [each for each in upstream.requests if each.target == b"/once"]
    assert [(each.connection, each.content) for each in once] == [(1, body)]


CHUNKED_OK = b"HTTP/1.1 200 OK\r\n" + CHUNKED
SMALL_CHUNK = b"64\r\n" + b"c" * 100 + b"\r\n"
FLOODS = {
    "length": (b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n", b"f" * 65_536),
    "small chunks": (CHUNKED_OK, SMALL_CHUNK * 1000),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </f>\r\n\r\n" * 1000),
}


@pytest.mark.parametrize("flood", FLOODS)
def test_no_more_is_read_for_a_client_that_reads_nothing(flood: str, listener: Listener) -> None:
    first, then = FLOODS[flood]
    with running(listener) as proxy, Client(proxy) as client, Client(proxy) as good:
        client.sock.sendall(GET)
        with listener.accept() as upstream:
            until(upstream, b"\r\n\r\n")
            upstream.sendall(first)
            most = KERNEL_MIB * MIB
            assert taken(upstream, then, most) <= most
            good.sock.sendall(GET)
            with listener.accept() as other:
                until(other, b"\r\n\r\n")
                other.sendall(OK)
                response = good.read()
                assert response is not None
                assert response.status == 200


@pytest.mark.parametrize("body", [b"Content-Length: 1000000000\r\n\r\n", CHUNKED])
def test_no_more_is_read_for_an_upstream_that_reads_nothing(body: bytes, listener: Listener) -> None:
    piece = SMALL_CHUNK * 1000 if b"chunked" in body else b"x" * 65_536
    with running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(POST + body)
        most = KERNEL_MIB * MIB
        assert taken(client.sock, piece, most) <= most
        with listener.accept() as upstream:
            read_exactly(upstream, MIB)
            assert accepts_more(client.sock), "what was held back goes on"


def test_a_client_that_is_not_read_and_resets_is_gone(upstream: Upstream) -> None:
    """Its pipeline has paused its input, so that nothing watches its socket."""
    upstream.script = lambda _: ()
    with running(upstream) as proxy, Client(proxy) as client:
        client.sock.sendall(GET)
        while not upstream.requests:
            """Until it has come in."""
        client.sock.sendall(GET)
        # The second answer comes after the turn in which the first one was asked for.
        proxy.count()
        proxy.count()
        reset(client.sock)
        while proxy.count()["errors"]["client"]["aborted"] == 0:
            assert proxy.count()["errors"]["upstream"]["timeout"] == 0
