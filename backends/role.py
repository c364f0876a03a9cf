"""The life of one worker: listen, say ready, obey commands and signals, drain, say done."""

import asyncio
import os
import signal
import socket
import sys
from typing import Final

from backends import __version__
from backends.control import Pipes
from backends.counters import Counters
from backends.listening import address
from backends.options import Options
from backends.server import Server, serve_raw

DRAIN_S: Final = 10.0
"""The longest that a drain waits for exchanges under way."""


def ready_event(listeners: list[socket.socket], workers: int) -> dict[str, object]:
    """Returns the event that says that the backend listens."""
    return {
        "event": "ready",
        "role": "backend",
        "pid": os.getpid(),
        "version": __version__,
        "listen": [address(listener) for listener in listeners],
        "workers": workers,
    }


def end_at_once() -> None:
    """Ends this process without draining: whoever started it is gone, or asked twice."""
    os._exit(0)


async def run_worker(options: Options, listeners: list[socket.socket], pipes: Pipes) -> None:
    """Serves until told to stop, then drains; the last event is `done`."""
    counters = Counters()
    stop = asyncio.Event()

    def on_stop() -> None:
        if stop.is_set():
            end_at_once()
        stop.set()

    def on_command(command: str) -> None:
        if command == "count":
            pipes.send(counters.event("count"))
        elif command == "stop":
            stop.set()
        else:
            sys.stderr.write(f"backend: unknown command {command!r}; known are count and stop\n")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_stop)
    server = Server(options, counters)
    accepting = await serve_raw(server, listeners)
    pipes.listen(on_command, end_at_once)
    pipes.send(ready_event(listeners, 1))
    await stop.wait()
    for each in accepting:
        each.close()
    server.drain()
    deadline = loop.time() + DRAIN_S
    while server.connections and loop.time() < deadline:
        await asyncio.sleep(0.01)
    pipes.send(counters.event("done"))
