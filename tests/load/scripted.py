"""A scripted server: real sockets, one thread per connection."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.load import http11

BODY = http11.pattern(5)


@dataclass(frozen=True)
class Request:
    """One request as it came: `number` counts all requests of the server from 0."""

    number: int
    head: bytes

    @property
    def identity(self) -> bytes:
        """Return its X-Bench-Id."""
        match = re.search(rb"X-Bench-Id: (.*)\r\n", self.head)
        assert match is not None
        return match[1]


class Conversation:
    """One accepted connection."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self._server = server
        self.sock = sock

    def requests(self) -> Iterator[Request]:
        """Yield the requests that come, until the client closes."""
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                try:
                    data = self.sock.recv(65_536)
                except OSError:
                    return
                if not data:
                    self._server.closed_by_client += 1
                    return
                pending += data
            head, _, pending = pending.partition(b"\r\n\r\n")
            yield self.count(head + b"\r\n\r\n")

    def count(self, head: bytes) -> Request:
        """Number a request, and keep it."""
        return self._server.count(head)

    def send(self, data: bytes) -> None:
        """Send bytes; ignore a client that has gone."""
        try:
            self.sock.sendall(data)
        except OSError:
            self._server.failed_sends += 1

    def reset(self) -> None:
        """End the connection with a RST instead of a FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Script = Callable[[Conversation], None]


@dataclass
class Server:
    """The server and what it has received."""

    port: int = 0
    accepted: int = 0
    closed_by_client: int = 0
    failed_sends: int = 0
    failed_handshakes: int = 0
    seen: list[Request] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, head: bytes) -> Request:
        """Number the request and keep it."""
        with self._lock:
            request = Request(len(self.seen), head)
            self.seen.append(request)
        return request


def answer(request: Request, body: bytes = BODY, more: bytes = b"") -> bytes:
    """Return the correct answer to `request`, with `more` field lines."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Bench-Id: %b\r\n" % (len(body), request.identity)
    return head + more + b"\r\n" + body


def answering(reply: Callable[[Request], bytes]) -> Script:
    """Return a script that sends `reply` to each request and keeps the connection."""

    def script(conversation: Conversation) -> None:
        for request in conversation.requests():
            conversation.send(reply(request))

    return script


@contextmanager
def serving(script: Script, context: ssl.SSLContext | None = None) -> Iterator[Server]:
    """Run a server, with TLS where there is a context; at the end, wait for all its conversations."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = Server(port=listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def converse(sock: socket.socket) -> None:
        with sock:
            if context is None:
                script(Conversation(server, sock))
                return
            try:
                wrapped = context.wrap_socket(sock, server_side=True)
            except OSError:
                server.failed_handshakes += 1
                return
            with wrapped:
                script(Conversation(server, wrapped))

    def accept() -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            server.accepted += 1
            threads.append(threading.Thread(target=converse, args=(sock,)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield server
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        for thread in threads:
            thread.join()
