"""HTTP/1.1 framing of a strict client. Pure: no sockets, no clock.

`ResponseReader` reads a response in any pieces and any framing; messages.py decides whether it is the
expected one. Where RFC 9112 allows to reject or to repair, the reader rejects: a harness that repairs a
proxy's errors would hide them.
"""

import re
from enum import IntEnum, auto
from typing import ClassVar

PATTERN_UNIT = bytes(range(0x20, 0x7F))
"""The printable ASCII bytes; a backend's body is a prefix of their endless repetition."""

_PATTERN = PATTERN_UNIT * (2 * 262_144 // len(PATTERN_UNIT))
_PATTERN_STEP = len(_PATTERN) - len(PATTERN_UNIT)
"""The most bytes that can be compared at once, starting anywhere in the unit."""

HEAD_LIMIT = 65_536
"""Bytes of one head; four times the largest of usual servers."""

_LENGTH_DIGITS_LIMIT = 18
_CHUNK_LINE_LIMIT = 1024
_CHUNK_DIGITS_LIMIT = 15
"""Hexadecimal digits of a chunk size: below 2**60, so that no reader overflows."""

ANY_BODY = (0, 1 << 62)
"""Fewest and most bytes of a body of any length."""

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
TEXT = rb"[\t -~\x80-\xff]"
# Possessive repeats: no head makes the match backtrack.
FIELDS = rb"(?:" + TOKEN + rb"++:" + TEXT + rb"*+\r\n)*+"
_STATUS_LINE = rb"HTTP/1\.([01]) ([1-5][0-9][0-9]) " + TEXT + rb"*+\r\n"
_HEAD = re.compile(_STATUS_LINE + FIELDS + rb"\r\n")
_HEAD_LINES = re.compile(rb"(?:" + _STATUS_LINE + FIELDS + rb")?")
_FIELD_LINES = re.compile(FIELDS)
_TRAILERS = re.compile(FIELDS + rb"\r\n")
_LOOKED_AT = re.compile(rb"\n(content-length|transfer-encoding|connection|x-bench-id):([^\r]*)")
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,%d})[ \t]*(?:;%b*)?\r\n" % (_CHUNK_DIGITS_LIMIT, TEXT))


class ProtocolError(Exception):
    """The bytes are not a response to the request; `str()` gives the reason."""


class TruncatedError(Exception):
    """The connection ended before the response did; `in_body`: after its head was complete."""

    def __init__(self, in_body: bool) -> None:
        super().__init__(f"the connection ended {'in the body' if in_body else 'before the response'}")
        self.in_body = in_body


def is_pattern(data: bytes, offset: int) -> bool:
    """Return whether `data` is the part of the pattern at `offset`."""
    if len(data) <= _PATTERN_STEP:
        return _PATTERN.startswith(data, offset % len(PATTERN_UNIT))
    steps = range(0, len(data), _PATTERN_STEP)
    return all(is_pattern(data[step : step + _PATTERN_STEP], offset + step) for step in steps)


