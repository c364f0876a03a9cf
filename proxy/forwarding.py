"""Heads as the proxy forwards them, and responses of the proxy itself: bytes in, bytes out."""

import re
import time
from http import HTTPStatus

from proxy.http11 import grammar
from proxy.http11.grammar import UNTIL_CLOSE
from proxy.http11.request import SIMPLE_HEADS, RequestHead
from proxy.http11.response import ResponseHead
from proxy.settings import Limits

PSEUDONYM = b"keepalive-bench"
"""Name of the proxy in Via (RFC 9110, section 7.6.3)."""

MAX_CACHED_CLIENTS = 1024
"""Client addresses whose added fields are cached."""

_END = b"\r\n\r\n"
_TRANSFER_ENCODING = frozenset((b"transfer-encoding",))
CLOSE = b"Connection: close\r\n"
KEEP_ALIVE = b"Connection: keep-alive\r\n"
PROXY_CONTENT_TYPE = "text/plain; charset=us-ascii"
"""What `proxy_content` is."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestWriter:
    """Writes the heads of forwarded requests.

    Args:
        limits: limits on a head, and on a body that is stored.
        is_http10: whether the upstream speaks HTTP/1.0.
        keep_alive: whether the connection is kept: in HTTP/1.0 the request must say so.
        request_close: whether the upstream is requested to close the connection.
        has_tls: whether the clients speak TLS.
    """

    __slots__ = (
        "_added_fields",
        "_collected_bytes",
        "_connection",
        "_head_bytes",
        "_is_http10",
        "_scheme",
    )  # fmt: skip

    def __init__(
        self,
        limits: Limits,
        *,
        is_http10: bool,
        keep_alive: bool,
        request_close: bool,
        has_tls: bool = False,
    ) -> None:
        self._scheme = b"https" if has_tls else b"http"
        self._head_bytes = limits.head_bytes
        self._collected_bytes = min(limits.collected_bytes, limits.body_bytes)
        self._is_http10 = is_http10
        self._added_fields: dict[tuple[str, bytes], bytes] = {}
        self._connection = b""
        if request_close:
            self._connection = CLOSE
        elif is_http10 and keep_alive:
            self._connection = KEEP_ALIVE

    @property
    def to_http10(self) -> bool:
        """Return whether the upstream cannot send 100 (Continue) or read chunks: the proxy does both."""
        return self._is_http10

    def added_fields(self, client: str, version: bytes = b"1.1") -> bytes:
        """Return the fields that are added to every request of a client with the address `client`.

        The connections of one client share them: 2,000 copies would not stay in the processor's cache.

        Args:
            version: the version of HTTP that it speaks.
        """
        added_fields = self._added_fields.get((client, version))
        if added_fields is None:
            if len(self._added_fields) >= MAX_CACHED_CLIENTS:
                self._added_fields.clear()
            added_fields = self._write_added_fields(client, version)
            self._added_fields[client, version] = added_fields
        return added_fields

    def _write_added_fields(self, client: str, version: bytes) -> bytes:
        return b"%bVia: %b %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-For: %b\r\nX-Forwarded-Host: " % (
            self._connection,
            version,
            PSEUDONYM,
            self._scheme,
            client.encode("ascii"),
        )

    def write_simple(
        self, match: re.Match[bytes], data: bytes, added_fields: bytes
    ) -> tuple[RequestHead, bytes] | None:
        """Return the head and the request to forward, if all of `data` is one simple request, body and all.

        None: `read_request` must decide.

        Args:
            match: one of `match_request` whose last group is SIMPLE.
        """
        method, host, length, connection = match.group(1, 4, 5, 7)
        end = match.end()
        head = SIMPLE_HEADS.get(method)
        size = int(length) if length is not None else 0
        if (
            end + size != len(data)
            or size > self._collected_bytes
            or end > self._head_bytes
            or head is None
            or self._is_http10
        ):
            return None
        content = _END + data[end:] if size else _END
        if connection is None:
            return head, b"".join((data[: end - 2], added_fields, host, content))
        begin, after = match.span(7)
        return head, b"".join((data[:begin], data[after : end - 2], added_fields, host, content))

    def write(self, head: RequestHead, added_fields: bytes, default_host: bytes, content: bytes) -> bytes:
        """Return the request to forward; `default_host` replaces a missing Host of an HTTP/1.0 client."""
        if head.is_usual and not self._is_http10:
            return b"".join((head.lines, added_fields, head.host, b"\r\n\r\n", content))
        lines = grammar.with_version(head.lines, b"1.0") if self._is_http10 else head.lines
        parts = [lines]
        if head.expects_continue and not self._is_http10:
            parts.append(b"Expect: 100-continue\r\n")
        if head.max_forwards > 0:
            parts.append(b"Max-Forwards: %d\r\n" % (head.max_forwards - 1))
        if not head.host:
            parts.append(b"Host: %b\r\n" % default_host)
        if head.upgrade:
            parts.append(b"Upgrade: %b\r\n" % head.upgrade)
            added_fields = b"Connection: upgrade\r\n" + added_fields.removeprefix(self._connection)
        if head.forwarded_for:
            added_fields = added_fields.replace(b"-For: ", b"-For: %b, " % head.forwarded_for, 1)
        parts += (added_fields, head.host or default_host, b"\r\n\r\n", content)
        return b"".join(parts)


def response_head(
    head: ResponseHead, *, keep_alive: bool, to_http10: bool, date: bytes, content: bytes
) -> bytes:
    """Return the head of a final response for the client, followed by `content`.

    Args:
        keep_alive: whether the client's connection is kept.
        to_http10: whether the client speaks HTTP/1.0: its keep-alive is explicit, and it cannot read chunks.
        date: a Date field line for a response that has none (RFC 9110, section 6.6.1).
    """
    if to_http10 and head.has_coding:
        head.cut_fields(_TRANSFER_ENCODING)
    parts = [head.lines]
    if not head.has_date:
        parts.append(date)
    if head.body == UNTIL_CLOSE and not to_http10:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    if not keep_alive:
        parts.append(CLOSE)
    elif to_http10:
        parts.append(KEEP_ALIVE)
    parts += (b"\r\n", content)
    return b"".join(parts)


def http_date() -> str:
    """Return the time as in a Date field (RFC 9110, section 5.6.7); the locale of this process is C."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())


def interim_head(head: ResponseHead) -> bytes:
    """Return the head of a 1xx response for the client."""
    if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
        return b"%bConnection: upgrade\r\nUpgrade: %b\r\n\r\n" % (head.lines, head.upgrade)
    return head.lines + b"\r\n"


def proxy_response(status: int, reason: str, *, keep_alive: bool, with_body: bool) -> bytes:
    """Return a response of the proxy itself, with one line of text that gives the reason."""
    body = proxy_content(status, reason)
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
        f"Date: {http_date()}\r\n"
        f"Content-Type: {PROXY_CONTENT_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"{'' if keep_alive else 'Connection: close' + chr(13) + chr(10)}\r\n"
    ).encode("ascii")
    return head + body if with_body else head


def proxy_content(status: int, reason: str) -> bytes:
    """Return the content of a response of the proxy itself: one line of text that gives the reason."""
    return f"{status} {HTTPStatus(status).phrase}: {reason}\n".encode("ascii", "backslashreplace")
