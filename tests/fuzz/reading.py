"""The only file here that knows the proxy's readers: bytes in pieces to messages, and how a stream ends."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

from proxy.errors import ClientProtocolError, ProxyError, UpstreamProtocolError
from proxy.http11.chunked import ChunkedReader
from proxy.http11.grammar import CHUNKED, UNTIL_CLOSE
from proxy.http11.request import match_request, read_request
from proxy.http11.response import ResponseHead, match_response, read_response
from proxy.settings import Limits

LIMITS = Limits()
_Steps = Generator[None, bytes, None]


@dataclass(frozen=True, slots=True)
class Message:
    """One message that was read whole: `what` is a request's method, or a response's status."""

    what: bytes
    body: bytes
    is_local: bool = False
    """Whether the proxy answers it itself (Max-Forwards: 0)."""


@dataclass(slots=True)
class Reading:
    """The whole messages of one stream, and how it ends.

    `end`: `refused` with the status, `closed` after the last message, `between` two messages, or
    `incomplete`; of a response also `trailing`: more came than belongs to it.
    """

    messages: list[Message] = field(default_factory=list)
    end: str = "between"


def read_requests(pieces: Sequence[bytes]) -> Reading:
    """Read a client's stream as a connection does."""
    reading = Reading()
    return _drive(_requests(reading), reading, pieces, ClientProtocolError)


def read_response_to(method: bytes, pieces: Sequence[bytes]) -> Reading:
    """Read the answer to one request, interim responses first; a FIN ends the pieces."""
    reading = Reading()
    return _drive(_response(reading, method), reading, [*pieces, b""], UpstreamProtocolError)


def _drive(steps: _Steps, reading: Reading, pieces: Sequence[bytes], error: type[ProxyError]) -> Reading:
    try:
        next(steps)
        for piece in pieces:
            steps.send(piece)
    except StopIteration:
        pass
    except error as refusal:
        reading.end = f"refused {refusal.status}"
    return reading


def _requests(reading: Reading) -> _Steps:
    data = b""
    while True:
        while (head := read_request(data, LIMITS, 0, match_request(data))) is None:
            reading.end = "incomplete" if data.replace(b"\r\n", b"") else "between"
            data += yield
        reading.end = "incomplete"
        data = data[head.end :]
        if head.body == CHUNKED:
            chunks = ChunkedReader(ClientProtocolError, LIMITS)
            body = yield from _chunked(chunks, data, LIMITS.body_bytes)
            data = chunks.rest
        else:
            while len(data) < head.body:
                data += yield
            body, data = data[: head.body], data[head.body :]
        reading.messages.append(Message(head.method, body, head.max_forwards == 0))
        if not head.keep_alive:
            reading.end = "closed"
            return


def _response(reading: Reading, method: bytes) -> _Steps:
    reading.end = "incomplete"
    head, data = yield from _final_head(reading, method)
    if head is None:
        return
    body = b""
    if head.body == CHUNKED:
        chunks = ChunkedReader(UpstreamProtocolError, LIMITS)
        body = yield from _chunked(chunks, data)
        if not chunks.done:
            return
        data = chunks.rest
    elif head.body == UNTIL_CLOSE:
        while piece := (yield):
            data += piece
        body, data = data, b""
    else:
        while len(data) < head.body:
            piece = yield
            if not piece:
                return
            data += piece
        body, data = data[: head.body], data[head.body :]
    reading.messages.append(Message(b"%d" % head.status, body))
    reading.end = "closed"
    if data or (head.body != UNTIL_CLOSE and (yield)):
        reading.end = "trailing"


def _final_head(reading: Reading, method: bytes) -> Generator[None, bytes, tuple[ResponseHead | None, bytes]]:
    """Return the head of the final response and what came with it; no head where a FIN came first."""
    data = b""
    while True:
        while (head := read_response(data, LIMITS, match_response(data), to_head=method == b"HEAD")) is None:
            piece = yield
            if not piece:
                return None, b""
            data += piece
        data = data[head.end :]
        if head.status == 101:
            raise UpstreamProtocolError("a switch that nobody asked for")
        if head.status >= 200:
            return head, data
        reading.messages.append(Message(b"%d" % head.status, b""))


def _chunked(chunks: ChunkedReader, data: bytes, most: float = math.inf) -> Generator[None, bytes, bytes]:
    """Return the content once it is whole, or once a FIN (nothing) has come."""
    content = chunks.feed(data) if data else b""
    while not chunks.done:
        if chunks.announced > most:
            raise ClientProtocolError("a body that is too long", 413)
        data = yield
        if not data:
            break
        content += chunks.feed(data)
    return content
