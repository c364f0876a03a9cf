"""One connection's side of a protocol as values: bytes in, responses out. No sockets, no clock.

Each protocol (http1.py, http2.py, fastcgi.py, uwsgi_scgi.py, memcached.py) is a Responder; server.py puts it
on a socket.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass


class PeerError(Exception):
    """The peer sent what its protocol does not allow; the connection is of no more use."""


@dataclass(frozen=True, slots=True)
class Response:
    """Bytes to send, how many requests they answer, and whether the connection stays afterwards."""

    data: bytes
    requests: int = 1
    stays: bool = True


def cgi_head(status: int) -> bytes:
    """Return the first line of a CGI response (RFC 3875, section 6.3.3)."""
    return b"Status: %d %b\r\n" % (status, {200: b"OK", 204: b"No Content"}[status])


class Responder(ABC):
    """One connection's side of a protocol; keeps what is not whole yet."""

    def greeting(self) -> bytes:
        """Return what is sent before anything was received; nothing where the client speaks first."""
        return b""

    @abstractmethod
    def feed(self, data: bytes) -> Iterator[Response]:
        """Yield the responses to what is whole now. Raise PeerError."""

    def ping(self) -> bytes:
        """Return what asks whether an idle client is there; nothing where the protocol has no PING."""
        return b""
