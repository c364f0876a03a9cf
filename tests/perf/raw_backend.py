"""The upstream of the shapes: it answers with exact bytes, at the least cost, on a plain epoll loop.

`python -m tests.perf.raw_backend --unix PATH` listens on 127.0.0.1, on ::1 where there is one, and on
PATH. It obeys `count`, `stop`, and `shape` with the `name` of a shape of the table and with `closes`:
whether each response ends its connection, and with `echoes`: whether it carries the X-Bench-Id of its
request, which then comes alone. It is no server for anything else: requests are framed, but
not checked.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle

from tests.perf.framing import whole_requests
from tests.perf.shapes import ECHO, SHAPES

_IDENTITY = re.compile(rb"\r\nX-Bench-Id: ([^\r]*)")
_READ_BYTES = 1 << 18
_EVENTS = 256
_STDIN = 0


class Server:
    """Connections as file descriptors, and what is kept of a few: what came early or could not leave."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._early: dict[int, bytes] = {}
        self._late: dict[int, bytes] = {}
        self._ending: set[int] = set()
        self._responses: Iterator[tuple[bytes, ...]] = iter(())
        self._closes = self._echoes = False
        self._accepted = self._requests = self._closed_first = 0

    def listen(self, listener: socket.socket) -> None:
        """Accept what connects to `listener`."""
        listener.setblocking(False)
        if listener.family != socket.AF_UNIX:
            # Accepted connections inherit it, and each piece of a response leaves at once.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.listen(4096)
        self._listeners[listener.fileno()] = listener
        self._poll.register(listener, select.EPOLLIN)

    def shape(self, name: str, closes: bool, echoes: bool) -> None:
        """Answer from now on with the responses of a shape."""
        self._responses = cycle(SHAPES[name].responses(closes, echoes))
        self._closes = closes or SHAPES[name].closes
        self._echoes = echoes

    def count(self, event: str) -> dict[str, object]:
        """Return what was counted so far, as an event."""
        counts = {
            "accepted": self._accepted,
            "requests": self._requests,
            "closed_first": self._closed_first,
        }
        return {"event": event, **counts}

    def run(self) -> None:
        """Serve until told to stop, or until stdin ends."""
        self._poll.register(_STDIN, select.EPOLLIN)
        while True:
            for fd, event in self._poll.poll(-1, _EVENTS):
                if fd in self._listeners:
                    self._accept(self._listeners[fd])
                elif fd == _STDIN:
                    if not self._obey():
                        return
                elif event & select.EPOLLOUT:
                    self._resume(fd)
                else:
                    self._read(fd)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                connection.setblocking(False)
                self._accepted += 1
                self._poll.register(connection.detach(), select.EPOLLIN)

    def _read(self, fd: int) -> None:
        try:
            data = os.read(fd, _READ_BYTES)
        except (ConnectionError, BlockingIOError):
            data = b""
        if not data:
            self._close(fd)
            return
        if self._early:
            data = self._early.pop(fd, b"") + data
        count, size = whole_requests(data)
        if size < len(data):
            self._early[fd] = data[size:]
        for _ in range(count):
            self._requests += 1
            pieces = next(self._responses)
            if self._echoes and (identity := _IDENTITY.search(data)):
                pieces = tuple(piece.replace(ECHO, identity[1]) for piece in pieces)
            for piece in pieces:
                self._write(fd, piece)
            if self._closes:
                self._end(fd)
                return

    def _write(self, fd: int, data: bytes) -> None:
        """Send; what the socket does not take is sent when it can."""
        if fd in self._late:
            self._late[fd] += data
            return
        try:
            sent = os.write(fd, data)
        except BlockingIOError:
            sent = 0
        except ConnectionError:
            return  # the next read says so too
        if sent < len(data):
            self._late[fd] = data[sent:]
            self._poll.modify(fd, select.EPOLLOUT)

    def _resume(self, fd: int) -> None:
        """Send what is left; then read on, or end."""
        self._write(fd, self._late.pop(fd))
        if fd in self._late:
            return
        if fd in self._ending:
            self._close(fd)
        else:
            self._poll.modify(fd, select.EPOLLIN)

    def _end(self, fd: int) -> None:
        """Close once everything is sent."""
        self._closed_first += 1
        if fd in self._late:
            self._ending.add(fd)
        else:
            self._close(fd)

    def _close(self, fd: int) -> None:
        self._early.pop(fd, None)
        self._late.pop(fd, None)
        self._ending.discard(fd)
        os.close(fd)

    def _obey(self) -> bool:
        """Do what the lines on stdin ask; return False once they are to be the last."""
        lines = os.read(_STDIN, 65_536)
        for line in lines.splitlines():
            command = json.loads(line)
            if command["command"] == "stop":
                _say(self.count("done"))
                return False
            if command["command"] == "shape":
                self.shape(command["name"], command["closes"], command["echoes"])
            _say(self.count(command["command"]))
        return bool(lines)


def _say(event: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(event) + "\n")
    sys.stdout.flush()


def _listeners(unix: str) -> Iterator[tuple[str, socket.socket]]:
    """Yield the sockets to listen on, each with its address; it is empty where there is no IPv6."""
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "[::1]")):
        listener = socket.socket(family)
        try:
            listener.bind((host.strip("[]"), 0))
        except OSError:
            yield "", listener
        else:
            yield f"{host}:{listener.getsockname()[1]}", listener
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(unix)
    yield f"unix:{unix}", listener


def main() -> None:
    """Serve the first shape of the table, until told otherwise."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--unix", required=True, help="the path of its third address")
    server, addresses = Server(), []
    for address, listener in _listeners(parser.parse_args().unix):
        addresses.append(address)
        if address:
            server.listen(listener)
    server.shape(next(iter(SHAPES)), False, False)
    _say({"event": "ready", "role": "backend", "pid": os.getpid(), "listen": addresses})
    server.run()


if __name__ == "__main__":
    main()
