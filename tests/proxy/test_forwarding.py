"""The heads that go on, byte by byte."""

import pytest

from proxy import forwarding
from proxy.forwarding import MAX_CACHED_CLIENTS, RequestWriter
from proxy.http11.request import read_request
from proxy.http11.response import read_response
from proxy.settings import Limits

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
            f"GET /a HTTP/1.1\nHost: B\nA: b\n{WHO}1.2.3.4\nX-Forwarded-Host: b",
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
            CLOSE,
            "GET /a HTTP/1.1\nHost: b\nConnection: upgrade\nUpgrade: websocket",
            "GET /a HTTP/1.1\nHost: b\nUpgrade: websocket\nConnection: upgrade\n"
            f"{WHO}1.2.3.4\nX-Forwarded-Host: b",
        ),
    ],
)
def test_requests(writer: RequestWriter, request_head: str, forwarded: str) -> None:
    head = read_request(lines(request_head), LIMITS)
    assert head is not None
    assert writer.write(head, writer.added_fields("1.2.3.4"), b"up:1") == lines(forwarded)


USUAL = [
    "GET / HTTP/1.1\nHost: a",
    "GET /a/b?c=d HTTP/1.1\nA: x\nHost: a:80\nAccept: */*\nConnection: keep-alive",
    "GET /a HTTP/1.1\nhost: a\nConnection: Keep-Alive\nAccept: */*\nUser-Agent: Connection: close",
]


@pytest.mark.parametrize("writer", [KEEP, CLOSE])
@pytest.mark.parametrize("request_head", USUAL)
def test_a_usual_request_is_passed_on_as_any_other(writer: RequestWriter, request_head: str) -> None:
    added_fields = writer.added_fields("1.2.3.4")
    head = read_request(lines(request_head), LIMITS)
    assert head is not None
    assert writer.write_usual(lines(request_head), added_fields) == writer.write(head, added_fields, b"up:1")


def test_a_usual_request_in_another_version_is_written_anew() -> None:
    assert OLD.write_usual(lines(USUAL[0]), OLD.added_fields("1.2.3.4")) is None


def test_a_collected_body_is_forwarded_with_its_length() -> None:
    head = read_request(lines("POST /a HTTP/1.1\nHost: b\nTransfer-Encoding: chunked"), LIMITS)
    assert head is not None
    head.set_length(5)
    forwarded = f"POST /a HTTP/1.0\nHost: b\nContent-Length: 5\nConnection: keep-alive\n{WHO}1.2.3.4"
    assert OLD.write(head, OLD.added_fields("1.2.3.4"), b"up:1") == lines(f"{forwarded}\nX-Forwarded-Host: b")
    assert (OLD.to_http10, KEEP.to_http10) == (True, False)


@pytest.mark.parametrize(
    ("response_head", "keep_alive", "to_http10", "forwarded"),
    [
        (
            "HTTP/1.1 200 OK\nDate: d\nContent-Length: 5\nConnection: close", True, False,
            "HTTP/1.1 200 OK\nDate: d\nContent-Length: 5",
        ),
        (
            "HTTP/1.0 200\nContent-Length: 5", False, False,
            "HTTP/1.1 200 \nContent-Length: 5\nDate: now\nConnection: close",
        ),
        (
            "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked", True, False,
            "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked",
        ),
        (
            "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked", False, True,
            "HTTP/1.1 200 OK\nDate: d\nConnection: close",
        ),
        ("HTTP/1.1 200 OK\nDate: d", True, False, "HTTP/1.1 200 OK\nDate: d\nTransfer-Encoding: chunked"),
        (
            "HTTP/1.1 204 No\nDate: d\nContent-Length: 0", True, True,
            "HTTP/1.1 204 No\nDate: d\nConnection: keep-alive",
        ),
    ],
)  # fmt: skip
def test_responses(response_head: str, keep_alive: bool, to_http10: bool, forwarded: str) -> None:
    head = read_response(lines(response_head), Limits(), to_head=False)
    assert head is not None
    written = forwarding.response_head(
        head, keep_alive=keep_alive, to_http10=to_http10, date=b"Date: now\r\n"
    )
    assert written == lines(forwarded)


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
