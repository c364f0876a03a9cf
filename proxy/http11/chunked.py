"""Incremental reader of the chunked coding (RFC 9112, section 7.1). No sockets.

It returns the content alone, or the coding as it came. From that it drops chunk extensions and trailers
(RFC 9112, section 7.1.1, and RFC 9110, section 6.5.1), and leading zeros of a size: nothing is hidden in
the forwarded framing.
"""

import re

from proxy.errors import ProxyError
from proxy.http11.grammar import BAD_OCTET, FIELDS, TOKEN
from proxy.http11.partial import PartialLines
from proxy.settings import Limits

LAST_CHUNK = b"0\r\n\r\n"

# RFC 9112, section 7.1.1. Sixteen hexadecimal digits are more than any body has bytes.
_QUOTED = rb'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
_EXTENSION = rb"[\t ]*+;[\t ]*+" + TOKEN + rb"(?:[\t ]*+=[\t ]*+(?:" + TOKEN + rb"|" + _QUOTED + rb"))?"
_SIZE_LINE = re.compile(
    rb"(?:(0|[1-9A-Fa-f][0-9A-Fa-f]{0,15})|([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*)\r\n"
)
_CANONICAL_SIZE = re.compile(rb"(0|[1-9A-Fa-f][0-9A-Fa-f]{0,15})\r\n")
_TRAILERS = re.compile(FIELDS)
_SIZE_BYTES = 18
_CRLF = b"\r\n"


class ChunkedReader:
    """Reads one chunked body.

    States: in a size line, in a chunk's data (`_left` bytes to come, its CRLF included), in the trailers,
    done. `rest` holds the bytes after the end; `total` counts the content so far and `announced` the
    latest chunk, both in bytes.

    Args:
        error: what to raise if the coding is malformed.
        limits: the most bytes of the extensions, and of the trailers, of a body: those of a head.
        keeps_framing: whether `feed` returns the coding rather than the content.
    """

    __slots__ = (
        "_error", "_extension_bytes", "_forwarded_line", "_in_trailers", "_keeps_framing", "_left",
        "_limits", "_partial", "announced", "done", "rest", "total",
    )  # fmt: skip

    def __init__(self, error: type[ProxyError], limits: Limits, *, keeps_framing: bool = False) -> None:
        self._error = error
        self._limits = limits
        self._keeps_framing = keeps_framing
        self._partial: PartialLines | None = None
        self._extension_bytes = 0
        self._forwarded_line: bytes | None = None
        self._left = 0
        self._in_trailers = False
        self.announced = 0
        self.done = False
        self.rest = b""
        self.total = 0

    def feed(self, data: bytes, start: int = 0) -> bytes:
        """Return what `data[start:]` holds of the body; raise the error given if it is malformed."""
        if self._partial is not None:
            whole = self._partial.add(data[start:] if start else data)
            if whole is None:
                return b""
            self._partial = None
            data, start = whole, 0
        pieces: list[bytes] = []
        kept = at = start
        size = len(data)
        while at < size and not self.done:
            if self._left > 2:
                end = min(size, at + self._left - 2)
                if not self._keeps_framing:
                    pieces.append(data[at:end])
                self._left -= end - at
                self.total += end - at
                at = end
                continue
            if self._left:
                at = self._read_crlf(data, at)
                continue
            end = self._read_trailers(data, at) if self._in_trailers else self._read_size(data, at)
            if end < 0:
                self._partial = PartialLines(data[at:], self._limits.head_bytes + _SIZE_BYTES)
                break
            forwarded = self._forwarded_line
            if forwarded is not None and self._keeps_framing:
                pieces += (data[kept:at], forwarded)
                kept = end
            at = end
        if self.done:
            self.rest = data[at:]
        if self._keeps_framing:
            if not pieces:
                return data[kept:at]
            pieces.append(data[kept:at])
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _read_crlf(self, data: bytes, at: int) -> int:
        """Read the end of a chunk; return where what follows begins."""
        piece = data[at : at + self._left]
        if not _CRLF[-self._left :].startswith(piece):
            raise self._error("a chunk is longer than its size says")
        self._left -= len(piece)
        return at + len(piece)

    def _read_size(self, data: bytes, at: int) -> int:
        """Read a size line; return where its chunk begins, or -1 while it is incomplete."""
        match = _SIZE_LINE.match(data, at)
        if match is None:
            self._check_incomplete(data, at, at, self._extension_bytes)
            return -1
        canonical, other = match.groups()
        size = int(canonical or other, 16)
        self._forwarded_line = None
        if canonical is None:
            self._extension_bytes += max(0, match.end() - at - _SIZE_BYTES)
            if self._extension_bytes > self._limits.head_bytes - _SIZE_BYTES:
                raise self._error("chunk extensions are too long")
            self._forwarded_line = b"%x\r\n" % size
        self._in_trailers = size == 0
        self.announced = size
        end = match.end()
        if size and self._keeps_framing and canonical and data.startswith(_CRLF, end + size):
            # Most chunks arrive completely.
            self.total += size
            return end + size + 2
        self._left = size + 2 if size else 0
        return end

    def _read_trailers(self, data: bytes, at: int) -> int:
        """Read the trailers and the empty line; return where they end, or -1 while they are incomplete."""
        match = _TRAILERS.match(data, at)
        valid = match.end() if match is not None else at
        if not data.startswith(b"\r\n", valid):
            self._check_incomplete(data, at, valid, 0)
            return -1
        if valid + 2 - at > self._limits.head_bytes:
            raise self._error("the trailers are too long")
        self._forwarded_line = b"\r\n" if valid > at else None
        self.done = True
        return valid + 2

    def _check_incomplete(self, data: bytes, at: int, valid: int, before: int) -> None:
        """Reject lines that are too long, or that cannot become valid.

        Args:
            at: where they begin.
            valid: where the first line begins that has not been found valid.
            before: bytes before `at` that count too.
        """
        is_too_long = before + len(data) - at > self._limits.head_bytes + _SIZE_BYTES
        if is_too_long or data.find(b"\r\n", valid) >= 0 or BAD_OCTET.search(data, valid) is not None:
            raise self._error("a chunk size, a chunk extension or a trailer")


def find_end(data: bytes, start: int) -> int:
    """Return where the body ends that begins at `start`.

    -1: it is not there completely, or `ChunkedReader` must look at it, since it may not go as it came.
    """
    while (match := _CANONICAL_SIZE.match(data, start)) is not None:
        size = int(match[1], 16)
        start = match.end() + size + 2
        if data[start - 2 : start] != _CRLF:
            return -1
        if not size:
            return start
    return -1


def chunk(content: bytes) -> bytes:
    """Frame `content`, which is not empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(content), content)
