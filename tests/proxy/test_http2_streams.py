"""HTTP/2 with clients, over real sockets: streams side by side, bodies, flow control, and how both end."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from h2.errors import ErrorCodes

from bench.subjects.certificates import CHAIN, KEY
from tests import tls_files
from tests.messages.model import Step
from tests.proxy_http2 import PREFACE, Http2Client, fields_of
from tests.proxy_loops import LOOPS
from tests.proxy_process import Client, ProxyProcess, running
from tests.proxy_upstream import (
    DATE,
    TIMEOUT_S,
    Listener,
    Received,
    Upstream,
    accepts_more,
    echo,
    fill,
    read_exactly,
    reset,
    send,
    until,
)

OK = b"HTTP/1.1 200 OK\r\n" + DATE
START = b"x" * 20_000
"""More than is collected before an upstream connection is taken."""


@pytest.fixture(scope="module", params=LOOPS)
def proxy(request: pytest.FixtureRequest, shared_upstream: Upstream) -> Iterator[ProxyProcess]:
    """The proxy, on each event loop."""
    with running(shared_upstream, "--http2", "--loop", request.param) as proxy:
        yield proxy


def listening(upstream: Upstream | Listener, *flags: str) -> contextlib.AbstractContextManager[ProxyProcess]:
    return running(upstream, "--http2", *flags)


# Streams.


def test_streams_of_a_connection_have_an_upstream_connection_each(upstream: Upstream) -> None:
    """As many as are open at a time, and from the pool of HTTP/1's clients."""
    everyone = threading.Barrier(20)

    def answer(request: Received) -> list[Step]:
        if request.target != b"/alone":
            everyone.wait(TIMEOUT_S)
        return [*echo(request)]

    upstream.script = answer
    with listening(upstream) as proxy:
        with Http2Client(proxy) as client, Client(proxy) as other:
            for _ in range(3):
                numbers = {client.begin(fields_of(path=f"/{each}")): b"/%d" % each for each in range(20)}
                assert {each: client.read(each).content for each in numbers} == numbers
            assert other.request("/alone").content == b"/alone"
        done = proxy.stop()
    assert (done["accepted"], done["requests"], done["opened"], done["reused"]) == (2, 61, 20, 41)


def test_a_slow_response_keeps_no_other_waiting(proxy: ProxyProcess, upstream: Upstream) -> None:
    released = threading.Event()
    upstream.script = lambda request: (
        [Step("sleep")] if request.target == b"/slow" and not released.wait(TIMEOUT_S) else echo(request)
    )
    with Http2Client(proxy) as client:
        slow = client.begin(fields_of(path="/slow"))
        for number in range(5):
            assert client.request(f"/{number}").content == b"/%d" % number
        released.set()
        assert client.read(slow).content == b"/slow"


def test_streams_over_the_limit_are_refused_and_the_others_go_on(upstream: Upstream) -> None:
    """RFC 9113, section 5.1.2; a client that has not seen the settings yet may open more."""
    released = threading.Event()
    upstream.script = lambda request: [] if not released.wait(TIMEOUT_S) else echo(request)
    with listening(upstream) as proxy, Http2Client(proxy) as client:
        for _ in range(130):
            client.begin(waits=True)
        client.flush()
        answers = client.answers.values()
        client.until(lambda: sum(each.reset == ErrorCodes.REFUSED_STREAM for each in answers) == 2)
        released.set()
        client.until(lambda: sum(each.status == 200 and each.ended for each in answers) == 128)
        assert client.request("/next").content == b"/next"


# Bodies of requests.


@pytest.mark.parametrize("length", [[], [("content-length", "150000")]], ids=["unknown", "known"])
def test_a_body_goes_through(length: list[tuple[str, str]], proxy: ProxyProcess, upstream: Upstream) -> None:
    body = bytes(range(250)) * 600
    upstream.script = lambda request: send(
        OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), request.content)
    )
    with Http2Client(proxy) as client:
        number = client.begin(fields_of("POST", "/", *length), end=False)
        client.send(number, body, end=True)
        assert client.read(number).content == body
    (request,) = upstream.requests
    assert request.values(b"Transfer-Encoding") == ([] if length else [b"chunked"])
    assert request.values(b"Content-Length") == [value.encode() for _, value in length]


