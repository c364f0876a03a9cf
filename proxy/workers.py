"""Several workers on one port: starts them, follows them, replaces one that dies, and adds up their counters.

Each worker is this program with one worker. Its listening socket on the shared port (SO_REUSEPORT) is
opened here, before any worker starts, so that a port in use is found at once. It stays open here too: the
clients that wait on it when its worker dies are served by the next. A worker reads its commands from a
pipe; when this process dies in any way, the pipe ends and so does the worker.
"""

import asyncio
import json
import signal
import socket
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from proxy import counters
from proxy.control import Emit, read_commands, report
from proxy.errors import StartError
from proxy.listener import listen
from proxy.server import loop_factory
from proxy.settings import Settings

MAX_DEATHS = 3
"""Deaths of workers that are tolerated within `_DEATHS_S`: more are no accident."""
_DEATHS_S = 10.0
_STOP = {"command": "stop"}


def run(settings: Settings, argv: list[str], emit: Emit, commands: int | None) -> None:
    """Serve with `settings.workers` processes until stopped.

    Args:
        argv: the command line, which the workers get too.

    Raises:
        StartError: the address is not available, or workers end again and again before they are stopped.
    """
    socks = [listen(settings)]
    port = socks[0].getsockname()[1]
    socks += [listen(settings, port) for _ in range(settings.workers - 1)]
    with asyncio.Runner(loop_factory=loop_factory(settings.loop)) as runner:
        runner.run(_Parent(argv, socks, emit).serve(commands))


@dataclass(slots=True)
class _Count:
    """A command to count: who has not answered yet, and the answers."""

    awaited: set[Process]
    events: list[dict[str, Any]]


class _Parent:
    """The process that starts the workers: one `ready`, one answer to each `count`, one `done` of all."""

    def __init__(self, argv: list[str], socks: list[socket.socket], emit: Emit) -> None:
        self._argv = argv
        self._socks = socks
        self._emit = emit
        self._workers: set[Process] = set()
        self._ready: set[Process] = set()
        self._is_ready = False
        self._counts: list[_Count] = []
        self._done: list[dict[str, Any]] = []
        self._is_stopping = False
        self._is_abandoned = False
        self._deaths: list[float] = []
        self._replaced = 0

    async def serve(self, commands: int | None) -> None:
        """Serve until every worker is done, or the harness has gone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        follower = loop.create_task(self._follow(commands)) if commands is not None else None
        try:
            await asyncio.gather(*(self._keep_worker(sock) for sock in self._socks))
        finally:
            self._end_workers()
            if follower is not None and not follower.cancel():
                follower.result()
        if self._done and not self._is_abandoned:
            self._emit_sum(self._done, "done")

    async def _keep_worker(self, sock: socket.socket) -> None:
        """Run a worker, and another one whenever it dies."""
        while not self._is_stopping:
            worker = await self._start_worker(sock)
            self._workers.add(worker)
            if self._is_stopping:
                self._broadcast(_STOP, self._workers)
            assert worker.stdout is not None
            async for line in worker.stdout:
                self._receive(worker, json.loads(line))
            code = await worker.wait()
            self._workers.discard(worker)
            if not self._is_stopping:
                self._note_death(worker, code)

    async def _start_worker(self, sock: socket.socket) -> Process:
        listener = str(sock.fileno())
        arguments = ("-m", "proxy", *self._argv, "--workers", "1", "--control", "--listener", listener)
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            pass_fds=(sock.fileno(),),
        )

    def _note_death(self, worker: Process, code: int) -> None:
        now = time.monotonic()
        self._deaths = [each for each in self._deaths if now - each < _DEATHS_S] + [now]
        if len(self._deaths) > MAX_DEATHS or worker not in self._ready:
            raise StartError(f"worker {worker.pid} has died (exit code {code}); the others are stopped")
        self._replaced += 1
        report(f"worker {worker.pid} has died (exit code {code}); another one takes its place")
        for count in self._counts:
            count.awaited.discard(worker)
        self._check_counts()

    def _receive(self, worker: Process, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "ready":
            self._ready.add(worker)
            if not self._is_ready and len(self._ready & self._workers) == len(self._socks):
                self._is_ready = True
                self._emit(event)
        elif kind == "done":
            self._done.append(event)
        else:
            count = next(each for each in self._counts if worker in each.awaited)
            count.awaited.discard(worker)
            count.events.append(event)
            self._check_counts()

    def _check_counts(self) -> None:
        """Answer the commands to count, in order, whose workers all have."""
        while self._counts and not self._counts[0].awaited:
            self._emit_sum(self._counts.pop(0).events, "count")

    def _emit_sum(self, events: list[dict[str, Any]], kind: str) -> None:
        total = counters.merge(events)
        total.replaced = self._replaced
        self._emit(total.to_event(kind))

    async def _follow(self, commands: int) -> None:
        try:
            async for command in read_commands(commands):
                if command["command"] == "stop":
                    self._stop()
                elif command["command"] == "count":
                    self._counts.append(_Count(set(self._ready & self._workers), []))
                    self._broadcast(command, self._ready & self._workers)
                    self._check_counts()
        finally:
            # Whatever ends the commands ends the workers.
            self._abandon()

    def _on_signal(self) -> None:
        # The first signal drains, a second one ends at once.
        if self._is_stopping:
            self._abandon()
        else:
            self._stop()

    def _stop(self) -> None:
        """Have the workers drain; nobody listens any more."""
        self._is_stopping = True
        for sock in self._socks:
            sock.close()
        self._broadcast(_STOP, self._workers)

    def _broadcast(self, command: dict[str, Any], workers: Collection[Process]) -> None:
        line = json.dumps(command).encode("ascii") + b"\n"
        for worker in workers:
            assert worker.stdin is not None
            # The pipe of one that has died may be closed before its end is known.
            if not worker.stdin.is_closing():
                worker.stdin.write(line)

    def _abandon(self) -> None:
        """Stop without waiting for exchanges, and without a `done`."""
        self._is_abandoned = True
        self._end_workers()

    def _end_workers(self) -> None:
        """End the workers at once: each ends with its command pipe."""
        self._is_stopping = True
        for sock in self._socks:
            sock.close()
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.close()
