"""Small servers and clients on loopback, each of which uses its connections in one known way.

They run in the event loop of a thread; a lab is one server and what its clients do until it is over. A
request is one segment, and so is the answer.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
import struct
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial

Address = tuple[str, int]
ANYWHERE: Address = ("127.0.0.1", 0)
"""On loopback, at a port that the system chooses."""
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes close() send an RST (socket(7))."""

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


async def keeps(far: socket.socket) -> None:
    """Answer every request until the client closes."""
    while await _receive(far):
        await _answer(far)


async def keeps_slowly(far: socket.socket) -> None:
    """Do the same, each answer after 20 ms."""
    while await _receive(far):
        await asyncio.sleep(0.02)
        await _answer(far)


async def closes(far: socket.socket) -> None:
    """Answer one request and close."""
    await _receive(far)
    await _answer(far)


async def ends_idle(far: socket.socket) -> None:
    """Answer until there is no request for two seconds."""
    with suppress(TimeoutError):
        while await asyncio.wait_for(_receive(far), 2.0):
            await _answer(far)


async def ends_idle_soon(far: socket.socket) -> None:
    """Answer until there is no request for 1.2 seconds."""
    with suppress(TimeoutError):
        while await asyncio.wait_for(_receive(far), 1.2):
            await _answer(far)


async def answers_and_ends(far: socket.socket) -> None:
    """Answer two requests and close, be the second one complete or not; or close after 1.2 seconds."""
    with suppress(TimeoutError):
        for _ in range(2):
            if await asyncio.wait_for(_receive(far), 1.2):
                await _answer(far)


async def forgets_idle(far: socket.socket) -> None:
    """Answer one request; the next one, after the connection was idle, meets an RST."""
    await _receive(far)
    await _answer(far)
    if await _receive(far):
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


async def pushes(far: socket.socket) -> None:
    """Send an event every tenth of a second, once the client has asked."""
    await _receive(far)
    while True:
        await _answer(far)
        await asyncio.sleep(0.1)


async def _receive(far: socket.socket) -> bytes:
    return await asyncio.get_running_loop().sock_recv(far, 4096)


async def _answer(far: socket.socket) -> None:
    await asyncio.get_running_loop().sock_sendall(far, b"!")


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


# What clients do ------------------------------------------------------------------------------------------


