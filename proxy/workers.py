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
from typing import Any

from proxy import counters
from proxy.control import Emit, read_commands, report
from proxy.errors import StartError
from proxy.listener import listen
from proxy.server import loop_module
from proxy.settings import Settings

MAX_DEATHS = 3
"""Deaths of workers that are tolerated within `_DEATHS_S`: more are no accident."""
_DEATHS_S = 10.0


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
    with asyncio.Runner(loop_factory=loop_module(settings.loop).new_event_loop) as runner:
        runner.run(_Parent(argv, socks, emit).serve(commands))


class _Parent:
    """The process that starts the workers: one `ready`, one answer to each `count`, one `done` of all."""

    def __init__(self, argv: list[str], socks: list[socket.socket], emit: Emit) -> None:
        self._argv = argv
        self._socks = socks
        self._emit = emit
        self._workers: set[Process] = set()
        self._ready: set[Process] = set()
        self._is_ready = False
        self._counts: list[dict[Process, dict[str, Any] | None]] = []
        """For each command to count, in order, the answers, so far, of the workers that were asked."""
        self._done: list[dict[str, Any]] = []
        self._is_stopping = False
        self._is_abandoned = False
        self._deaths: list[float] = []

    async def serve(self, commands: int | None) -> None:
        """Serve until every worker is done, or the harness has gone."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
        follower = loop.create_task(self._follow(commands)) if commands is not None else None
        try:
            await asyncio.gather(*map(self._keep_worker, self._socks))
            if self._done and not self._is_abandoned:
                self._emit_sum(self._done, "done")
        finally:
            self._abandon()
            if follower is not None and not follower.cancel():
                follower.result()

    async def _keep_worker(self, sock: socket.socket) -> None:
        """Run a worker, and another one whenever it dies."""
        while not self._is_stopping:
            worker = await self._start_worker(sock)
            self._workers.add(worker)
            if self._is_stopping:
                self._broadcast("stop", self._workers)
            assert worker.stdout is not None
            async for line in worker.stdout:
                self._receive(worker, json.loads(line))
            code = await worker.wait()
            if not self._is_stopping:
                self._note_death(worker, code)
            self._workers.discard(worker)
            self._ready.discard(worker)
            for answers in self._counts:
                answers.pop(worker, None)
            self._check_counts()

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
        self._deaths.append(now)
        recent = [each for each in self._deaths if now - each < _DEATHS_S]
        if len(recent) > MAX_DEATHS or worker not in self._ready:
            raise StartError(f"worker {worker.pid} has died (exit code {code}); the others are stopped")
        report(f"worker {worker.pid} has died (exit code {code}); another one takes its place")

    def _receive(self, worker: Process, event: dict[str, Any]) -> None:
        kind = event["event"]
        if kind == "ready":
            self._ready.add(worker)
            if not self._is_ready and len(self._ready) == len(self._socks):
                self._is_ready = True
                self._emit(event)
        elif kind == "done":
            self._done.append(event)
        else:
            next(each for each in self._counts if each.get(worker, event) is None)[worker] = event
            self._check_counts()

    def _check_counts(self) -> None:
        """Answer the commands to count, in order, whose workers all have."""
        while self._counts and None not in self._counts[0].values():
            self._emit_sum([each for each in self._counts.pop(0).values() if each is not None], "count")

    def _emit_sum(self, events: list[dict[str, Any]], kind: str) -> None:
        total = counters.merge(events)
        total.replaced = len(self._deaths)
        self._emit(total.to_event(kind))

    async def _follow(self, commands: int) -> None:
        try:
            async for command in read_commands(commands):
                if command["command"] == "stop":
                    self._stop()
                elif command["command"] == "count":
                    self._counts.append(dict.fromkeys(self._ready))
                    self._broadcast("count", self._ready)
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
        self._broadcast("stop", self._workers)

    def _broadcast(self, command: str, workers: set[Process]) -> None:
        for worker in workers:
            assert worker.stdin is not None
            # The pipe of one that has died may be closed before its end is known.
            if not worker.stdin.is_closing():
                worker.stdin.write(json.dumps({"command": command}).encode("ascii") + b"\n")

    def _abandon(self) -> None:
        """Stop without waiting for exchanges, and without a `done`: each worker ends with its commands."""
        self._is_abandoned = True
        self._stop()
        for worker in self._workers:
            assert worker.stdin is not None
            worker.stdin.close()
