"""The head of a request: parsed, validated, and reduced to the fields that may be forwarded."""

import re

from proxy.errors import ClientProtocolError
from proxy.http11 import grammar
from proxy.http11.grammar import CHUNKED, FIELDS, HOP_BY_HOP, TOKEN, FieldMatches, FieldValues
from proxy.settings import Limits

_SET_BY_PROXY = frozenset((b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"expect"))
# What frames or routes the message, what belongs to one hop only, and what the proxy itself sets.
_NAMES = HOP_BY_HOP | _SET_BY_PROXY | {b"host", b"content-length", b"max-forwards"}
# Declared hop-by-hop, these would cost the request its framing or its route at the next hop.
_NEVER_HOP_BY_HOP = frozenset((b"host", b"content-length"))
# CONNECT requests a tunnel that no gateway builds; TRACE reflects credentials (RFC 9110, section 9.3.8).
_REJECTED_METHODS = frozenset((b"CONNECT", b"TRACE"))

# Visible ASCII without the fragment's delimiter. RFC 9112, section 3.2, allows to reject more; quotes
# and braces come from real clients and carry no framing.
_REQUEST_LINE = rb"(" + TOKEN + rb") ([!\"$-~]++) HTTP/([0-9])\.([0-9])\r\n"
_HEAD = re.compile(_REQUEST_LINE + rb"(" + FIELDS + rb")\r\n")
_START = re.compile(_REQUEST_LINE + FIELDS)
_FIELD = grammar.named_fields(_NAMES)

# The usual form of a request: an origin-form target, one Host, no body, and no other field for the proxy but
# a redundant keep-alive. One match recognizes it.
_OTHERS = grammar.other_fields(_NAMES)
_USUAL = re.compile(
    rb"(GET /[!\"$-~]*+ HTTP/1\.1\r\n" + _OTHERS
    + rb"[Hh]ost: ([0-9a-z\-.]++(?::[0-9]++)?)\r\n" + _OTHERS
    + rb")(?:Connection: [Kk]eep-[Aa]live\r\n(" + _OTHERS + rb"))?\r\n\Z"
)  # fmt: skip

# RFC 9110, section 7.2, and RFC 3986, section 3.2.2, without the comma, in which two fields may hide.
_HOST = re.compile(rb"(?:[0-9a-z\-._~%!$&'()*+;=]++|\[[0-9a-f:.]++\])(?::[0-9]*+)?")
_ABSOLUTE = re.compile(rb"https?://([^/?]*+)(.*+)", re.IGNORECASE)


class RequestHead:
    """One request, as far as the proxy needs it; the class attributes are the usual values.

    Attributes:
        fields: the field lines that may be forwarded unchanged.
        host: in lower case; b"" if an HTTP/1.0 client sent none.
        size: length of the head in the data, in bytes.
        body: its length in bytes, or CHUNKED.
        max_forwards: -1 if there is no such limit.
    """

    is_http10 = False
    keep_alive = True
    body = 0
    expects_continue = False
    upgrade = b""
    forwarded_for = b""
    max_forwards = -1

    def __init__(self, method: bytes, target: bytes, fields: bytes, host: bytes, size: int) -> None:
        self.method = method
        self.target = target
        self.fields = fields
        self.host = host
        self.size = size

    def set_length(self, length: int) -> None:
        """Forward a chunked body as one of `length` bytes."""
        self.body = length
        self.fields += b"Content-Length: %d\r\n" % length


USUAL = RequestHead(b"GET", b"/", b"", b"", 0)
"""Stands for a request that `read_usual_request` has matched."""


def read_usual_request(data: bytes, limits: Limits) -> tuple[bytes, bytes, bytes | None] | None:
    """Return the parts to forward if `data` is exactly one request in the usual form.

    The parts are the request line with the fields before a Connection field, the host, and the fields
    after it, if there is one. None: `read_request` must decide.
    """
    match = _USUAL.match(data)
    if match is None or (
        len(data) > limits.unchecked_bytes and grammar.exceeds_limits(data, len(data), limits)
    ):
        return None
    lines, host, more = match.groups()
    return lines, host, more


def read_request(data: bytes, limits: Limits) -> RequestHead | None:
    """Parse the request head at the start of `data`; None while it is incomplete.

    Raises:
        ClientProtocolError: 400, 413, 414, 417, 431, 501 or 505; the connection cannot be used further.
    """
    skipped = 0
    while data.startswith(b"\r\n", skipped) and skipped < limits.head_bytes:
        # RFC 9112, section 2.2: empty lines before the request line are to be ignored.
        skipped += 2
    if skipped:
        data = data[skipped:]
    end = data.find(b"\r\n\r\n", 0, limits.head_bytes)
    match = _HEAD.match(data) if end >= 0 else None
    if match is None:
        _check_incomplete(data, end, limits)
        return None
    if grammar.exceeds_limits(data, end + 4, limits):
        raise ClientProtocolError(f"more than {limits.head_fields} header fields", 431)
    method, target, major, minor, fields = match.groups()
    if major != b"1":
        # RFC 9110, section 15.6.6. A higher minor version is read as 1.1 (section 2.5).
        raise ClientProtocolError(f"HTTP version {major.decode()}.{minor.decode()}", 505)
    head = RequestHead(method, target, fields, b"", skipped + end + 4)
    head.is_http10 = minor == b"0"
    _read_fields(head, _FIELD.findall(data[: end + 2].lower()), limits)
    if target[:1] != b"/" or method in _REJECTED_METHODS:
        _rewrite_target(head)
    return head


