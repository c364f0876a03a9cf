"""HTTP/1.1 as a responder: each request is answered, those too that servers ought to refuse for their Host.

The raw backend (backends/http/raw.py) is the fast one, and strict.
"""

from collections.abc import Iterator

from backends.protocols.http11 import ProtocolError, RequestHead, RequestReader, varying_fields
from backends.protocols.responder import PeerError, Responder, Response


class Http1(Responder):
    """Answers each request once its body is whole."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._reader = RequestReader(any_host=True)
        self._head: RequestHead | None = None
        self._fields = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n" % len(body)

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
        body = b"" if head.method == b"HEAD" else self._body
        return Response(self._fields + varying_fields(head) + body, stays=head.keep_alive)
