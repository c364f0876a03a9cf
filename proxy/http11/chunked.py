"""Incremental reader of the chunked coding (RFC 9112, section 7.1). No sockets.

It returns the content alone and drops chunk extensions and trailers (RFC 9112, section 7.1.1, and RFC
9110, section 6.5.1). Nothing is hidden in the forwarded framing, which `chunk` writes.
"""

import re

from proxy.errors import ProxyError
from proxy.http11.grammar import BAD_OCTET, FIELDS, TOKEN

LAST_CHUNK = b"0\r\n\r\n"

# RFC 9112, section 7.1.1. Sixteen hexadecimal digits are more than any body has bytes.
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[\t ]*+;[\t ]*+" + TOKEN + rb"(?:[\t ]*+=[\t ]*+(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*\r\n")
_TRAILERS = re.compile(FIELDS + rb"\r\n")


class ChunkedReader:
    """Reads one chunked body.

    States: in a size line, in a chunk's data (`_left` bytes to come, its CRLF included), in the trailers,
    done. `rest` holds the bytes after the end; `total` counts the content so far and `announced` the
    latest chunk, both in bytes.
    """

    __slots__ = (
        "_buffer",
        "_error",
        "_in_trailers",
        "_left",
        "_line_bytes",
        "announced",
        "done",
        "rest",
        "total",
    )

    def __init__(self, error: type[ProxyError], line_bytes: int) -> None:
        self._error = error
        self._line_bytes = line_bytes
        self._buffer = b""
        self._left = 0
        self._in_trailers = False
        self.announced = 0
        self.done = False
        self.rest = b""
        self.total = 0

    def feed(self, data: bytes) -> bytes:
        """Return the content in `data`; raise the error given at the start if the coding is malformed."""
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        content: list[bytes] = []
        position = 0
        while position < len(data) and not self.done:
            if self._left:
                step = self._read_data(data, position, content)
            elif self._in_trailers:
                step = self._read_trailers(data, position)
            else:
                step = self._read_size(data, position)
            if step == 0:
                self._buffer = data[position:]
                break
            position += step
        if self.done:
            self.rest = data[position:]
        joined = content[0] if len(content) == 1 else b"".join(content)
        self.total += len(joined)
        return joined

    def _read_data(self, data: bytes, position: int, content: list[bytes]) -> int:
        """Read content up to the chunk's CRLF, which must arrive completely."""
        if self._left > 2:
            piece = data[position : position + self._left - 2]
            content.append(piece)
            self._left -= len(piece)
            return len(piece)
        if not b"\r\n".startswith(data[position : position + 2]):
            raise self._error("a chunk is longer than its size says")
        if len(data) - position < 2:
            return 0
        self._left = 0
        return 2

    def _read_size(self, data: bytes, position: int) -> int:
        match = _SIZE_LINE.match(data, position)
        if match is None:
            self._check_line(data, position, data.find(b"\r\n", position) >= 0)
            return 0
        if match.end() - position > self._line_bytes:
            raise self._error("a chunk extension is too long")
        size = int(match[1], 16)
        self._in_trailers = size == 0
        self._left = size + 2 if size else 0
        self.announced = size
        return match.end() - position

    def _read_trailers(self, data: bytes, position: int) -> int:
        match = _TRAILERS.match(data, position)
        if match is None:
            end = data.find(b"\r\n\r\n", position)
            self._check_line(data, position, end >= 0 or data.startswith(b"\r\n", position))
            return 0
        self.done = True
        return match.end() - position

    def _check_line(self, data: bytes, position: int, is_complete: bool) -> None:
        """Reject a size line or trailers that are complete but malformed, or that cannot become valid."""
        too_long = len(data) - position > self._line_bytes
        if is_complete or too_long or BAD_OCTET.search(data, position) is not None:
            raise self._error("a chunk size, a chunk extension or a trailer")


def chunk(content: bytes) -> bytes:
    """Frame `content`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(content), content)
