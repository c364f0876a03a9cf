"""The head of a response: parsed, validated, and reduced to the fields that may be forwarded."""

import re

from proxy.errors import UpstreamProtocolError
from proxy.http11 import grammar
from proxy.http11.grammar import CHUNKED, FIELDS, HOP_BY_HOP, UNTIL_CLOSE, VALUE, FieldMatches
from proxy.settings import Limits

_NAMES = HOP_BY_HOP | {b"content-length", b"date"}
# Without it the message has no end: never hop-by-hop.
_NEVER_HOP_BY_HOP = frozenset((b"content-length",))

# RFC 9112, section 4. The space before an empty reason is often left out; it is put back when forwarded.
_STATUS_LINE = rb"HTTP/1\.([01]) ([1-9][0-9][0-9])( " + VALUE + rb")?\r\n"
_HEAD = re.compile(_STATUS_LINE + rb"(" + FIELDS + rb")\r\n")
_START = re.compile(_STATUS_LINE + FIELDS)
_FIELD = grammar.named_fields(_NAMES)

# The usual form of a response: a Date, a length, and at most a redundant keep-alive. Such a head may be
# forwarded to an HTTP/1.1 client unchanged.
_OTHERS = grammar.other_fields(_NAMES)
_DATE = rb"(?:([Dd]ate:)" + VALUE + rb"\r\n" + _OTHERS + rb")?"
_USUAL = re.compile(
    rb"HTTP/1\.1 (?!204|304)[2-5][0-9][0-9] " + VALUE + rb"\r\n" + _OTHERS + _DATE
    + rb"[Cc]ontent-[Ll]ength: ([0-9]{1,15})\r\n" + _OTHERS + _DATE
    + rb"(?:Connection: keep-alive\r\n" + _OTHERS + rb")?\r\n"
)  # fmt: skip


class ResponseHead:
    """One response, as far as the proxy needs it.

    Attributes:
        status_line, fields: the parts to forward, without hop-by-hop fields.
        size: length of the head in the data, in bytes.
        body: its length in bytes, CHUNKED or UNTIL_CLOSE.
        keep_alive: whether the upstream keeps the connection.
    """

    upgrade = b""

    def __init__(self, status: int, status_line: bytes, fields: bytes, size: int) -> None:
        self.status = status
        self.status_line = status_line
        self.fields = fields
        self.size = size
        self.has_date = False
        self.keep_alive = True
        self.body = UNTIL_CLOSE


def read_usual_response(data: bytes, limits: Limits) -> int | None:
    """Return where to insert a Date, 0 if there is one, if `data` is one response in the usual form.

    Such a response keeps the connection and may be forwarded to an HTTP/1.1 client unchanged, but for a
    missing Date. None: `read_response` must decide.
    """
    match = _USUAL.match(data)
    if match is None:
        return None
    size = match.end()
    early_date, length, late_date = match.groups()
    if size + int(length) != len(data) or (early_date is not None and late_date is not None):
        return None
    if size > limits.unchecked_bytes and grammar.exceeds_limits(data, size, limits):
        return None
    return size - 2 if early_date is None and late_date is None else 0


def read_response(data: bytes, limits: Limits, *, to_head: bool) -> ResponseHead | None:
    """Parse the response head at the start of `data`; None while it is incomplete.

    Args:
        to_head: whether it answers a HEAD request, so that no content follows.

    Raises:
        UpstreamProtocolError: the connection cannot be used further.
    """
    end = data.find(b"\r\n\r\n", 0, limits.head_bytes)
    match = _HEAD.match(data) if end >= 0 else None
    if match is None:
        _check_incomplete(data, end, limits)
        return None
    if grammar.exceeds_limits(data, end + 4, limits):
        raise UpstreamProtocolError(f"more than {limits.head_fields} header fields")
    minor, digits, reason, fields = match.groups()
    status_line = b"HTTP/1.1 %b%b\r\n" % (digits, reason or b" ")
    head = ResponseHead(int(digits), status_line, fields, end + 4)
    _read_fields(head, _FIELD.findall(data[: end + 2].lower()), is_http10=minor == b"0")
    if to_head or head.status < 200 or head.status in (204, 304):
        _remove_content(head)
    return head


def _check_incomplete(data: bytes, end: int, limits: Limits) -> None:
    if not data.startswith(b"HTTP/1."[: len(data)]):
        raise UpstreamProtocolError("no status line of HTTP/1.x")
    grammar.check_incomplete(data, end, _START, limits.head_bytes, UpstreamProtocolError)
    if end < 0 and len(data) >= limits.head_bytes:
        raise UpstreamProtocolError(f"a head of more than {limits.head_bytes} bytes")


def _read_fields(head: ResponseHead, found: FieldMatches, *, is_http10: bool) -> None:
    values = grammar.group_values(found)
    options = grammar.list_members(values.get(b"connection", []))
    # RFC 9112, section 9.3.
    head.keep_alive = b"close" not in options and (not is_http10 or b"keep-alive" in options)
    head.has_date = b"date" in values
    codings = values.get(b"transfer-encoding")
    lengths = values.get(b"content-length")
    if codings is not None:
        if lengths is not None or is_http10 or codings != [b"chunked"]:
            # RFC 9112, sections 6.1 and 6.3, rules 3 and 4.
            raise UpstreamProtocolError("a Transfer-Encoding that leaves the length in doubt")
        head.body = CHUNKED
    elif lengths is not None:
        head.body = grammar.read_length(lengths, UpstreamProtocolError)
    if b"upgrade" in options:
        head.upgrade = b", ".join(values.get(b"upgrade", []))
    head.fields = grammar.remove_fields(head.fields, (HOP_BY_HOP | options) - _NEVER_HOP_BY_HOP)


def _remove_content(head: ResponseHead) -> None:
    """End the message with its head, whatever the fields state (RFC 9112, section 6.3, rule 1)."""
    if head.body != UNTIL_CLOSE and (head.status < 200 or head.status == 204):
        # RFC 9110, section 8.6, and RFC 9112, section 6.1, forbid a length here: content may follow
        # it all the same.
        if head.status < 200:
            raise UpstreamProtocolError(f"a {head.status} response with a length")
        head.keep_alive = False
        head.fields = grammar.remove_fields(head.fields, {b"content-length"})
    head.body = 0
