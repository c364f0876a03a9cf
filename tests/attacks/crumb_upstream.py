"""An upstream whose responses come in crumbs where the target asks for it: `/crumbs/KIND/SIZE`.

`python -m tests.attacks.crumb_upstream` prints one event, `ready`, and serves until it is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time
from urllib.parse import unquote

from tests.attacks.crumb_messages import PAUSE_S, RESPONSES

_GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n !"


def main() -> None:
    """Serve each connection in a thread."""
    server = socket.create_server(("127.0.0.1", 0), backlog=128)
    host, port = server.getsockname()
    ready = {"event": "ready", "role": "upstream", "pid": os.getpid(), "listen": [f"{host}:{port}"]}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the events of a role
    while True:
        connection, _ = server.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
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
            _answer(connection, head.split(b" ")[1].decode())


def _answer(connection: socket.socket, target: str) -> None:
    _, first, *rest = target.split("/")
    if first != "crumbs":
        connection.sendall(_GOOD)
        return
    kind, size = rest
    message = RESPONSES[unquote(kind)](int(size))
    connection.sendall(message.before)
    for at in range(len(message.crumbs)):
        connection.send(message.crumbs[at : at + 1])
        time.sleep(PAUSE_S)
    connection.sendall(message.after)


if __name__ == "__main__":
    main()
