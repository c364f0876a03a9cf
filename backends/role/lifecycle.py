"""The life of one worker: accept, say ready, obey commands and signals, drain, say done."""

import asyncio
import os
import signal
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol, runtime_checkable

from backends import __version__
from backends.control import COMMANDS, Pipes, end_at_once, talk
from backends.listening import BACKLOG

DRAIN_S: Final = 10.0
"""The longest that a drain waits for exchanges under way."""

NOTHING_MORE: Final[Mapping[str, Callable[[], None]]] = MappingProxyType({})
"""No commands beside the usual ones."""


class Backend(Protocol):
    """A kind of backend: makes the protocols of new connections and ends them all in good order."""

    def __call__(self) -> asyncio.Protocol:
        """Make the protocol of a new connection."""

    async def drain(self, timeout_s: float) -> bool:
        """Close idle connections, lets busy ones finish; return whether all went in time."""


class Accepting(Protocol):
    """What accepts connections."""

    def close(self) -> None:
        """Accept no more."""


@runtime_checkable
class Acceptor(Protocol):
    """A kind of backend that accepts connections by itself: the server of a library."""

    async def accept(self, listener: socket.socket) -> Accepting:
        """Serve the connections that come to a socket."""

    async def drain(self, timeout_s: float) -> bool:
        """Close every connection; return whether all went in time."""


MakeBackend = Callable[[], Awaitable[Backend | Acceptor]]
"""Makes the backend of one worker, inside its loop."""


def ready_event(addresses: list[str], workers: int) -> dict[str, object]:
    """Return the event that says that the backend listens."""
    return {
        "event": "ready",
        "role": "backend",
        "pid": os.getpid(),
        "version": __version__,
        "listen": addresses,
        "workers": workers,
    }


class Stop:
    """The wish to stop, from a signal or a command; a second signal ends the process at once."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def on_signals(self) -> None:
        """Accept SIGTERM and SIGINT for the wish to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def _on_signal(self) -> None:
        if self._asked.is_set():
            end_at_once()
        self.ask()

    def ask(self) -> None:
        """Ask for the stop."""
        self._asked.set()

    async def asked(self) -> None:
        """Wait until somebody asks."""
        await self._asked.wait()


class Told(Protocol):
    """What a backend counts."""

    def event(self, name: str) -> dict[str, object]:
        """Return the counters as the event `name`."""


async def run_worker(
    make: MakeBackend,
    counters: Told,
    listeners: list[socket.socket],
    pipes: Pipes,
    *,
    ready: dict[str, object],
    alone: bool,
    tls: ssl.SSLContext | None = None,
    also: Mapping[str, Callable[[], None]] = NOTHING_MORE,
) -> None:
    """Serve until told to stop, then drains; the last event is `done`.

    Not `alone`, it obeys its parent only: Ctrl-C reaches the whole process group, the parent passes it on.
    `also` has the commands that it obeys beside `count` and `stop`.
    """
    stop = Stop()
    if alone:
        stop.on_signals()
    backend = await make()
    accepting = [await _accept(backend, each, tls) for each in listeners]

    def on_command(command: str) -> None:
        if command == "count":
            pipes.send(counters.event("count"))
        elif command == "stop":
            stop.ask()
        else:
            also[command]()

    pipes.listen(on_command, end_at_once, (*COMMANDS, *also))
    pipes.send(ready)
    await stop.asked()
    for server in accepting:
        server.close()
    if not await backend.drain(DRAIN_S):
        talk(f"exchanges were still under way after {DRAIN_S:g} s of draining")
    pipes.send(counters.event("done"))


async def _accept(
    backend: Backend | Acceptor, listener: socket.socket, tls: ssl.SSLContext | None
) -> Accepting:
    if isinstance(backend, Acceptor):
        return await backend.accept(listener)
    loop = asyncio.get_running_loop()
    return await loop.create_server(backend, sock=listener, backlog=BACKLOG, ssl=tls)
