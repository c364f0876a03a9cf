"""An upstream that never stops: `/flood/KIND` is answered without end, `/sink` is not even read.

`python -m tests.attacks.flood_upstream` prints one event, `ready`, and serves until it is killed.
"""

from __future__ import annotations

import json
import os
import socket
from urllib.parse import unquote

from tests.attacks.upstream import GOOD, OK, Upstream

_CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
_SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: flood\r\n\r\n"
FLOODS = {
    "length": (OK + b"Content-Length: 1000000000000\r\n\r\n", b"f" * 65_536),
    "chunks": (_CHUNKED, (b"%x\r\n" % 8192 + b"f" * 8192 + b"\r\n") * 8),
    "tiny chunks": (_CHUNKED, b"1\r\nf\r\n" * 10_000),
    "until close": (OK + b"\r\n", b"f" * 65_536),
    "interim responses": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </f>\r\n\r\n" * 1000),
    "tunnel": (_SWITCH, b"f" * 65_536),
    "head": (OK, b"X-Flood: " + b"f" * 1000 + b"\r\n"),
}
"""What begins each flood, and what goes on without end."""


def main() -> None:
    """Serve each connection in a thread."""
    upstream = Upstream(_answer)
    ready = {"event": "ready", "role": "upstream", "pid": os.getpid(), "listen": [upstream.address]}
    print(json.dumps(ready), flush=True)  # noqa: T201 - the events of a role
    upstream.serve()


def _answer(connection: socket.socket, target: str) -> None:
    if not target.startswith("/flood/"):
        connection.sendall(GOOD)
        return
    first, then = FLOODS[unquote(target.removeprefix("/flood/"))]
    connection.sendall(first)
    while True:
        connection.sendall(then)


if __name__ == "__main__":
    main()
