"""The head of a response: read, validated, and reduced to the lines that may be forwarded."""

import re
from typing import NamedTuple

from proxy.errors import UpstreamProtocolError
from proxy.http11 import grammar
from proxy.http11.chunked import find_end
from proxy.http11.grammar import (
    CHUNKED,
    HOP_BY_HOP,
    UNTIL_CLOSE,
    VALUE,
    Spans,
    any_case,
    only_once,
)
from proxy.settings import Limits

_NAMES = HOP_BY_HOP | {b"content-length", b"date"}
_FRAMING = frozenset((b"content-length", b"transfer-encoding"))
_FORWARDED = frozenset((b"date",))
_OPTIONS = frozenset((b"close",))

# RFC 9112, section 4. The space before an empty reason is often left out; it is put back when forwarded.
_STATUS_LINE = rb"HTTP/1\.(?:1|([0-9])) (?:(1[0-9][0-9]|204|304)|[2-9][0-9][0-9])(?: " + VALUE + rb"|())\r\n"
_CONNECTION = rb"(?:%b|(%b|%b(?:, *+%b)?))" % tuple(
    # A server that speaks HTTP/2 too offers to upgrade.
    map(any_case, (b"keep-alive", b"close", b"upgrade", b"keep-alive"))
)
# RFC 2068, section 19.7.1: Keep-Alive says how long the upstream keeps its connection, not we ours.
_CUT_UNREAD = grammar.lines_of((b"keep-alive", b"upgrade", b"trailer"))
# The last groups are there if a head is complete: the first if nothing in it is special, the second if it may
# go as it came to an HTTP/1.1 client that is kept: it has a Date, a length, at most a redundant keep-alive.
# Each run of lines that are cut has a group of its own.
_HEAD = re.compile(
    _STATUS_LINE
    + grammar.head_lines(
        _NAMES,
        (
            grammar.clean_line(b"date", VALUE, 4),
            grammar.clean_line(b"content-length", rb"0|[1-9][0-9]{0,17}", 5),
            grammar.clean_line(b"transfer-encoding", rb"chunked", 6),
            only_once(
                rb"((%b)?%b(%b)?)"
                % (_CUT_UNREAD, grammar.field_line(b"connection", _CONNECTION), _CUT_UNREAD),
                7,
            ),
            only_once(rb"(" + _CUT_UNREAD + rb")", 11),
        ),
    )
    + rb"(?:\r\n(?(12)|(?(1)|(?(3)|()(?(2)|(?(6)|(?(8)|(?(9)|(?(10)|(?(11)|(?(4)(?(5)())))))))))))|)"
)
_CUT_GROUPS = (7, 11)
CLEAN = 13
"""The last group of a match of `match_response` that `read_complete` reads."""
VERBATIM = 14
"""The last group of a match of `match_response` that is forwarded as it came, content and all."""
LENGTH_GROUP = 5
match_response = _HEAD.match
_SPECIAL = grammar.special_fields(_NAMES)


class ResponseHead:
    """One response, as far as the proxy needs it; the class attributes are the usual values.

    Attributes:
        end: where the head ends in the data.
        body: its length in bytes, CHUNKED or UNTIL_CLOSE.
        keep_alive: whether the upstream keeps the connection.
        cuts: where the lines are that must not be forwarded, in order.
        added: a line that replaces one of them.
        has_coding: whether Transfer-Encoding is among the lines.
        keeps_status_line: whether the status line may go as it came.
    """

    upgrade = b""
    has_date = True
    keep_alive = True
    keeps_status_line = True
    has_coding = False
    added = b""
    body = UNTIL_CLOSE

    def __init__(self, status: int, data: bytes, end: int) -> None:
        self.status = status
        self.cuts: Spans = []
        self.end = end
        self._data = data

    def cut_fields(self, names: frozenset[bytes]) -> None:
        """Do not forward the fields of these names."""
        self.added = b""
        found = grammar.find_fields(self._data, 0, self.end - 2, names)
        self.cuts = sorted({*self.cuts, *found})

    @property
    def lines(self) -> bytes:
        """Return the status line and the field lines that may be forwarded.

        Transfer-Encoding is among them.
        """
        end = self.end - 2
        if len(self.cuts) == 1:
            begin, after = self.cuts[0]
            lines = self._data[:begin] + self._data[after:end]
        else:
            lines = grammar.cut(self._data, 0, end, self.cuts)
        if not self.keeps_status_line:
            lines = b"HTTP/1.1 %b%b%b" % (lines[9:12], b" " if lines[12:13] == b"\r" else b"", lines[12:])
        return lines + self.added if self.added else lines


