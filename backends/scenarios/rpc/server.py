"""`python -m backends.scenarios.rpc.server`: a provider of remote calls, as Dubbo.

Each call is answered when it is done. Dubbo's frames have 16 bytes before each message, whose number assigns
an answer to its call. Source: the protocol's reference,
https://dubbo.apache.org/en/overview/reference/protocols/tcp/. The body is Hessian there; here it has how
long the answer takes and how long it is. `--ordered` answers the calls of a connection in their order, as an
HTTP/1.1 server does.
"""

import argparse
import asyncio
import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from backends.role.backend import Backend, CountedConnection
from backends.role.command_line import run_server, server_parser
from backends.role.counters import Counters

_HEADER = struct.Struct(">HBBQI")
_BODY = struct.Struct(">II")
_MAGIC = 0xDABB
_REQUEST_FLAG = 0x80
_OK = 20
BODY_MAX = 8 * 1024 * 1024
"""Dubbo's default limit of a message's body."""


class CallError(Exception):
    """The bytes are no call."""


class Call(NamedTuple):
    """One call: its number, how long its answer takes, and how long it is."""

    number: int
    takes_ms: int
    answer_bytes: int


class CallReader:
    """Cuts a connection's bytes into calls."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> Iterator[Call]:
        """Yield the calls that are whole now; CallError where the bytes are none."""
        self._buffer = self._buffer + data if self._buffer else data
        at = 0
        while len(self._buffer) - at >= _HEADER.size:
            magic, flag, _, number, length = _HEADER.unpack_from(self._buffer, at)
            if magic != _MAGIC or not flag & _REQUEST_FLAG or not _BODY.size <= length <= BODY_MAX:
                raise CallError(f"no call: magic {magic:#x}, flag {flag:#x}, {length} bytes")
            end = at + _HEADER.size + length
            if len(self._buffer) < end:
                break
            takes_ms, answer_bytes = _BODY.unpack_from(self._buffer, at + _HEADER.size)
            if answer_bytes > BODY_MAX:
                raise CallError(f"an answer of {answer_bytes} bytes is more than {BODY_MAX}")
            yield Call(number, takes_ms, answer_bytes)
            at = end
        self._buffer = self._buffer[at:]


def frame_answer(call: Call) -> bytes:
    """Return the whole answer to a call."""
    return _HEADER.pack(_MAGIC, 0, _OK, call.number, call.answer_bytes) + bytes(call.answer_bytes)


class CallConnection(CountedConnection):
    """One consumer's connection. In order, calls wait for the one before them; else none waits."""

    def __init__(self, backend: Backend, *, is_ordered: bool) -> None:
        super().__init__(backend)
        self._is_ordered = is_ordered
        self._reader = CallReader()
        self._waiting: deque[Call] = deque()
        self._is_busy = False

    def data_received(self, data: bytes) -> None:
        """Answer the calls that are whole, at their time."""
        try:
            for call in self._reader.feed(data):
                self._begin(call)
        except CallError:
            self.counters.errors.protocol += 1
            self.transport.close()

    def _begin(self, call: Call) -> None:
        if self._is_busy:
            self._waiting.append(call)
        elif call.takes_ms == 0:
            self._answer(call)
        else:
            self._is_busy = self._is_ordered
            asyncio.get_running_loop().call_later(call.takes_ms / 1000, self._finish, call)

    def _finish(self, call: Call) -> None:
        self._answer(call)
        self._is_busy = False
        while self._waiting and not self._is_busy:
            self._begin(self._waiting.popleft())

    def _answer(self, call: Call) -> None:
        if not self.transport.is_closing():
            self.transport.write(frame_answer(call))
            self.counters.requests += 1


async def _make(given: argparse.Namespace) -> Backend:
    return Backend(Counters(), lambda backend: CallConnection(backend, is_ordered=given.ordered))


if __name__ == "__main__":
    parser = server_parser("backends.scenarios.rpc.server", "A provider of remote calls, as Dubbo.")
    parser.add_argument("--ordered", action="store_true", help="answer the calls of a connection in order")
    run_server(parser, _make)
