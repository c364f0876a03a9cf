"""One worker process: an asyncio program that listens, sweeps, follows commands and signals, drains."""

import asyncio
import ctypes
import gc
import importlib
import importlib.util
import signal
import socket
from types import ModuleType

from proxy.clock import Clock
from proxy.control import Emit, read_commands
from proxy.counters import Counters
from proxy.listener import Listener
from proxy.send_queue import SendQueue
from proxy.settings import Settings, format_address
from proxy.worker_context import WorkerContext

SWEEP_S = 1.0
"""The longest time between two sweeps for expired deadlines: no exchange sets a timer of its own."""
_SWEEPS_PER_TIMEOUT = 8
"""A timeout fires late by up to two sweeps, and never early."""

# malloc.h.
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 8 << 20


def run(settings: Settings, sock: socket.socket, emit: Emit, commands: int | None) -> None:
    """Serve the clients of `sock` until stopped.

    Args:
        emit: writes the worker's events (docs/reference/pipes.md).
        commands: a descriptor to read commands from, or None; its end ends the worker at once.
    """
    with asyncio.Runner(loop_factory=loop_module(settings.loop).new_event_loop) as runner:
        runner.run(_Worker(settings, sock, emit).serve(commands))


def loop_module(name: str) -> ModuleType:
    """Return the module that makes event loops of this name; "auto" is uvloop where it is installed."""
    is_uvloop = name == "uvloop" or (name == "auto" and importlib.util.find_spec("uvloop") is not None)
    return importlib.import_module("uvloop") if is_uvloop else asyncio


class _Worker:
    """One worker: serves, drains, ends."""

    def __init__(self, settings: Settings, sock: socket.socket, emit: Emit) -> None:
        self._settings = settings
        self._sock = sock
        self._emit = emit
        self._counters = Counters()
        limits = settings.limits
        shortest_s = min(limits.shortest_s, settings.pool_idle_timeout_s)
        self._clock = Clock(min(SWEEP_S, shortest_s / _SWEEPS_PER_TIMEOUT))
        self._ended = asyncio.Event()

    async def serve(self, commands: int | None) -> None:
        """Serve until stopped."""
        loop = asyncio.get_running_loop()
        self._context = WorkerContext(self._settings, self._counters, SendQueue(loop), self._clock)
        self._listener = self._listen()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        _tune_memory()
        self._emit({"event": "ready", "listen": [format_address(self._sock.getsockname()[:2])]})
        jobs = [self._ended.wait(), self._sweep()]
        if commands is not None:
            jobs.append(self._follow(commands))
        done, left = await asyncio.wait(map(loop.create_task, jobs), return_when=asyncio.FIRST_COMPLETED)
        for task in left:
            task.cancel()
        for task in done:
            task.result()

    def _listen(self) -> Listener:
        settings = self._settings
        # The modules `ssl` and `h2` take some milliseconds to load, which plain listeners shall not pay.
        if settings.server_tls is not None:
            from proxy import tls  # noqa: PLC0415
            from proxy.tls_listener import TlsListener  # noqa: PLC0415

            tls_context = tls.server_context(settings.server_tls, http2=settings.http2)
            return TlsListener(self._sock, self._context, self._clock, tls_context)
        if settings.http2:
            from proxy.http2.listener import PrefaceListener  # noqa: PLC0415

            return PrefaceListener(self._sock, self._context, self._clock)
        return Listener(self._sock, self._context)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._clock.sweep_s)
            self._context.sweep()
            if not self._context.draining:
                self._listener.sweep()

    async def _follow(self, commands: int) -> None:
        async for command in read_commands(commands):
            if command["command"] == "count":
                self._emit(self._counters.to_event("count"))
            elif command["command"] == "stop":
                self._drain()

    def _on_signal(self) -> None:
        # The first signal drains, a second one ends at once.
        if self._context.draining:
            self._ended.set()
        else:
            self._drain()

    def _drain(self) -> None:
        if self._context.draining:
            return
        self._listener.close()
        self._context.sends.loop.call_later(self._settings.drain_timeout_s, self._context.abort)
        self._context.drain(self._finish)

    def _finish(self) -> None:
        if not self._ended.is_set():
            self._emit(self._counters.to_event("done"))
            self._ended.set()


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