@pytest.mark.parametrize(
    ("pieces", "content"),
    [
        ([], b""),
        ([b"", b"hello", b"", b""], b"hello"),
        ([b"h", b"e", b"l", b"l", b"o"], b"hello"),
    ],
)
def test_a_body_comes_in_any_pieces(
    pieces: list[bytes], content: bytes, proxy: ProxyProcess, upstream: Upstream
) -> None:
    with Http2Client(proxy) as client:
        number = client.begin(fields_of("POST"), end=False)
        for piece in pieces:
            client.h2.send_data(number, piece)
            client.flush()
        client.h2.end_stream(number)
        client.flush()
        assert client.read(number).status == 200
    assert upstream.requests[0].content == content


def test_padding_is_no_content_and_opens_the_window_again(proxy: ProxyProcess, upstream: Upstream) -> None:
    with Http2Client(proxy) as client:
        number = client.begin(fields_of("POST"), end=False)
        for _ in range(600):
            while client.h2.local_flow_control_window(number) < 300:
                client.receive()
            client.h2.send_data(number, b"x", pad_length=255)
            client.flush()
        client.h2.end_stream(number)
        client.flush()
        assert client.read(number).status == 200
    assert upstream.requests[0].content == b"x" * 600


def test_trailers_end_a_request_and_go_no_further(proxy: ProxyProcess, upstream: Upstream) -> None:
    with Http2Client(proxy) as client:
        number = client.begin(fields_of("POST"), end=False)
        client.h2.send_data(number, b"hello")
        client.h2.send_headers(number, [("x-trailer", "1")], end_stream=True)
        client.flush()
        assert client.read(number).status == 200
    assert upstream.requests[0].content == b"hello"
    assert upstream.requests[0].values(b"X-Trailer") == []


def test_a_short_body_takes_a_connection_when_it_is_whole() -> None:
    with Listener() as listener, listening(listener) as proxy, Http2Client(proxy) as client:
        number = client.begin(fields_of("POST"), end=False)
        client.send(number, b"hello")
        assert proxy.count()["requests"] == 0
        client.send(number, b"!", end=True)
        with listener.accept() as sock:
            assert until(sock, b"0\r\n\r\n").endswith(b"5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n")
            sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            assert client.read(number).content == b"ok"


def test_a_slow_upstream_holds_its_stream_back_and_no_other() -> None:
    """Of an endless body, only so much is taken as the buffers and the window of its stream hold."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(Listener(takes_little=True))
        proxy = stack.enter_context(listening(listener))
        client = stack.enter_context(Http2Client(proxy))
        slow = client.begin(fields_of("POST"), end=False)
        client.send(slow, START)
        sock = listener.accept()
        sent = len(START)
        client.sock.settimeout(0.4)
        with contextlib.suppress(TimeoutError):
            while True:
                client.send(slow, bytes(10_000))
                sent += 10_000
        client.sock.settimeout(TIMEOUT_S)
        assert sent < 32 << 20
        other = client.begin(fields_of("POST", "/other"), end=False)
        writer = threading.Thread(target=_answer_whole, args=(listener,))
        writer.start()
        client.send(other, bytes(100_000), end=True)
        assert client.read(other).content == b"ok"
        writer.join()
        read_exactly(sock, sent)
        client.until(lambda: client.h2.local_flow_control_window(slow))
        sock.close()


def test_an_upload_that_waits_for_its_turn_is_sent_although_it_has_ended() -> None:
    """At most half of the connections carry a body that is still to come."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(Listener())
        proxy = stack.enter_context(listening(listener, "--pool-max", "2"))
        client = stack.enter_context(Http2Client(proxy))
        first = client.begin(fields_of("POST"), end=False)
        client.send(first, START)
        upstream = stack.enter_context(listener.accept())
        until(upstream, b"x\r\n")
        second = client.begin(fields_of("POST"), end=False)
        client.send(second, b"x" * 16_383 + b"!")  # one frame, so that nothing but the end comes behind it
        client.h2.send_headers(second, [("x-trailer", "1")], end_stream=True)
        client.flush()
        assert proxy.count()["requests"] == 1, "the second has not begun"
        client.h2.end_stream(first)
        client.flush()
        other = stack.enter_context(listener.accept())
        for number, sock, last in ((first, upstream, b"0\r\n\r\n"), (second, other, b"!\r\n0\r\n\r\n")):
            until(sock, last)
            sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            assert client.read(number).content == b"ok"


