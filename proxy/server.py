"""One worker: listens, sweeps, obeys commands and signals, drains. No HTTP, no other processes."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
import traceback
from typing import Any

from proxy import memory
from proxy.client import ClientConnection
from proxy.control import Control, Emit
from proxy.counters import Counters
from proxy.errors import ListenError
from proxy.poller import IN, Poller, Watcher
from proxy.service import Service
from proxy.settings import Settings, format_address, is_ipv6
from proxy.transport import Transport

SWEEP_S = 1.0
"""Time between two looks at what has taken too long: no exchange sets a timer of its own."""
BACKLOG = 4096
ACCEPTS = 64
"""The most clients accepted in a turn: those who are there already wait no longer than that."""

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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
        sock.setblocking(False)
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
    _Worker(settings, sock, emit).run(commands)


class _Worker:
    """One worker: it serves, drains, and has ended."""

    def __init__(self, settings: Settings, sock: socket.socket, emit: Emit) -> None:
        self._settings = settings
        self._sock = sock
        self._emit = emit
        self._counters = Counters()
        self._poller = Poller()
        self._service = Service(settings, self._counters, self._poller)
        self._door = _Door(sock, self._service)
        self._drained_by = 0.0
        # A backend's idle timeout may be hardly longer than the pool's: that one is kept to a quarter.
        self._sweep_s = min(SWEEP_S, settings.limits.shortest_s / 2, settings.pool_idle_timeout_s / 4)

    def run(self, commands: int | None) -> None:
        poller = self._poller
        if commands is not None:
            Control(self._command, poller.stop).listen(poller, commands)
        poller.guard(end_one)
        poller.on_signals((signal.SIGTERM, signal.SIGINT), self._signalled)
        poller.every(self._sweep_s, self._tick)
        memory.settle()
        self._emit({"event": "ready", "listen": [format_address(self._sock.getsockname()[:2])]})
        poller.run()

    def _tick(self) -> None:
        self._service.sweep()
        if not self._service.draining:
            self._door.open()
        elif self._service.dispatcher.now >= self._drained_by:
            self._service.abort()
            self._end()

    def _command(self, command: dict[str, Any]) -> None:
        if command["command"] == "count":
            self._emit(self._counters.as_event("count"))
        elif command["command"] == "stop":
            self._drain()

    def _signalled(self) -> None:
        # The first signal drains, a second one ends at once.
        if self._service.draining:
            self._poller.stop()
        else:
            self._drain()

    def _drain(self) -> None:
        if self._service.draining:
            return
        self._door.close()
        self._drained_by = time.monotonic() + self._settings.limits.drain_timeout_s
        self._service.drain(self._end)

    def _end(self) -> None:
        if self._poller.is_running:
            self._emit(self._counters.as_event("done"))
            self._poller.stop()


def end_one(watcher: Watcher, error: Exception) -> None:
    """End the one connection that a bug of ours has hit, not the worker, which has others."""
    if not isinstance(watcher, Transport):
        raise error
    traceback.print_exception(error)
    watcher.abort()


class _Door:
    """The listening socket: lets clients in."""

    def __init__(self, sock: socket.socket, service: Service) -> None:
        self._sock = sock
        self._service = service
        self._is_shut = False
        service.poller.add(sock.fileno(), self)

    def read(self) -> None:
        """Let in who is waiting."""
        for _ in range(ACCEPTS):
            try:
                # What lies below accept(), which makes a socket of it in Python.
                descriptor, address = self._sock._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                # accept(2): errors of the new connection come here too, and then the next one may do better.
                if error.errno in _EXHAUSTED:
                    self._shut()
                    return
            else:
                self._let_in(descriptor, address[0])

    def ready(self, events: int) -> None:
        """Learn from accepting what it is."""
        self.read()

    def open(self) -> None:
        """Try again, when there was nothing left to accept with."""
        if self._is_shut:
            self._is_shut = False
            self._service.poller.change(self._sock.fileno(), IN)

    def close(self) -> None:
        """Let nobody in any more."""
        self._service.poller.remove(self._sock.fileno())
        self._sock.close()

    def _shut(self) -> None:
        self._is_shut = True
        self._service.poller.change(self._sock.fileno(), 0)

    def _let_in(self, descriptor: int, address: str) -> None:
        os.set_blocking(descriptor, False)
        client = ClientConnection(self._service, address)
        client.connection_made(Transport(self._service.poller, descriptor, client))
