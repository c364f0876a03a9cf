"""The proxy's reading of requests agrees with the corpus, however the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from messages.corpus import REQUESTS, cuts
from messages.model import Accept, Incomplete, Refuse, RequestReading
from proxy.errors import ClientProtocolError
from proxy.http11 import request
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED
from proxy.http11.request import RequestHead, read_request
from proxy.settings import Limits

LIMITS = Limits()


def read(pieces: list[bytes]) -> RequestReading:
    """Reads the first request in `pieces` as a client connection does; what comes after it is trailing."""
    data = b""
    head: RequestHead | None = None
    try:
        for at, piece in enumerate(pieces):
            data += piece
            head = read_request(data, LIMITS)
            if head is not None:
                return read_body(head, [data[head.size :], *pieces[at + 1 :]])
    except ClientProtocolError as error:
        return Refuse((error.status,), error.reason)
    return Incomplete()


def read_body(head: RequestHead, pieces: list[bytes]) -> RequestReading:
    if head.body == CHUNKED:
        return read_chunks(head, pieces)
    data = b"".join(pieces)
    framing = f"CL={head.body}" if head.body else "none"
    if len(data) < head.body:
        return Incomplete(framing, data)
    return accepted(head, framing, data[: head.body], data[head.body :])


def read_chunks(head: RequestHead, pieces: list[bytes]) -> RequestReading:
    reader = ChunkedReader(ClientProtocolError, LIMITS.head_bytes)
    content = b""
    try:
        for at, piece in enumerate(pieces):
            content += reader.feed(piece)
            if reader.announced > LIMITS.body_bytes:
                return Refuse((413,), "too long", in_body=True)
            if reader.done:
                return accepted(head, "chunked", content, reader.rest + b"".join(pieces[at + 1 :]))
    except ClientProtocolError as error:
        return Refuse((error.status,), error.reason, in_body=True)
    return Incomplete("chunked", content)


def accepted(head: RequestHead, framing: str, content: bytes, rest: bytes) -> Accept:
    return Accept(head.method.decode(), framing, content, rest, head.keep_alive, head.expects_continue)


def agree(reading: RequestReading, expected: RequestReading) -> bool:
    """Whether a reading is the expected one; of a refusal's statuses one is enough."""
    if isinstance(reading, Refuse) and isinstance(expected, Refuse):
        return reading.in_body == expected.in_body and set(reading.statuses) <= set(expected.statuses)
    return reading == expected


@pytest.mark.parametrize("name", REQUESTS)
def test_corpus(name: str) -> None:
    message = REQUESTS[name]
    readings = [read(pieces) for pieces in cuts(message.data)]
    for reading in readings:
        assert any(agree(reading, expected) for expected in message.expected), reading
        assert (reading == readings[0]) or isinstance(reading, Refuse), "the cut decides how it is read"


@pytest.mark.parametrize(
    "name", [name for name, message in REQUESTS.items() if type(message.expected[0]) is Accept]
)
def test_a_request_may_be_followed_by_the_next(name: str) -> None:
    data = REQUESTS[name].data
    alone = read([data])
    followed = read([data + b"GET / HTTP/1.1\r\n"])
    if isinstance(alone, Accept):
        assert isinstance(followed, Accept)
        assert followed.trailing == alone.trailing + b"GET / HTTP/1.1\r\n"


FIELD_NAMES = st.sampled_from(
    [b"Host", b"HOST", b"Accept", b"X-Forwarded-For", b"Connection", b"connection", b"Content-Length",
     b"Te", b"Transfer-Encoding", b"Content-Type", b"Expect", b"Upgrade", b"Keep-Alive", b"X-Id", b"X Y", b""]
)  # fmt: skip
FIELD_VALUES = st.sampled_from(
    [
        b"a",
        b"localhost",
        b"localhost:80",
        b"keep-alive",
        b"Keep-Alive",
        b"close",
        b"5",
        b"chunked",
        b"x-id",
        b"",
        b"\x00",
    ]
)
HEADS = st.builds(
    lambda line, fields: line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n",
    st.sampled_from(
        [b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.1\r\n", b"get / HTTP/1.0\r\n", b"CONNECT / HTTP/1.1\r\n"]
    ),
    st.lists(st.tuples(FIELD_NAMES, FIELD_VALUES), max_size=6),
)


def outcome(head: RequestHead | None) -> object:
    if isinstance(head, RequestHead):
        names = (
            "method",
            "target",
            "host",
            "size",
            "is_10",
            "keep_alive",
            "body",
            "upgrade",
            "forwarded_for",
            "fields",
        )
        return [getattr(head, name) for name in names]
    return type(head)


@given(HEADS)
def test_the_usual_spelling_is_read_as_any_other(data: bytes) -> None:
    usual = request._USUAL.match(data)
    if usual is not None:
        quick = read_request(data, LIMITS)
        assert outcome(quick) == outcome(request._read_unusual(data, LIMITS))


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /a/b?c=d HTTP/1.1\r\nA: x\r\nHost: a:80\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n",
    ],
)
def test_usual_requests_take_the_short_way(head: bytes) -> None:
    read_head = read_request(head, LIMITS)
    assert read_head is not None
    assert read_head.is_usual
    assert b"onnection" not in read_head.fields


def test_limits() -> None:
    limits = Limits(head_bytes=200, head_fields=4, body_bytes=10)
    fields = b"Host: a\r\nA: b\r\nC: d\r\nE: f\r\n"
    assert read_request(b"GET / HTTP/1.1\r\n" + fields + b"\r\n", limits) is not None
    for data, status in (
        (b"GET / HTTP/1.1\r\n" + fields + b"G: h\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 200 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 200, 431),
        (b"GET /" + b"b" * 200, 414),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413),
    ):
        with pytest.raises(ClientProtocolError) as caught:
            read_request(data, limits)
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("data", "target", "host", "fields"),
    [
        (
            b"GET http://B.example:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            b"/x?y",
            b"b.example:8",
            b"Host: b.example:8\r\n",
        ),
        (b"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", b"/", b"b", b"Host: b\r\n"),
        (b"GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n", b"/?c", b"b", b"Host: b\r\n"),
        (b"OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", b"*", b"b", b"Host: b\r\n"),
        (
            b"GET / HTTP/1.1\r\nhost: A\r\nConnection: x-y\r\nX-Y: 1\r\nTE: a\r\n\r\n",
            b"/",
            b"a",
            b"host: A\r\n",
        ),
    ],
)
def test_what_is_forwarded(data: bytes, target: bytes, host: bytes, fields: bytes) -> None:
    head = read_request(data, LIMITS)
    assert head is not None
    assert (head.target, head.host, head.fields) == (target, host, fields)
