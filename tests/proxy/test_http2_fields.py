"""The fields of HTTP/2 as HTTP/1.1, and back: what RFC 9113, sections 8.2 and 8.3, accepts and refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import ClientProtocolError
from proxy.http2.fields import MalformedRequest, check_trailers, own_response, request_head, response_fields
from tests.proxy_parts import read_request_head

Pairs = list[tuple[bytes, bytes]]

PSEUDO: dict[bytes, bytes] = {b":method": b"GET", b":scheme": b"https", b":authority": b"a", b":path": b"/"}


def fields(*others: tuple[bytes, bytes], **pseudo: bytes | None) -> Pairs:
    """Return the fields of a request with some pseudo-fields changed, or left out."""
    changed = {**PSEUDO, **{b":" + name.encode(): value for name, value in pseudo.items()}}
    return [*((name, value) for name, value in changed.items() if value is not None), *others]


@pytest.mark.parametrize(
    ("request_fields", "has_content", "head"),
    [
        (fields(), False, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (fields(path=b"/a?b=%20&c"), False, b"GET /a?b=%20&c HTTP/1.1\r\nHost: a\r\n\r\n"),
        (fields(method=b"OPTIONS", path=b"*"), False, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (fields((b"host", b"b"), authority=None), False, b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"),
        (fields((b"host", b"A")), False, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        (
            fields((b"accept", b"*/*"), (b"te", b"trailers"), (b"x", b"")),
            False,
            b"GET / HTTP/1.1\r\nHost: a\r\naccept: */*\r\nx: \r\n\r\n",
        ),
        (
            fields((b"content-length", b"5"), method=b"POST"),
            True,
            b"POST / HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\n",
        ),
        (fields((b"content-length", b"0")), False, b"GET / HTTP/1.1\r\nHost: a\r\ncontent-length: 0\r\n\r\n"),
        (
            fields(method=b"POST"),
            True,
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
    ],
)
def test_a_request_says_the_same_in_http1(request_fields: Pairs, has_content: bool, head: bytes) -> None:
    assert request_head(request_fields, has_content=has_content) == head


MALFORMED: dict[str, Pairs] = {
    # RFC 9113, section 8.2.1.
    "an upper-case name": fields((b"Accept", b"*/*")),
    "an empty name": fields((b"", b"x")),
    "a space in a name": fields((b"a b", b"x")),
    "a colon in a name": fields((b"a:b", b"x")),
    "a name beyond ASCII": fields((b"\xe4", b"x")),
    "a line feed in a value": fields((b"a", b"x\ny: z")),
    "a return in a value": fields((b"a", b"x\r")),
    "a second line in a value": fields((b"a", b"x\r\ncontent-length: 5")),
    "a null in a value": fields((b"a", b"\0")),
    "a control character in a value": fields((b"a", b"\x01")),
    "white space before a value": fields((b"a", b" x")),
    "white space after a value": fields((b"a", b"x\t")),
    "a line feed in a pseudo-field": fields(authority=b"a\r\nx: y"),
    # Section 8.2.2.
    **{
        f"the field {name}": fields((name.encode(), value))
        for name, value in (
            ("connection", b"close"),
            ("connection", b"keep-alive"),
            ("keep-alive", b"timeout=5"),
            ("proxy-connection", b"keep-alive"),
            ("transfer-encoding", b"chunked"),
            ("upgrade", b"websocket"),
            ("te", b"gzip"),
            ("te", b"trailers, deflate"),
        )
    },
    # Section 8.3.
    "a pseudo-field after a field": [*fields(path=None), (b"a", b"b"), (b":path", b"/")],
    "a pseudo-field twice": [*fields(), (b":path", b"/")],
    "an unknown pseudo-field": fields(nothing=b"x"),
    "a pseudo-field of responses": fields(status=b"200"),
    "a protocol that was not offered": fields(method=b"CONNECT", protocol=b"websocket"),
    "no method": fields(method=None),
    "an invalid method": fields(method=b"GET /"),
    "an empty method": fields(method=b""),
    "no scheme": fields(scheme=None),
    "no path": fields(path=None),
    "an empty path": fields(path=b""),
    "a path without its slash": fields(path=b"a"),
    "a URL as path": fields(path=b"https://a/"),
    "a space in the path": fields(path=b"/ HTTP/1.0"),
    "a fragment in the path": fields(path=b"/#a"),
    "an asterisk with GET": fields(path=b"*"),
    "no authority": fields(authority=None),
    "an empty authority": fields(authority=b""),
    "two authorities": fields((b"host", b"b")),
    "two hosts": fields((b"host", b"a"), (b"host", b"a"), authority=None),
    # Section 8.1.1.
    "a length without content": fields((b"content-length", b"5")),
}
MALFORMED_LENGTHS = {
    "two lengths": fields((b"content-length", b"5"), (b"content-length", b"5")),
    "a length that is no number": fields((b"content-length", b"+5")),
    "a list of lengths": fields((b"content-length", b"5, 5")),
    "an empty length": fields((b"content-length", b"")),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused(name: str) -> None:
    with pytest.raises(MalformedRequest):
        request_head(MALFORMED[name], has_content=False)


@pytest.mark.parametrize("name", MALFORMED_LENGTHS)
def test_a_malformed_length_is_refused(name: str) -> None:
    with pytest.raises(MalformedRequest):
        request_head(MALFORMED_LENGTHS[name], has_content=True)


@pytest.mark.parametrize(
    ("request_fields", "status"),
    [
        (fields(method=b"CONNECT", path=None, scheme=None), 501),
        (fields(scheme=b"ftp"), 400),
    ],
)
def test_what_is_well_formed_but_not_forwarded_has_a_status(request_fields: Pairs, status: int) -> None:
    with pytest.raises(ClientProtocolError) as raised:
        request_head(request_fields, has_content=False)
    assert not isinstance(raised.value, MalformedRequest)
    assert raised.value.status == status


@pytest.mark.parametrize(
    "trailer", [(b":path", b"/"), (b"A", b"b"), (b"a", b"b\n"), (b"connection", b"close")]
)
def test_malformed_trailers_are_refused(trailer: tuple[bytes, bytes]) -> None:
    check_trailers([(b"a", b"b")])
    with pytest.raises(MalformedRequest):
        check_trailers([(b"a", b"b"), trailer])


ANY = st.lists(st.tuples(st.binary(max_size=12), st.binary(max_size=12)), max_size=4)


@given(others=ANY, path=st.binary(max_size=12), authority=st.binary(max_size=12), has_content=st.booleans())
def test_no_field_adds_a_line_or_changes_the_framing(
    others: Pairs, path: bytes, authority: bytes, has_content: bool
) -> None:
    given_fields = fields(*others, path=path, authority=authority, method=b"POST")
    try:
        head = request_head(given_fields, has_content=has_content)
        read = read_request_head(head)
    except ClientProtocolError:
        return
    assert read is not None
    assert read.end == len(head), "it ends where it should"
    lines = head.split(b"\r\n")
    assert len(lines) <= len(others) + 5
    assert head.count(b"\n") == len(lines) - 1
    assert (read.body != 0) <= has_content
    assert not read.upgrade
    assert read.keep_alive


def test_a_response_is_its_status_and_fields_in_lower_case() -> None:
    lines = b"HTTP/1.1 200 Fine\r\nContent-Type:text/plain\r\nX-A:  b:c \r\nTransfer-Encoding: chunked\r\n"
    assert response_fields(lines, b"Date: now\r\n") == [
        (b":status", b"200"),
        (b"content-type", b"text/plain"),
        (b"x-a", b"b:c"),
        (b"date", b"now"),
    ]
    assert response_fields(b"HTTP/1.1 204 \r\n") == [(b":status", b"204")]


def test_a_response_of_the_proxy_gives_the_reason() -> None:
    given_fields, content = own_response(502, "no such thing")
    assert content == b"502 Bad Gateway: no such thing\n"
    assert dict(given_fields)[b":status"] == b"502"
    assert dict(given_fields)[b"content-length"] == b"%d" % len(content)
