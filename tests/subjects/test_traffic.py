"""What lasts, carried by each subject with real traffic: an upgrade, and a response that never ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager

import aiohttp
import pytest

from bench.lab import open_lab
from bench.subjects.catalogue import SUBJECTS
from bench.subjects.subject import Traffic
from tests import needs
from tests.subjects.subject_config import config

PROXIES = ("nginx@system", "nginx@wheel", "haproxy", "envoy", "caddy", "nghttpx")
LASTING = Traffic(upgrade=True, streams=True)
BEYOND_EVERY_DEFAULT_S = 80
"""haproxy.cfg's `timeout client` as we write it for ordinary exchanges is the longest that a subject has."""


@contextmanager
def front(subject: str) -> Iterator[str]:
    """Start a feed and the subject before it, made for what lasts; give its URL."""
    name, _, program = subject.partition("@")
    with open_lab("loopback") as place:
        listen = f"{place.hosts['backend'].front}:0"
        argv = [sys.executable, "-m", "backends.scenarios.push.server", "--control", "--listen", listen]
        feed = place.hosts["backend"].start(argv, name="backend")
        upstreams = feed.wait_event("ready", 60)["listen"]
        wanted = config(program=program or None, name=name, upstreams=upstreams, traffic=LASTING)
        running = SUBJECTS[name]().start(place.hosts["proxy"], None, wanted)
        try:
            yield f"http://{running.address}"
        finally:
            running.stop()


@asynccontextmanager
async def followers(url: str) -> AsyncIterator[tuple[aiohttp.ClientSession, asyncio.Queue[str]]]:
    """Follow the feed by SSE and by WebSocket; both put what they get into one queue."""
    got: asyncio.Queue[str] = asyncio.Queue()
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.get(f"{url}/events") as events,
        session.ws_connect(f"{url}/socket") as socket,
    ):
        assert events.status == 200

        async def read_events() -> None:
            async for line in events.content:
                if line.startswith(b"data: "):
                    got.put_nowait(f"event {line[6:].decode().strip()}")

        async def read_frames() -> None:
            async for frame in socket:
                got.put_nowait(f"frame {frame.data}")

        reading = [asyncio.ensure_future(read_events()), asyncio.ensure_future(read_frames())]
        yield session, got
        for each_one in reading:
            each_one.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


async def publish(session: aiohttp.ClientSession, url: str, text: str) -> None:
    """Publish one message."""
    async with session.post(f"{url}/publish", data=text) as answer:
        answer.raise_for_status()


@pytest.mark.parametrize("subject", ["asyncio", "direct", *needs.subjects(*PROXIES)])
async def test_a_tunnel_and_a_stream_bring_each_message_at_once(subject: str) -> None:
    with front(subject) as url:
        async with followers(url) as (session, got), asyncio.timeout(60):
            for number, text in enumerate(("one", "two"), 1):
                await publish(
                    session, url, text
                )  # the next only when both have this one: nothing is held back
                assert {await got.get(), await got.get()} == {f"event {text}", f"frame {number} {text}"}


@pytest.mark.long
async def test_silence_ends_neither() -> None:
    subjects = ["asyncio", "direct", *(subject for subject in PROXIES if needs.here(subject))]

    async def follow(url: str) -> set[str]:
        async with followers(url) as (session, got):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(got.get(), BEYOND_EVERY_DEFAULT_S)
            async with asyncio.timeout(60):
                await publish(session, url, "late")
                return {await got.get(), await got.get()}

    with ExitStack() as fronts:
        urls = [fronts.enter_context(front(subject)) for subject in subjects]
        came = await asyncio.gather(*map(follow, urls))  # all of them are silent together
    assert dict(zip(subjects, came, strict=True)) == {
        subject: {"event late", "frame 1 late"} for subject in subjects
    }