def pattern(size: int) -> bytes:
    """Return the body of `size` bytes that a correct backend sends."""
    return (PATTERN_UNIT * (size // len(PATTERN_UNIT) + 1))[:size]


class _State(IntEnum):
    HEAD = auto()
    LENGTH = auto()
    CHUNK_LINE = auto()
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILERS = auto()
    UNTIL_CLOSE = auto()
    DONE = auto()


class ResponseReader:
    """Reads one response in any pieces. States: head, body (of a length, chunked, until close), done.

    `status`, `fields` (those of _LOOKED_AT, in lower case), `keep_alive` and `is_bodiless` (such a response
    never has a body: RFC 9112, section 6.3, item 1) are valid once the head is read; `body_bytes` and
    `is_pattern_body` describe the body so far; `trailing` are bytes that followed the response.
    """

    __slots__ = (
        "_buffer",
        "_left",
        "_method",
        "_state",
        "body_bytes",
        "fields",
        "is_bodiless",
        "is_pattern_body",
        "keep_alive",
        "status",
    )

    def __init__(self, method: bytes = b"GET") -> None:
        self.status = 0
        self.fields: list[tuple[bytes, bytes]] = []
        self.keep_alive = False
        self.body_bytes = 0
        self.is_bodiless = False
        self.is_pattern_body = True
        self._method = method
        self._state = _State.HEAD
        self._buffer = b""
        self._left = 0

    @property
    def done(self) -> bool:
        """Return whether the response has been read to its end."""
        return self._state is _State.DONE

    @property
    def trailing(self) -> bytes:
        """Return the bytes that came after the end of the response."""
        return self._buffer if self.done else b""

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of every field called `name`, which _LOOKED_AT has, in order and lower case."""
        return [value.strip(b" \t") for known, value in self.fields if known == name]

    def feed(self, data: bytes) -> None:
        """Read the next bytes; raise ProtocolError if they cannot belong to a response."""
        self._buffer += data
        while self._buffer and self._state is not _State.DONE and self._STEPS[self._state](self):
            pass

    def end(self) -> None:
        """Handle the end of the connection; raise TruncatedError if the response is incomplete."""
        if self._state is _State.UNTIL_CLOSE:
            self._state = _State.DONE
        elif self._state is not _State.DONE:
            raise TruncatedError(in_body=self._state is not _State.HEAD)

    # Each step consumes what it can of the buffer and returns whether another step may go on.

    def _read_head(self) -> bool:
        match = _HEAD.match(self._buffer)
        if match is None:
            self._wait_for_head()
            return False
        self._buffer = self._buffer[match.end() :]
        self.status = int(match[2])
        self.fields = _LOOKED_AT.findall(match[0].lower())
        if self.status >= 200:
            self._frame(is_http_1_0=match[1] == b"0")
        elif self.status == 101:
            raise ProtocolError("101 Switching Protocols without an offer")
        return True

    def _wait_for_head(self) -> None:
        _check_lines_so_far(_HEAD_LINES, self._buffer)
        start = b"HTTP/1."
        if not self._buffer.startswith(start[: len(self._buffer)]):
            raise ProtocolError("no status line")

    def _frame(self, is_http_1_0: bool) -> None:
        """Find where the response ends: RFC 9112, section 6.3."""
        lengths, codings = self.values(b"content-length"), self.values(b"transfer-encoding")
        tokens = [token.strip() for value in self.values(b"connection") for token in value.split(b",")]
        # RFC 9112, section 9.3: close takes precedence.
        self.keep_alive = b"close" not in tokens and (b"keep-alive" in tokens or not is_http_1_0)
        length = _length(lengths)
        if codings:
            _check_coding(codings, lengths, is_http_1_0)
        self.is_bodiless = self._method == b"HEAD" or self.status in (204, 304)
        if self.is_bodiless:
            self._state = _State.DONE
        elif codings:
            self._state = _State.CHUNK_LINE
        elif length is None:
            self.keep_alive = False
            self._state = _State.UNTIL_CLOSE
        else:
            self._left = length
            self._state = _State.LENGTH if length else _State.DONE

    def _read_length(self) -> bool:
        self._consume_body()
        if self._left == 0:
            self._state = _State.DONE
        return self._left == 0

    def _read_chunk_line(self) -> bool:
        match = CHUNK_LINE.match(self._buffer)
        if match is None:
            if b"\n" in self._buffer or len(self._buffer) > _CHUNK_LINE_LIMIT:
                raise ProtocolError("a malformed chunk size")
            return False
        self._buffer = self._buffer[match.end() :]
        self._left = int(match[1], 16)
        self._state = _State.CHUNK_DATA if self._left else _State.TRAILERS
        return True

    def _read_chunk_data(self) -> bool:
        self._consume_body()
        if self._left == 0:
            self._state = _State.CHUNK_END
        return self._left == 0

    def _read_chunk_end(self) -> bool:
        if not b"\r\n".startswith(self._buffer[:2]):
            raise ProtocolError("a chunk longer than its size")
        if len(self._buffer) < 2:
            return False
        self._buffer = self._buffer[2:]
        self._state = _State.CHUNK_LINE
        return True

    def _read_trailers(self) -> bool:
        match = _TRAILERS.match(self._buffer, 0, HEAD_LIMIT)
        if match is None:
            _check_lines_so_far(_FIELD_LINES, self._buffer)
            return False
        self._buffer = self._buffer[match.end() :]
        self._state = _State.DONE
        return True

    def _read_until_close(self) -> bool:
        self._left = len(self._buffer)
        self._consume_body()
        return False

    def _consume_body(self) -> None:
        body, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
        self._left -= len(body)
        if self.is_pattern_body:
            self.is_pattern_body = is_pattern(body, self.body_bytes)
        self.body_bytes += len(body)

    _STEPS: ClassVar = {
        _State.HEAD: _read_head,
        _State.LENGTH: _read_length,
        _State.CHUNK_LINE: _read_chunk_line,
        _State.CHUNK_DATA: _read_chunk_data,
        _State.CHUNK_END: _read_chunk_end,
        _State.TRAILERS: _read_trailers,
        _State.UNTIL_CLOSE: _read_until_close,
    }


def _check_lines_so_far(lines: re.Pattern[bytes], data: bytes) -> None:
    """Reject what no further bytes can make valid: a line that has ended, and is none of `lines`."""
    match = lines.match(data)
    if b"\n" in data[match.end() if match else 0 :]:
        raise ProtocolError("a malformed line")
    if len(data) > HEAD_LIMIT:
        raise ProtocolError(f"more than {HEAD_LIMIT} bytes of fields")


def _length(values: list[bytes]) -> int | None:
    if not values:
        return None
    # RFC 9112, section 6.3, item 5, allows to join equal values; this reader rejects them.
    if len(values) > 1 or not values[0].isdigit() or len(values[0]) > _LENGTH_DIGITS_LIMIT:
        raise ProtocolError("a Content-Length that is no single number")
    return int(values[0])


def _check_coding(codings: list[bytes], lengths: list[bytes], is_http_1_0: bool) -> None:
    if lengths:
        raise ProtocolError("both Transfer-Encoding and Content-Length")
    if is_http_1_0:
        raise ProtocolError("Transfer-Encoding in HTTP/1.0")  # RFC 9112, section 6.1: faulty framing.
    if len(codings) > 1 or codings[0] != b"chunked":
        raise ProtocolError("an unsupported transfer coding")
