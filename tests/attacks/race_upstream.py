"""An upstream that closes each connection once it has been idle for so long, and counts what it was sent.

`python -m tests.attacks.race_upstream IDLE_S` prints `ready`; for each command it prints how many requests
for `/race/...` came whole, and how many of their targets came more than once.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections import Counter
from typing import cast

import uvloop

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n !"


class _Connection(asyncio.Protocol):
    """One connection; requests have no body, or one of a length that comes with the head."""

    def __init__(self, idle_s: float, seen: Counter[bytes]) -> None:
        self._idle_s = idle_s
        self._seen = seen
        self._unread = b""
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._unread += data
        head, end, body = self._unread.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        if not end or len(body) < length:
            return
        self._unread = body[length:]
        target = head.split(b" ", 2)[1]
        if target.startswith(b"/race/"):
            self._seen[target] += 1
        self._transport.write(_ANSWER)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._idle_s, self._transport.close)

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()


async def _serve(idle_s: float) -> None:
    loop, seen = asyncio.get_running_loop(), Counter[bytes]()
    server = await loop.create_server(lambda: _Connection(idle_s, seen), "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    _tell({"event": "ready", "role": "upstream", "pid": os.getpid(), "listen": [f"{host}:{port}"]})
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while await commands.readline():
        twice = sum(times > 1 for times in seen.values())
        _tell({"event": "count", "requests": seen.total(), "twice": twice})


def _tell(event: dict[str, object]) -> None:
    print(json.dumps(event), flush=True)  # noqa: T201 - the events of a role


if __name__ == "__main__":
    uvloop.run(_serve(float(sys.argv[1])))
