"""HTTP/1.1 as a responder: each request is answered, those too that servers ought to refuse for their Host.

The raw backend (backends/http/raw.py) is the fast one, and strict.
"""

from collections.abc import Iterator
from dataclasses import replace

from backends.protocols.behaviour import Behaviour
from backends.protocols.http11 import ProtocolError, RequestHead, RequestReader, varying_fields
from backends.protocols.responder import PeerError, Responder, Response

_REASONS = {200: b"OK", 204: b"No Content", 505: b"HTTP Version Not Supported"}


class Http1(Responder):
    """Answers each request once its body is whole, in one of the dialects of behaviour.py."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._reader = RequestReader(any_host=True)
        self._head: RequestHead | None = None
        self._answered = 0

    def feed(self, data: bytes) -> Iterator[Response]:
        """Yield a response for each request that is whole now."""
        self._reader.feed(data)
        try:
            while (head := self._head or self._reader.head()) is not None:
                self._head = head
                if self._reader.in_body and not self._reader.skip_body():
                    return
                self._head = None
                yield self._answer(head)
        except ProtocolError as error:
            raise PeerError(str(error)) from error

    def _answer(self, head: RequestHead) -> Response:
        self._answered += 1
        dialect, status = self._behaviour.dialect, self._behaviour.status
        if dialect == "1.0-only" and not head.http10:
            status = 505
        is_last = self._answered == self._behaviour.requests
        if is_last or dialect in {"closing", "1.0", "1.0-only"}:
            head = replace(head, keep_alive=False)
        version = b"1.0" if dialect in {"1.0", "1.0-only"} else b"1.1"
        is_chunked = dialect == "both-lengths" and not head.http10
        body = b"" if status == 505 else self._behaviour.content
        line = b"HTTP/%b %d %b\r\n" % (version, status, _REASONS[status])
        fields = _fields(status, body, is_chunked=is_chunked) + varying_fields(head)
        shown = b"" if head.method == b"HEAD" else _framed(body, is_chunked=is_chunked)
        return Response(line + fields + shown, stays=head.keep_alive)


def _fields(status: int, body: bytes, *, is_chunked: bool) -> bytes:
    if status == 204:
        return b""  # RFC 9110, section 8.6: no Content-Length in a 204
    chunked = b"Transfer-Encoding: chunked\r\n" if is_chunked else b""
    return b"Content-Type: text/plain\r\nContent-Length: %d\r\n%b" % (len(body), chunked)


def _framed(body: bytes, *, is_chunked: bool) -> bytes:
    if not is_chunked:
        return body
    return (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
