"""An upstream that never stops: `/flood/KIND` is answered without end, `/sink` is not even read.

`python -m tests.attacks.flood_upstream` prints one event, `ready`, and serves until it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading

_OK = b"HTTP/1.1 200 OK\r\n"
_GOOD = _OK + b"Content-Length: 2\r\n\r\n !"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
FLOODS = {
    "length": (_OK + b"Content-Length: 1000000000000\r\n\r\n", b"f" * 65_536),
    "chunks": (_OK + b"Transfer-Encoding: chunked\r\n\r\n", (b"%x\r\n" % 8192 + b"f" * 8192 + b"\r\n") * 8),
    "tiny chunks": (_OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nf\r\n" * 10_000),
    "until close": (_OK + b"\r\n", b"f" * 65_536),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </f>\r\n\r\n" * 1000),
    "tunnel": (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: flood\r\n\r\n",
        b"f" * 65_536,
    ),
    "head": (_OK, b"X-Flood: " + b"f" * 1000 + b"\r\n"),
}


def main() -> None:
    """Serve each connection in a thread."""
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    host, port = server.getsockname()
    ready = {"event": "ready", "role": "upstream", "pid": os.getpid(), "listen": [f"{host}:{port}"]}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the events of a role
    while True:
        connection, _ = server.accept()
        threading.Thread(target=_serve, args=(connection,), daemon=True).start()


def _serve(connection: socket.socket) -> None:
    unread = b""
    with connection, contextlib.suppress(ConnectionError):
        while True:
            while b"\r\n\r\n" not in unread:
                data = connection.recv(65_536)
                if not data:
                    return
                unread += data
            head, _, unread = unread.partition(b"\r\n\r\n")
            target = head.split(b" ")[1].decode().replace("%20", " ")
            if target == "/sink":
                threading.Event().wait()
            if target.startswith("/flood/"):
                _flood(connection, target.removeprefix("/flood/"))
            unread = _skip_body(connection, head, unread)
            connection.sendall(_GOOD)


def _flood(connection: socket.socket, kind: str) -> None:
    first, then = FLOODS[kind]
    connection.sendall(first)
    while True:
        connection.sendall(then)


def _skip_body(connection: socket.socket, head: bytes, unread: bytes) -> bytes:
    """Read a body with a length, or one in chunks as far as its end can be seen; return what follows."""
    if length := _LENGTH.search(head):
        left = int(length[1]) - len(unread)
        while left > 0:
            data = connection.recv(65_536)
            if not data:
                raise ConnectionResetError
            unread, left = data, left - len(data)
        return unread[len(unread) + left :]
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        while not unread.endswith(b"0\r\n\r\n"):
            data = connection.recv(65_536)
            if not data:
                raise ConnectionResetError
            unread = unread[-4:] + data
        return b""
    return unread


if __name__ == "__main__":
    main()
