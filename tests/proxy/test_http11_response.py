"""The head of a response: in any order and letter case, within limits, reduced to what is forwarded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamProtocolError
from proxy.http11.chunked import LAST_CHUNK
from proxy.http11.grammar import CHUNKED, MAX_FIELDS, MAX_RUN, UNTIL_CLOSE, cut
from proxy.http11.response import CLEAN, VERBATIM, match_response, read_complete
from proxy.settings import Limits
from tests.proxy_parts import read_response_head, response_head

OK = b"HTTP/1.1 200 OK\r\n"
NAMES = [
    b"Date",
    b"Server",
    b"Connection",
    b"CONNECTION",
    b"Content-Length",
    b"Content-Type",
    b"Connect",
    b"Keep-Alive",
    b"Keep",
    b"Transfer-Encoding",
    b"Upgrade",
    b"TE",
    b"Te-st",
    b"Trailer",
    b"X-Y",
    b"Content_Length",
]
VALUES = [
    b"a",
    b"keep-alive",
    b"close",
    b"x-y",
    b"5",
    b"05",
    b"chunked",
    b"timeout=5",
    b"",
    b"5, 5",
    b"h2,h2c",
]
VALUES += [b"Upgrade, Keep-Alive", b"upgrade"]
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES)), max_size=6)
STATUS_LINES = st.sampled_from(
    [OK, b"HTTP/1.0 200 OK\r\n", b"HTTP/1.5 404\r\n", b"HTTP/1.1 204 No\r\n", b"HTTP/1.1 103 E\r\n"]
)


def head_of(line: bytes, fields: list[tuple[bytes, bytes]]) -> bytes:
    return line + b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"


@given(STATUS_LINES, FIELDS, st.booleans())
def test_nothing_of_one_hop_goes_on(line: bytes, fields: list[tuple[bytes, bytes]], to_head: bool) -> None:
    data = head_of(line, fields)
    try:
        head = read_response_head(data, to_head=to_head)
    except UpstreamProtocolError:
        return
    assert head is not None
    assert head.end == len(data)
    lines = head.lines.split(b"\r\n")
    names = [each.partition(b":")[0].lower() for each in lines[1:-1]]
    assert lines[0].startswith(b"HTTP/1.1 ")
    assert not {b"connection", b"keep-alive", b"upgrade", b"te", b"trailer"} & set(names)
    assert names.count(b"transfer-encoding") == head.has_coding
    assert names.count(b"content-length") <= 1
    assert head.has_date is (b"date" in names)
    if (b"Connection", b"x-y") in fields:
        assert b"x-y" not in names


@given(STATUS_LINES, FIELDS, st.booleans(), st.sampled_from([b"", b"hello", b"5\r\nhello\r\n0\r\n\r\n"]))
def test_a_complete_response_is_read_as_any_other(
    line: bytes, fields: list[tuple[bytes, bytes]], to_head: bool, content: bytes
) -> None:
    """What the fast ways tell of a response that is complete is what the general one tells."""
    data = head_of(line, fields) + content
    match = match_response(data)
    assert match is not None
    assert match.lastindex is not None
    complete = read_complete(match, data, to_head=to_head) if match.lastindex >= CLEAN else None
    if complete is None:
        return
    cuts, end, has_date, keep_alive, is_chunked = complete
    head = read_response_head(data, to_head=to_head)
    assert head is not None
    assert head.lines == cut(data, 0, end, cuts)
    assert (head.has_date, head.keep_alive, head.has_coding) == (has_date, keep_alive, is_chunked)
    if head.body >= 0:
        assert head.end + head.body == len(data)
    else:
        assert (head.body, content[-5:]) == (CHUNKED, LAST_CHUNK)
    if match.lastindex == VERBATIM:
        assert has_date
        assert keep_alive
        assert {value.lower() for name, value in fields if name.lower() == b"connection"} <= {b"keep-alive"}


@given(STATUS_LINES, FIELDS, st.booleans())
def test_fields_in_their_clean_forms_are_read_as_in_any_other(
    line: bytes, fields: list[tuple[bytes, bytes]], to_head: bool
) -> None:
    """A field that is never in a clean form has all others looked at again: they mean the same."""

    def read_as(fields: list[tuple[bytes, bytes]]) -> object:
        try:
            head = read_response_head(head_of(line, fields), to_head=to_head)
        except UpstreamProtocolError:
            return None
        assert head is not None
        return head.status, head.lines, head.body, head.keep_alive, head.has_date, head.has_coding

    assert read_as(fields) == read_as([*fields, (b"TE", b"a")])


@given(STATUS_LINES, FIELDS, st.permutations(range(6)))
def test_the_order_of_different_fields_is_of_no_meaning(
    line: bytes, fields: list[tuple[bytes, bytes]], order: list[int]
) -> None:
    """Nor is the letter case of their names."""
    once = list({name.lower(): (name, value) for name, value in fields}.values())

    def read_as(fields: list[tuple[bytes, bytes]]) -> object:
        try:
            head = read_response_head(head_of(line, fields))
        except UpstreamProtocolError:
            return None
        assert head is not None
        lines = sorted(head.lines.lower().split(b"\r\n"))
        return head.status, head.body, head.keep_alive, head.has_date, head.upgrade, lines

    others = [(once[at][0].swapcase(), once[at][1]) for at in order if at < len(once)]
    assert read_as(once) == read_as(others)


@pytest.mark.parametrize(
    ("data", "body", "keep_alive"),
    [
        (OK + b"\r\n", UNTIL_CLOSE, True),
        (OK + b"content-length:5\r\n\r\n", 5, True),
        (OK + b"TRANSFER-ENCODING: Chunked\r\n\r\n", CHUNKED, True),
        (OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n", 0, False),
        (OK + b"Content-Length: 010\r\n\r\n", 10, True),
        (OK + b"Content-Length: 5\r\nConnection: a , Close\r\n\r\n", 5, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", 5, False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n\r\n", 5, True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Upgrade, Keep-Alive\r\n\r\n", 5, True),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Upgrade\r\nKeep-Alive: 5\r\n\r\n", 5, False),
        (b"HTTP/1.2 200 OK\r\nContent-Length: 5\r\n\r\n", 5, True),
        (b"HTTP/1.1 304 Not\r\nContent-Length: 5\r\n\r\n", 0, True),
        (b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", 0, False),
        (b"HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", 0, True),
        (b"HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", 0, False),
        (b"HTTP/1.1 204 No\r\n\r\n", 0, True),
    ],
)
def test_how_a_message_ends(data: bytes, body: int, keep_alive: bool) -> None:
    head = response_head(data)
    assert (head.body, head.keep_alive) == (body, keep_alive)
    assert response_head(data, to_head=True).body == 0


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/2.0 200 OK\r\n\r\n",
        b"HTTP/1.10 200 OK\r\n\r\n",
        b"HTTP/1.1 99 No\r\n\r\n",
        b"http/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTQ",
        b"\r\n",
        b"HTTP/1.1 200 OK\n",
        OK + b"A : b\r\n",
        OK + b"A: b\r\n c\r\n",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        OK + b"Transfer-Encoding: gzip\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n",
        OK + b"A: b\x00",
        OK + b"A: " + b"b" * 200,
    ],
)
def test_wrong(data: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        read_response_head(data, Limits(head_bytes=200))


@pytest.mark.parametrize("at", range(1, 40))
def test_a_head_may_be_incomplete(at: int) -> None:
    data = OK + b"Date: d\r\nContent-Length: 5\r\n\r\n"
    assert read_response_head(data[:at]) is None


def test_limits() -> None:
    limits = Limits(head_bytes=1600)
    most = OK + b"A: b\r\n" * MAX_FIELDS
    assert read_response_head(most + b"\r\n", limits) is not None
    run = OK + b"Content-Length: 0\r\n" + b"A: b\r\n" * (MAX_FIELDS - 2) + b"Upgrade: a\r\n" * 2
    long = OK + b"A: " + b"b" * 1600
    for data in (most + b"C: d\r\n", most + b"C", run, run + b"C", long):
        with pytest.raises(UpstreamProtocolError):
            read_response_head(data + b"\r\n", limits)
    match = match_response(run + b"\r\n")
    assert match is not None
    assert match.lastindex == CLEAN
    assert read_complete(match, run + b"\r\n", to_head=False) is None


def test_a_run_of_lines_is_short() -> None:
    """A Connection is looked for after each run, from each of its lines: a long one would cost its square."""
    data = OK + b"Date: d\r\nContent-Length: 0\r\n" + b"Upgrade: a\r\n" * (MAX_RUN + 1) + b"\r\n"
    match = match_response(data)
    assert match is not None
    assert match[11] == b"Upgrade: a\r\n" * MAX_RUN
    assert response_head(data).lines == OK + b"Date: d\r\nContent-Length: 0\r\n"
