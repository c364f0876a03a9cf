"""The life of one worker: accept, report ready, obey commands and signals, drain, report done."""

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable

from backends import __version__
from backends.role.backend import Backend
from backends.role.pipes import COMMANDS, Pipes, Values, end_at_once, log

DRAIN_S = 10.0
"""The longest that a drain waits for exchanges under way."""

MakeBackend = Callable[[], Awaitable[Backend]]
"""Makes the backend of one worker, inside its loop."""


def ready_event(addresses: list[str], workers: int) -> dict[str, object]:
    """Return the event that reports that the backend listens."""
    return {
        "event": "ready",
        "role": "backend",
        "pid": os.getpid(),
        "version": __version__,
        "listen": addresses,
        "workers": workers,
    }


class Stop(asyncio.Event):
    """Set once the stop is requested, by a signal or a command; a second signal ends the process at once."""

    def on_signals(self) -> None:
        """Request the stop on SIGTERM and SIGINT."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self.is_set():
            end_at_once()
        self.set()


async def run_worker(
    make: MakeBackend, listeners: list[socket.socket], pipes: Pipes, *, ready: dict[str, object], alone: bool
) -> None:
    """Serve until the stop is requested, then drain; the last event is `done`.

    Not `alone`, it obeys its parent only: Ctrl-C reaches the whole process group, the parent passes it on.
    """
    stop = Stop()
    if alone:
        stop.on_signals()
    backend = await make()
    listening = [await backend.accept(each) for each in listeners]

    def on_command(command: str, values: Values) -> None:
        if command == "count":
            pipes.send(backend.event("count"))
        elif command == "stop":
            stop.set()
        else:
            backend.commands[command](values)

    pipes.listen(on_command, end_at_once, (*COMMANDS, *backend.commands))
    pipes.send(ready)
    await stop.wait()
    for each in listening:
        if each is not None:
            each.close()
    if not await backend.drain(DRAIN_S):
        log(f"exchanges were still under way after {DRAIN_S:g} s of draining")
    pipes.send(backend.event("done"))
