"""What the servers of labs do with a connection: each uses it in one known way.

A request is one segment, and so is the answer.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send an RST (socket(7))."""


async def keeps(far: socket.socket) -> None:
    """Answer every request until the client closes."""
    while await _receive(far):
        await _answer(far)


async def keeps_slowly(far: socket.socket) -> None:
    """Do the same, each answer after 20 ms."""
    while await _receive(far):
        await asyncio.sleep(0.02)
        await _answer(far)


async def closes(far: socket.socket) -> None:
    """Answer one request and close."""
    await _receive(far)
    await _answer(far)


async def ends_idle(far: socket.socket) -> None:
    """Answer until there is no request for two seconds."""
    with suppress(TimeoutError):
        while await asyncio.wait_for(_receive(far), 2.0):
            await _answer(far)


async def ends_idle_soon(far: socket.socket) -> None:
    """Answer until there is no request for 1.2 seconds."""
    with suppress(TimeoutError):
        while await asyncio.wait_for(_receive(far), 1.2):
            await _answer(far)


async def answers_and_ends(far: socket.socket) -> None:
    """Answer two requests and close, be the second one complete or not; or close after 1.2 seconds."""
    with suppress(TimeoutError):
        for _ in range(2):
            if await asyncio.wait_for(_receive(far), 1.2):
                await _answer(far)


async def forgets_idle(far: socket.socket) -> None:
    """Answer one request; the next one, after the connection was idle, meets an RST."""
    await _receive(far)
    await _answer(far)
    if await _receive(far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def pushes(far: socket.socket) -> None:
    """Send an event every tenth of a second, once the client has asked."""
    await _receive(far)
    while True:
        await _answer(far)
        await asyncio.sleep(0.1)


async def _receive(far: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(far, 4096)


async def _answer(far: socket.socket) -> None:
    await asyncio.get_running_loop().sock_sendall(far, b"!")
