"""HTTP/1.1 requests as a strict server reads them: bytes in, heads and pieces of bodies out.

No sockets, no clock, no answers. Where RFC 9112 leaves a choice, it is strict: bare LF, obs-fold,
repeated Content-Length and Transfer-Encoding with Content-Length are refused.
"""

import re
from dataclasses import dataclass

HEAD_MAX = 64 * 1024  # as Envoy's 60 KiB and above nginx's four lines of 8 KiB
FIELDS_MAX = 256
CHUNK_LINE_MAX = 4096  # RFC 9112, section 7.1.1: extensions ought to be limited
CHUNKED = -1
_SLASH = ord("/")

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_URI = rb"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]]"  # RFC 3986, appendix A, without the fragment's #
_HOST_VALUE = rb"(?:\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9\-._~%!$&'()*+;=]++)(?::[0-9]*+)?+"
_VALUE = rb"[\t\ -~\x80-\xff]"  # RFC 9110, section 5.5: visible characters, obs-text, space, tab
_REQUEST_LINE = re.compile(rb"(%b++) (%b++) HTTP/1\.([0-9])\r\n" % (_TOKEN, _URI))
_OTHER_VERSION = re.compile(rb"%b++ %b++ HTTP/[0-9]\.[0-9]\r\n" % (_TOKEN, _URI))
_FIELDS = re.compile(rb"(?:%b++:%b*+\r\n)*+\r\n" % (_TOKEN, _VALUE))
_HOST = re.compile(rb"\r\nhost:[\t ]*+%b[\t ]*+\r\n" % _HOST_VALUE)
_ORDINARY = re.compile(
    rb"""(?!CONNECT\ )(%b++)\ (/%b*+)\ HTTP/1\.1\r\n
    (?:(?: (?(3)(?!)) [Hh]ost: [\t\ ]*+ (%b) [\t\ ]*+
        |  (?(4)(?!)) [Xx]-[Bb]ench-[Ii]d: [\t\ ]*+ ([!-~]*+) [\t\ ]*+
        |  (?!(?i:host|x-bench-id|connection|content-length|transfer-encoding|expect):) %b++: %b*+
    )\r\n)*+\r\n"""
    % (_TOKEN, _URI, _HOST_VALUE, _TOKEN, _VALUE),
    re.VERBOSE,
)
"""A head with one Host, one X-Bench-Id at most and no other field that a server must read.

One match in C both checks and reads what most requests are; what does not match is read by parse_any_head.
`(?(3)(?!))` fails once group 3 has matched: a second Host is not ordinary.
"""
_ABSOLUTE = re.compile(rb"https?://(?![^/?]*@)[^/?]++(?:[/?]|$)", re.IGNORECASE)
_CHUNK_LINE = re.compile(rb"(?=[0-9A-Fa-f])0*+([0-9A-Fa-f]{0,15})(?:[\t ]*+;%b*+)?+\r\n" % _VALUE)
_TOKEN_START = re.compile(_TOKEN)


