"""uwsgi and SCGI: a block of variables and a body in, a CGI response out, and then the end.

Neither has a notion of a further request. Sources: uwsgi-docs, Protocol.rst; SCGI 1.0 (python.ca/scgi).
"""

import struct
from abc import abstractmethod
from collections.abc import Iterator, Mapping

from backends.protocols.behaviour import Behaviour
from backends.protocols.responder import PeerError, Responder, Response, cgi_head

_UWSGI = struct.Struct("<BHB")  # modifier1, size of the variables, modifier2
_LONGEST_NETSTRING = 7  # digits: nginx sends some kilobytes


class Gateway(Responder):
    """Answers one request, and closes."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._buffer = b""
        self._is_answered = False

    def feed(self, data: bytes) -> Iterator[Response]:
        """Yield the response once the request is whole."""
        self._buffer += data
        read = None if self._is_answered else self._variables()
        if read is None:
            return
        variables, start = read
        length = variables.get(b"CONTENT_LENGTH", b"") or b"0"
        if not length.isdigit():
            raise PeerError(f"CONTENT_LENGTH {length!r} is no number")
        if len(self._buffer) >= start + int(length):
            self._is_answered = True
            yield Response(self._response(), stays=False)

    def _response(self) -> bytes:
        status, body = self._behaviour.status, self._behaviour.content
        if status == 204:
            return cgi_head(status) + b"\r\n"
        fields = b"Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
        return cgi_head(status) + fields + body

    @abstractmethod
    def _variables(self) -> tuple[Mapping[bytes, bytes], int] | None:
        """Return the variables and where the body starts, or None while they are not whole."""


class Uwsgi(Gateway):
    """The uwsgi protocol: sizes before names and values."""

    def _variables(self) -> tuple[Mapping[bytes, bytes], int] | None:
        if len(self._buffer) < _UWSGI.size:
            return None
        _, size, _ = _UWSGI.unpack_from(self._buffer)
        end = _UWSGI.size + size
        if len(self._buffer) < end:
            return None
        words, at = [], _UWSGI.size
        while at < end:
            length = int.from_bytes(self._buffer[at : at + 2], "little")
            words.append(self._buffer[at + 2 : at + 2 + length])
            at += 2 + length
        if at != end or len(words) % 2:
            raise PeerError("the variables of a uwsgi request do not fill their block")
        return dict(zip(words[::2], words[1::2], strict=True)), end


class Scgi(Gateway):
    """SCGI: a netstring of names and values, each ended by a NUL."""

    def _variables(self) -> tuple[Mapping[bytes, bytes], int] | None:
        digits, colon, rest = self._buffer.partition(b":")
        if not colon and len(digits) <= _LONGEST_NETSTRING:
            return None
        if not digits.isdigit() or len(digits) > _LONGEST_NETSTRING:
            raise PeerError(f"{digits[:20]!r} does not begin a netstring")
        size = int(digits)
        if len(rest) <= size:
            return None
        if rest[size : size + 1] != b",":
            raise PeerError("the netstring of an SCGI request does not end in a comma")
        words = rest[:size].split(b"\0")[:-1]
        return dict(zip(words[::2], words[1::2], strict=False)), len(digits) + 1 + size + 1