def test_what_is_left_of_a_cancelled_upload_is_no_burden_to_the_others() -> None:
    """The window of the connection opens again, although nobody reads those bodies."""
    with (
        Listener() as listener,
        listening(listener, "--pool-max", "2") as proxy,
        Http2Client(proxy) as client,
    ):
        first = client.begin(fields_of("POST"), end=False)
        client.send(first, START)
        sock = listener.accept()
        for _ in range(40):
            waiting = client.begin(fields_of("POST"), end=False)
            client.send(waiting, bytes(60_000))
            client.h2.reset_stream(waiting, ErrorCodes.CANCEL)
        client.send(first, bytes(200_000), end=True)
        until(sock, b"0\r\n\r\n")
        sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
        assert client.read(first).content == b"ok"
        sock.close()


def _answer_whole(listener: Listener) -> None:
    with listener.accept() as sock:
        until(sock, b"0\r\n\r\n")
        sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")


def test_expectations_reach_the_upstream() -> None:
    with Listener() as listener, listening(listener) as proxy, Http2Client(proxy) as client:
        number = client.begin(
            fields_of("POST", "/", ("expect", "100-continue"), ("content-length", "5")), end=False
        )
        with listener.accept() as sock:
            assert b"Expect: 100-continue" in until(sock, b"\r\n\r\n")
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            client.until(lambda: client.answers[number].interims == [100])
            client.send(number, b"hello", end=True)
            assert until(sock, b"hello") == b"hello"
            sock.sendall(OK + b"Content-Length: 0\r\n\r\n")
            assert client.read(number).status == 200


def test_an_http10_upstream_gets_a_body_whole_and_with_its_length(upstream: Upstream) -> None:
    """It can neither read chunks nor send 100 (Continue)."""
    with listening(upstream, "--upstream-http", "1.0") as proxy, Http2Client(proxy) as client:
        number = client.begin(fields_of("POST", "/", ("expect", "100-continue")), end=False)
        client.until(lambda: client.answers[number].interims == [100])
        client.send(number, START * 10, end=True)
        assert client.read(number).status == 200
    (request,) = upstream.requests
    assert request.head.startswith(b"POST / HTTP/1.0\r\n")
    assert request.values(b"Content-Length") == [b"200000"]
    assert request.content == START * 10


def test_an_early_answer_ends_the_upload_and_nothing_else() -> None:
    """RFC 9113, section 8.1: the response is complete, and a reset without an error asks for no more."""
    with Listener() as listener, listening(listener) as proxy, Http2Client(proxy) as client:
        number = client.begin(fields_of("POST", "/", ("content-length", "100000")), end=False)
        client.send(number, START)
        with listener.accept() as sock:
            until(sock, b"x" * 1000)
            sock.sendall(b"HTTP/1.1 403 Forbidden\r\n" + DATE + b"Content-Length: 2\r\n\r\nno")
            client.until(lambda: client.answers[number].reset is not None)
            answer = client.answers[number]
            assert (answer.status, answer.content, answer.ended, answer.reset) == (403, b"no", True, 0)
            assert sock.recv(1) == b"", "what is left of the request would be read as the next one"
        other = client.begin()
        with listener.accept() as sock:
            until(sock, b"\r\n\r\n")
            sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            assert client.read(other).content == b"ok"


# Bodies of responses.


def test_interim_responses_come_before_the_final_one(proxy: ProxyProcess, upstream: Upstream) -> None:
    upstream.script = lambda _: send(
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nok"
    )
    with Http2Client(proxy) as client:
        response = client.request("/")
    assert (response.interims, response.status, response.content) == ((103,), 200, b"ok")


def test_a_switch_of_protocols_is_an_error_of_the_upstream(proxy: ProxyProcess, upstream: Upstream) -> None:
    """RFC 9113, section 8.6: there is no 101 in HTTP/2."""
    upstream.script = lambda _: send(b"HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    with Http2Client(proxy) as client:
        assert client.request("/").status == 502


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 2\r\n\r\nok",
        b"Content-Length: 2\r\n\r\nok, and more",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n",
    ],
)
def test_fields_of_the_upstreams_hop_go_no_further(
    body: bytes, proxy: ProxyProcess, upstream: Upstream
) -> None:
    fields = b"Connection: x-secret\r\nX-Secret: 1\r\nKeep-Alive: timeout=5\r\nX-Kept: 1\r\n"
    upstream.script = lambda _: send(OK + fields + body)
    with Http2Client(proxy) as client:
        response = client.request("/")
    assert response.content == b"ok"
    assert response.fields.keys() - {b"content-length"} == {b":status", b"date", b"x-kept"}


