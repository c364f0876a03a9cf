"""What goes on to the other side: heads written anew, and the proxy's own answers. Bytes in, bytes out."""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.request import RequestHead, read_usual_request
from proxy.http11.response import ResponseHead
from proxy.settings import Limits

PSEUDONYM: Final = b"keepalive-bench"
"""How the proxy names itself in Via (RFC 9110, section 7.6.3)."""

MAX_TAILS: Final = 1024
"""Client addresses whose part of the head is kept ready."""

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestWriter:
    """Writes the heads of forwarded requests for one proxy.

    Args:
        limits: what a head may hold.
        is_10: whether the upstream is spoken to in HTTP/1.0.
        keep_alive: whether the connection is to be kept: HTTP/1.0 must ask for it.
        ask_close: whether the upstream is asked to close it.
    """

    __slots__ = ("_connection", "_is_10", "_limits", "_tails", "_version")

    def __init__(self, limits: Limits, *, is_10: bool, keep_alive: bool, ask_close: bool) -> None:
        self._limits = limits
        self._is_10 = is_10
        self._version = b" HTTP/1.0\r\n" if is_10 else b" HTTP/1.1\r\n"
        self._tails: dict[str, bytes] = {}
        self._connection = b""
        if ask_close:
            self._connection = b"Connection: close\r\n"
        elif is_10 and keep_alive:
            self._connection = b"Connection: keep-alive\r\n"

    @property
    def to_http10(self) -> bool:
        """Whether the upstream can neither send 100 (Continue) nor read chunks: both are done for it here."""
        return self._is_10

    def tail(self, client: str) -> bytes:
        """Return what is added to every request of a client with the address `client`.

        The connections of one client share it: two thousand copies would not stay in the processor's cache.
        """
        tail = self._tails.get(client)
        if tail is None:
            if len(self._tails) >= MAX_TAILS:
                self._tails.clear()
            tail = self._tails[client] = self._tail(client)
        return tail

    def _tail(self, client: str) -> bytes:
        return b"%bVia: 1.1 %b\r\nX-Forwarded-Proto: http\r\nX-Forwarded-For: %b\r\nX-Forwarded-Host: " % (
            self._connection,
            PSEUDONYM,
            client.encode("ascii"),
        )

    def pass_on(self, data: bytes, tail: bytes) -> bytes | None:
        """Return what to forward, where `data` is one request in the usual spelling; None says nothing."""
        usual = None if self._is_10 else read_usual_request(data, self._limits)
        if usual is None:
            return None
        lines, host, more = usual
        return b"".join((lines, more or b"", tail, host, b"\r\n\r\n"))

    def write(self, head: RequestHead, tail: bytes, default_host: bytes) -> bytes:
        """Return the head to forward; `default_host` stands in where an HTTP/1.0 client named none."""
        parts = [head.method, b" ", head.target, self._version, head.fields]
        if head.body == CHUNKED:
            parts.append(b"Transfer-Encoding: chunked\r\n")
        if head.expects_continue and not self._is_10:
            parts.append(b"Expect: 100-continue\r\n")
        if head.max_forwards > 0:
            parts.append(b"Max-Forwards: %d\r\n" % (head.max_forwards - 1))
        if not head.host:
            parts.append(b"Host: %b\r\n" % default_host)
        if head.upgrade:
            parts.append(b"Upgrade: %b\r\n" % head.upgrade)
            tail = b"Connection: upgrade\r\n" + tail.removeprefix(self._connection)
        if head.forwarded_for:
            tail = tail.replace(b"-For: ", b"-For: %b, " % head.forwarded_for, 1)
        parts += (tail, head.host or default_host, b"\r\n\r\n")
        return b"".join(parts)


def response_head(head: ResponseHead, *, keep_alive: bool, to_http10: bool, date: bytes) -> bytes:
    """Return the head of a final response as the client shall see it.

    Args:
        keep_alive: whether the client's connection is kept.
        to_http10: whether the client speaks HTTP/1.0, which must be told that it is, and cannot read chunks.
        date: a field line of the present moment, for a response that has none (RFC 9110, section 6.6.1).
    """
    parts = [head.status_line, head.fields]
    if not head.has_date:
        parts.append(date)
    if head.body in (CHUNKED, UNTIL_CLOSE) and not to_http10:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    if not keep_alive:
        parts.append(b"Connection: close\r\n")
    elif to_http10:
        parts.append(b"Connection: keep-alive\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def dated(data: bytes, end: int, date: bytes) -> bytes:
    """Return a response with a Date added where its fields end (RFC 9110, section 6.6.1)."""
    return b"".join((data[:end], date, data[end:]))


def interim_head(head: ResponseHead) -> bytes:
    """Return the head of a 1xx response as the client shall see it."""
    if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return b"%b%bConnection: upgrade\r\nUpgrade: %b\r\n\r\n" % (
            head.status_line,
            head.fields,
            head.upgrade,
        )
    return head.status_line + head.fields + b"\r\n"


def own_response(status: int, reason: str, *, keep_alive: bool, with_body: bool) -> bytes:
    """Return an answer of the proxy itself: one line of text that says what went wrong."""
    body = f"{status} {HTTPStatus(status).phrase}: {reason}\n".encode("ascii", "backslashreplace")
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {formatdate(time.time(), usegmt=True)}\r\n"
        "Content-Type: text/plain; charset=us-ascii\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{'' if keep_alive else 'Connection: close' + chr(13) + chr(10)}\r\n"
    ).encode("ascii")
    return head + body if with_body else head
