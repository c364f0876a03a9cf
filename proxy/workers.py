"""Several workers on one port: starts them, reads their events and adds them up.

Each worker has its own listening socket on the same port (SO_REUSEPORT), created before any worker starts,
so that a port in use is found at once. A worker reads its commands from a pipe; when the parent dies in
any way, the pipe ends and so does the worker.
"""

import json
import os
import signal
import socket
from functools import partial
from typing import Any

from proxy import counters, server
from proxy.control import CommandReader, Emit, PipeReader, write_event
from proxy.errors import WorkerError
from proxy.poller import Poller
from proxy.settings import Settings


def run(settings: Settings, emit: Emit, commands: int | None) -> None:
    """Serve with `settings.workers` processes until stopped.

    Raises:
        ListenError: the address is not available.
        WorkerError: a worker ended before it was stopped.
    """
    socks = [server.listen(settings)]
    port = socks[0].getsockname()[1]
    socks += [server.listen(settings, port) for _ in range(settings.workers - 1)]
    workers: list[_ChildProcess] = []
    for sock in socks:
        workers.append(_fork(settings, sock, socks, workers))
    for sock in socks:
        sock.close()
    _Parent(workers, emit).run(commands)


class _ChildProcess:
    """One worker, as its parent sees it: the ends of two pipes."""

    def __init__(self, pid: int, commands: int, events: int) -> None:
        self.pid = pid
        self.commands = commands
        self.events = events
        self.buffer = b""
        self.is_done = False


def _fork(
    settings: Settings, sock: socket.socket, socks: list[socket.socket], siblings: list[_ChildProcess]
) -> _ChildProcess:
    commands_in, commands_out = os.pipe()
    events_in, events_out = os.pipe()
    pid = os.fork()
    if pid:
        os.close(commands_in)
        os.close(events_out)
        return _ChildProcess(pid, commands_out, events_in)
    # A listening socket left open here would receive connections that are never accepted, and an open pipe
    # would hide the parent's end from the older workers.
    for other in socks:
        if other is not sock:
            other.close()
    for descriptor in (
        commands_out,
        events_in,
        *(end for sibling in siblings for end in (sibling.commands, sibling.events)),
    ):
        os.close(descriptor)
    try:
        server.run(settings, sock, partial(write_event, events_out), commands_in)
    finally:
        # This process must never continue as a second parent.
        os._exit(0)


class _Parent:
    """Merges the workers' events into one `ready`, one answer per `count`, and one `done`."""

    def __init__(self, workers: list[_ChildProcess], emit: Emit) -> None:
        self._workers = workers
        self._emit = emit
        self._events: dict[str, list[dict[str, Any]]] = {"ready": [], "count": [], "done": []}
        self._signals = 0
        self._dead: _ChildProcess | None = None
        self._poller = Poller()

    def run(self, commands: int | None) -> None:
        """Run until every worker is done, or the harness has gone."""
        poller = self._poller
        poller.on_signals((signal.SIGTERM, signal.SIGINT), self._on_signal)
        if commands is not None:
            CommandReader(lambda command: self._broadcast(command["command"]), poller.stop).listen(
                poller, commands
            )
        for worker in self._workers:
            PipeReader(poller, worker.events, partial(self._read, worker), partial(self._on_eof, worker))
        try:
            poller.run()
        finally:
            # The workers end with their command pipes.
            for worker in self._workers:
                os.close(worker.commands)
            for worker in self._workers:
                os.waitpid(worker.pid, 0)
        if self._dead is not None:
            raise WorkerError(f"worker {self._dead.pid} has died; the others are stopped")

    def _on_eof(self, worker: _ChildProcess) -> None:
        if not worker.is_done and self._poller.is_running:
            self._dead = worker
            self._poller.stop()

    def _read(self, worker: _ChildProcess, data: bytes) -> None:
        *lines, worker.buffer = (worker.buffer + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            worker.is_done = worker.is_done or event["event"] == "done"
            self._merge(event)

    def _merge(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        events = self._events[kind]
        events.append(event)
        if len(events) < len(self._workers):
            return
        self._events[kind] = []
        self._emit(event if kind == "ready" else counters.merge(events).to_event(kind))
        if kind == "done":
            self._poller.stop()

    def _on_signal(self) -> None:
        # The first signal drains, a second one ends at once.
        self._signals += 1
        if self._signals == 1:
            self._broadcast("stop")
        else:
            self._poller.stop()

    def _broadcast(self, command: str) -> None:
        for worker in self._workers:
            write_event(worker.commands, {"command": command})
