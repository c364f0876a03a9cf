"""One worker: listens, sweeps, obeys commands and signals, drains. No HTTP, no other processes."""

from __future__ import annotations

import asyncio
import signal
import socket
from typing import Any

import uvloop

from proxy import memory
from proxy.control import Control, Emit
from proxy.counters import Counters
from proxy.errors import ListenError
from proxy.relay import ClientConnection
from proxy.service import Service
from proxy.settings import Settings, format_address, is_ipv6

SWEEP_S = 1.0
"""Time between two looks at what has taken too long: no exchange sets a timer of its own."""
BACKLOG = 4096


def listen(settings: Settings, port: int | None = None) -> socket.socket:
    """Return a listening socket; `port` stands in for that of the settings.

    Raises:
        ListenError: the address is taken, not ours, or not allowed.
    """
    host, asked_port = settings.listen
    sock = socket.socket(socket.AF_INET6 if is_ipv6(host) else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.workers > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # An accepted socket inherits this: a response must not wait for the client's delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((host, asked_port if port is None else port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        address = format_address(settings.listen)
        raise ListenError(f"cannot listen on {address}: {reason}; choose another address or port") from error
    return sock


def run(settings: Settings, sock: socket.socket, emit: Emit, commands: int | None) -> None:
    """Serve clients that come in on `sock` until told to stop.

    Args:
        emit: takes the events that the worker tells (docs/pipes.md).
        commands: a descriptor to read commands from, or None; its end ends the worker at once.
    """
    uvloop.run(_Worker(settings, sock, emit).run(commands))


class _Worker:
    """One worker, from `ready` to `done`."""

    def __init__(self, settings: Settings, sock: socket.socket, emit: Emit) -> None:
        self._settings = settings
        self._sock = sock
        self._emit = emit
        self._counters = Counters()
        self._drain = asyncio.Event()
        self._end = asyncio.Event()
        # A backend's idle timeout may be hardly longer than the pool's: that one is kept to a quarter.
        self._sweep_s = min(SWEEP_S, settings.limits.shortest_s / 2, settings.pool_idle_timeout_s / 4)

    async def run(self, commands: int | None) -> None:
        loop = asyncio.get_running_loop()
        service = Service(self._settings, self._counters, loop)
        if commands is not None:
            Control(self._command, self._end.set).listen(loop, commands)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._signalled)
        server = await loop.create_server(lambda: ClientConnection(service), sock=self._sock, backlog=BACKLOG)
        self._sweep(loop, service)
        memory.settle()
        self._emit({"event": "ready", "listen": [format_address(self._sock.getsockname()[:2])]})
        await _first(self._drain, self._end)
        server.close()
        if not self._end.is_set():
            service.drain()
            await _first(service.drained, self._end, timeout_s=self._settings.limits.drain_timeout_s)
            service.abort()
            await _first(service.drained, self._end, timeout_s=SWEEP_S)
            self._emit(self._counters.as_event("done"))

    def _sweep(self, loop: asyncio.AbstractEventLoop, service: Service) -> None:
        service.sweep()
        loop.call_later(self._sweep_s, self._sweep, loop, service)

    def _command(self, command: dict[str, Any]) -> None:
        if command["command"] == "count":
            self._emit(self._counters.as_event("count"))
        elif command["command"] == "stop":
            self._drain.set()

    def _signalled(self) -> None:
        # The first signal drains, a second one ends at once.
        (self._end if self._drain.is_set() else self._drain).set()


async def _first(*events: asyncio.Event, timeout_s: float | None = None) -> None:
    """Wait for one of `events`, or for the time to pass."""
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(tasks, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
