"""The head of a request: read, validated, and reduced to the lines that may be forwarded."""

import re

from proxy.errors import ClientProtocolError
from proxy.http11 import grammar
from proxy.http11.grammar import (
    CHUNKED,
    HOP_BY_HOP,
    TOKEN,
    VALUE,
    FieldValues,
    any_case,
    only_once,
)
from proxy.settings import Limits

_SET_BY_PROXY = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"expect"))
# What frames or routes the message, what belongs to one hop only, and what the proxy itself sets.
_NAMES = HOP_BY_HOP | _SET_BY_PROXY | {b"host", b"content-length", b"max-forwards", b"http2-settings"}
# Declared hop-by-hop, these would cost the request its framing or its route at the next hop.
_NEVER_HOP_BY_HOP = frozenset((b"host", b"content-length"))
_FORWARDED = frozenset((b"host", b"max-forwards"))
_AMBIGUOUS = "Transfer-Encoding with Content-Length, or in HTTP/1.0"
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_OPTIONS = frozenset((b"close",))
"""What Connection lists without naming a field."""

# RFC 9110, section 7.2, and RFC 3986, section 3.2.2, without the comma, in which two fields may hide.
_HOST = rb"(?:[0-9A-Za-z\-._~%!$&'()*+;=]++|\[[0-9A-Fa-f:.]++\])(?::[0-9]*+)?"

# Visible ASCII without the fragment's delimiter. RFC 9112, section 3.2, allows to reject more; quotes
# and braces come from real clients and carry no framing.
_REQUEST_LINE = rb"(%b) (?:/[!\"$-~]*+|([!\"$-~]++)) HTTP/(?:1\.1|([0-9]\.[0-9]))\r\n" % TOKEN
# What asks to keep the connection or to close it, but names no other field and no protocol to change to.
_CONNECTION = rb"(?:%b, *+%b|(?:%b, *+)?(?:%b|(%b))(?:, *+%b)?)" % tuple(
    map(any_case, (b"upgrade", b"http2-settings", b"te", b"keep-alive", b"close", b"te"))
)
_CUT_UNREAD = rb"((?:%b|%b)+)" % (
    grammar.lines_of(
        (
            b"x-forwarded-proto",
            b"x-forwarded-host",
            b"te",
            b"keep-alive",
            b"proxy-connection",
            b"http2-settings",
        )
    ),
    grammar.field_line(b"upgrade", any_case(b"h2c")),
)
# The last group is there if a head is complete, and has nothing special but a host, a length, and a
# Connection that is cut. Each run of lines that are cut has a group of its own.
_HEAD = re.compile(
    _REQUEST_LINE
    + grammar.head_lines(
        _NAMES,
        (
            grammar.clean_line(b"host", _HOST, 4),
            grammar.clean_line(b"content-length", rb"0|[1-9][0-9]{0,17}", 5),
            grammar.clean_line(b"transfer-encoding", rb"chunked", 6),
            only_once(rb"(" + grammar.field_line(b"connection", _CONNECTION) + rb")", 7),
            only_once(rb"(" + grammar.field_line(b"x-forwarded-for", VALUE) + rb")", 9),
            only_once(_CUT_UNREAD, 10),
            only_once(_CUT_UNREAD, 11),
        ),
    )
    + rb"(?:\r\n(?(12)|(?(2)|(?(3)|(?(6)|(?(8)|(?(9)|(?(10)|(?(4)()))))))))|)"
)
_CUT_GROUPS = (7, 9, 10, 11)
SIMPLE = 13
"""The last group of a match of `match_request` that the fast way takes."""
match_request = _HEAD.match

# RFC 9110, section 9.2.2, without the methods that are rejected.
_IDEMPOTENT = frozenset((b"GET", b"HEAD", b"OPTIONS", b"PUT", b"DELETE"))
# CONNECT requests a tunnel that no gateway builds; TRACE reflects credentials (section 9.3.8).
_REJECTED = frozenset((b"CONNECT", b"TRACE"))
_SPECIAL = grammar.special_fields(_NAMES)
_HOST_VALUE = re.compile(_HOST)
_ABSOLUTE = re.compile(rb"https?://([^/?]*+)(.*+)", re.IGNORECASE)