class CompleteResponse(NamedTuple):
    """A response that has arrived completely, and whose fields are in their clean forms.

    Attributes:
        cuts: where the lines are that must not be forwarded, in order.
        lines_end: where the last field line ends.
        keep_alive: whether the upstream keeps the connection.
    """

    cuts: Spans
    lines_end: int
    has_date: bool
    keep_alive: bool
    is_chunked: bool


def read_complete(match: re.Match[bytes], data: bytes, *, to_head: bool) -> CompleteResponse | None:
    """Return what there is to know of a complete response of clean fields; None: `read_response` must decide.

    Args:
        match: one of `match_response` whose last group is CLEAN or VERBATIM.
        to_head: as for `read_response`.
    """
    bodiless, date, length, option, chunked = match.group(2, 4, 5, 9, 6)
    end = match.end()
    if chunked is not None and (length is not None or bodiless is not None):
        return None
    if bodiless is not None:
        last = end if bodiless == b"304" or (bodiless == b"204" and (length or b"0") == b"0") else -1
    elif to_head:
        last = end
    elif chunked is not None:
        last = find_end(data, end)
    else:
        last = end + int(length) if length is not None else -1
    if last != len(data):
        return None
    cuts = grammar.spans(match, _CUT_GROUPS)
    if cuts and grammar.has_too_many_fields(data, 0, end - 2):
        return None
    if bodiless == b"204" and length is not None:
        cuts = sorted([*cuts, _length_line(match)])
    keep_alive = option is None or not _is_close(option)
    return CompleteResponse(cuts, end - 2, date is not None, keep_alive, chunked is not None)


def read_response(
    data: bytes, limits: Limits, match: re.Match[bytes] | None, *, to_head: bool
) -> ResponseHead | None:
    """Read the response head at the start of `data`; None while it is incomplete.

    Args:
        match: the result of `match_response(data)`.
        to_head: whether it answers a HEAD request, so that no content follows.

    Raises:
        UpstreamProtocolError: the connection cannot be used further.
    """
    if match is None or not data.startswith(b"\r\n\r\n", (end := match.end()) - 4):
        _check_incomplete(data, limits, match)
        return None
    if end > limits.head_bytes:
        raise UpstreamProtocolError(f"a head of more than {limits.head_bytes} bytes")
    if grammar.has_too_many_fields(data, 0, end - 2):
        raise UpstreamProtocolError(f"more than {grammar.MAX_FIELDS} header fields")
    minor, bodiless, no_reason, date, length, chunked, connection, _, option, _, _, special, *_ = (
        match.groups()
    )
    head = ResponseHead(int(data[9:12]), data, end)
    head.keeps_status_line = minor is None and no_reason is None
    if special is not None or head.status == 101:
        _read_special(head, data, is_http10=minor == b"0", is_framed=bool(length or chunked))
    else:
        head.has_date = date is not None
        head.cuts = grammar.spans(match, _CUT_GROUPS)
        # RFC 9112, section 9.3.
        is_kept = connection is not None and (option is None or option.lower().endswith(b"keep-alive"))
        head.keep_alive = is_kept if minor == b"0" else option is None or not _is_close(option)
        if chunked is not None:
            _check_coding([chunked], length, is_http10=minor == b"0")
            head.has_coding = True
            head.body = CHUNKED
        elif length is not None:
            head.body = int(length)
    if bodiless is not None and head.body != UNTIL_CLOSE and bodiless != b"304":
        _remove_length(head, match)
    if to_head or bodiless is not None:
        # RFC 9112, section 6.3, rule 1: it ends with its head, whatever the fields state.
        head.body = 0
    return head


