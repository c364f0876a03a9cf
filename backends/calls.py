"""Calls as Dubbo frames them: 16 bytes before each message, whose number tells which answer is whose. Pure.

Source: the protocol's reference, https://dubbo.apache.org/en/overview/reference/protocols/tcp/. The body is
Hessian there; here it says how long the answer takes and how long it is.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

_HEADER: Final = struct.Struct(">HBBQI")
_WISH: Final = struct.Struct(">II")
_MAGIC: Final = 0xDABB
_REQUEST_FLAG: Final = 0x80
_OK: Final = 20
BODY_MAX: Final = 8 * 1024 * 1024
"""Dubbo's default limit of a message's body."""


class CallError(Exception):
    """The bytes are no call."""


class Call(NamedTuple):
    """What a consumer calls for."""

    number: int
    takes_ms: int
    answer_bytes: int


class Reader:
    """Cuts a connection's bytes into calls."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Call]:
        """Yield the calls that are whole now; CallError where the bytes are none."""
        self._buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            magic, flag, _, number, length = _HEADER.unpack_from(self._buffer, at)
            if magic != _MAGIC or not flag & _REQUEST_FLAG or not _WISH.size <= length <= BODY_MAX:
                raise CallError(f"no call: magic {magic:#x}, flag {flag:#x}, {length} bytes")
            end = at + _HEADER.size + length
            if len(self._buffer) < end:
                break
            takes_ms, answer_bytes = _WISH.unpack_from(self._buffer, at + _HEADER.size)
            if answer_bytes > BODY_MAX:
                raise CallError(f"an answer of {answer_bytes} bytes is more than {BODY_MAX}")
            yield Call(number, takes_ms, answer_bytes)
            at = end
        self._buffer = self._buffer[at:]


def answer(call: Call) -> bytes:
    """Return the whole answer to a call."""
    return _HEADER.pack(_MAGIC, 0, _OK, call.number, call.answer_bytes) + bytes(call.answer_bytes)
