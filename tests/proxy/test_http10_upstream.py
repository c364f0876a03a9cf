"""An HTTP/1.0 upstream: asked to keep its connection, and told the length of each body before it comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import Listener, Upstream, send, until

CHUNKED_POST = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    upstream = Upstream()
    yield upstream
    upstream.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Upstream, ProxyProcess]]:
    upstream = Upstream()
    with running(upstream, "--upstream-http", "1.0") as proxy:
        yield upstream, proxy
    upstream.close()


def test_an_http10_upstream_is_requested_to_keep_the_connection(upstream: Upstream) -> None:
    kept = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    upstream.script = lambda _: send(kept)
    before = upstream.connections
    with running(upstream, "--upstream-http", "1.0") as proxy, Client(proxy) as client:
        client.request("/")
        client.request("/")
        assert upstream.connections - before == 1
        upstream.script = lambda _: send(kept.replace(b"Connection: keep-alive\r\n", b""))
        client.request("/")
        client.request("/")
        assert upstream.connections - before == 2
    assert upstream.requests[0].values(b"Connection") == [b"keep-alive"]


@pytest.mark.parametrize("at", range(len(CHUNKED_POST) - 2, len(CHUNKED_POST) + 24, 3))
def test_an_http10_upstream_receives_the_length_of_a_chunked_body(
    at: int, shared: tuple[Upstream, ProxyProcess]
) -> None:
    upstream, proxy = shared
    upstream.requests.clear()
    accepted = proxy.count()["accepted"]
    data = CHUNKED_POST + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n"
    with Client(proxy) as client:
        client.sock.sendall(data[:at])
        while proxy.count()["accepted"] == accepted:
            """Until the first piece may have been read by itself."""
        client.sock.sendall(data[at:])
        assert [client.read(), client.read()] != [None, None]
    first, second = upstream.requests
    assert (first.content, first.values(b"Content-Length")) == (b"hello", [b"5"])
    assert (first.values(b"Transfer-Encoding"), second.target) == ([], b"/next")


def test_a_chunked_body_may_be_too_long_for_an_old_upstream(upstream: Upstream) -> None:
    flags = ("--upstream-http", "1.0", "--max-body-spool", "65536")
    with running(upstream, *flags) as proxy, Client(proxy) as client:
        client.sock.sendall(CHUNKED_POST + b"10000\r\n" + b"x" * 65536)
        client.sock.sendall(b"\r\n1\r\nx\r\n")
        response = client.read()
        assert response is not None
        assert (response.status, response.fields[b"connection"]) == (411, b"close")
        assert proxy.count()["requests"] == 0
    assert upstream.requests == []


LONG = b"".join(b"%08d" % number for number in range(1_500_000))
"""Longer than what sockets and memory keep of it, and no two parts alike."""
LONG_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LONG), LONG)


def test_a_long_chunked_body_reaches_an_http10_upstream_completely(upstream: Upstream) -> None:
    with running(upstream, "--upstream-http", "1.0") as proxy, Client(proxy) as client:
        client.sock.sendall(CHUNKED_POST + LONG_CHUNKS + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [client.read(), client.read()] != [None, None]
    first, second = upstream.requests
    assert first.values(b"Content-Length") == [b"%d" % len(LONG)]
    assert first.content == LONG
    assert second.target == b"/next"


def test_an_old_upstream_that_takes_no_more_of_a_long_body_is_late() -> None:
    flags = ("--upstream-http", "1.0", "--read-timeout", "0.2")
    with Listener() as listener, running(listener, *flags) as proxy, Client(proxy) as client:
        client.sock.sendall(CHUNKED_POST + LONG_CHUNKS)
        with listener.accept() as sock:
            assert sock.recv(16) == b"POST / HTTP/1.0\r"
            assert proxy.errors() == 0
            response = client.read()
        assert response is not None
        assert (response.status, proxy.stop()["errors"]["upstream"]["timeout"]) == (504, 1)


def test_an_old_upstream_may_answer_before_it_has_taken_a_long_body() -> None:
    with (
        Listener(takes_little=True) as listener,
        running(listener, "--upstream-http", "1.0") as proxy,
        Client(proxy) as client,
    ):
        client.sock.sendall(CHUNKED_POST + LONG_CHUNKS)
        with listener.accept() as sock:
            assert sock.recv(16) == b"POST / HTTP/1.0\r"
            sock.sendall(b"HTTP/1.0 413 Content Too Large\r\nContent-Length: 2\r\n\r\nno")
            response = client.read()
            assert response is not None
            assert (response.status, response.content) == (413, b"no")
            client.sock.sendall(b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
            with listener.accept() as other:
                assert until(other, b"\r\n\r\n").startswith(b"GET /next ")


def test_a_chunked_body_may_take_too_long_for_an_old_upstream(upstream: Upstream) -> None:
    with (
        running(upstream, "--upstream-http", "1.0", "--body-timeout", "0.2") as proxy,
        Client(proxy) as client,
    ):
        client.sock.sendall(CHUNKED_POST + b"5\r\nhel")
        response = client.read()
        assert response is not None
        assert response.status == 408