class RequestHead:
    """One request, as far as the proxy needs it; the class attributes are the usual values.

    Attributes:
        lines: the request line, as it came, and the field lines that may be forwarded unchanged.
        host: b"" if an HTTP/1.0 client sent none.
        end: where the head ends in the data.
        body: its length in bytes, or CHUNKED.
        max_forwards: -1 if there is no such limit.
        is_head: whether the response has no content.
        may_repeat: whether its method is idempotent.
        is_usual: whether nothing is to be added to `lines` but what the proxy adds to each request.
    """

    is_usual = True

    is_http10 = False
    keep_alive = True
    body = 0
    expects_continue = False
    upgrade = b""
    forwarded_for = b""
    max_forwards = -1

    def __init__(self, method: bytes, lines: bytes, host: bytes, end: int) -> None:
        self.method = method
        self.is_head = method == b"HEAD"
        self.may_repeat = method in _IDEMPOTENT
        self.lines = lines
        self.host = host
        self.end = end

    def set_length(self, length: int) -> None:
        """Forward a chunked body as one of `length` bytes."""
        if self.body == CHUNKED:
            spans = grammar.find_fields(self.lines, 0, len(self.lines), {b"transfer-encoding"})
            self.lines = grammar.cut(self.lines, 0, len(self.lines), spans)
        self.body = length
        self.lines += b"Content-Length: %d\r\n" % length


