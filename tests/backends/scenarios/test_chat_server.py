"""The chat server, seen by its members: who comes back hears what was said, and nothing is heard twice."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from bench.lab import open_lab

PATIENCE_S = 60.0
"""Longer than anything here takes on the busiest machine."""


class Member:
    """A member of room 1, who says and hears."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def join(self, who: str, number: int) -> None:
        """Come into the room, having heard all up to a number."""
        await self._socket.send_json({"join": {"1": number}, "who": who})

    async def say(self, count: int, text: str) -> None:
        """Say something."""
        await self._socket.send_json({"room": "1", "count": count, "text": text})

    async def hear(self, texts: int) -> list[tuple[int, str]]:
        """Return the next messages with their numbers, passing over who comes and goes."""
        heard = list[tuple[int, str]]()
        async with asyncio.timeout(PATIENCE_S):
            while len(heard) < texts:
                message: dict[str, Any] = await self._socket.receive_json()
                if "text" in message:
                    heard.append((message["number"], message["text"]))
        return heard

    async def leave(self) -> None:
        """Go."""
        await self._socket.close()


@pytest.fixture
async def door() -> AsyncIterator[Any]:
    """Return a function that opens the connection of a member."""
    with open_lab("loopback") as place:
        argv = [
            sys.executable,
            "-m",
            "backends.scenarios.chat.server",
            "--control",
            "--listen",
            "127.0.0.1:0",
        ]
        server = place.hosts["backend"].start(argv, name="backend")
        url = f"http://{server.wait_event('ready', PATIENCE_S)['listen'][0]}/chat"
        async with aiohttp.ClientSession() as session:

            async def open_() -> Member:
                return Member(await session.ws_connect(url))

            yield open_


async def test_who_comes_back_hears_what_was_said_meanwhile(door: Any) -> None:
    ann, bob = await door(), await door()
    await ann.join("ann", 0)
    await bob.join("bob", 0)
    await ann.say(1, "one")
    assert await bob.hear(1) == [(1, "one")]
    await bob.leave()
    await ann.say(2, "two")
    assert await ann.hear(2) == [(1, "one"), (2, "two")]
    bob = await door()
    await bob.join("bob", 1)
    await ann.say(3, "three")
    assert await bob.hear(2) == [(2, "two"), (3, "three")]


async def test_what_is_said_again_is_not_heard_again(door: Any) -> None:
    ann = await door()
    await ann.join("ann", 0)
    for count, text in ((1, "one"), (1, "one"), (2, "two")):
        await ann.say(count, text)
    assert await ann.hear(2) == [(1, "one"), (2, "two")]