async def _paced(per_s: float) -> AsyncIterator[int]:
    """Yield a number at each due moment of a rate; what is late follows at once."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, begin + number / per_s - loop.time()))
        yield number


def short(per_s: float) -> Clients:
    """Return clients that open a connection for each request, and close it first."""

    async def go(lab: Lab) -> None:
        async for _ in _paced(per_s):
            with suppress(OSError):
                near = await lab.connect()
                await lab.ask(near)
                lab.close(near)

    return go


def short_for_server(per_s: float) -> Clients:
    """Return clients that open a connection for each request, which the server closes."""

    async def go(lab: Lab) -> None:
        async for _ in _paced(per_s):
            near = await lab.connect()
            await lab.ask(near)
            await lab.end(near)

    return go


def kept(connections: int, per_s: float, limit: int | None = None) -> Clients:
    """Return clients that use a fixed number of connections by turns; each for `limit` requests."""

    async def go(lab: Lab) -> None:
        pool = [(await lab.connect(), itertools.count(1)) for _ in range(connections)]
        async for number in _paced(per_s):
            near, count = pool[number % connections]
            await lab.ask(near)
            if limit is not None and next(count) >= limit:
                lab.close(near)
                pool[number % connections] = (await lab.connect(), itertools.count(1))

    return go


def small_pool(idle: int, workers: int) -> Clients:
    """Return workers that share a pool which keeps fewer idle connections than there are workers."""

    async def go(lab: Lab) -> None:
        pool: list[socket.socket] = []
        dice = random.Random(7)

        async def work() -> None:
            while True:
                near = pool.pop() if pool else await lab.connect()
                await lab.ask(near)
                if len(pool) < idle:
                    pool.append(near)
                else:
                    lab.close(near)
                await asyncio.sleep(dice.expovariate(20))

        await asyncio.gather(*(work() for _ in range(workers)))

    return go


def leaks(per_s: float) -> Clients:
    """Return clients that never close what the server has closed."""

    async def go(lab: Lab) -> None:
        async for _ in _paced(per_s):
            await lab.ask(await lab.connect())

    return go


def idles_between(connections: int, idle_s: float) -> Clients:
    """Return clients that send the next request on a kept connection after it was idle, and open it again."""

    async def one(lab: Lab, late_s: float) -> None:
        await asyncio.sleep(late_s)
        while True:
            near = await lab.connect()
            with suppress(OSError):
                await lab.ask(near)
                await asyncio.sleep(idle_s)
                await lab.ask(near)
            lab.close(near)

    async def go(lab: Lab) -> None:
        await asyncio.gather(*(one(lab, idle_s * at / connections) for at in range(connections)))

    return go


def ended_by_server(connections: int, idle_s: float | None = None, last_words: bytes = b"") -> Clients:
    """Return clients that keep connections until the server ends them, and open others then.

    Each asks again after `idle_s`, where that is given. It answers the end with `last_words`, and closes.
    """

    async def one(lab: Lab, late_s: float) -> None:
        await asyncio.sleep(late_s)
        while True:
            near = await lab.connect()
            await lab.ask(near)
            if idle_s is not None:
                await asyncio.sleep(idle_s)
                await lab.ask(near)
            while await asyncio.get_running_loop().sock_recv(near, 4096):
                pass
            with suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(near, last_words)
            lab.close(near)

    async def go(lab: Lab) -> None:
        await asyncio.gather(*(one(lab, 0.1 * at) for at in range(connections)))

    return go


def opens(connections: int, per_s: float = 0.0) -> Clients:
    """Return clients that open connections, at a rate or all at once, ask on each once, and keep them."""

    async def go(lab: Lab) -> None:
        async for number in _paced(per_s or 1e9):
            if number == connections:
                break
            await lab.ask(await lab.connect())
        await asyncio.Event().wait()

    return go


def batches(count: int, every_s: float) -> Clients:
    """Return a job that opens so many short connections every so often."""

    async def go(lab: Lab) -> None:
        async for _ in _paced(1 / every_s):
            for _ in range(count):
                near = await lab.connect()
                await lab.ask(near)
                lab.close(near)

    return go


def restarts_once(connections: int, after_s: float) -> Clients:
    """Return clients that keep connections, and once close and open all of them."""

    async def go(lab: Lab) -> None:
        for _ in range(connections):
            await lab.ask(await lab.connect())
        await asyncio.sleep(after_s)
        lab.restart()
        for _ in range(connections):
            await lab.ask(await lab.connect())
        await asyncio.Event().wait()

    return go


def once_each(per_s: float) -> Clients:
    """Return clients of which each has an address of its own, and comes once."""

    async def go(lab: Lab) -> None:
        async for number in _paced(per_s):
            near = await lab.connect(f"127.9.{number // 250}.{number % 250 + 1}")
            await lab.ask(near)
            lab.close(near)

    return go


def shrinks(connections: int, per_s: float) -> Clients:
    """Return a pool that closes its connections one after the other, down to one."""

    async def go(lab: Lab) -> None:
        for _ in range(connections):
            await lab.ask(await lab.connect())
        async for _ in _paced(per_s):
            if len(lab.open) > 1:
                lab.close(lab.open[-1])

    return go


def uploads(connections: int) -> Clients:
    """Return clients that send a byte now and then on connections that they keep."""

    async def go(lab: Lab) -> None:
        pool = [await lab.connect() for _ in range(connections)]
        async for number in _paced(20):
            await asyncio.get_running_loop().sock_sendall(pool[number % connections], b".")

    return go


def at_rest(connections: int) -> Clients:
    """Return clients that open connections and use them no more."""
    return opens(connections)


def together(*parts: Clients) -> Clients:
    """Return clients of several kinds at once."""

    async def go(lab: Lab) -> None:
        await asyncio.gather(*(part(lab) for part in parts))

    return go
