"""Messages that come in crumbs, a byte a segment: what is sent at once, the crumbs, and what ends it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

_POST = b"POST /crumbs HTTP/1.1\r\nHost: attack\r\n"
_CHUNKED = _POST + b"Transfer-Encoding: chunked\r\n\r\n"
_FIELD = b"X-Crumb: " + b"c" * 980 + b"\r\n"


@dataclass(frozen=True, slots=True)
class Message:
    """A message of which `crumbs` come a byte a segment."""

    before: bytes
    crumbs: bytes
    after: bytes


Make = Callable[[int], Message]


def repeated(pattern: bytes, size: int) -> bytes:
    """Return whole patterns, about `size` bytes."""
    return pattern * max(1, round(size / len(pattern)))


REQUESTS: dict[str, Make] = {
    "head": lambda n: Message(b"GET /crumbs HTTP/1.1\r\nHost: attack\r\n", repeated(_FIELD, n), b"\r\n"),
    "target": lambda n: Message(b"GET /", b"c" * (n // 5), b" HTTP/1.1\r\nHost: attack\r\n\r\n"),
    "empty lines before a request": lambda n: Message(
        b"", repeated(b"\r\n", n), b"GET /crumbs HTTP/1.1\r\nHost: attack\r\n\r\n"
    ),
    "body": lambda n: Message(_POST + b"Content-Length: %d\r\n\r\n" % n, b"c" * n, b""),
    "chunks of a byte": lambda n: Message(_CHUNKED, repeated(b"1\r\nc\r\n", n), b"0\r\n\r\n"),
    "chunk": lambda n: Message(_CHUNKED + b"%x\r\n" % n, b"c" * n, b"\r\n0\r\n\r\n"),
    "chunk extension": lambda n: Message(_CHUNKED + b"1;a=", b"c" * n, b"\r\nc\r\n0\r\n\r\n"),
    "chunk extensions": lambda n: Message(_CHUNKED + b"1", repeated(b';a="b"', n), b"\r\nc\r\n0\r\n\r\n"),
    "trailers": lambda n: Message(_CHUNKED + b"0\r\n", repeated(_FIELD, n), b"\r\n"),
}
_OK = b"HTTP/1.1 200 OK\r\n"
_OK_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
RESPONSES: dict[str, Make] = {
    "head": lambda n: Message(_OK, repeated(_FIELD, n), b"Content-Length: 0\r\n\r\n"),
    "body": lambda n: Message(_OK + b"Content-Length: %d\r\n\r\n" % n, b"c" * n, b""),
    "chunks of a byte": lambda n: Message(_OK_CHUNKED, repeated(b"1\r\nc\r\n", n), b"0\r\n\r\n"),
    "chunk extension": lambda n: Message(_OK_CHUNKED + b"1;a=", b"c" * n, b"\r\nc\r\n0\r\n\r\n"),
    "trailers": lambda n: Message(_OK_CHUNKED + b"0\r\n", repeated(_FIELD, n), b"\r\n"),
}