NO_REQUEST = RequestHead(b"GET", b"", b"", 0)
"""Stands for the request where there is none."""
SIMPLE_HEADS = {
    method: RequestHead(method, b"", b"", 0)
    for method in (b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS")
}
"""Stand for the requests of the fast way: what distinguishes them is in the request that is forwarded."""


def read_request(
    data: bytes, limits: Limits, start: int, match: re.Match[bytes] | None
) -> RequestHead | None:
    """Read the request head at `start`; None while it is incomplete.

    Args:
        match: the result of `match_request(data, start)`.

    Raises:
        ClientProtocolError: 400, 413, 414, 417, 431, 501 or 505; the connection cannot be used further.
    """
    end = match.end() if match is not None else 0
    if match is None or not data.startswith(b"\r\n\r\n", end - 4):
        return _read_incomplete(data, limits, start, match)
    if end - start > limits.head_bytes:
        raise ClientProtocolError(f"a head of more than {limits.head_bytes} bytes", 431)
    method, target, version, host, length, chunked, connection, close, client, run, _, special, _ = (
        match.groups()
    )
    if run is not None and grammar.has_too_many_fields(data, start, end - 2):
        raise ClientProtocolError(f"more than {grammar.MAX_FIELDS} header fields", 431)
    if method in _REJECTED:
        raise ClientProtocolError(f"the method {method.decode()}", 501)
    head = RequestHead(method, b"", host, end)
    head.is_usual = special is None and client is None and host is not None
    head.keep_alive = close is None
    if version is not None:
        keeps = connection is not None and close is None and b"keep-alive" in connection.lower()
        _read_version(head, version, asks_to_keep=keeps)
    if special is not None:
        _read_special(head, data, start, limits, is_framed=length is not None or chunked is not None)
    else:
        head.lines = grammar.cut(data, start, end - 2, grammar.spans(match, _CUT_GROUPS))
        _read_clean(head, length, limits, is_chunked=chunked is not None)
        if client is not None:
            head.forwarded_for = client.partition(b":")[2].strip()
    if version is not None:
        head.lines = grammar.with_version(head.lines, b"1.1")
    if target is not None:
        _rewrite_target(head, target)
    return head


def _read_incomplete(
    data: bytes, limits: Limits, start: int, match: re.Match[bytes] | None
) -> RequestHead | None:
    first = start
    while data.startswith(b"\r\n", first) and first - start < limits.head_bytes:
        # RFC 9112, section 2.2: empty lines before the request line are to be ignored.
        first += 2
    if first > start:
        head = read_request(data, limits, first, match_request(data, first))
        if head is None and len(data) - start >= limits.head_bytes:
            raise ClientProtocolError("too many empty lines before a request")
        return head
    valid = start if match is None else match.end()
    if grammar.has_too_many_fields(data, start, valid):
        raise ClientProtocolError(f"more than {grammar.MAX_FIELDS} header fields", 431)
    grammar.check_incomplete(data, start, valid, limits, ClientProtocolError)
    if len(data) - start >= limits.head_bytes:
        # RFC 9110, section 15.5.15, and RFC 6585, section 5.
        status = 414 if data.find(b"\r\n", start, start + limits.head_bytes) < 0 else 431
        raise ClientProtocolError(f"a head of more than {limits.head_bytes} bytes", status)
    return None


def _read_clean(head: RequestHead, length: bytes | None, limits: Limits, *, is_chunked: bool) -> None:
    """Read the fields in their clean forms."""
    if head.host is None:
        head.host = _read_host(head, [])
    if is_chunked:
        if length is not None or head.is_http10:
            raise ClientProtocolError(_AMBIGUOUS)
        head.body = CHUNKED
    elif length is not None:
        head.body = _check_length(int(length), limits)


def _read_version(head: RequestHead, version: bytes, *, asks_to_keep: bool) -> None:
    if version[:1] != b"1":
        # RFC 9110, section 15.6.6. A higher minor version is read as 1.1 (section 2.5).
        raise ClientProtocolError(f"HTTP version {version.decode()}", 505)
    if version == b"1.0":
        # RFC 9112, section 9.3.
        head.is_http10 = True
        head.keep_alive = asks_to_keep


def _read_special(head: RequestHead, data: bytes, start: int, limits: Limits, *, is_framed: bool) -> None:
    """Read fields that are not in their clean form: repeated, lists, codings, expectations, look-alikes.

    Args:
        is_framed: whether the field that frames the body is in its clean form.
    """
    end = head.end - 2
    # White space and leading zeros are valid, but some read them in another way: framing is written anew.
    forwarded = _FORWARDED | _FRAMING if is_framed else _FORWARDED
    values, spans = grammar.read_special(_SPECIAL, forwarded, data, start, end)
    hosts = values.get(b"host", [])
    if head.host is None or len(hosts) > 1:
        head.host = _read_host(head, hosts)
    replaced: set[bytes] = set()
    framing = b""
    if b"content-length" in values or b"transfer-encoding" in values:
        framing = _read_body_length(head, values, limits)
    if b"connection" in values:
        options = _read_options(head, values[b"connection"])
        if b"upgrade" in options and not head.is_http10 and head.body == 0:
            head.upgrade = _read_upgrade(values.get(b"upgrade", []))
        replaced = options - _NAMES - _OPTIONS
    if b"expect" in values and not head.is_http10:
        # RFC 9110, section 10.1.1: an HTTP/1.0 client's expectation is ignored.
        head.expects_continue = _expects_continue(head, values[b"expect"])
    if b"x-forwarded-for" in values:
        head.forwarded_for = b", ".join(values[b"x-forwarded-for"])
    if b"max-forwards" in values and head.method == b"OPTIONS":
        head.max_forwards = _read_max_forwards(values[b"max-forwards"])
        replaced.add(b"max-forwards")
    if replaced:
        spans = sorted(spans + grammar.find_fields(data, start, end, replaced))
    head.lines = grammar.cut(data, start, end, spans)
    if not is_framed:
        head.lines += framing


def _read_options(head: RequestHead, values: list[bytes]) -> set[bytes]:
    options = grammar.list_members(values)
    if not all(map(grammar.IS_TOKEN, options)):
        # RFC 9110, section 7.6.1.
        raise ClientProtocolError("the value of Connection")
    if not _NEVER_HOP_BY_HOP.isdisjoint(options):
        # RFC 9110, section 7.6.1.
        raise ClientProtocolError("Connection names a field that frames or routes the message")
    # RFC 9112, section 9.3.
    head.keep_alive = b"close" not in options and (not head.is_http10 or b"keep-alive" in options)
    return options


def _read_body_length(head: RequestHead, values: FieldValues, limits: Limits) -> bytes:
    """Read the length of the body; return the line that states it."""
    codings = values.get(b"transfer-encoding")
    lengths = values.get(b"content-length")
    if codings is None:
        head.body = _check_length(grammar.read_length(lengths or [], ClientProtocolError), limits)
        return b"Content-Length: %d\r\n" % head.body
    if lengths is not None or head.is_http10:
        # RFC 9112, section 6.1: together they may be smuggling, and in HTTP/1.0 TE is faulty framing.
        raise ClientProtocolError(_AMBIGUOUS)
    coding = codings[0].lower()
    if len(codings) > 1 or coding != b"chunked":
        # RFC 9112, section 6.1, requires 501 where a coding is unknown; section 6.3, rule 4, for 400 where
        # the last one is not chunked, and section 7 forbids to apply that twice.
        is_framed = len(codings) == 1 and re.fullmatch(rb"[a-z, \t]*, *chunked", coding) is not None
        raise ClientProtocolError(
            "a transfer coding other than chunked",
            501 if is_framed and coding.count(b"chunked") == 1 else 400,
        )
    head.body = CHUNKED
    return b"Transfer-Encoding: chunked\r\n"


def _check_length(length: int, limits: Limits) -> int:
    if length > limits.body_bytes:
        raise ClientProtocolError(f"a body of more than {limits.body_bytes} bytes", 413)
    return length


def _expects_continue(head: RequestHead, values: list[bytes]) -> bool:
    expectations = grammar.list_members(values)
    if expectations and expectations != {b"100-continue"}:
        raise ClientProtocolError("an expectation other than 100-continue", 417)
    # Without content there is nothing to wait for (RFC 9110, section 10.1.1).
    return bool(expectations) and head.body != 0


def _read_upgrade(values: list[bytes]) -> bytes:
    """Return the offered protocols that may be forwarded."""
    offered = [each.strip(b" \t") for value in values for each in value.split(b",")]
    # RFC 9113, section 3.1: the h2c token is obsolete, and would carry requests past this proxy.
    return b", ".join([each for each in offered if each and each.partition(b"/")[0].lower() != b"h2c"])


def _rewrite_target(head: RequestHead, target: bytes) -> None:
    """Rewrite the other three forms of a target for the origin server (RFC 9112, section 3.2)."""
    if target == b"*" and head.method == b"OPTIONS":
        return
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        raise ClientProtocolError("the request target")
    head.host = _read_host(head, [match[1]])
    path = match[2]
    if not path:
        # Section 3.2.4: OPTIONS without a path is about the server as a whole.
        path = b"*" if head.method == b"OPTIONS" else b"/"
    path = b"/" + path if path.startswith(b"?") else path
    # Section 3.2.2: the received Host gives way to the authority of the target.
    lines, end = head.lines, len(head.lines)
    fields = grammar.cut(lines, lines.index(b"\n") + 1, end, grammar.find_fields(lines, 0, end, {b"host"}))
    head.lines = b"%b %b HTTP/1.1\r\nHost: %b\r\n%b" % (head.method, path, head.host, fields)


def _read_host(head: RequestHead, values: list[bytes]) -> bytes:
    if not values and head.is_http10:
        return b""
    if len(values) != 1 or _HOST_VALUE.fullmatch(values[0]) is None:
        # RFC 9112, section 3.2.
        raise ClientProtocolError(f"{len(values)} Host fields, or an invalid value")
    return values[0]


def _read_max_forwards(values: list[bytes]) -> int:
    # RFC 9110, section 7.6.2.
    if len(values) != 1 or grammar.NUMBER.fullmatch(values[0]) is None:
        raise ClientProtocolError("Max-Forwards is not one number")
    return int(values[0])
