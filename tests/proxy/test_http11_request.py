"""The proxy's reading of requests agrees with the corpus, however the bytes arrive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientProtocolError
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED, MAX_FIELDS
from proxy.http11.partial import PartialLines
from proxy.http11.request import RequestHead, match_request, read_request
from proxy.settings import Limits
from tests.messages.corpus import REQUESTS, cuts
from tests.messages.model import Accept, Incomplete, Refuse, RequestReading
from tests.proxy_parts import read_request_head, request_head

LIMITS = Limits()


def read(pieces: list[bytes]) -> RequestReading:
    """Reads the first request in `pieces` as a client connection does; what comes after it is trailing."""
    partial = PartialLines(b"", LIMITS.head_bytes)
    try:
        for at, piece in enumerate(pieces):
            data = partial.add(piece)
            head = None if data is None else read_request_head(data)
            if data is not None and head is not None:
                return read_body(head, [data[head.end :], *pieces[at + 1 :]])
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
    reader = ChunkedReader(ClientProtocolError, LIMITS)
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


def outcome(data: bytes, limits: Limits = LIMITS, start: int = 0) -> object:
    """What a head is read as: its parts, or the status of its refusal; None while it is incomplete."""
    try:
        head = read_request(data, limits, start, match_request(data, start))
    except ClientProtocolError as error:
        return error.status
    return None if head is None else {**vars(head), "end": head.end - start, "is_usual": ...}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("before", [b"x", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_a_request_may_begin_anywhere_in_the_data(name: str, before: bytes) -> None:
    """Pipelined requests are read where they are."""
    data, start = REQUESTS[name].data, len(before)
    assert outcome(before + data, start=start) == outcome(data)


NAMES = [
    b"Host",
    b"HOST",
    b"Accept",
    b"X-Forwarded-For",
    b"X-Forwarded-Proto",
    b"Connection",
    b"connection",
    b"Content-Length",
    b"Te",
    b"Te-st",
    b"Transfer-Encoding",
    b"Content-Type",
    b"Expect",
    b"Upgrade",
    b"Keep-Alive",
    b"HTTP2-Settings",
    b"X-Id",
    b"Transfer_Encoding",
    b"X_Forwarded_For",
    b"X Y",
    b"",
]
VALUES = [
    b"a",
    b"localhost:80",
    b"keep-alive",
    b"Keep-Alive",
    b"close",
    b"5",
    b"05",
    b"chunked",
    b"x-id",
    b"",
    b"\x00",
    b"100-continue",
    b"upgrade, x-id",
    b"websocket,h2c",
    b"h2c",
    b"Upgrade, HTTP2-Settings",
    b"TE, close",
    b"Keep-Alive, TE",
]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6)
LINES = st.sampled_from(
    [b"GET / HTTP/1.1\r\n", b"POST /a?b HTTP/1.1\r\n", b"get / HTTP/1.0\r\n", b"CONNECT / HTTP/1.1\r\n"]
)


@given(LINES, FIELDS)
def test_every_head_is_read_or_refused(line: bytes, fields: list[tuple[bytes, bytes]]) -> None:
    """In any order and any letter case; and no head is accepted of which more than its lines is forwarded."""
    data = line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"
    try:
        head = read_request_head(data)
    except ClientProtocolError:
        return
    assert head is not None
    assert head.end == len(data)
    names = [each.partition(b":")[0].lower() for each in head.lines.split(b"\r\n")[1:-1]]
    assert not {b"connection", b"te", b"upgrade", b"transfer-encoding", b"keep-alive", b"expect"} & set(names)
    assert not {b"x-forwarded-for", b"transfer_encoding", b"x_forwarded_for"} & set(names)
    assert names.count(b"content-length") == (head.body > 0 or b"Content-Length" in dict(fields))
    assert names.count(b"host") == (head.host != b"")


@given(LINES, FIELDS, st.permutations(range(6)))
def test_the_order_of_different_fields_is_of_no_meaning(
    line: bytes, fields: list[tuple[bytes, bytes]], order: list[int]
) -> None:
    """Nor is the letter case of their names."""
    once = list({name.lower(): (name, value) for name, value in fields}.values())
    others = [once[at] for at in order if at < len(once)]

    def read_as(fields: list[tuple[bytes, bytes]], change: bool) -> object:
        named = ((name.swapcase() if change else name, value) for name, value in fields)
        found = outcome(line + b"".join(b"%b: %b\r\n" % field for field in named) + b"\r\n")
        if isinstance(found, dict):
            found["lines"] = sorted(found["lines"].lower().split(b"\r\n"))
        return isinstance(found, int) or found

    assert read_as(once, change=False) == read_as(others, change=True)


@given(LINES, FIELDS, st.integers(1, 400))
def test_the_limits_do_not_decide_how_a_head_is_read(
    line: bytes, fields: list[tuple[bytes, bytes]], limit: int
) -> None:
    """Short of them it is read in the same way, and beyond them never accepted."""
    data = line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"
    found = outcome(data, Limits(head_bytes=limit))
    if len(data) > limit:
        assert isinstance(found, int)
    elif len(data) < limit:
        assert found == outcome(data)


@given(LINES, FIELDS)
def test_fields_in_their_clean_forms_are_read_as_in_any_other(
    line: bytes, fields: list[tuple[bytes, bytes]]
) -> None:
    """A field that is never in a clean form has all others looked at again: they mean the same."""
    data = line + b"Host: a\r\n" + b"".join(b"%b: %b\r\n" % field for field in fields)
    found, again = outcome(data + b"\r\n"), outcome(data + b"Max-Forwards: 1\r\n\r\n")
    if isinstance(found, dict):
        assert isinstance(again, dict)
        again["lines"] = again["lines"].replace(b"Max-Forwards: 1\r\n", b"")
        again["end"] = found["end"]
    assert found == again


GET = b"GET /a/b?c=d HTTP/1.1\r\nA: x\r\nHost: a:80\r\nAccept: */*\r\n\r\n"


def test_empty_lines_before_a_request() -> None:
    head = request_head(b"\r\n" * 5000 + GET)
    assert (head.lines, head.end) == (GET[:-2], 10_000 + len(GET))
    assert read_request_head(b"\r\n" * 5000) is None
    with pytest.raises(ClientProtocolError):
        read_request_head(b"\r\n" * LIMITS.head_bytes)


def test_limits() -> None:
    limits = Limits(head_bytes=600, body_bytes=10)
    fields = b"Host: a\r\n" + b"A:b\r\n" * (MAX_FIELDS - 1)
    assert read_request_head(b"GET / HTTP/1.1\r\n" + fields + b"\r\n", limits) is not None
    for data, status in (
        (b"GET / HTTP/1.1\r\n" + fields + b"G: h\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"TE:\r\n" * MAX_FIELDS + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nExpect:\r\n" + b"TE:\r\n" * MAX_FIELDS + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 600 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 600, 431),
        (b"GET /" + b"b" * 600, 414),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n", 413),
    ):
        with pytest.raises(ClientProtocolError) as caught:
            read_request_head(data, limits)
        assert caught.value.status == status


@pytest.mark.parametrize(
    ("data", "host", "forwarded"),
    [
        (
            b"GET http://B.example:8/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
            b"B.example:8",
            b"GET /x?y HTTP/1.1\r\nHost: B.example:8\r\n",
        ),
        (b"GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", b"b", b"GET / HTTP/1.1\r\nHost: b\r\n"),
        (b"GET http://b?c HTTP/1.1\r\nHost: a\r\n\r\n", b"b", b"GET /?c HTTP/1.1\r\nHost: b\r\n"),
        (b"OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", b"b", b"OPTIONS * HTTP/1.1\r\nHost: b\r\n"),
        (
            b"GET HTTPS://b/c HTTP/1.0\r\nA: b\r\nhOST: a\r\nHost_: c\r\n\r\n",
            b"b",
            b"GET /c HTTP/1.1\r\nHost: b\r\nA: b\r\nHost_: c\r\n",
        ),
        (
            b"GET / HTTP/1.1\r\nhost: A\r\nConnection: x-y\r\nX-Y: 1\r\nTE: a\r\n\r\n",
            b"A",
            b"GET / HTTP/1.1\r\nhost: A\r\n",
        ),
        (
            b"GET / HTTP/1.1\r\nTE: a\r\nHost: a\r\nB: c\r\nConnection: keep-alive\r\nD: e\r\n\r\n",
            b"a",
            b"GET / HTTP/1.1\r\nHost: a\r\nB: c\r\nD: e\r\n",
        ),
    ],
)
def test_what_is_forwarded(data: bytes, host: bytes, forwarded: bytes) -> None:
    head = request_head(data)
    assert (head.host, head.lines) == (host, forwarded)


@pytest.mark.parametrize("options", [b"host: a", b"close, host: a", b"x y", b'"x"'])
def test_connection_lists_tokens(options: bytes) -> None:
    """What is none could be taken for another field's line, the Host's for instance."""
    assert outcome(b"GET / HTTP/1.1\r\nHost: a:80\r\nConnection: %b\r\n\r\n" % options) == 400


@pytest.mark.parametrize("rest", [b"", b"h:", b"\r\n", b" malformed\r\n", b"X: \x00\r\n"])
def test_too_many_fields_are_refused_before_the_head_ends(rest: bytes) -> None:
    """Each line of a head in pieces costs a look at those before it: there must not be many."""
    fields = b"".join(b"h%d:\r\n" % number for number in range(MAX_FIELDS))
    data = b"GET / HTTP/1.1\r\nHost: a\r\n" + fields + rest
    assert outcome(data) == 431