def _check_incomplete(data: bytes, end: int, limits: Limits) -> None:
    grammar.check_incomplete(data, end, _START, limits.head_bytes, ClientProtocolError)
    if end < 0 and len(data) >= limits.head_bytes:
        # RFC 9110, section 15.5.15, and RFC 6585, section 5.
        status = 414 if data.find(b"\r\n", 0, limits.head_bytes) < 0 else 431
        raise ClientProtocolError(f"a head of more than {limits.head_bytes} bytes", status)


def _read_fields(head: RequestHead, found: FieldMatches, limits: Limits) -> None:
    values = grammar.group_values(found)
    hosts = values.get(b"host", [])
    if len(hosts) == 1:
        head.host = _read_host(hosts[0])
    elif hosts or not head.is_http10:
        # RFC 9112, section 3.2.
        raise ClientProtocolError(f"{len(hosts)} Host fields")
    options = grammar.list_members(values.get(b"connection", []))
    if not _NEVER_HOP_BY_HOP.isdisjoint(options):
        # RFC 9110, section 7.6.1.
        raise ClientProtocolError("Connection names a field that frames or routes the message")
    # RFC 9112, section 9.3.
    head.keep_alive = b"close" not in options and (not head.is_http10 or b"keep-alive" in options)
    _read_body_length(head, values, limits)
    _read_expect(head, values)
    upgrade = b", ".join(values.get(b"upgrade", []))
    if upgrade and b"upgrade" in options and not head.is_http10 and head.body == 0:
        # RFC 9113, section 3.1: the h2c token is obsolete, and would carry requests past this proxy.
        head.upgrade = b"" if b"h2c" in grammar.list_members([upgrade]) else upgrade
    head.forwarded_for = b", ".join(values.get(b"x-forwarded-for", []))
    names = HOP_BY_HOP | _SET_BY_PROXY | options
    if head.method == b"OPTIONS" and b"max-forwards" in values:
        head.max_forwards = _read_max_forwards(values[b"max-forwards"])
        names |= {b"max-forwards"}
    head.fields = grammar.remove_fields(head.fields, names)


def _read_body_length(head: RequestHead, values: FieldValues, limits: Limits) -> None:
    codings = values.get(b"transfer-encoding")
    lengths = values.get(b"content-length")
    if codings is None:
        if lengths is not None:
            head.body = grammar.read_length(lengths, ClientProtocolError)
        if head.body > limits.body_bytes:
            raise ClientProtocolError(f"a body of more than {limits.body_bytes} bytes", 413)
        return
    if lengths is not None or head.is_http10:
        # RFC 9112, section 6.1: together they may be smuggling, and in HTTP/1.0 TE is faulty framing.
        raise ClientProtocolError("Transfer-Encoding with Content-Length, or in HTTP/1.0")
    if codings != [b"chunked"]:
        # RFC 9112, section 6.1, requires 501 where a coding is unknown; section 6.3, rule 4, for 400 where
        # the last one is not chunked, and section 7 forbids to apply that twice.
        is_framed = len(codings) == 1 and re.fullmatch(rb"[a-z, \t]*, *chunked", codings[0]) is not None
        raise ClientProtocolError(
            "a transfer coding other than chunked",
            501 if is_framed and codings[0].count(b"chunked") == 1 else 400,
        )
    head.body = CHUNKED


def _read_expect(head: RequestHead, values: FieldValues) -> None:
    expectations = grammar.list_members(values.get(b"expect", []))
    if not expectations or head.is_http10:
        # RFC 9110, section 10.1.1: an HTTP/1.0 client's expectation is ignored.
        return
    if expectations != {b"100-continue"}:
        raise ClientProtocolError("an expectation other than 100-continue", 417)
    # Without content there is nothing to wait for (same section).
    head.expects_continue = head.body != 0


def _rewrite_target(head: RequestHead) -> None:
    """Rewrite the other three forms of a target for the origin server (RFC 9112, section 3.2)."""
    if head.method in _REJECTED_METHODS:
        raise ClientProtocolError(f"the method {head.method.decode()}", 501)
    if head.target == b"*" and head.method == b"OPTIONS":
        return
    match = _ABSOLUTE.fullmatch(head.target)
    if match is None:
        raise ClientProtocolError("the request target")
    head.host = _read_host(match[1].lower())
    path = match[2]
    if not path:
        # Section 3.2.4: OPTIONS without a path is about the server as a whole.
        path = b"*" if head.method == b"OPTIONS" else b"/"
    head.target = b"/" + path if path.startswith(b"?") else path
    # Section 3.2.2: the received Host gives way to the authority of the target.
    head.fields = b"Host: " + head.host + b"\r\n" + grammar.remove_fields(head.fields, {b"host"})


def _read_host(value: bytes) -> bytes:
    if _HOST.fullmatch(value) is None:
        # RFC 9112, section 3.2.
        raise ClientProtocolError("the value of Host")
    return value


def _read_max_forwards(values: list[bytes]) -> int:
    # RFC 9110, section 7.6.2.
    if len(values) != 1 or grammar.NUMBER.fullmatch(values[0]) is None:
        raise ClientProtocolError("Max-Forwards is not one number")
    return int(values[0])
