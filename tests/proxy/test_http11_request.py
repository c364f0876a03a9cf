"""The proxy's reading of requests agrees with the corpus, however the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientProtocolError
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED
from proxy.http11.request import USUAL, RequestHead, read_request, read_usual_request
from proxy.settings import Limits
from tests.messages.corpus import REQUESTS, cuts
from tests.messages.model import Accept, Incomplete, Refuse, RequestReading

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


@given(HEADS)
def test_the_usual_spelling_is_read_as_any_other(data: bytes) -> None:
    usual = read_usual_request(data, LIMITS)
    if usual is not None:
        lines, host, more = usual
        head = read_request(data, LIMITS)
        assert head is not None
        assert lines + (more or b"") == b"GET %b HTTP/1.1\r\n%b" % (head.target, head.fields)
        assert (head.method, host, head.size) == (USUAL.method, head.host, len(data))
        for name in ("is_http10", "keep_alive", "body", "expects_continue", "upgrade", "forwarded_for"):
            assert getattr(head, name) == getattr(USUAL, name)
        assert head.max_forwards == USUAL.max_forwards


GET = b"GET /a/b?c=d HTTP/1.1\r\nA: x\r\nHost: a:80\r\nAccept: */*\r\n\r\n"


@pytest.mark.parametrize(
    "ends_with", [b"", b"Connection: keep-alive\r\n", b"Connection: Keep-Alive\r\nB: c\r\n"]
)
def test_usual_requests_take_the_short_way(ends_with: bytes) -> None:
    assert read_usual_request(GET[:-2] + ends_with + b"\r\n", LIMITS) is not None


@pytest.mark.parametrize(
    "data",
    [
        GET + b"G",
        GET + GET,
        GET[:-1],
        GET.replace(b"GET", b"HEAD"),
        GET.replace(b"1.1", b"1.0"),
        GET.replace(b"A: x", b"Host: b"),
        GET.replace(b"A: x", b"Content-Length: 5"),
        GET.replace(b"A: x", b"Connection: close"),
        GET.replace(b"A: x", b"connection: x"),
        GET.replace(b"A: x", b"TE: a"),
        GET.replace(b"A: x", b"A : x"),
        GET.replace(b"A: x", b" A: x"),
        GET.replace(b"A: x", b"A: \x00"),
        GET.replace(b"\r\nAccept", b"\nAccept"),
        GET.replace(b"A: x", b"A: " + b"x" * LIMITS.head_bytes),
        GET.replace(b"A: x", b"A: x\r\n" * LIMITS.head_fields + b"B: y"),
    ],
)
def test_no_other_does(data: bytes) -> None:
    assert read_usual_request(data, LIMITS) is None


def test_empty_lines_before_a_request() -> None:
    head = read_request(b"\r\n" * 5000 + GET, LIMITS)
    assert head is not None
    assert (head.target, head.size) == (b"/a/b?c=d", 10_000 + len(GET))
    assert read_request(b"\r\n" * 5000, LIMITS) is None
    with pytest.raises(ClientProtocolError):
        read_request(b"\r\n" * LIMITS.head_bytes, LIMITS)


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
