"""Several workers on one port: started, listened to, added up. No HTTP.

Each worker has a listening socket of its own on the same port (SO_REUSEPORT), made before any worker starts,
so that a port in use is found at once. A worker reads its commands from a pipe; when the parent dies in any
way, the pipe ends and so does the worker.
"""

from __future__ import annotations

import json
import os
import signal
import socket
from functools import partial
from typing import Any

from proxy import counters, server
from proxy.control import Control, Emit, Pipe, write_event
from proxy.errors import WorkerError
from proxy.poller import Poller
from proxy.settings import Settings


def run(settings: Settings, emit: Emit, commands: int | None) -> None:
    """Serve with `settings.workers` processes until told to stop.

    Raises:
        ListenError: the address is not to be had.
        WorkerError: a worker ended before it was told to.
    """
    socks = [server.listen(settings)]
    port = socks[0].getsockname()[1]
    socks += [server.listen(settings, port) for _ in range(settings.workers - 1)]
    workers: list[_Worker] = []
    for sock in socks:
        workers.append(_fork(settings, sock, socks, workers))
    for sock in socks:
        sock.close()
    _Parent(workers, emit).run(commands)


class _Worker:
    """One child, as its parent sees it: the ends of two pipes."""

    def __init__(self, pid: int, commands: int, events: int) -> None:
        self.pid = pid
        self.commands = commands
        self.events = events
        self.buffer = b""
        self.is_done = False


def _fork(
    settings: Settings, sock: socket.socket, socks: list[socket.socket], elders: list[_Worker]
) -> _Worker:
    commands_in, commands_out = os.pipe()
    events_in, events_out = os.pipe()
    pid = os.fork()
    if pid:
        os.close(commands_in)
        os.close(events_out)
        return _Worker(pid, commands_out, events_in)
    # A listening socket left open here would be given connections that nobody accepts, and a pipe left open
    # would hide the parent's end from the elder workers.
    for other in socks:
        if other is not sock:
            other.close()
    for descriptor in (
        commands_out,
        events_in,
        *(end for elder in elders for end in (elder.commands, elder.events)),
    ):
        os.close(descriptor)
    try:
        server.run(settings, sock, partial(write_event, events_out), commands_in)
    finally:
        # Whatever happened, this process must not go on as a second parent.
        os._exit(0)


class _Parent:
    """Turns what the workers tell into one `ready`, one answer to each `count` and one `done`."""

    def __init__(self, workers: list[_Worker], emit: Emit) -> None:
        self._workers = workers
        self._emit = emit
        self._answers: dict[str, list[dict[str, Any]]] = {"ready": [], "count": [], "done": []}
        self._signals = 0
        self._dead: _Worker | None = None
        self._poller = Poller()

    def run(self, commands: int | None) -> None:
        """Go on until every worker has said `done`, or the harness has gone."""
        poller = self._poller
        poller.on_signals((signal.SIGTERM, signal.SIGINT), self._signalled)
        if commands is not None:
            Control(lambda command: self._tell(command["command"]), poller.stop).listen(poller, commands)
        for worker in self._workers:
            Pipe(poller, worker.events, partial(self._read, worker), partial(self._ended, worker))
        try:
            poller.run()
        finally:
            # Their commands end, and so do they.
            for worker in self._workers:
                os.close(worker.commands)
            for worker in self._workers:
                os.waitpid(worker.pid, 0)
        if self._dead is not None:
            raise WorkerError(f"worker {self._dead.pid} has died; the others are stopped")

    def _ended(self, worker: _Worker) -> None:
        if not worker.is_done and self._poller.is_running:
            self._dead = worker
            self._poller.stop()

    def _read(self, worker: _Worker, data: bytes) -> None:
        *lines, worker.buffer = (worker.buffer + data).split(b"\n")
        for line in lines:
            event = json.loads(line)
            worker.is_done = worker.is_done or event["event"] == "done"
            self._collect(event)

    def _collect(self, event: dict[str, Any]) -> None:
        kind = event["event"]
        answers = self._answers[kind]
        answers.append(event)
        if len(answers) < len(self._workers):
            return
        self._answers[kind] = []
        self._emit(event if kind == "ready" else counters.summed(answers).as_event(kind))
        if kind == "done":
            self._poller.stop()

    def _signalled(self) -> None:
        # The first signal drains, a second one ends at once.
        self._signals += 1
        if self._signals == 1:
            self._tell("stop")
        else:
            self._poller.stop()

    def _tell(self, command: str) -> None:
        for worker in self._workers:
            write_event(worker.commands, {"command": command})
