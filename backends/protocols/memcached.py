"""memcached's text protocol, as far as nginx speaks it: every key that is requested is there.

Source: memcached, doc/protocol.txt.
"""

from collections.abc import Iterator

from backends.protocols.behaviour import Behaviour
from backends.protocols.responder import PeerError, Responder, Response

_LONGEST_LINE = 2048


class Memcached(Responder):
    """Answers each `get`; never closes by itself."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Response]:
        """Yield the responses to the lines that are whole now."""
        *lines, self._buffer = (self._buffer + data).split(b"\r\n")
        if len(self._buffer) > _LONGEST_LINE:
            raise PeerError("a line without end")
        for line in lines:
            command, _, keys = line.partition(b" ")
            if command not in (b"get", b"gets") or not keys:
                raise PeerError(f"{line[:40]!r} is no get")
            body = self._behaviour.content
            values = (b"VALUE %b 0 %d\r\n%b\r\n" % (key, len(body), body) for key in keys.split())
            yield Response(b"".join(values) + b"END\r\n")
