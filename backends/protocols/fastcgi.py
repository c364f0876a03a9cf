"""FastCGI as a responder speaks it. Source: FastCGI Specification 1.0, sections 3.3, 5 and 8."""

import struct
from collections.abc import Iterator

from backends.protocols.behaviour import Behaviour
from backends.protocols.responder import PeerError, Responder, Response, cgi_head

_RECORD = struct.Struct(">BBHHBx")  # version, type, request id, content length, padding length
_BEGIN_REQUEST, _ABORT, _END_REQUEST, _PARAMS, _STDIN, _STDOUT = 1, 2, 3, 4, 5, 6
_KEEP_CONN = 1  # section 5.1: without this flag the application closes after the response


class FastCgi(Responder):
    """Answers each request once its FCGI_STDIN has ended."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._buffer = b""
        self._keeps: dict[int, bool] = {}

    def feed(self, data: bytes) -> Iterator[Response]:
        """Yield a response for each request that is whole now."""
        self._buffer += data
        while (record := self._record()) is not None:
            kind, request, content = record
            if kind == _BEGIN_REQUEST:
                if len(content) < 3:
                    raise PeerError("FCGI_BEGIN_REQUEST is too short")
                self._keeps[request] = bool(content[2] & _KEEP_CONN)
            elif request not in self._keeps:
                raise PeerError(f"record of type {kind} for request {request}, which has not begun")
            elif kind == _STDIN and not content:
                yield Response(self._answer(request), stays=self._keeps.pop(request))
            elif kind == _ABORT:
                yield Response(_end(request), requests=0, stays=self._keeps.pop(request))

    def _record(self) -> tuple[int, int, bytes] | None:
        if len(self._buffer) < _RECORD.size:
            return None
        version, kind, request, length, padding = _RECORD.unpack_from(self._buffer)
        if version != 1:
            raise PeerError(f"version {version} is not FastCGI 1")
        end = _RECORD.size + length + padding
        if len(self._buffer) < end:
            return None
        content = self._buffer[_RECORD.size : _RECORD.size + length]
        self._buffer = self._buffer[end:]
        return kind, request, content

    def _answer(self, request: int) -> bytes:
        head = cgi_head(self._behaviour.status)
        response = head + b"Content-Type: text/plain\r\n\r\n" + self._behaviour.content
        stdout = _record(_STDOUT, request, response) + _record(_STDOUT, request, b"")
        return stdout + _end(request)


def _record(kind: int, request: int, content: bytes) -> bytes:
    return _RECORD.pack(1, kind, request, len(content), 0) + content


def _end(request: int) -> bytes:
    return _record(_END_REQUEST, request, bytes(8))  # exit status 0, FCGI_REQUEST_COMPLETE
