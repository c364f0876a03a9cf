"""What the proxy does with exchanges whatever version of HTTP the client speaks, over real sockets."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from tests.messages.model import Step
from tests.proxy_http2 import Http2Client
from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import DATE, TIMEOUT_S, Listener, Upstream, echo, reset, send, until

OK = b"HTTP/1.1 200 OK\r\n" + DATE


@dataclass(frozen=True)
class Speaks:
    """How a client and the proxy talk."""

    client: Callable[[ProxyProcess], Client | Http2Client]
    version: bytes
    flags: tuple[str, ...] = ()

    def running(
        self, upstream: Upstream | Listener, *flags: str
    ) -> contextlib.AbstractContextManager[ProxyProcess]:
        return running(upstream, *self.flags, *flags)


SPEAKS = {
    "HTTP/1.1": Speaks(Client, b"1.1"),
    "HTTP/1.1 beside HTTP/2": Speaks(Client, b"1.1", ("--http2",)),
    "HTTP/2": Speaks(Http2Client, b"2.0", ("--http2",)),
}


@pytest.fixture(scope="module", params=SPEAKS)
def speaks(request: pytest.FixtureRequest) -> Speaks:
    return SPEAKS[request.param]


@pytest.fixture(scope="module", params=["uvloop", pytest.param("asyncio", marks=pytest.mark.long)])
def proxy(
    request: pytest.FixtureRequest, speaks: Speaks, shared_upstream: Upstream
) -> Iterator[ProxyProcess]:
    """The proxy as it is, on each event loop."""
    with speaks.running(shared_upstream, "--loop", request.param) as proxy:
        yield proxy


def test_forwarded_fields_identify_the_client(
    speaks: Speaks, proxy: ProxyProcess, upstream: Upstream
) -> None:
    with speaks.client(proxy) as client:
        client.request(
            "/a?b", fields="X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nVia: 1.0 fred\r\n"
        )
    (request,) = upstream.requests
    assert request.values(b"Via") == [b"1.0 fred", speaks.version + b" keepalive-bench"]
    assert request.values(b"X-Forwarded-For") == [b"127.0.0.1"]
    assert request.values(b"X-Forwarded-Proto") == [b"http"]
    assert request.values(b"X-Forwarded-Host") == [b"localhost"]
    assert request.values(b"Host") == [b"localhost"]


def test_the_client_of_another_proxy_stays_known(
    speaks: Speaks, proxy: ProxyProcess, upstream: Upstream
) -> None:
    with speaks.client(proxy) as client:
        client.request("/", fields="X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\n")
    assert upstream.requests[0].values(b"X-Forwarded-For") == [b"10.0.0.1, 10.0.0.2, 127.0.0.1"]


def test_a_response_without_a_date_gets_one(speaks: Speaks, proxy: ProxyProcess, upstream: Upstream) -> None:
    upstream.script = lambda _: send(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok")
    with speaks.client(proxy) as client:
        assert client.request("/").fields[b"date"].endswith(b"GMT")


@pytest.mark.parametrize(
    ("answer", "content"),
    [
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
        (b"\r\nhello", b"hello"),
        (b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (b"Content-Length: 0\r\n\r\n", b""),
    ],
    ids=["chunked", "until close", "counted", "empty"],
)
def test_bodies(
    answer: bytes, content: bytes, speaks: Speaks, proxy: ProxyProcess, upstream: Upstream
) -> None:
    upstream.script = lambda _: [*send(OK + answer), Step("close")]
    with speaks.client(proxy) as client:
        for _ in range(2):
            response = client.request("/")
            assert (response.content, response.whole) == (content, True), (
                "and the client's connection goes on"
            )


def test_head_and_not_modified_have_no_content(
    speaks: Speaks, proxy: ProxyProcess, upstream: Upstream
) -> None:
    with speaks.client(proxy) as client:
        response = client.request("/five", method="HEAD")
        assert (response.fields[b"content-length"], response.content) == (b"5", b"")
        upstream.script = lambda _: send(
            b"HTTP/1.1 304 Not Modified\r\n" + DATE + b"Content-Length: 9\r\n\r\n"
        )
        assert client.request("/").status == 304
        upstream.script = lambda _: send(b"HTTP/1.1 204 No Content\r\n" + DATE + b"\r\n")
        assert client.request("/").status == 204
        upstream.script = echo
        assert client.request("/next").content == b"/next"


def test_a_stale_connection_costs_no_request(speaks: Speaks, proxy: ProxyProcess, upstream: Upstream) -> None:
    with speaks.client(proxy) as client:
        client.request("/")
        connections = upstream.connections
        upstream.script = lambda request: (
            [Step("close")] if request.connection < connections else echo(request)
        )
        assert client.request("/again").content == b"/again"
        assert [request.target for request in upstream.requests].count(b"/again") == 2


def test_what_may_not_be_repeated_is_not(speaks: Speaks, proxy: ProxyProcess, upstream: Upstream) -> None:
    with speaks.client(proxy) as client:
        client.request("/")
        upstream.script = lambda _: [Step("close")]
        assert client.request("/once", method="POST").status == 502
        assert client.request("/twice").status == 502
        assert client.request("/put", method="PUT", fields="Content-Length: 0\r\n").status == 502
    targets = [request.target for request in upstream.requests]
    assert targets.count(b"/once") == 1


def test_a_cut_response_is_seen_to_be_cut(speaks: Speaks, proxy: ProxyProcess, upstream: Upstream) -> None:
    upstream.script = lambda _: [*send(OK + b"Content-Length: 9\r\n\r\nhello"), Step("close")]
    with speaks.client(proxy) as client:
        assert not client.request("/").whole


def test_a_refused_connection_is_a_502(speaks: Speaks, upstream: Upstream) -> None:
    nobody = Upstream()
    nobody.close()
    with speaks.running(nobody, "--mode", "short") as proxy:
        with speaks.client(proxy) as client:
            for _ in range(3):
                response = client.request("/")
                assert (response.status, b"refused" in response.content) == (502, True), "and it goes on"
        assert proxy.stop()["errors"]["upstream"]["refused"] == 3


def test_addresses_run_out(speaks: Speaks, upstream: Upstream) -> None:
    """An address that is not ours gives the error of a range of ports that is used up."""
    with speaks.running(upstream, "--source", "192.0.2.1") as proxy:
        with speaks.client(proxy) as client:
            assert client.request("/").status == 502
            assert client.request("/").status == 502
        done = proxy.stop()
    assert done["errors"]["upstream"]["address_exhausted"] == 2
    assert done["first_exhausted_ns"] > 0
    assert done["opened"] == 0


def test_a_silent_upstream(speaks: Speaks, upstream: Upstream) -> None:
    upstream.script = lambda _: [Step("hold", seconds=TIMEOUT_S)]
    with speaks.running(upstream, "--read-timeout", "0.1") as proxy:
        with speaks.client(proxy) as client:
            assert client.request("/").status == 504
        assert proxy.stop()["errors"]["upstream"]["timeout"] == 1


def test_an_idle_client_is_let_go(speaks: Speaks, upstream: Upstream) -> None:
    with speaks.running(upstream, "--idle-timeout", "0.5") as proxy, speaks.client(proxy) as client:
        client.request("/")
        assert client.ended()


def test_connections_are_kept(speaks: Speaks, upstream: Upstream) -> None:
    before = upstream.connections
    with speaks.running(upstream) as proxy:
        for _ in range(5):
            with speaks.client(proxy) as client:
                client.request("/")
                client.request("/")
        done = proxy.stop()
    assert upstream.connections - before == 1
    assert (done["accepted"], done["requests"], done["opened"], done["reused"]) == (5, 10, 1, 9)


def test_connections_have_a_longest_life(speaks: Speaks, upstream: Upstream) -> None:
    before = upstream.connections
    flags = ("--requests-per-connection", "3")
    with speaks.running(upstream, *flags) as proxy, speaks.client(proxy) as client:
        for _ in range(7):
            client.request("/")
    assert upstream.connections - before == 3


@pytest.mark.parametrize("closes_first", ["proxy", "backend"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_short_connections(closes_first: str, version: str, speaks: Speaks, upstream: Upstream) -> None:
    """Whoever is to close first does; the backend is only asked to when it is to."""
    upstream.script = lambda request: (
        [*echo(request), Step("close")] if request.values(b"Connection") == [b"close"] else echo(request)
    )
    before = upstream.connections
    flags = ("--mode", "short", "--closes-first", closes_first, "--upstream-http", version)
    with speaks.running(upstream, *flags) as proxy:
        with speaks.client(proxy) as client:
            for number in range(3):
                assert client.request(f"/{number}").content == b"/%d" % number
        done = proxy.stop()
    assert upstream.connections - before == done["opened"] == 3
    assert done["reused"] == done["lost"] == 0
    assert {request.head.split(b"\r\n")[0][-3:].decode() for request in upstream.requests} == {version}
    asked = {b"close"} if closes_first == "backend" else set()
    assert {value for request in upstream.requests for value in request.values(b"Connection")} == asked


def test_a_client_that_leaves_ends_its_request(speaks: Speaks) -> None:
    with Listener() as listener, speaks.running(listener) as proxy:
        with speaks.client(proxy) as client:
            begin(client)
            with listener.accept() as sock:
                until(sock, b"\r\n\r\n")
                reset(client.sock)
                assert sock.recv(1) == b""
        assert proxy.stop()["errors"]["client"]["aborted"] == 1


def test_a_drain_lets_a_request_end(speaks: Speaks) -> None:
    with Listener() as listener, speaks.running(listener) as proxy:
        with speaks.client(proxy) as client:
            read = begin(client)
            with listener.accept() as sock:
                until(sock, b"\r\n\r\n")
                proxy.signal()
                while accepts(proxy):
                    """Until it drains."""
                sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
                assert read() == b"ok"
            assert client.ended()
        assert proxy.done()["requests"] == 1


def begin(client: Client | Http2Client) -> Callable[[], bytes]:
    """Send a request; return what reads the content of its response."""
    if isinstance(client, Http2Client):
        number = client.begin()
        return lambda: client.read(number).content
    client.sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    def read() -> bytes:
        response = client.read()
        assert response is not None
        return response.content

    return read


def accepts(proxy: ProxyProcess) -> bool:
    """Return whether the proxy listens still."""
    with contextlib.suppress(ConnectionError):
        proxy.connect().close()
        return True
    return False
