"""What the proxy does with exchanges, over real sockets: fields, framing, failures, limits, back-pressure."""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tests.messages.model import Step
from tests.proxy_loops import LOOPS
from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import (
    DATE,
    TIMEOUT_S,
    Listener,
    Upstream,
    accepts_more,
    echo,
    fill,
    read_exactly,
    send,
    until,
)

CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n" + DATE


Proxies = Callable[..., ProxyProcess]


@pytest.fixture(scope="module")
def proxies(shared_upstream: Upstream) -> Iterator[Proxies]:
    """A function that returns the proxy with such flags, started once."""
    with contextlib.ExitStack() as started:
        yield functools.cache(lambda *flags: started.enter_context(running(shared_upstream, *flags)))


@pytest.fixture(params=["uvloop", pytest.param("asyncio", marks=pytest.mark.long)])
def proxy(request: pytest.FixtureRequest, proxies: Proxies) -> ProxyProcess:
    """The proxy as it is, on each event loop."""
    return proxies("--loop", request.param)


# Fields.


def test_what_belongs_to_one_hop_goes_no_further(proxy: ProxyProcess, upstream: Upstream) -> None:
    fields = b"Connection: x-secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n"
    upstream.script = lambda _: send(OK + fields + b"Content-Length: 2\r\n\r\nok")
    with Client(proxy) as client:
        hop = "TE: trailers\r\nKeep-Alive: 1\r\nX-Hop: 1\r\nProxy-Connection: close\r\nConnection: x-hop\r\n"
        response = client.request("/", fields=hop + "X-End: 1\r\n")
    (request,) = upstream.requests
    for name in (b"TE", b"Keep-Alive", b"X-Hop", b"Proxy-Connection", b"Connection"):
        assert request.values(name) == []
    assert request.values(b"X-End") == [b"1"]
    assert b"x-kept" in response.fields
    assert not {b"x-secret", b"keep-alive", b"connection"} & response.fields.keys()


# Framing.