class ProtocolError(Exception):
    """The peer sent what is no acceptable request; `status` is the answer that it deserves."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(slots=True)
class RequestHead:
    """One request's head: what the server needs to know of it.

    `length` is that of the body in bytes, 0 for none, `CHUNKED` for a chunked one.
    """

    method: bytes
    target: bytes
    http10: bool
    keep_alive: bool
    length: int
    expects_continue: bool
    bench_id: bytes


def varying_fields(request: RequestHead) -> bytes:
    """Return the fields of an answer that differ from one request to the next, and the empty line."""
    fields = b"X-Bench-Id: " + request.bench_id + b"\r\n" if request.bench_id else b""
    if not request.keep_alive:
        return fields + b"Connection: close\r\n\r\n"
    if request.http10:
        # RFC 9112, section 9.3: an HTTP/1.0 client must be told that the connection persists.
        return fields + b"Connection: keep-alive\r\n\r\n"
    return fields + b"\r\n"


def parse_head(head: bytes) -> RequestHead:
    """Read a whole head, from the request line to its empty line.

    Raises ProtocolError for whatever is not a request that a strict server understands.
    """
    ordinary = _ORDINARY.fullmatch(head)
    if ordinary is not None and len(head) <= 4 * FIELDS_MAX:  # a field takes four bytes at least
        method, target, host, bench_id = ordinary.groups()
        if host is not None:
            return RequestHead(method, target, False, True, 0, False, bench_id or b"")
    return parse_any_head(head)


def parse_any_head(head: bytes, *, any_host: bool = False) -> RequestHead:
    """Read a head as `parse_head` does, without its short cut for ordinary ones.

    `any_host` accepts requests without Host, or with several, which RFC 9112, section 3.2 has servers refuse.
    """
    line = _match_request_line(head)
    method, target, minor = line.groups()
    if _FIELDS.fullmatch(head, line.end()) is None:
        raise ProtocolError(400, "malformed header field")
    if head.count(b"\n") > FIELDS_MAX + 2:
        raise ProtocolError(431, "too many header fields")
    http10 = minor == b"0"
    if target[0] != _SLASH or method == b"CONNECT":
        _check_target(method, target)
    # Of a field's many spellings one is left in lower case; each look-up is then one search in C.
    lower = head.lower()
    if not any_host:
        _check_host(lower, http10)
    keep_alive = not http10
    if b"\r\nconnection:" in lower:
        keep_alive = _read_connection(lower, keep_alive)
    length = 0
    if b"\r\ncontent-length:" in lower or b"\r\ntransfer-encoding:" in lower:
        length = _body_length(lower, http10)
    expects_continue = False
    if b"\r\nexpect:" in lower:
        _check_expect(lower)
        # RFC 9110, section 10.1.1: ignored in HTTP/1.0, pointless without a body.
        expects_continue = not http10 and length != 0
    bench_id = b""
    at = lower.find(b"\r\nx-bench-id:") + 13
    if at > 12:
        bench_id = head[at : head.find(b"\r\n", at)].strip(b" \t")
    return RequestHead(method, target, http10, keep_alive, length, expects_continue, bench_id)


def _match_request_line(head: bytes) -> re.Match[bytes]:
    line = _REQUEST_LINE.match(head)
    if line is None:
        if _OTHER_VERSION.match(head):
            raise ProtocolError(505, "HTTP version not supported")
        raise ProtocolError(400, "malformed request line")
    return line


def _values(lower: bytes, name: bytes) -> list[bytes]:
    """Return the values of all fields called `name` (in lower case, with CRLF before and the colon after)."""
    return [part.partition(b"\r\n")[0].strip(b" \t") for part in lower.split(name)[1:]]


def _check_target(method: bytes, target: bytes) -> None:
    # RFC 9112, section 3.2: origin-form starts with a slash and was accepted before.
    if method == b"CONNECT":
        raise ProtocolError(501, "CONNECT is not implemented")
    if _ABSOLUTE.match(target) is None and (target, method) != (b"*", b"OPTIONS"):
        raise ProtocolError(400, "malformed request target")


def _check_host(lower: bytes, http10: bool) -> None:
    # RFC 9112, section 3.2: exactly one Host field, with a valid value, in HTTP/1.1.
    at = lower.find(b"\r\nhost:")
    if at < 0:
        if http10:
            return
        raise ProtocolError(400, "no Host field")
    if _HOST.match(lower, at) is None:
        raise ProtocolError(400, "invalid Host field")
    if lower.find(b"\r\nhost:", at + 1) >= 0:
        raise ProtocolError(400, "more than one Host field")


def _read_connection(lower: bytes, keep_alive: bool) -> bool:
    # RFC 9112, section 9.3: close wins over keep-alive.
    options = [o.strip(b" \t") for value in _values(lower, b"\r\nconnection:") for o in value.split(b",")]
    if b"close" in options:
        return False
    return keep_alive or b"keep-alive" in options


def _body_length(lower: bytes, http10: bool) -> int:
    codings = _values(lower, b"\r\ntransfer-encoding:")
    lengths = _values(lower, b"\r\ncontent-length:")
    if codings:
        if lengths or http10:
            # RFC 9112, section 6.1: a sign of smuggling; in HTTP/1.0 the framing is faulty by definition.
            raise ProtocolError(400, "Transfer-Encoding with Content-Length or in HTTP/1.0")
        if codings != [b"chunked"]:
            raise ProtocolError(501, "transfer coding other than chunked")
        return CHUNKED
    # RFC 9110, section 8.6, allows us to merge equal lengths or refuse them; only an intermediary that
    # repaired nothing sends them, so they are refused.
    if len(lengths) != 1 or not lengths[0].isdigit() or len(lengths[0]) > 19:
        raise ProtocolError(400, "invalid Content-Length")
    return int(lengths[0])


def _check_expect(lower: bytes) -> None:
    if set(_values(lower, b"\r\nexpect:")) != {b"100-continue"}:
        raise ProtocolError(417, "expectation other than 100-continue")


class RequestReader:
    """Cuts the bytes of one connection into requests.

    `feed` bytes, then call `head()`; while `in_body`, call `body()` until it is whole.
    """

    __slots__ = ("_after_data", "_any_host", "_chunked", "_in_trailers", "_left", "in_body", "unread")

    def __init__(self, *, any_host: bool = False) -> None:
        self._any_host = any_host
        self.unread = b""
        """The bytes that were fed and belong to no request yet."""
        self.in_body = False
        self._chunked = False
        self._left = 0
        self._after_data = False
        self._in_trailers = False

    def feed(self, data: bytes) -> None:
        """Accept bytes as they came."""
        self.unread = self.unread + data if self.unread else data

    def head(self) -> RequestHead | None:
        """Return the next request's head, or None while it is not whole. Raises ProtocolError."""
        buffer = self.unread
        # RFC 9112, section 2.2: empty lines before a request line are ignored.
        while buffer[:2] == b"\r\n":
            buffer = self.unread = buffer[2:]
        end = buffer.find(b"\r\n\r\n") + 4
        if end < 4 or end > HEAD_MAX:
            if buffer:
                _check_partial_head(buffer)
            return None
        if end == len(buffer):
            self.unread = b""
        else:
            self.unread = buffer[end:]
            buffer = buffer[:end]
        head = parse_any_head(buffer, any_host=True) if self._any_host else parse_head(buffer)
        if head.length:
            self.in_body = True
            self._chunked = head.length == CHUNKED
            self._left = 0 if self._chunked else head.length
        return head

    def body(self) -> bytes | None:
        """Return the next piece of the body, b"" when it is whole, None while more bytes are needed.

        Raises ProtocolError for malformed chunks.
        """
        if self._chunked and not self._left and not self._enter_chunk():
            return None
        if not self._left:
            self.in_body = False
            return b""
        piece = self.unread[: self._left]
        if not piece:
            return None
        self.unread = self.unread[len(piece) :]
        self._left -= len(piece)
        self._after_data = self._chunked and not self._left
        return piece

    def skip_body(self) -> bool:
        """Read the body away; return whether it was all there. Raises ProtocolError."""
        while piece := self.body():
            pass
        return piece is not None

    def _enter_chunk(self) -> bool:
        """Move on to the next chunk's data or past the trailers; return whether that much was there."""
        if self._after_data:
            if not self.unread.startswith(b"\r\n"):
                if not b"\r\n".startswith(self.unread):
                    raise ProtocolError(400, "chunk data without CRLF")
                return False
            self.unread = self.unread[2:]
            self._after_data = False
        if not self._in_trailers:
            line = _CHUNK_LINE.match(self.unread, 0, CHUNK_LINE_MAX)
            if line is None:
                _check_partial_chunk_line(self.unread)
                return False
            self.unread = self.unread[line.end() :]
            self._left = int(line[1] or b"0", 16)
            self._in_trailers = not self._left
        return not self._in_trailers or self._skip_trailers()

    def _skip_trailers(self) -> bool:
        # RFC 9112, section 7.1.2: a recipient that has no use for trailer fields may drop them.
        buffer = self.unread
        end = 0 if buffer.startswith(b"\r\n") else buffer.find(b"\r\n\r\n") + 2
        if end == 1 or end > HEAD_MAX:
            _check_partial_fields(buffer)
            return False
        if _FIELDS.fullmatch(buffer, 0, end + 2) is None:
            raise ProtocolError(400, "malformed trailer field")
        self.unread = buffer[end + 2 :]
        self._in_trailers = False
        return True


def _check_partial_head(buffer: bytes) -> None:
    """Refuse what cannot become a head any more, instead of waiting for the rest of it."""
    if buffer.find(b"\r\n", 0, HEAD_MAX) >= 0:
        _match_request_line(buffer)
    elif len(buffer) > HEAD_MAX:
        raise ProtocolError(414, "request line too long")
    elif buffer != b"\r" and _TOKEN_START.match(buffer) is None:
        raise ProtocolError(400, "malformed request line")
    _check_partial_fields(buffer)


def _check_partial_fields(buffer: bytes) -> None:
    # RFC 9112, section 2.2, allows us to read a bare LF for a line's end; we do not.
    if buffer.count(b"\n", 0, HEAD_MAX) != buffer.count(b"\r\n", 0, HEAD_MAX):
        raise ProtocolError(400, "bare LF")
    if len(buffer) > HEAD_MAX:
        raise ProtocolError(431, "header fields too large")


def _check_partial_chunk_line(buffer: bytes) -> None:
    if b"\n" in buffer or len(buffer) >= CHUNK_LINE_MAX:
        raise ProtocolError(400, "malformed chunk size line")
