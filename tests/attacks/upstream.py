"""An upstream in threads: it reads whole requests, and answers each in the way of the attack at hand."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
from collections.abc import Callable

Answer = Callable[[socket.socket, str], None]
"""Answers a request for a target on a connection, the body of the request still unread."""
OK = b"HTTP/1.1 200 OK\r\n"
GOOD = OK + b"Content-Length: 2\r\n\r\n !"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Upstream:
    """A listening socket and a thread for each connection; `address` is HOST:PORT."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=128)
        host, port = self._sock.getsockname()
        self.address = f"{host}:{port}"

    def serve(self) -> None:
        """Accept until closed."""
        while True:
            try:
                connection, _ = self._sock.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Accept no more; connections end with the proxy."""
        self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()

    def _talk(self, connection: socket.socket) -> None:
        unread = b""
        # What a proxy that is killed leaves behind is no fault of ours.
        with connection, contextlib.suppress(ConnectionError):
            while True:
                while b"\r\n\r\n" not in unread:
                    unread += _receive(connection)
                head, _, unread = unread.partition(b"\r\n\r\n")
                target = head.split(b" ")[1].decode()
                if target == "/sink":
                    threading.Event().wait()
                unread = _skip_body(connection, head, unread)
                self._answer(connection, target)


def _receive(connection: socket.socket) -> bytes:
    data = connection.recv(65_536)
    if not data:
        raise ConnectionResetError
    return data


def _skip_body(connection: socket.socket, head: bytes, unread: bytes) -> bytes:
    """Read a body with a length, or one in chunks to its end; return what follows."""
    if length := _LENGTH.search(head):
        left = int(length[1]) - len(unread)
        while left > 0:
            unread = _receive(connection)
            left -= len(unread)
        return unread[len(unread) + left :]
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        # The proxy writes its last chunk itself, and nothing after it: it waits for the answer.
        while not unread.endswith(b"0\r\n\r\n"):
            unread = unread[-4:] + _receive(connection)
        return b""
    return unread
