"""HTTP/1.1 heads as bytes: read, judged, and cut down to what may be forwarded. No sockets, no clock.

A head is read in two steps, both in C: one strict expression accepts it whole or not at all, and a second one
picks out the few fields that a proxy must understand. Everything else is forwarded as the bytes it came in.
Where RFC 9110 and 9112 leave a choice, the strict side is taken: what is ambiguous is refused, since another
recipient might read it differently (RFC 9112, section 11.2). Bodies are in `bodies`, what the proxy adds to a
head in `forwarding`.
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from proxy.errors import ClientProtocolError, ProxyError, UpstreamProtocolError
from proxy.settings import Limits

CHUNKED: Final = -1
"""A body in the chunked coding."""
UNTIL_CLOSE: Final = -2
"""A response body that ends with the connection (RFC 9112, section 6.3, rule 8)."""

# RFC 9110, section 5.6.2; the field line of section 5.5 without obs-fold (RFC 9112, section 5.2) and without
# any control character. Possessive repeats keep every match linear in the length of the head.
TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
FIELD_LINE: Final = TOKEN + rb":[\t\x20-\x7e\x80-\xff]*+\r\n"
# Visible ASCII without the fragment's delimiter. RFC 9112, section 3.2, lets a recipient refuse more; quotes
# and braces reach servers from real clients and carry no framing.
_TARGET = rb"[!\"$-~]++"
_REQUEST_LINE = rb"(" + TOKEN + rb") (" + _TARGET + rb") HTTP/([0-9])\.([0-9])\r\n"
_FIELDS = rb"((?:" + FIELD_LINE + rb")*+)"
_REQUEST_HEAD = re.compile(_REQUEST_LINE + _FIELDS + rb"\r\n")
_REQUEST_START = re.compile(_REQUEST_LINE + _FIELDS)
# RFC 9112, section 4. The space before an empty reason is often left out; it is put back when forwarded.
_STATUS_LINE = rb"HTTP/1\.([01]) ([1-9][0-9][0-9])( [\t\x20-\x7e\x80-\xff]*+)?\r\n"
_RESPONSE_HEAD = re.compile(_STATUS_LINE + _FIELDS + rb"\r\n")
_RESPONSE_START = re.compile(_STATUS_LINE + _FIELDS)
# What no head may hold, wherever it is cut: a control character, a bare LF, a bare CR (RFC 9112, section 2.2).
_BAD_OCTET = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|(?<!\r)\n|\r(?!\n|\Z)")

# Looked for in a lower-cased head: what frames or routes the message, what belongs to one hop only
# (RFC 9110, section 7.6.1), and what the proxy itself sets.
_REQUEST_FIELD = re.compile(
    rb"\n(host|connection|content-length|transfer-encoding|expect|upgrade|te|keep-alive|proxy-connection"
    rb"|trailer|max-forwards|x-forwarded-(?:for|proto|host)):[\t ]*+([^\r]*)"
)
_RESPONSE_FIELD = re.compile(
    rb"\n(content-length|date|connection|transfer-encoding|upgrade|keep-alive|proxy-connection|trailer)"
    rb":[\t ]*+([^\r]*)"
)
_HOP_BY_HOP = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade")
)
_SET_BY_PROXY = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"expect"))
# A request that says these are hop-by-hop would lose its framing or its route at the next hop.
_NEVER_HOP_BY_HOP = frozenset((b"host", b"content-length"))

# RFC 9110, section 7.2, and RFC 3986, section 3.2.2, without the comma, in which two fields may hide.
_HOST = re.compile(rb"(?:[0-9a-z\-._~%!$&'()*+;=]++|\[[0-9a-f:.]++\])(?::[0-9]*+)?")
_ABSOLUTE = re.compile(rb"https?://([^/?]*+)(.*+)", re.IGNORECASE)
_LENGTH = re.compile(rb"[0-9]{1,19}")
_MAX_LENGTH = 2**63 - 1
# CONNECT asks for a tunnel that a gateway does not build; TRACE reflects credentials (RFC 9110, section 9.3.8).
_REFUSED_METHODS = frozenset((b"CONNECT", b"TRACE"))


class RequestHead:
    """One request, as far as a proxy cares.

    `fields` are the field lines that may be forwarded as they are; `host` is lower-cased, and b"" when an
    HTTP/1.0 client sent none; `body` is the number of bytes or CHUNKED; `size` is what the head took of the data;
    `max_forwards` is -1 when there is no such limit.
    """

    __slots__ = (
        "body", "expects_continue", "fields", "forwarded_for", "host", "is_10", "keep_alive", "max_forwards",
        "method", "size", "target", "upgrade",
    )  # fmt: skip

    def __init__(self, method: bytes, target: bytes, fields: bytes, *, is_10: bool, size: int) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.is_10 = is_10
        self.size = size
        self.host = b""
        self.body = 0
        self.keep_alive = not is_10
        self.expects_continue = False
        self.upgrade = b""
        self.forwarded_for = b""
        self.max_forwards = -1


class ResponseHead:
    """One response, as far as a proxy cares.

    `is_plain` says that its bytes may go to an HTTP/1.1 client as they are; otherwise `status_line` and `fields`
    (both without what belongs to one hop) are what to forward. `body` is the number of bytes, CHUNKED or
    UNTIL_CLOSE; `keep_alive` says whether the upstream means to go on with the connection.
    """

    __slots__ = (
        "body", "fields", "has_date", "is_plain", "keep_alive", "size", "status", "status_line", "upgrade",
    )  # fmt: skip

    def __init__(self, status: int, *, is_10: bool, size: int) -> None:
        self.status = status
        self.size = size
        self.keep_alive = not is_10
        self.is_plain = not is_10
        self.has_date = False
        self.body = UNTIL_CLOSE
        self.upgrade = b""
        self.fields = b""
        self.status_line = b""


def read_request(data: bytes, limits: Limits) -> RequestHead | None:
    """Read the request head that `data` begins with; None while it is incomplete.

    Raises:
        ClientProtocolError: 400, 413, 414, 417, 431, 501 or 505; the connection cannot be used further.
    """
    end = data.find(b"\r\n\r\n", 0, limits.head_bytes)
    match = _REQUEST_HEAD.match(data) if end >= 0 else None
    if match is None or match.end() != end + 4:
        return _read_odd_request(data, end, limits)
    if data.count(b"\n", 0, end) > limits.head_fields:
        raise ClientProtocolError(f"more than {limits.head_fields} header fields", 431)
    method, target, major, minor, fields = match.groups()
    if major != b"1":
        # RFC 9110, section 15.6.6. A higher minor version is read as 1.1 (section 2.5).
        raise ClientProtocolError(f"HTTP version {major.decode()}.{minor.decode()}", 505)
    head = RequestHead(method, target, fields, is_10=minor == b"0", size=end + 4)
    found: list[tuple[bytes, bytes]] = _REQUEST_FIELD.findall(data[: end + 2].lower())
    if len(found) == 1 and found[0][0] == b"host":
        head.host = _read_host(found[0][1])
    else:
        _take_request_fields(head, found, limits)
    if target[0] != 0x2F or method in _REFUSED_METHODS:
        _take_odd_target(head)
    return head


def read_response(data: bytes, limits: Limits, *, to_head: bool) -> ResponseHead | None:
    """Read the response head that `data` begins with; None while it is incomplete.

    Args:
        to_head: whether it answers a HEAD request, so that no body follows.

    Raises:
        UpstreamProtocolError: the connection cannot be used further.
    """
    end = data.find(b"\r\n\r\n", 0, limits.head_bytes)
    match = _RESPONSE_HEAD.match(data) if end >= 0 else None
    if match is None or match.end() != end + 4:
        return _read_odd_response(data, end, limits)
    if data.count(b"\n", 0, end) > limits.head_fields:
        raise UpstreamProtocolError(f"more than {limits.head_fields} header fields")
    minor, digits, reason, fields = match.groups()
    head = ResponseHead(int(digits), is_10=minor == b"0", size=end + 4)
    found: list[tuple[bytes, bytes]] = _RESPONSE_FIELD.findall(data[: end + 2].lower())
    _take_response_fields(head, found, fields, is_10=minor == b"0")
    if reason is None:
        head.is_plain = False
    head.status_line = b"HTTP/1.1 " + digits + (reason or b" ") + b"\r\n"
    if to_head or head.status < 200 or head.status in (204, 304):
        # RFC 9112, section 6.3, rule 1: whatever the fields say.
        _take_bodiless(head)
    return head


def _take_request_fields(head: RequestHead, found: list[tuple[bytes, bytes]], limits: Limits) -> None:
    values = _gather(found)
    hosts = values.get(b"host", [])
    if len(hosts) == 1:
        head.host = _read_host(hosts[0])
    elif hosts or not head.is_10:
        # RFC 9112, section 3.2.
        raise ClientProtocolError(f"{len(hosts)} Host fields")
    options = _members(values.get(b"connection", []))
    if not _NEVER_HOP_BY_HOP.isdisjoint(options):
        # RFC 9110, section 7.6.1.
        raise ClientProtocolError("Connection names a field that frames or routes the message")
    # RFC 9112, section 9.3.
    head.keep_alive = b"close" not in options and (not head.is_10 or b"keep-alive" in options)
    _take_request_body(head, values, limits)
    _take_expect(head, values)
    upgrade = b", ".join(values.get(b"upgrade", []))
    if upgrade and b"upgrade" in options and not head.is_10 and head.body == 0:
        # RFC 9113, section 3.1: the h2c token is obsolete, and would carry requests past this proxy.
        head.upgrade = b"" if b"h2c" in _members([upgrade]) else upgrade
    head.forwarded_for = b", ".join(values.get(b"x-forwarded-for", []))
    names = set(options).union(_HOP_BY_HOP, _SET_BY_PROXY)
    if head.method == b"OPTIONS" and b"max-forwards" in values:
        head.max_forwards = _read_max_forwards(values[b"max-forwards"])
        names.add(b"max-forwards")
    if options or not names.isdisjoint(values):
        head.fields = _without(head.fields, names)


def _take_request_body(head: RequestHead, values: dict[bytes, list[bytes]], limits: Limits) -> None:
    codings = values.get(b"transfer-encoding")
    lengths = values.get(b"content-length")
    if codings is None:
        if lengths is not None:
            head.body = _read_length(lengths, ClientProtocolError)
            if head.body > limits.body_bytes:
                raise ClientProtocolError(f"a body of more than {limits.body_bytes} bytes", 413)
        return
    if lengths is not None or head.is_10:
        # RFC 9112, section 6.1: TE with CL may be smuggling, and in HTTP/1.0 it is faulty framing.
        raise ClientProtocolError("Transfer-Encoding with Content-Length or in HTTP/1.0")
    if codings != [b"chunked"]:
        # RFC 9112, section 6.1: an unknown coding is 501; section 6.3, rule 4: chunked not the last one is 400.
        known = codings[-1].endswith(b"chunked") and len(codings) == 1
        raise ClientProtocolError("a transfer coding other than chunked", 501 if known else 400)
    head.body = CHUNKED


def _take_expect(head: RequestHead, values: dict[bytes, list[bytes]]) -> None:
    expectations = _members(values.get(b"expect", []))
    if not expectations or head.is_10:
        # RFC 9110, section 10.1.1: an HTTP/1.0 client's expectation is ignored.
        return
    if expectations != {b"100-continue"}:
        raise ClientProtocolError("an expectation other than 100-continue", 417)
    head.expects_continue = True


def _take_odd_target(head: RequestHead) -> None:
    """Bring the other three forms of a target into one that a server understands (RFC 9112, section 3.2)."""
    if head.method in _REFUSED_METHODS:
        raise ClientProtocolError(f"the method {head.method.decode()}", 501)
    if head.target == b"*" and head.method == b"OPTIONS":
        return
    match = _ABSOLUTE.fullmatch(head.target)
    if match is None:
        raise ClientProtocolError("the request target")
    head.host = _read_host(match[1].lower())
    path = match[2]
    if not path:
        # Section 3.2.4: OPTIONS without a path asks about the server as a whole.
        path = b"*" if head.method == b"OPTIONS" else b"/"
    head.target = path if path[0] != 0x3F else b"/" + path
    # Section 3.2.2: the received Host gives way to the authority of the target.
    head.fields = b"Host: " + head.host + b"\r\n" + _without(head.fields, {b"host"})


def _take_response_fields(
    head: ResponseHead, found: list[tuple[bytes, bytes]], fields: bytes, *, is_10: bool
) -> None:
    if len(found) == 2 and found[0][0] == b"content-length" and found[1][0] == b"date":
        found.reverse()
    if len(found) == 2 and found[0][0] == b"date" and found[1][0] == b"content-length":
        head.has_date = True
        head.body = _read_length([found[1][1].rstrip(b" \t")], UpstreamProtocolError)
        head.fields = fields
        return
    values = _gather(found)
    options = _members(values.get(b"connection", []))
    head.keep_alive = b"close" not in options and (not is_10 or b"keep-alive" in options)
    head.has_date = b"date" in values
    codings = values.get(b"transfer-encoding")
    lengths = values.get(b"content-length")
    if codings is not None:
        if lengths is not None or is_10 or codings != [b"chunked"]:
            # RFC 9112, sections 6.1 and 6.3, rules 3 and 4.
            raise UpstreamProtocolError("a Transfer-Encoding that leaves the length in doubt")
        head.body = CHUNKED
    elif lengths is not None:
        head.body = _read_length(lengths, UpstreamProtocolError)
    if b"upgrade" in values and b"upgrade" in options:
        head.upgrade = b", ".join(values[b"upgrade"])
    names = options | _HOP_BY_HOP
    names -= _NEVER_HOP_BY_HOP
    head.fields = fields
    if not names.isdisjoint(values) or options:
        head.fields = _without(fields, names)
        head.is_plain = False


def _take_bodiless(head: ResponseHead) -> None:
    framed = head.body != UNTIL_CLOSE
    if framed and (head.status < 200 or head.status == 204):
        # RFC 9110, section 8.6, and RFC 9112, section 6.1, forbid both fields here: who sends them may well
        # send the body too.
        if head.status < 200:
            raise UpstreamProtocolError(f"a {head.status} response with a length")
        head.keep_alive = False
        head.is_plain = False
        head.fields = _without(head.fields, {b"content-length"})
    head.body = 0


def _gather(found: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    values: dict[bytes, list[bytes]] = {}
    for name, value in found:
        values.setdefault(name, []).append(value.rstrip(b" \t"))
    return values


def _members(values: list[bytes]) -> set[bytes]:
    """The members of a list-valued field; empty ones do not count (RFC 9110, section 5.6.1.2)."""
    members = {member.strip(b" \t") for value in values for member in value.split(b",")}
    members.discard(b"")
    return members


def _without(fields: bytes, names: set[bytes] | frozenset[bytes]) -> bytes:
    lines = fields.split(b"\r\n")
    return b"\r\n".join([line for line in lines if line.partition(b":")[0].lower() not in names])


def _read_host(value: bytes) -> bytes:
    value = value.rstrip(b" \t")
    if _HOST.fullmatch(value) is None:
        # RFC 9112, section 3.2.
        raise ClientProtocolError("the value of Host")
    return value


def _read_length(values: list[bytes], error: type[ProxyError]) -> int:
    # RFC 9112, section 6.3, rule 5, allows to read "5, 5" as 5; RFC 9110, section 8.6, to refuse it.
    if len(values) != 1 or _LENGTH.fullmatch(values[0]) is None:
        raise error("Content-Length is not one number")
    length = int(values[0])
    if length > _MAX_LENGTH:
        raise error("Content-Length is too large")
    return length


def _read_max_forwards(values: list[bytes]) -> int:
    # RFC 9110, section 7.6.2.
    if len(values) != 1 or _LENGTH.fullmatch(values[0]) is None:
        raise ClientProtocolError("Max-Forwards is not one number")
    return int(values[0])


def _read_odd_request(data: bytes, end: int, limits: Limits) -> RequestHead | None:
    """Read a head that follows empty lines, wait for the rest of it, or say what is wrong with it."""
    if data.startswith(b"\r\n"):
        # RFC 9112, section 2.2: at least one empty line before the request line is to be ignored.
        rest = data[2:]
        while rest.startswith(b"\r\n"):
            rest = rest[2:]
        head = read_request(rest, limits)
        if head is not None:
            head.size += len(data) - len(rest)
        return head
    _check_octets(data, end, limits, ClientProtocolError)
    line_end = data.find(b"\r\n")
    if line_end >= 0:
        match = _REQUEST_START.match(data)
        if match is None:
            raise ClientProtocolError("the request line")
        _check_field_lines(data, end, match.end(), ClientProtocolError)
    if end < 0 and len(data) >= limits.head_bytes:
        # RFC 9110, section 15.5.15, and RFC 6585, section 5.
        raise ClientProtocolError(
            f"a head of more than {limits.head_bytes} bytes", 414 if line_end < 0 else 431
        )
    return None


def _read_odd_response(data: bytes, end: int, limits: Limits) -> ResponseHead | None:
    _check_octets(data, end, limits, UpstreamProtocolError)
    if not b"HTTP/1.".startswith(data[:7]):
        raise UpstreamProtocolError("no status line of HTTP/1.x")
    if data.find(b"\r\n") >= 0:
        match = _RESPONSE_START.match(data)
        if match is None:
            raise UpstreamProtocolError("the status line")
        _check_field_lines(data, end, match.end(), UpstreamProtocolError)
    if end < 0 and len(data) >= limits.head_bytes:
        raise UpstreamProtocolError(f"a head of more than {limits.head_bytes} bytes")
    return None


def _check_octets(data: bytes, end: int, limits: Limits, error: type[ProxyError]) -> None:
    stop = end + 4 if end >= 0 else limits.head_bytes
    if _BAD_OCTET.search(data, 0, stop) is not None:
        # RFC 9112, section 2.2, and RFC 9110, section 5.5.
        raise error("a control character, a bare CR or a bare LF in the head")


def _check_field_lines(data: bytes, end: int, valid_end: int, error: type[ProxyError]) -> NoReturn | None:
    """Refuse a field line that is complete and not valid: an obs-fold, a bad name, a space before the colon."""
    line_end = data.find(b"\r\n", valid_end)
    if line_end >= 0 and valid_end < (end + 2 if end >= 0 else len(data)):
        # RFC 9112, sections 5.1 and 5.2.
        line = data[valid_end : min(line_end, valid_end + 40)]
        raise error(f"the field line {line!r}")
    return None
