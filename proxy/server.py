"""One worker process: listens, sweeps, follows commands and signals, drains."""

import ctypes
import errno
import gc
import os
import signal
import socket
import time
import traceback
from typing import Any

from proxy.client import ClientConnection
from proxy.control import CommandReader, Emit
from proxy.counters import Counters
from proxy.errors import ListenError
from proxy.poller import READABLE, EventHandler, Poller
from proxy.settings import Settings, format_address, is_ipv6
from proxy.transport import Transport
from proxy.worker_context import WorkerContext

SWEEP_S = 1.0
"""Time between two sweeps for expired deadlines: no exchange sets a timer of its own."""
BACKLOG = 4096
MAX_ACCEPTS = 64
"""Clients accepted per iteration: bounds the wait of existing connections."""

# malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 8 << 20

_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


def listen(settings: Settings, port: int | None = None) -> socket.socket:
    """Return a listening socket; `port` overrides that of the settings.

    Raises:
        ListenError: the address is in use, not local, or not allowed.
    """
    host, settings_port = settings.listen
    sock = socket.socket(socket.AF_INET6 if is_ipv6(host) else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if settings.workers > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # An accepted socket inherits this: a response must not wait for the client's delayed ACK.
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setblocking(False)
        sock.bind((host, settings_port if port is None else port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        reason = (error.strerror or str(error)).lower()
        address = format_address(settings.listen)
        raise ListenError(f"cannot listen on {address}: {reason}; choose another address or port") from error
    return sock


def run(settings: Settings, sock: socket.socket, emit: Emit, commands: int | None) -> None:
    """Serve the clients of `sock` until stopped.

    Args:
        emit: writes the worker's events (docs/pipes.md).
        commands: a descriptor to read commands from, or None; its end ends the worker at once.
    """
    _Worker(settings, sock, emit).run(commands)


class _Worker:
    """One worker: serves, drains, ends."""

    def __init__(self, settings: Settings, sock: socket.socket, emit: Emit) -> None:
        self._settings = settings
        self._sock = sock
        self._emit = emit
        self._counters = Counters()
        self._poller = Poller()
        self._context = WorkerContext(settings, self._counters, self._poller)
        self._listener = _Listener(sock, self._context)
        self._drain_deadline = 0.0
        # A backend's idle timeout may be hardly longer than the pool's: sweep four times within the latter.
        self._sweep_s = min(SWEEP_S, settings.limits.shortest_s / 2, settings.pool_idle_timeout_s / 4)

    def run(self, commands: int | None) -> None:
        """Serve until stopped."""
        poller = self._poller
        if commands is not None:
            CommandReader(self._on_command, poller.stop).listen(poller, commands)
        poller.set_error_handler(abort_connection)
        poller.on_signals((signal.SIGTERM, signal.SIGINT), self._on_signal)
        poller.set_tick(self._sweep_s, self._tick)
        _tune_memory()
        self._emit({"event": "ready", "listen": [format_address(self._sock.getsockname()[:2])]})
        poller.run()

    def _tick(self) -> None:
        self._context.sweep()
        if not self._context.draining:
            self._listener.resume()
        elif self._context.dispatcher.now >= self._drain_deadline:
            self._context.abort()
            self._finish()

    def _on_command(self, command: dict[str, Any]) -> None:
        if command["command"] == "count":
            self._emit(self._counters.to_event("count"))
        elif command["command"] == "stop":
            self._drain()

    def _on_signal(self) -> None:
        # The first signal drains, a second one ends at once.
        if self._context.draining:
            self._poller.stop()
        else:
            self._drain()

    def _drain(self) -> None:
        if self._context.draining:
            return
        self._listener.close()
        self._drain_deadline = time.monotonic() + self._settings.limits.drain_timeout_s
        self._context.drain(self._finish)

    def _finish(self) -> None:
        if self._poller.is_running:
            self._emit(self._counters.to_event("done"))
            self._poller.stop()


def _tune_memory() -> None:
    """Exclude loaded modules from garbage collection, collect rarely, and keep freed buffers.

    An exchange leaves no reference cycles, a connection does: a collection per 50,000 objects costs little
    and bounds what they occupy. By default glibc returns each large read buffer to the kernel at once, so
    that every body pays for its pages again.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def abort_connection(handler: EventHandler, error: Exception) -> None:
    """Abort the connection that hit a bug of the proxy; the worker's other connections go on."""
    if not isinstance(handler, Transport):
        raise error
    traceback.print_exception(error)
    handler.abort()


class _Listener:
    """The listening socket: accepts clients."""

    def __init__(self, sock: socket.socket, context: WorkerContext) -> None:
        self._sock = sock
        self._context = context
        self._is_paused = False
        context.poller.register(sock.fileno(), self)

    def read(self) -> None:
        """Accept the clients that wait."""
        for _ in range(MAX_ACCEPTS):
            try:
                # The primitive below accept(), which would build a Python socket.
                descriptor, address = self._sock._accept()  # type: ignore[attr-defined]
            except BlockingIOError:
                return
            except OSError as error:
                # accept(2) also reports errors of the new connection; the next one may succeed.
                if error.errno in _EXHAUSTED:
                    self._pause()
                    return
            else:
                self._accept_client(descriptor, address[0])

    def ready(self, events: int) -> None:
        """Accept: it reports any error."""
        self.read()

    def resume(self) -> None:
        """Accept again after a lack of descriptors or memory."""
        if self._is_paused:
            self._is_paused = False
            self._context.poller.modify(self._sock.fileno(), READABLE)

    def close(self) -> None:
        """Accept no more clients."""
        self._context.poller.forget(self._sock.fileno())
        self._sock.close()

    def _pause(self) -> None:
        self._is_paused = True
        self._context.poller.modify(self._sock.fileno(), 0)

    def _accept_client(self, descriptor: int, address: str) -> None:
        os.set_blocking(descriptor, False)
        client = ClientConnection(self._context, address)
        client.connection_made(Transport(self._context.poller, descriptor, client))