@pytest.mark.parametrize("window", [1, 1000, 65_535, 1 << 20])
def test_a_response_keeps_to_the_windows_of_the_client(
    window: int, proxy: ProxyProcess, upstream: Upstream
) -> None:
    """h2 as the client raises an error where the proxy does not."""
    size = min(300 * window, 3 << 20)
    body = bytes(range(256)) * (size // 256 + 1)
    upstream.script = lambda _: send(OK + b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
    with Http2Client(proxy, window=window) as client:
        assert client.request("/").content == body


def test_a_reader_that_stops_holds_its_upstream_back_and_no_other_stream() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(Listener())
        proxy = stack.enter_context(listening(listener))
        client = stack.enter_context(Http2Client(proxy, acknowledges=False))
        slow = client.begin()
        sock = stack.enter_context(listener.accept())
        until(sock, b"\r\n\r\n")
        sock.sendall(OK + b"Content-Length: 1000000000\r\n\r\n")
        sent = fill(sock)
        assert sent < 32 << 20
        client.until(lambda: len(client.answers[slow].content) == 65_535)
        client.h2.increment_flow_control_window(1 << 30)
        other = client.begin(fields_of(path="/other"))
        with listener.accept() as second:
            until(second, b"\r\n\r\n")
            second.sendall(OK + b"Content-Length: 60000\r\n\r\n" + bytes(60_000))
            assert len(client.read(other).content) == 60_000
        client.h2.increment_flow_control_window(1 << 30, slow)
        client.flush()
        client.until(lambda: len(client.answers[slow].content) == sent)
        assert accepts_more(sock), "once the reader does"


def test_a_client_that_reads_nothing_holds_the_upstream_back() -> None:
    """Whatever its windows allow."""
    with Listener() as listener, listening(listener) as proxy, Http2Client(proxy, window=1 << 30) as client:
        number = client.begin()
        with listener.accept() as sock:
            until(sock, b"\r\n\r\n")
            sock.sendall(OK + b"Content-Length: 1000000000\r\n\r\n")
            sent = fill(sock)
            assert sent < 32 << 20
            client.until(lambda: len(client.answers[number].content) == sent)
            assert accepts_more(sock)


# Ends of a stream.


@pytest.mark.parametrize("begun", [False, True], ids=["before the response", "within the response"])
def test_a_reset_cancels_the_request_to_the_upstream(begun: bool) -> None:
    with Listener() as listener, listening(listener) as proxy:
        with Http2Client(proxy) as client:
            number = client.begin()
            with listener.accept() as sock:
                until(sock, b"\r\n\r\n")
                if begun:
                    sock.sendall(OK + b"Content-Length: 100\r\n\r\nhello")
                    client.until(lambda: client.answers[number].content == b"hello")
                client.h2.reset_stream(number, ErrorCodes.CANCEL)
                client.flush()
                assert sock.recv(1) == b""
            other = client.begin()
            with listener.accept() as sock:
                until(sock, b"\r\n\r\n")
                sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
                assert client.read(other).content == b"ok"
        done = proxy.stop()
    assert done["errors"]["client"]["aborted"] == 1
    assert (done["requests"], done["opened"]) == (2, 2)


def test_a_response_that_is_cut_resets_its_stream_alone(proxy: ProxyProcess, upstream: Upstream) -> None:
    upstream.script = lambda _: [*send(OK + b"Content-Length: 9\r\n\r\nhello"), Step("close")]
    with Http2Client(proxy) as client:
        answer = client.read(client.begin())
        assert (answer.content, answer.ended, answer.reset) == (b"hello", False, ErrorCodes.INTERNAL_ERROR)
        upstream.script = echo
        assert client.request("/next").content == b"/next"


def test_a_stalled_reader_loses_its_stream() -> None:
    """In its response, and where all of that waits for it."""
    flags = ("--read-timeout", "0.3", "--body-timeout", "0.3")
    for size in (100_000_000, 80_000):
        with Listener() as listener, listening(listener, *flags) as proxy:
            with Http2Client(proxy, acknowledges=False) as client:
                number = client.begin()
                with listener.accept() as sock:
                    until(sock, b"\r\n\r\n")
                    sock.sendall(OK + b"Content-Length: %d\r\n\r\n" % size)
                    with contextlib.suppress(OSError):
                        sock.sendall(bytes(min(size, 8 << 20)))
                    answer = client.read(number)
            assert answer.reset is not None, size
            assert len(answer.content) == 65_535
            assert proxy.stop()["errors"]["client"]["timeout"] == 1


@pytest.mark.parametrize(
    ("begin", "status"),
    [(b"", 408), (START, 408)],
    ids=["collected", "streamed"],
)
def test_a_body_that_stops_is_answered_on_its_stream(begin: bytes, status: int, upstream: Upstream) -> None:
    with listening(upstream, "--body-timeout", "0.2") as proxy, Http2Client(proxy) as client:
        number = client.begin(fields_of("POST"), end=False)
        client.send(number, begin)
        assert client.read(number).status == status
        assert client.request("/next").status == 200


# Ends of a connection.


@pytest.mark.parametrize("how", [socket.socket.close, reset], ids=["FIN", "RST"])
@pytest.mark.parametrize(
    "step", ["nothing", "preface", "half a frame", "head", "half a body", "waits", "response", "stalled"]
)
def test_a_client_may_vanish_at_each_step(step: str, how: object, upstream: Upstream) -> None:
    """Nothing of it stays, and the others are served."""
    assert callable(how)
    released = threading.Event()
    upstream.script = lambda request: (
        echo(request)
        if request.target == b"/other"
        else [Step("sleep") if not released.wait(TIMEOUT_S) else Step("close")]
        if step == "waits"
        else [*send(OK + b"Content-Length: 10000000\r\n\r\nhello"), Step("hold", seconds=TIMEOUT_S)]
    )
    with listening(upstream) as proxy:
        if step in {"nothing", "preface", "half a frame"}:
            sock = proxy.connect()
            sock.sendall({"nothing": b"", "preface": PREFACE, "half a frame": PREFACE + b"\0\0\x04\4"}[step])
        else:
            client = Http2Client(proxy, acknowledges=False)
            sock = client.sock
            number = client.begin(fields_of("POST" if "body" in step else "GET"), end="body" not in step)
            if step == "half a body":
                client.send(number, START)
                while proxy.count()["requests"] == 0:
                    """Until it is streamed."""
            elif step == "waits":
                while proxy.count()["requests"] == 0:
                    """Until the upstream has it."""
            elif step in {"response", "stalled"}:
                client.until(lambda: client.answers[number].content)
        how(sock)
        with Http2Client(proxy) as other:
            assert other.request("/other").content == b"/other"
        released.set()
        done = proxy.stop()
    assert done["errors"]["client"]["aborted"] <= 1
    assert done["errors"]["client"]["bad_request"] == 0


def test_an_idle_client_is_told_that_it_is_let_go(upstream: Upstream) -> None:
    with listening(upstream, "--idle-timeout", "0.5") as proxy, Http2Client(proxy) as client:
        client.request("/")
        assert client.ended()
        assert client.goaway is not None
        assert (client.goaway.error_code, client.goaway.last_stream_id) == (0, 1)


def test_a_drain_finishes_what_was_begun_and_refuses_the_rest() -> None:
    """RFC 9113, section 6.8."""
    with Listener() as listener, listening(listener) as proxy, Http2Client(proxy) as client:
        number = client.begin()
        with listener.accept() as sock:
            until(sock, b"\r\n\r\n")
            proxy.signal(signal.SIGTERM)
            client.until(lambda: client.goaway)
            assert client.goaway is not None
            assert (client.goaway.error_code, client.goaway.last_stream_id) == (0, number)
            late = client.begin()
            assert client.read(late).reset == ErrorCodes.REFUSED_STREAM
            sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            assert client.read(number).content == b"ok"
        assert client.ended()
        client.sock.close()
        assert proxy.done()["requests"] == 1


def test_a_client_that_leaves_gets_what_it_has_asked_for() -> None:
    """A GOAWAY of a client says that it opens no more streams, not that it wants no more answers."""
    with Listener() as listener, listening(listener) as proxy, Http2Client(proxy) as client:
        number = client.begin()
        with listener.accept() as sock:
            until(sock, b"\r\n\r\n")
            client.leave()
            proxy.count()
            sock.sendall(OK + b"Content-Length: 2\r\n\r\nok")
            assert client.read(number).content == b"ok"
        assert client.ended()


def test_too_many_clients(upstream: Upstream) -> None:
    with listening(upstream, "--max-clients", "1") as proxy:
        with Http2Client(proxy) as first:
            assert first.request("/").status == 200
            with Http2Client(proxy) as second:
                assert second.ended()
                assert second.goaway is not None
        assert proxy.stop()["errors"]["client"]["too_many"] == 1


# Who speaks HTTP/2.


@pytest.fixture
def files(tmp_path: Path) -> Path:
    return tls_files.write(tmp_path)


def tls_flags(files: Path) -> tuple[str, ...]:
    return ("--tls-cert", str(files / CHAIN), "--tls-key", str(files / KEY))


def test_tls_chooses_by_alpn(files: Path, upstream: Upstream) -> None:
    with listening(upstream, *tls_flags(files)) as proxy:
        for offered, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (None, None)):
            context = tls_files.client_context()
            if offered:
                context.set_alpn_protocols(offered)
            if chosen == "h2":
                with Http2Client(proxy, context) as http2:
                    assert http2.request("/").status == 200
                continue
            with Client(proxy) as client:
                sock = context.wrap_socket(client.sock, server_hostname="127.0.0.1")
                client.sock = sock
                assert sock.selected_alpn_protocol() == chosen
                assert client.request("/").status == 200
    assert [each.values(b"Via") for each in upstream.requests] == [
        [b"2.0 keepalive-bench"],
        [b"1.1 keepalive-bench"],
        [b"1.1 keepalive-bench"],
    ]
    assert {value for each in upstream.requests for value in each.values(b"X-Forwarded-Proto")} == {b"https"}


def test_tls_without_the_flag_offers_http1_alone(files: Path, upstream: Upstream) -> None:
    with running(upstream, *tls_flags(files)) as proxy:
        context = tls_files.client_context()
        context.set_alpn_protocols(["h2", "http/1.1"])
        with context.wrap_socket(proxy.connect(), server_hostname="127.0.0.1") as sock:
            assert sock.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("at", [1, 3, 16, 23, 24, 30])
def test_the_preface_may_come_in_pieces(at: int, proxy: ProxyProcess, upstream: Upstream) -> None:
    with Http2Client(proxy) as like:
        data = PREFACE + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
        like.sock.close()
        sock = like.sock = proxy.connect()
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(data[:at])
        proxy.count()
        sock.sendall(data[at:])
        assert like.request("/pieces").content == b"/pieces"


@pytest.mark.parametrize("begin", ["P", "PR", "PRI", "PRI * HTTP/2.0\r\n\r\nS", "PUT", "G", "\r\n"])
def test_what_begins_otherwise_is_http1(begin: str, upstream: Upstream) -> None:
    with listening(upstream, "--head-timeout", "0.2") as proxy, Client(proxy) as client:
        client.sock.sendall(begin.encode())
        proxy.count()
        rest = {
            "P": "OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "PUT": " / HTTP/1.1\r\nHost: a\r\n\r\n",
        }
        rest |= {"G": "ET / HTTP/1.1\r\nHost: a\r\n\r\n", "\r\n": "GET / HTTP/1.1\r\nHost: a\r\n\r\n"}
        if begin in rest:
            client.sock.sendall(rest[begin].encode())
            response = client.read()
            assert response is not None
            assert response.status == 200
        else:
            assert client.sock.recv(1) == b"", "half a preface is nobody's"


def test_without_the_flag_there_is_no_http2_and_no_h2(upstream: Upstream) -> None:
    with running(upstream) as proxy, Client(proxy) as client:
        client.sock.sendall(PREFACE)
        response = client.read()
        assert response is not None
        assert response.status in {400, 505}
    loaded = "import sys, proxy.__main__; print({'h2', 'hpack', 'hyperframe'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
