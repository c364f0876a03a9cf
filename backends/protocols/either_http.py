"""HTTP/1.1 or HTTP/2 as a responder: the first bytes of a connection decide, as they do for many servers."""

from collections.abc import Iterator

from backends.protocols.behaviour import Behaviour
from backends.protocols.http1 import Http1
from backends.protocols.http2 import Http2
from backends.protocols.responder import PeerError, Responder, Response

_BAD_REQUEST = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
_PREFACE = b"PRI * HTTP/2.0"  # RFC 9113, section 3.4


class EitherHttp(Responder):
    """Becomes a responder of one of both, and refuses what is none of it in its own words, as servers do."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._inner: Http1 | Http2 | None = None
        self._unread = b""

    def feed(self, data: bytes) -> Iterator[Response]:
        """Yield the responses of the protocol that the client speaks."""
        self._unread += data
        if self._inner is None:
            if _PREFACE.startswith(self._unread):
                return  # either is possible yet
            is_http2 = self._unread.startswith(_PREFACE)
            self._inner = Http2(self._behaviour) if is_http2 else Http1(self._behaviour)
            yield Response(self._inner.greeting(), requests=0)
        unread, self._unread = self._unread, b""
        try:
            yield from self._inner.feed(unread)
        except PeerError:
            refusal = self._inner.goaway() if isinstance(self._inner, Http2) else _BAD_REQUEST
            yield Response(refusal, requests=0, stays=False)
