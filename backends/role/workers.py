"""Several workers on the same ports: forked before any loop exists, commanded by pipes, counters summed.

A worker's command pipe ends with its parent, and the worker with the pipe; no signal is needed for that.
"""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass

from backends.role.counters import sum_counters
from backends.role.errors import WorkerError
from backends.role.lifecycle import Stop
from backends.role.pipes import Pipes, end_at_once


@dataclass(frozen=True, slots=True)
class Worker:
    """One forked worker, seen from its parent: descriptors to command it and to read its events."""

    pid: int
    commands: int
    events: int


def fork_workers(
    listeners: list[list[socket.socket]], serve: Callable[[list[socket.socket], Pipes], None]
) -> list[Worker]:
    """Fork one worker per list of listeners; each runs `serve` and exits. Closes the parent's listeners."""
    workers: list[Worker] = []
    for own in listeners:
        commands_out, commands_in = os.pipe()
        events_out, events_in = os.pipe()
        pid = os.fork()
        if pid == 0:
            # Kept open here, an elder sibling's command pipe would outlive the parent.
            for descriptor in (commands_in, events_out, *(worker.commands for worker in workers)):
                os.close(descriptor)
            _close_all([each for each in listeners if each is not own])
            _run_child(own, Pipes(commands_out, events_in), serve)
        os.close(commands_out)
        os.close(events_in)
        workers.append(Worker(pid, commands_in, events_out))
    _close_all(listeners)
    return workers


def _run_child(
    own: list[socket.socket], pipes: Pipes, serve: Callable[[list[socket.socket], Pipes], None]
) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        serve(own, pipes)
    finally:
        os._exit(0)


def _close_all(listeners: list[list[socket.socket]]) -> None:
    for each in listeners:
        for listener in each:
            listener.close()


async def run_parent(workers: list[Worker], pipes: Pipes, ready: dict[str, object]) -> None:
    """Speak for all workers until the stop is requested. Raise WorkerError when one of them dies."""
    stop, inbox = Stop(), asyncio.Queue[str]()
    stop.on_signals()
    stopping = asyncio.ensure_future(stop.wait())
    stopping.add_done_callback(lambda _: inbox.put_nowait("stop"))
    streams = [await _open_stream(worker.events) for worker in workers]
    await _read_all(workers, streams, "ready")
    asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, inbox.put_nowait, "died")
    pipes.listen(lambda command, _: inbox.put_nowait(command), end_at_once)
    pipes.send(ready)
    while (reason := await inbox.get()) == "count":
        _command_all(workers, "count")
        pipes.send(sum_counters(await _read_all(workers, streams, "count")).event("count"))
    if reason == "died":
        pid, status = os.waitpid(-1, 0)
        raise WorkerError(f"worker {pid} died with status {os.waitstatus_to_exitcode(status)}; start again")
    stop.set()  # a signal from now on is the second one
    _command_all(workers, "stop")
    pipes.send(sum_counters(await _read_all(workers, streams, "done")).event("done"))


async def _open_stream(descriptor: int) -> asyncio.StreamReader:
    stream = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(descriptor, "rb", buffering=0)
    )
    return stream


def _command_all(workers: list[Worker], command: str) -> None:
    for worker in workers:
        os.write(worker.commands, json.dumps({"command": command}).encode() + b"\n")


async def _read_all(
    workers: list[Worker], streams: list[asyncio.StreamReader], name: str
) -> list[dict[str, object]]:
    """Return the next event of every worker, which answers the last command."""
    events: list[dict[str, object]] = []
    for worker, stream in zip(workers, streams, strict=True):
        line = await stream.readline()
        event = json.loads(line) if line else {}
        if event.get("event") != name:
            raise WorkerError(f"worker {worker.pid} ended before its event {name}; start again")
        events.append(event)
    return events
