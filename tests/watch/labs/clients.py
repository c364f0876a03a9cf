"""What the clients of labs do: each uses its connections in one known way."""

from __future__ import annotations

import asyncio
import itertools
import random
import socket
from collections.abc import AsyncIterator
from contextlib import suppress

from tests.watch.labs.lab import Clients, Lab


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
    """Return clients that use a fixed number of connections by turns; each for `limit` requests.

    Their ends are spread: were all at once, the looks of a watch could meet all of them new each time.
    """

    async def go(lab: Lab) -> None:
        begun = [1 + (limit or 0) * at // connections for at in range(connections)]
        pool = [(await lab.connect(), itertools.count(count)) for count in begun]
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
