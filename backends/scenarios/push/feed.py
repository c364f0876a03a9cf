"""The feed of both push servers: its messages, and the followers that wait or are dropped. No sockets.

A message has a number, from 1 on; a client names the last one that it has, so that nothing is lost or doubled
across requests and reconnects.
"""

import argparse
import asyncio
import itertools
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends.protocols import sse

KEPT = 10_000
"""Messages that are kept for clients that come back; one that was away for longer has lost some."""


@dataclass(frozen=True, slots=True)
class FeedMessage:
    """One message of the feed, in the forms in which it goes out: made once for all clients."""

    number: int
    line: str
    """`NUMBER TEXT`: a line of a poll, or a WebSocket message."""
    event: bytes
    """The same as a server-sent event."""


class Feed:
    """The messages so far, and a future for each client that waits for the next."""

    def __init__(self) -> None:
        self._kept: deque[FeedMessage] = deque(maxlen=KEPT)
        self.last = 0
        """The number of the newest message; 0 before the first."""
        self._waiting: list[asyncio.Future[bool]] = []

    def publish(self, text: str) -> FeedMessage:
        """Add a message and wake all that wait."""
        self.last += 1
        message = FeedMessage(self.last, f"{self.last} {text}", sse.format_event(self.last, text))
        self._kept.append(message)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            if not each.done():
                each.set_result(True)
        return message

    def after(self, number: int) -> list[FeedMessage]:
        """Return the kept messages with a higher number, the oldest first."""
        newer = self.last - number
        if newer <= 0:
            return []
        if newer == 1:
            return [self._kept[-1]]
        return list(self._kept)[-newer:]

    async def changed(self, timeout_s: float | None = None) -> bool:
        """Wait for the next message; return whether it came within `timeout_s`."""
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        if timeout_s is None:
            return await waiter
        await asyncio.wait([waiter], timeout=timeout_s)
        return waiter.done()


def add_drop_flags(parser: argparse.ArgumentParser) -> None:
    """Add how often connections are dropped, and how many."""
    parser.add_argument("--drop-every", type=float, default=0.0, metavar="S", help="0: never")
    parser.add_argument("--drop-share", type=float, default=0.5, metavar="SHARE", help="of the followers")


def start_dropping(given: argparse.Namespace, followers: Mapping[Any, None]) -> None:
    """Close a share of the followers every so often, where the flags say so.

    The count of rounds alone decides which ones, so that a run can be repeated.
    """
    step, loop, rounds = max(1, round(1 / given.drop_share)), asyncio.get_running_loop(), itertools.count()

    def drop() -> None:
        number = next(rounds)
        for each in [each for place, each in enumerate(followers) if (place + number) % step == 0]:
            each.close()
        loop.call_later(given.drop_every, drop)

    if given.drop_every > 0:
        loop.call_later(given.drop_every, drop)