def _is_close(option: bytes) -> bool:
    """Return whether an option of Connection other than keep-alive is `close`."""
    return option[:1] in b"cC"


def _check_incomplete(data: bytes, limits: Limits, match: re.Match[bytes] | None) -> None:
    if not b"HTTP/1.".startswith(data[:7]):
        raise UpstreamProtocolError("no status line of HTTP/1.x")
    valid = 0 if match is None else match.end()
    if grammar.has_too_many_fields(data, 0, valid):
        raise UpstreamProtocolError(f"more than {grammar.MAX_FIELDS} header fields")
    grammar.check_incomplete(data, 0, valid, limits, UpstreamProtocolError)
    if len(data) >= limits.head_bytes:
        raise UpstreamProtocolError(f"a head of more than {limits.head_bytes} bytes")


def _read_special(head: ResponseHead, data: bytes, *, is_http10: bool, is_framed: bool) -> None:
    """Read fields that are not in their clean form, or another version than HTTP/1.1.

    Args:
        is_framed: whether the field that frames the body is in its clean form.
    """
    end = head.end - 2
    # White space and leading zeros are valid, but some read them in another way: framing is written anew.
    forwarded = _FORWARDED | _FRAMING if is_framed else _FORWARDED
    values, head.cuts = grammar.read_special(_SPECIAL, forwarded, data, 0, end)
    options = grammar.list_members(values.get(b"connection", []))
    # RFC 9112, section 9.3.
    head.keep_alive = b"close" not in options and (not is_http10 or b"keep-alive" in options)
    head.has_date = b"date" in values
    codings = values.get(b"transfer-encoding")
    lengths = values.get(b"content-length")
    added = b""
    if codings is not None:
        _check_coding(codings, lengths, is_http10=is_http10)
        head.has_coding = True
        head.body = CHUNKED
        added = b"Transfer-Encoding: chunked\r\n"
    elif lengths is not None:
        head.body = grammar.read_length(lengths, UpstreamProtocolError)
        added = b"Content-Length: %d\r\n" % head.body
    if not is_framed:
        head.added = added
    if b"upgrade" in options:
        head.upgrade = b", ".join(values.get(b"upgrade", []))
    replaced = set(filter(grammar.IS_TOKEN, options)) - _NAMES - _OPTIONS
    if replaced:
        head.cuts = sorted(head.cuts + grammar.find_fields(data, 0, end, replaced))


def _check_coding(codings: list[bytes], length: object, *, is_http10: bool) -> None:
    if length is not None or is_http10 or [each.lower() for each in codings] != [b"chunked"]:
        # RFC 9112, sections 6.1 and 6.3, rules 3 and 4.
        raise UpstreamProtocolError("a Transfer-Encoding that leaves the length in doubt")


def _remove_length(head: ResponseHead, match: re.Match[bytes]) -> None:
    """Forward no length of a response that must not have one (RFC 9110, section 8.6)."""
    if head.status < 200:
        raise UpstreamProtocolError(f"a {head.status} response with a length")
    # Content may follow it all the same.
    head.keep_alive = head.keep_alive and head.body == 0
    if head.body == 0 and match[LENGTH_GROUP] is not None:
        head.cuts = sorted([*head.cuts, _length_line(match)])
    else:
        head.cut_fields(_FRAMING)
        head.has_coding = False


def _length_line(match: re.Match[bytes]) -> tuple[int, int]:
    """Return where the line of a clean Content-Length is (RFC 9110, section 8.6: 204 has none)."""
    begin, end = match.span(LENGTH_GROUP)
    return match.string.rindex(b"\n", 0, begin) + 1, end + 2
