"""The backend's framing reads the corpus as its table says, however the bytes arrive."""

import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends.protocols.http11 import (
    CHUNKED,
    ProtocolError,
    RequestHead,
    RequestReader,
    parse_any_head,
    parse_head,
)
from tests.messages.corpus import REQUESTS, cuts
from tests.messages.model import Accept, Incomplete, Refuse, RequestReading


def read(pieces: list[bytes]) -> RequestReading:
    """Reads the first request in `pieces`, as a server does; what comes after it is trailing."""
    reader = RequestReader()
    head: RequestHead | None = None
    body: list[bytes] = []
    whole = False
    rest: list[bytes] = []
    try:
        for piece in pieces:
            if whole:
                rest.append(piece)
                continue
            reader.feed(piece)
            head = head or reader.head()
            while reader.in_body and (part := reader.body()):
                body.append(part)
            whole = head is not None and not reader.in_body
    except ProtocolError as error:
        return Refuse((error.status,), str(error), in_body=head is not None)
    if head is None:
        return Incomplete()
    framing = "chunked" if head.length == CHUNKED else f"CL={head.length}" if head.length else "none"
    if not whole:
        return Incomplete(framing, b"".join(body))
    return Accept(
        head.method.decode(),
        framing,
        b"".join(body),
        reader.unread + b"".join(rest),
        head.keep_alive,
        head.expects_continue,
    )


def agree(reading: RequestReading, expected: RequestReading) -> bool:
    """Whether a reading is the expected one; of a refusal's statuses one is enough."""
    if isinstance(reading, Refuse) and isinstance(expected, Refuse):
        return reading.in_body == expected.in_body and set(reading.statuses) <= set(expected.statuses)
    return reading == expected


@pytest.mark.parametrize("name", REQUESTS)
def test_corpus(name: str) -> None:
    message = REQUESTS[name]
    readings = {
        reading if not isinstance(reading, Refuse) else (reading.statuses, reading.in_body): reading
        for pieces in cuts(message.data)
        for reading in [read(pieces)]
    }
    assert len(readings) == 1, readings
    (reading,) = readings.values()
    assert any(agree(reading, expected) for expected in message.expected_of_backend), reading


NAMES = [
    b"Host",
    b"host",
    b"X-Bench-Id",
    b"Connection",
    b"Content-Length",
    b"Transfer-Encoding",
    b"Expect",
    b"A",
]
VALUES = [
    b"localhost",
    b"a:80",
    b"[::1]",
    b"a b",
    b"",
    b"close",
    b"keep-alive",
    b"5",
    b"chunked",
    b"\xe9",
    b"\0",
]
FIELD = st.tuples(
    st.sampled_from(NAMES), st.sampled_from([b":", b": ", b":\t", b" :"]), st.sampled_from(VALUES)
).map(b"".join)
LINE = st.sampled_from(
    [b"GET / HTTP/1.1", b"HEAD /a?b HTTP/1.1", b"CONNECT / HTTP/1.1", b"GET * HTTP/1.1", b"GET / HTTP/1.0"]
)
HEAD = st.tuples(LINE, st.lists(FIELD, max_size=6)).map(
    lambda parts: b"\r\n".join([parts[0], *parts[1], b"", b""])
)


def outcome(parse: Callable[[bytes], RequestHead], head: bytes) -> RequestHead | int:
    try:
        return parse(head)
    except ProtocolError as error:
        return error.status


@settings(max_examples=1000)
@given(HEAD)
def test_the_short_cut_reads_what_the_long_way_reads(head: bytes) -> None:
    assert outcome(parse_head, head) == outcome(parse_any_head, head)


@given(st.data())
def test_any_split_gives_the_same_reading(data: st.DataObject) -> None:
    message = data.draw(st.sampled_from([each for each in REQUESTS.values() if len(each.data) < 2000]))
    bounds = data.draw(st.lists(st.integers(0, len(message.data)), max_size=8).map(sorted))
    pieces = [message.data[a:b] for a, b in itertools.pairwise([0, *bounds, len(message.data)])]
    whole, split = read([message.data]), read(pieces)
    if isinstance(whole, Refuse):
        assert isinstance(split, Refuse)
        assert (split.statuses, split.in_body) == (whole.statuses, whole.in_body)
    else:
        assert split == whole


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=5), st.booleans())
def test_bodies_come_back(chunks: list[bytes], chunked: bool) -> None:
    body = b"".join(chunks)
    if chunked:
        framed = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"
        field = b"Transfer-Encoding: chunked"
    else:
        framed, field = body, b"Content-Length: %d" % len(body)
    reading = read([b"POST / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n" + framed + b"NEXT"])
    framing = "chunked" if chunked else f"CL={len(body)}" if body else "none"
    assert reading == Accept("POST", framing, body, b"NEXT")
