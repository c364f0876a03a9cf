"""A server on 127.0.0.1 or on a Unix socket that answers each request with the next of its answers."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PATIENCE_S = 60


def http(body: bytes | str, status: str = "200 OK", extra: str = "") -> bytes:
    """Return a response with a length."""
    raw = body.encode() if isinstance(body, str) else body
    return f"HTTP/1.1 {status}\r\n{extra}Content-Length: {len(raw)}\r\n\r\n".encode() + raw


@dataclass
class ScriptedServer:
    """Answers requests, each of which ends with `end`, in order; an empty answer ends the connection."""

    answers: list[bytes]
    end: bytes
    listener: socket.socket
    where: str
    """HOST:PORT, or a path."""
    closes: bool = False
    """It ends each connection behind one answer."""
    requests: list[bytes] = field(default_factory=list)
    accepted: int = 0
    _open: list[socket.socket] = field(default_factory=list)

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            received = b""
            while more := connection.recv(65536):
                received += more
                while self.end in received:
                    request, _, received = received.partition(self.end)
                    self.requests.append(request)
                    answer = self.answers.pop(0)
                    connection.sendall(answer)
                    if not answer or self.closes:
                        return

    def stop(self) -> None:
        for each in (self.listener, *self._open):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


@contextlib.contextmanager
def scripted(
    answers: Sequence[bytes], end: bytes = b"\r\n\r\n", *, path: Path | None = None, closes: bool = False
) -> Iterator[ScriptedServer]:
    """Run a scripted server, on a Unix socket where a path is given."""
    if path is None:
        listener = socket.create_server(("127.0.0.1", 0))
    else:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
    where = "{}:{}".format(*listener.getsockname()) if path is None else str(path)
    server = ScriptedServer(list(answers), end, listener, where, closes)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(_PATIENCE_S)