def test_requests_in_a_row_are_answered_in_their_order(proxy: ProxyProcess, upstream: Upstream) -> None:
    targets = [f"/{number}" for number in range(300)]
    with Client(proxy) as client:
        client.sock.sendall(
            "".join(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n" for target in targets).encode()
        )
        for target in targets:
            response = client.read()
            assert response is not None
            assert response.content == target.encode()


@pytest.mark.parametrize("at", range(1, 60, 7))
def test_a_request_may_come_in_pieces(at: int, proxy: ProxyProcess, upstream: Upstream) -> None:
    data = b"POST /pieces HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    with Client(proxy) as client:
        client.sock.sendall(data[:at])
        client.sock.sendall(data[at:])
        response = client.read()
    assert response is not None
    assert upstream.requests[0].content == b"hello"


@pytest.mark.parametrize(
    "chunks",
    [
        b"5;evil=1\r\nhello\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n",
        b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("after", [b"", b"GET /after HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_chunked_request_is_forwarded_in_chunks(
    chunks: bytes, after: bytes, proxy: ProxyProcess, upstream: Upstream
) -> None:
    with Client(proxy) as client:
        client.sock.sendall(CHUNKED_POST + chunks + after)
        assert client.read() is not None
        if after:
            response = client.read()
            assert response is not None
            assert response.content == b"/after"
    request = upstream.requests[0]
    assert request.values(b"Transfer-Encoding") == [b"chunked"]
    assert request.content == b"hello!"
    assert upstream.partial == []


def test_an_old_client_gets_what_it_can_read(proxy: ProxyProcess, upstream: Upstream) -> None:
    upstream.script = lambda _: send(
        b"HTTP/1.1 102 Processing\r\n\r\n" + OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    )
    with Client(proxy) as client:
        client.sock.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = client.read()
        assert response is not None
        assert (response.content, response.interims) == (b"hello", ())
        assert response.fields[b"connection"] == b"close"
        assert b"transfer-encoding" not in response.fields
        assert client.ended()
    assert upstream.requests[0].values(b"Host") == [upstream.address.encode()]


def test_an_old_client_may_keep_its_connection(proxy: ProxyProcess, upstream: Upstream) -> None:
    with Client(proxy) as client:
        for _ in range(2):
            client.sock.sendall(b"GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            response = client.read()
            assert response is not None
            assert (response.content, response.fields[b"connection"]) == (b"/old", b"keep-alive")


def test_expectations_reach_the_upstream() -> None:
    """The upstream's 100 (Continue) comes before the content is sent."""
    with Listener() as listener, running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
        )
        sock = listener.accept()
        assert b"Expect: 100-continue" in sock.recv(4096)
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert client.sock.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sock.sendall(b"hello")
        assert sock.recv(5) == b"hello"
        sock.sendall(OK + b"Content-Length: 0\r\n\r\n")
        assert client.read() is not None
        sock.close()


LONG_POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
START = b"x" * 20_000
"""More than is collected before a connection is taken."""


def test_an_early_answer_ends_the_upload() -> None:
    with Listener() as listener, running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(LONG_POST % 100_000 + START + b"hello")
        with listener.accept() as sock:
            until(sock, b"hello")
            sock.sendall(b"HTTP/1.1 403 Forbidden\r\n" + DATE + b"Content-Length: 2\r\n\r\nno")
            response = client.read()
            assert response is not None
            assert (response.status, response.content) == (403, b"no")
            assert response.fields[b"connection"] == b"close"
            assert client.ended()
            assert sock.recv(1) == b"", "what is left of the request would be read as the next one"


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("head", [OK + b"Content-Length: 30000\r\n\r\n", OK + b"\r\n"])
def test_a_body_goes_on_while_its_response_has_begun(head: bytes, loop: str) -> None:
    """As with an upstream that answers while it reads."""
    with Listener() as listener, running(listener, "--loop", loop) as proxy, Client(proxy) as client:
        client.sock.sendall(LONG_POST % 30_000 + START)
        with listener.accept() as sock:
            until(sock, b"x")
            sock.sendall(head + b"0")
            until(client.sock, b"0" if b"Length" in head else b"0\r\n")
            for mark in (b"1", b"2", b"3"):
                client.sock.sendall(b"y" * 1000 + mark)
                assert until(sock, mark).count(b"y") == 1000
                sock.sendall(b"z" * 1000 + mark)
                received = until(client.sock, mark if b"Length" in head else mark + b"\r\n")
                assert received.count(b"z") == 1000


def test_uploads_leave_connections_to_others() -> None:
    """At most half of the connections carry a body that is still to come; the next such request waits."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(Listener())
        proxy = stack.enter_context(running(listener, "--pool-max", "2"))
        first, second, other = (stack.enter_context(Client(proxy)) for _ in range(3))
        first.sock.sendall(LONG_POST % 20_001 + START)
        upstream = stack.enter_context(listener.accept())
        until(upstream, b"x")
        second.sock.sendall(LONG_POST % 20_001 + START)
        other.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with listener.accept() as sock:
            assert until(sock, b"\r\n\r\n").startswith(b"GET ")
            sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            assert other.read() is not None
            assert proxy.count()["requests"] == 2, "the second upload has not begun"
            for client in (first, second):
                client.sock.sendall(b"!")
            until(upstream, b"!")
            until(sock, b"!")
            for each, client in ((upstream, first), (sock, second)):
                each.sendall(OK + b"Content-Length: 2\r\n\r\nok")
                assert client.read() is not None


# Failures.


@pytest.mark.parametrize(
    ("data", "status", "kind"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 5000, 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 100 + b"\r\n", 431, "head_too_large"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5001\r\n\r\n" + b"b" * 5001, 413, "body_too_large"),
        (CHUNKED_POST + b"5\r\nhello\r\n" * 1001, 413, "body_too_large"),
        (b"GET / HTTP/1.1\r\nHos", 408, "timeout"),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell", 408, "timeout"),
        (b"GARBAGE\r\n", 400, "bad_request"),
    ],
    ids=["long head", "many fields", "long body", "many chunks", "half a head", "half a body", "garbage"],
)  # fmt: skip
def test_limits_of_a_request(
    data: bytes, status: int, kind: str, proxies: Proxies, upstream: Upstream
) -> None:
    flags = ("--max-head", "4096", "--max-body", "5000")
    hasty = ("--head-timeout", "0.1", "--body-timeout", "0.1") if kind == "timeout" else ()
    proxy = proxies(*flags, *hasty)
    before = proxy.count()["errors"]["client"][kind]
    with Client(proxy) as client:
        client.sock.sendall(data)
        response = client.read()
        assert response is not None
        assert response.status == status
        assert client.ended()
        assert proxy.count()["errors"]["client"][kind] == before + 1
    assert upstream.requests == []


def test_too_many_clients(upstream: Upstream) -> None:
    with running(upstream, "--max-clients", "1") as proxy, Client(proxy) as first:
        assert first.request("/").status == 200
        with Client(proxy) as second:
            response = second.read()
            assert response is not None
            assert response.status == 503
        assert proxy.stop()["errors"]["client"]["too_many"] == 1


def test_a_full_queue_and_a_long_wait(upstream: Upstream) -> None:
    release = threading.Event()
    upstream.script = lambda request: [release.wait(TIMEOUT_S) and Step("sleep"), *echo(request)]  # type: ignore[list-item]
    flags = ("--pool-max", "1", "--queue-length", "1", "--queue-timeout", "0.2")
    with running(upstream, *flags) as proxy, Client(proxy) as a, Client(proxy) as b, Client(proxy) as c:
        a.sock.sendall(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        b.sock.sendall(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
        while proxy.count()["requests"] < 2:
            """Until both have come in."""
        assert c.request("/c").status == 503, "the queue is full"
        late = b.read()
        assert late is not None
        assert late.status == 503
        release.set()
        served = a.read()
        assert served is not None
        assert served.status == 200
        assert proxy.stop()["errors"]["upstream"]["pool"] == 2


@pytest.mark.parametrize("begun", [b"", b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"])
def test_a_client_that_has_closed_its_side_may_be_gone(begun: bytes) -> None:
    """A stream may be silent for long, but not where perhaps nobody listens any more."""
    flags = ("--half-closed-timeout", "0.2", "--read-timeout", "1000")
    with Listener() as listener, running(listener, *flags) as proxy, Client(proxy) as client:
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with listener.accept() as sock:
            until(sock, b"\r\n\r\n")
            if begun:
                sock.sendall(OK + begun)
                until(client.sock, b"hello\r\n")
            client.sock.shutdown(socket.SHUT_WR)
            assert sock.recv(1) == b"", "the upstream is told"
        assert client.sock.recv(16) == (b"" if begun else b"HTTP/1.1 504 Gat")
        errors = proxy.stop()["errors"]
        assert (errors["client"]["aborted"], errors["upstream"]["timeout"]) == (1, 0)


def test_a_client_that_has_closed_its_side_gets_what_comes_in_time() -> None:
    with Listener() as listener, running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.sock.shutdown(socket.SHUT_WR)
        with listener.accept() as sock:
            until(sock, b"\r\n\r\n")
            proxy.count()  # it has looked around since, and so has seen the end of what the client says
            sock.sendall(OK + b"Content-Length: 5\r\n\r\nhello")
            response = client.read()
        assert response is not None
        assert (response.content, response.fields[b"connection"]) == (b"hello", b"close")


# The pool, seen from outside.


def test_sources_take_turns(upstream: Upstream) -> None:
    sources = ("127.0.0.2", "127.0.0.3")
    flags = [flag for source in sources for flag in ("--source", source)]
    with Listener() as listener, running(listener, "--mode", "short", *flags) as proxy:
        seen = []
        for _ in range(4):
            with Client(proxy) as client:
                client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                with listener.accept() as sock:
                    seen.append(sock.getpeername()[0])
    assert seen == [*sources, *sources]


# Both ways at once.


def test_a_slow_reader_holds_the_upstream_back() -> None:
    """Of an endless response, only so much is taken as the buffers on the way hold."""
    with Listener() as listener, running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with listener.accept() as sock:
            until(sock, b"\r\n\r\n")
            sock.sendall(OK + b"Content-Length: 1000000000\r\n\r\n")
            sent = fill(sock)
            assert sent < 32 << 20
            read_exactly(client.sock, sent)
            assert accepts_more(sock), "once the reader does"


def test_a_client_that_never_reads_is_held_back(proxy: ProxyProcess, upstream: Upstream) -> None:
    """Requests are not read while the answers to the ones before are not."""
    upstream.script = lambda _: send(OK + b"Content-Length: 1000\r\n\r\n" + b"x" * 1000)
    with Client(proxy) as client:
        client.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for asked in range(1, 12000):
            client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            if not any(proxy.count() and len(upstream.requests) == asked for _ in range(500)):
                break
        else:
            pytest.fail("12 MB of answers wait for a client that reads none")
        for _ in range(asked):
            response = client.read()
            assert response is not None
            assert len(response.content) == 1000


def test_a_slow_upstream_holds_the_client_back() -> None:
    with Listener() as listener, running(listener) as proxy, Client(proxy) as client:
        client.sock.sendall(LONG_POST % 1_000_000_000 + START)
        with listener.accept() as sock:
            sent = fill(client.sock)
            assert sent < 32 << 20
            read_exactly(sock, sent)
            assert accepts_more(client.sock)


def test_an_upstream_that_takes_no_more_of_a_body_is_charged_itself() -> None:
    with Listener(takes_little=True) as listener, running(listener, "--read-timeout", "0.2") as proxy:
        with Client(proxy) as client, listener_holds(listener, client):
            while proxy.count()["errors"]["upstream"]["timeout"] == 0:
                """Until it has waited for long enough."""
        done = proxy.stop()
    assert (done["errors"]["upstream"]["timeout"], done["errors"]["client"]["timeout"]) == (1, 0)


@contextlib.contextmanager
def listener_holds(listener: Listener, client: Client) -> Iterator[None]:
    """Send a long body to an upstream that reads none of it."""
    client.sock.sendall(LONG_POST % 1_000_000_000 + START)
    with listener.accept():
        with contextlib.suppress(ConnectionError):
            fill(client.sock)
        yield


@pytest.mark.parametrize("size", [100 << 10, 10 << 20])
def test_large_bodies_come_through_whole(size: int, proxy: ProxyProcess, upstream: Upstream) -> None:
    body = bytes(range(256)) * (size // 256)
    upstream.script = lambda request: send(OK + b"Content-Length: %d\r\n\r\n%b" % (size, request.content))
    with Client(proxy) as client:
        client.sock.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        writer = threading.Thread(target=client.sock.sendall, args=(body,))
        writer.start()
        response = client.read("POST")
        writer.join()
    assert response is not None
    assert response.content == body
