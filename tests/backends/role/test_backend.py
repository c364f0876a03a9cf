"""The set of open connections, and its becoming empty."""

import asyncio

from backends.role.backend import Connections


async def test_an_empty_set_is_gone_already() -> None:
    assert await Connections[str]().wait_empty(0)


async def test_waits_for_the_last_one() -> None:
    connections = Connections[str]()
    connections.add("a")
    connections.add("b")
    waiting = asyncio.ensure_future(connections.wait_empty(10))
    await asyncio.sleep(0)
    connections.discard("a")
    await asyncio.sleep(0)
    assert not waiting.done()
    connections.discard("b")
    assert await waiting


async def test_gives_up() -> None:
    connections = Connections[str]()
    connections.add("a")
    assert not await connections.wait_empty(0)


def test_may_change_while_walked_over() -> None:
    connections = Connections[str]()
    for each in "abc":
        connections.add(each)
    for each in connections:
        connections.discard(each)
    assert list(connections) == []
