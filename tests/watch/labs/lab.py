"""A lab: one small server on loopback, and what its clients do until the lab is over.

Labs run in the event loop of a thread.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

Address = tuple[str, int]
ANYWHERE: Address = ("127.0.0.1", 0)
"""On loopback, at a port that the system chooses."""

Behaviour = Callable[[socket.socket], Awaitable[None]]
Clients = Callable[["Lab"], Awaitable[None]]


@dataclass
class Lab:
    """One server, and the connections that its clients have open. States: open, closed."""

    host: str
    port: int
    open: list[socket.socket] = field(default_factory=list)

    async def connect(self, source: str | None = None) -> socket.socket:
        """Return a new connection to the server."""
        with ExitStack() as undo:
            near = undo.enter_context(socket.socket())
            near.setblocking(False)
            if source is not None:
                near.bind((source, 0))
            await asyncio.get_running_loop().sock_connect(near, (self.host, self.port))
            undo.pop_all()
        self.open.append(near)
        return near

    async def ask(self, near: socket.socket, request: bytes = b"?") -> bytes:
        """Send a request and return the answer; empty where the server has closed."""
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(near, request)
        return await loop.sock_recv(near, 4096)

    async def end(self, near: socket.socket) -> None:
        """Wait for the server to close, then close."""
        with suppress(OSError):
            while await asyncio.get_running_loop().sock_recv(near, 4096):
                pass
        self.close(near)

    def close(self, near: socket.socket) -> None:
        """Close a connection now."""
        self.open.remove(near)
        near.close()

    def restart(self) -> None:
        """End every connection of the clients, as a process does that is replaced."""
        for near in list(self.open):
            self.close(near)


@contextmanager
def _serving(listener: socket.socket, behaviour: Behaviour, tasks: set[asyncio.Task[None]]) -> Iterator[None]:
    """Accept connections, and let each go on as a task, until this is over.

    Not with sock_accept(): what it has accepted when it is cancelled nobody closes.
    """
    loop, fars = asyncio.get_running_loop(), set[socket.socket]()

    async def handle(far: socket.socket) -> None:
        with far, suppress(OSError):
            await behaviour(far)
        fars.discard(far)

    def accept() -> None:
        with suppress(BlockingIOError, ConnectionAbortedError):
            far, _ = listener.accept()
            far.setblocking(False)
            fars.add(far)
            task = loop.create_task(handle(far))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    loop.add_reader(listener, accept)
    try:
        yield
    finally:
        loop.remove_reader(listener)
        for far in fars:  # a task that is ended before it began does not close its own
            far.close()


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


async def _end(*tasks: asyncio.Future[None]) -> None:
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _until(
    stop: asyncio.Event, one: tuple[Behaviour, Clients], at: Address, ready: Callable[[int], None]
) -> None:
    """Run one lab until it is to stop; whatever its clients raise but for that is an error."""
    behaviour, clients = one
    with socket.create_server(at, backlog=1024) as listener:
        listener.setblocking(False)
        lab = Lab(*listener.getsockname()[:2])
        ready(lab.port)
        tasks: set[asyncio.Task[None]] = set()
        asking = asyncio.ensure_future(clients(lab))
        stopping = asyncio.create_task(_wait(stop))
        with _serving(listener, behaviour, tasks):
            await asyncio.wait([asking, stopping], return_when=asyncio.FIRST_COMPLETED)
            try:
                if asking.done():
                    asking.result()
                    raise AssertionError("the clients of a lab ended before it was over")
            finally:
                await _end(asking, stopping, *tasks)
                lab.restart()


@contextmanager
def running(labs: Sequence[tuple[Behaviour, Clients]], where: Address = ANYWHERE) -> Iterator[list[int]]:
    """Run all labs at once, and yield the port of each server once it listens."""
    ports: dict[int, int] = {}
    is_ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    def ready(at: int, port: int) -> None:
        ports[at] = port
        if len(ports) == len(labs):
            is_ready.set()

    async def run() -> None:
        await asyncio.gather(*(_until(stop, one, where, partial(ready, at)) for at, one in enumerate(labs)))

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    try:
        assert is_ready.wait(30), "the servers of the labs do not listen"
        yield [ports[at] for at in range(len(labs))]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()
