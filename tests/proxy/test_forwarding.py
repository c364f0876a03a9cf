"""The heads that go on, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import forwarding
from proxy.forwarding import MAX_CACHED_CLIENTS, RequestWriter
from proxy.http11.grammar import MAX_FIELDS
from proxy.http11.request import SIMPLE, RequestHead, match_request
from proxy.settings import Limits
from tests import proxy_parts

LIMITS = Limits()
KEEP = RequestWriter(LIMITS, is_http10=False, keep_alive=True, request_close=False)
CLOSE = RequestWriter(LIMITS, is_http10=False, keep_alive=False, request_close=True)
OLD = RequestWriter(LIMITS, is_http10=True, keep_alive=True, request_close=False)
OLD_SHORT = RequestWriter(LIMITS, is_http10=True, keep_alive=False, request_close=False)
WHO = "Via: 1.1 keepalive-bench\nX-Forwarded-Proto: http\nX-Forwarded-For: "


def lines(text: str) -> bytes:
    return (text + "\n\n").replace("\n", "\r\n").encode()


@pytest.mark.parametrize(
    ("writer", "request_head", "forwarded"),
    [
        (
            KEEP,
            "GET /a HTTP/1.1\nHost: B\nA: b",
            f"GET /a HTTP/1.1\nHost: B\nA: b\n{WHO}1.2.3.4\nX-Forwarded-Host: B",
        ),
        (
            CLOSE,
            "GET /a HTTP/1.1\nHost: b",
            f"GET /a HTTP/1.1\nHost: b\nConnection: close\n{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            OLD,
            "GET /a HTTP/1.1\nHost: b",
            f"GET /a HTTP/1.0\nHost: b\nConnection: keep-alive\n{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (OLD_SHORT, "GET /a HTTP/1.0", f"GET /a HTTP/1.0\nHost: up:1\n{WHO}1.2.3.4\nX-Forwarded-Host: up:1"),
        (
            KEEP,
            "POST /a HTTP/1.1\nHost: b\nTransfer-Encoding: chunked\nExpect: 100-continue",
            "POST /a HTTP/1.1\nHost: b\nTransfer-Encoding: chunked\nExpect: 100-continue\n"
            f"{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            OLD,
            "POST /a HTTP/1.1\nHost: b\nContent-Length: 5\nExpect: 100-continue",
            "POST /a HTTP/1.0\nHost: b\nContent-Length: 5\nConnection: keep-alive\n"
            f"{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            KEEP,
            "OPTIONS * HTTP/1.1\nHost: b\nMax-Forwards: 7\nX-Forwarded-For: a, c",
            f"OPTIONS * HTTP/1.1\nHost: b\nMax-Forwards: 6\n{WHO}a, c, 1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            KEEP,
            "GET /a HTTP/1.1\nX-Forwarded-For: a\nHost: b\nX-Forwarded-For: c\nx_forwarded_for: d\nX_Y: z",
            f"GET /a HTTP/1.1\nHost: b\nX_Y: z\n{WHO}a, c, 1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            KEEP,
            "GET /a HTTP/1.9\nHost: b\nx-forwarded-host: evil\nX-Forwarded-Proto: https",
            f"GET /a HTTP/1.1\nHost: b\n{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            KEEP,
            "POST /a HTTP/1.1\nContent-Length: 010\nHost: b\nContent_Length: 3",
            f"POST /a HTTP/1.1\nHost: b\nContent-Length: 10\n{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            KEEP,
            "POST /a HTTP/1.1\nContent-Length:  5 \t\nHost: b",
            f"POST /a HTTP/1.1\nHost: b\nContent-Length: 5\n{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            KEEP,
            "POST /a HTTP/1.1\ntransfer-encoding:\tChunked\nHost: b",
            f"POST /a HTTP/1.1\nHost: b\nTransfer-Encoding: chunked\n{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            KEEP,
            "GET http://c:1?d HTTP/1.1\nA: 1\nHost: b\nB: 2",
            f"GET /?d HTTP/1.1\nHost: c:1\nA: 1\nB: 2\n{WHO}1.2.3.4\nX-Forwarded-Host: c:1",
        ),
        (
            KEEP,
            "GET /a HTTP/1.1\nHost: b\nConnection: upgrade\nUpgrade: h2c/1 ,websocket,foo,H2C",
            "GET /a HTTP/1.1\nHost: b\nUpgrade: websocket, foo\nConnection: upgrade\n"
            f"{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
        (
            CLOSE,
            "GET /a HTTP/1.1\nHost: b\nConnection: upgrade\nUpgrade: websocket",
            "GET /a HTTP/1.1\nHost: b\nUpgrade: websocket\nConnection: upgrade\n"
            f"{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
    ],
)
def test_requests(writer: RequestWriter, request_head: str, forwarded: str) -> None:
    head = proxy_parts.request_head(lines(request_head))
    added_fields = writer.added_fields("1.2.3.4")
    assert writer.write(head, added_fields, b"up:1", b"") == lines(forwarded)
    assert writer.write(head, added_fields, b"up:1", b"content") == lines(forwarded) + b"content"


SIMPLE_REQUESTS = [
    "GET / HTTP/1.1\nHost: a",
    "GET /a/b?c=d HTTP/1.1\nA: x\nHost: a:80\nAccept: */*\nConnection: keep-alive",
    "GET /a HTTP/1.1\nhost: a\nCONNECTION: Keep-Alive\nAccept: */*\nUser-Agent: Connection: close",
    "DELETE /a HTTP/1.1\nUpgrade-Insecure-Requests: 1\nConnection: keep-alive\nHost: a\nTo: b",
    "GET /a HTTP/1.1\nX-Forwarded-Port: 443\nHost: [::1]:80\nX-Forwarded-By: d",
    "HEAD /{} HTTP/1.1\nHost:a\nA: \t\nX_Y: \xe9",
    "POST /a HTTP/1.1\ncontent-length: 5\nHost: a\nContent-Type: b",
    "PATCH /a HTTP/1.1\nHost: a\nContent-Length: 0",
]
"""What browsers and APIs send: forwarded without a second look, in any order and any letter case."""


def write_simple(writer: RequestWriter, data: bytes) -> tuple[RequestHead, bytes] | None:
    match = match_request(data)
    if match is None or match.lastindex != SIMPLE:
        return None
    return writer.write_simple(match, data, writer.added_fields("1.2.3.4"))


def write_any(writer: RequestWriter, data: bytes) -> tuple[RequestHead, bytes]:
    head = proxy_parts.request_head(data)
    return head, writer.write(head, writer.added_fields("1.2.3.4"), b"up:1", data[head.end :])


def content_of(request_head: str) -> bytes:
    return b"hello" if "Length: 5" in request_head or "length: 5" in request_head else b""


@pytest.mark.parametrize("writer", [KEEP, CLOSE])
@pytest.mark.parametrize("request_head", SIMPLE_REQUESTS)
def test_a_simple_request_is_forwarded_as_any_other(writer: RequestWriter, request_head: str) -> None:
    data = lines(request_head) + content_of(request_head)
    simple = write_simple(writer, data)
    assert simple is not None
    head, request = write_any(writer, data)
    assert simple[1] == request
    assert (simple[0].is_head, simple[0].may_repeat) == (head.is_head, head.may_repeat)


NAMES = [
    "Host",
    "hOST",
    "Connection",
    "Content-Length",
    "TE",
    "Te-st",
    "Upgrade",
    "Keep-Alive",
    "Expect",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X_Forwarded_Host",
    "Transfer-Encoding",
    "Accept",
    "Trailer",
]
VALUES = ["a", "a:80", "keep-alive", "close", "5", "0", "05", "chunked", "accept", "", " x ", "1, 2"]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=5)


@given(st.sampled_from(["GET /", "POST /a", "GET http://b/", "OPTIONS *"]), FIELDS, st.booleans())
def test_no_simple_request_is_forwarded_in_another_way(
    line: str, fields: list[tuple[str, str]], has_host: bool
) -> None:
    """Whatever the fast way takes, the careful reader reads and writes the same."""
    host = ["Host: b"] if has_host else []
    request_head = "\n".join([f"{line} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), *host])
    data = lines(request_head)
    for content in (b"", b"hello"):
        simple = write_simple(KEEP, data + content)
        if simple is not None:
            head, request = write_any(KEEP, data + content)
            assert (simple[1], head.keep_alive, head.body) == (request, True, len(content))
            assert (head.upgrade, head.forwarded_for) == (b"", b"")
            assert (head.expects_continue, head.is_http10) == (False, False)


@pytest.mark.parametrize(
    ("writer", "data"),
    [
        (OLD, lines(SIMPLE_REQUESTS[0])),
        (KEEP, lines(SIMPLE_REQUESTS[0]) + b"GET"),
        (KEEP, lines(SIMPLE_REQUESTS[0])[:-1]),
        (KEEP, lines(SIMPLE_REQUESTS[0]) * 2),
        (KEEP, lines("POST / HTTP/1.1\nHost: a\nContent-Length: 5") + b"hell"),
        (KEEP, lines("POST / HTTP/1.1\nHost: a\nContent-Length: 5") + b"hello!"),
        (KEEP, lines("POST / HTTP/1.1\nHost: a\nContent-Length: 20000") + b"x" * 20000),
        (KEEP, lines("GET / HTTP/1.1\nHost: a" + "\nA: b" * MAX_FIELDS)),
        (KEEP, lines("GET / HTTP/1.1\nHost: a\nA: " + "b" * LIMITS.head_bytes)),
        *(
            (KEEP, lines(f"GET / HTTP/1.1\nHost: a\n{field}"))
            for field in (
                "Host: b",
                "content-length: 0 ",
                "Connection: close",
                "connection: x",
                "Content-Length: 05",
                "Content-Length: 5, 5",
                "Transfer-Encoding: chunked",
                "Expect: 100-continue",
                "Upgrade: x",
                "Content_Length: 0",
                "A : b",
                "X-Forwarded-For: b",
                "X_Forwarded_For: b",
                "Keep-Alive: 5",
                " A: b",
                "A: \x00",
                "Max-Forwards: 1",
            )
        ),
        *(
            (KEEP, lines(f"{line}\nHost: a"))
            for line in (
                "GET / HTTP/1.0",
                "GET / HTTP/1.2",
                "GET http://a/ HTTP/1.1",
                "CONNECT a:1 HTTP/1.1",
                "TRACE / HTTP/1.1",
            )
        ),
        (KEEP, lines("GET / HTTP/1.1")),
    ],
)
def test_no_other_is_simple(writer: RequestWriter, data: bytes) -> None:
    assert write_simple(writer, data) is None


def test_a_simple_body_is_held_to_the_limit_on_bodies() -> None:
    writer = RequestWriter(Limits(body_bytes=4), is_http10=False, keep_alive=True, request_close=False)
    assert write_simple(writer, lines("POST / HTTP/1.1\nHost: a\nContent-Length: 5") + b"hello") is None


def test_a_collected_body_is_forwarded_with_its_length() -> None:
    head = proxy_parts.request_head(lines("POST /a HTTP/1.1\nHost: b\nTransfer-Encoding: chunked"))
    head.set_length(5)
    forwarded = f"POST /a HTTP/1.0\nHost: b\nContent-Length: 5\nConnection: keep-alive\n{WHO}1.2.3.4"
    written = OLD.write(head, OLD.added_fields("1.2.3.4"), b"up:1", b"")
    assert written == lines(f"{forwarded}\nX-Forwarded-Host: b")
    assert (OLD.to_http10, KEEP.to_http10) == (True, False)


@pytest.mark.parametrize(
    ("response_head", "keep_alive", "to_http10", "forwarded"),
    [
        (
            "HTTP/1.1 200 OK\nDate: d\nContent-Length: 5\nConnection: close",
            True,
            False,
            "HTTP/1.1 200 OK\nDate: d\nContent-Length: 5",
        ),
        (
            "HTTP/1.0 200\nContent-Length: 5",
            False,
            False,
            "HTTP/1.1 200 \nContent-Length: 5\nDate: now\nConnection: close",
        ),
        (
            "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked",
            True,
            False,
            "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked",
        ),
        (
            "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked",
            False,
            True,
            "HTTP/1.1 200 OK\nDate: d\nConnection: close",
        ),
        ("HTTP/1.1 200 OK\nDate: d", True, False, "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked"),
        (
            "HTTP/1.1 204 No\nDate: d\nContent-Length: 0",
            True,
            True,
            "HTTP/1.1 204 No\nDate: d\nConnection: keep-alive",
        ),
        (
            "HTTP/1.7 200 OK\ndate: d\ncontent-length: 5\nKeep-Alive: timeout=5\nProxy-Connection: x",
            True,
            False,
            "HTTP/1.1 200 OK\ndate: d\ncontent-length: 5",
        ),
        (
            "HTTP/1.1 200 OK\ndate: d\ncontent-length:  5 ",
            True,
            False,
            "HTTP/1.1 200 OK\ndate: d\nContent-Length: 5",
        ),
        (
            "HTTP/1.1 200 OK\nDate: d\nContent-Length: 005\nConnection: x-y, keep-alive\nX-Y: 1\nX-Z: 2",
            True,
            False,
            "HTTP/1.1 200 OK\nDate: d\nX-Z: 2\nContent-Length: 5",
        ),
        (
            "HTTP/1.1 204 No\nDate: d\nTransfer-Encoding: chunked",
            False,
            False,
            "HTTP/1.1 204 No\nDate: d\nConnection: close",
        ),
        (
            "HTTP/1.1 304 Not Modified\nDate: d\nContent-Length: 9\nETag: e",
            True,
            False,
            "HTTP/1.1 304 Not Modified\nDate: d\nContent-Length: 9\nETag: e",
        ),
    ],
)
def test_responses(response_head: str, keep_alive: bool, to_http10: bool, forwarded: str) -> None:
    written = forwarding.response_head(
        proxy_parts.response_head(lines(response_head)),
        keep_alive=keep_alive,
        to_http10=to_http10,
        date=b"Date: now\r\n",
        content=b"content",
    )
    assert written == lines(forwarded) + b"content"


@pytest.mark.parametrize(
    ("response_head", "forwarded"),
    [
        ("HTTP/1.1 103 Early Hints\nLink: a\nConnection: b\nB: c", "HTTP/1.1 103 Early Hints\nLink: a"),
        ("HTTP/1.3 100", "HTTP/1.1 100 "),
        (
            "HTTP/1.1 101 Switching Protocols\nupgrade: foo\nA: b\nConnection: Upgrade",
            "HTTP/1.1 101 Switching Protocols\nA: b\nConnection: upgrade\nUpgrade: foo",
        ),
    ],
)
def test_interim_responses(response_head: str, forwarded: str) -> None:
    assert forwarding.interim_head(proxy_parts.response_head(lines(response_head))) == lines(forwarded)


def test_the_proxys_own_answer() -> None:
    answer = forwarding.proxy_response(502, "caf\xe9", keep_alive=False, with_body=True)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\nDate: ")
    assert b"\r\nConnection: close" in head
    assert body == b"502 Bad Gateway: caf\\xe9\n"
    assert b"Content-Length: %d" % len(body) in head
    assert forwarding.proxy_response(502, "x", keep_alive=True, with_body=False).endswith(b"\r\n\r\n")


def test_many_clients_are_distinguished() -> None:
    writer = RequestWriter(LIMITS, is_http10=False, keep_alive=True, request_close=False)
    addresses = [f"10.0.{number // 256}.{number % 256}" for number in range(MAX_CACHED_CLIENTS + 10)]
    for address in [*addresses, *addresses]:
        assert b"X-Forwarded-For: " + address.encode() + b"\r\n" in writer.added_fields(address)
    assert writer.added_fields(addresses[-1]) is writer.added_fields(addresses[-1])
